//! Random histories of appends, snapshots and restarts, and the model they are compared with.

use std::path::Path;
use std::sync::Arc;

use omendb_metrics::Clock;
use omendb_sim::{CrashPoint, Rng, SimFs};
use omendb_storage::{Error, FileSystem, Journal, JournalOptions, Recovered, SnapshotWriter};

/// Small, so that a history of a few appends crosses several segments.
const SEGMENT_BYTES: u64 = 4096;

pub(crate) type Records = Vec<Vec<u8>>;

pub(crate) fn directory() -> &'static Path {
    Path::new("/data/journal")
}

pub(crate) fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        ..JournalOptions::new(Clock::manual().0, 42)
    }
}

/// A disk with the directory that the journal's is to be created in.
pub(crate) fn disk(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.create_directory(Path::new("/data")).unwrap();
    fs.sync_directory(Path::new("/")).unwrap();
    fs
}

pub(crate) fn open(fs: &SimFs) -> Result<(Journal, Recovered), Error> {
    Journal::open(Arc::new(fs.clone()), directory(), options())
}

pub(crate) fn create(fs: &SimFs) -> Result<Journal, Error> {
    Journal::create(Arc::new(fs.clone()), directory(), options())
}

/// Every record ever appended, read from snapshot and log.
pub(crate) fn read_all(recovered: Recovered) -> Result<Records, Error> {
    let Recovered {
        snapshot,
        mut log,
        report,
    } = recovered;
    let mut records = Vec::new();
    if let Some(mut snapshot) = snapshot {
        while let Some(record) = snapshot.next_record()? {
            records.push(record.to_vec());
        }
        assert_eq!(
            records.len() as u64,
            snapshot.sequence(),
            "a snapshot here holds every record"
        );
    }
    while let Some(record) = log.next_record()? {
        assert_eq!(
            record.sequence,
            records.len() as u64 + 1,
            "records are numbered without gaps"
        );
        records.push(record.bytes.to_vec());
    }
    assert_eq!(report.last_sequence, records.len() as u64);
    assert_eq!(log.bytes_read(), log.total_bytes());
    Ok(records)
}

/// One thing a process does with its journal.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Append(Records),
    BeginSnapshot,
    FinishSnapshot,
    AbandonSnapshot,
    /// Ends the process, properly or not, and starts another.
    Restart {
        closing: bool,
    },
}

pub(crate) fn random_steps(rng: &mut Rng, count: usize) -> Vec<Step> {
    (0..count)
        .map(|_| match rng.below(12) {
            0 | 1 => Step::BeginSnapshot,
            2 | 3 => Step::FinishSnapshot,
            4 => Step::AbandonSnapshot,
            5 => Step::Restart {
                closing: rng.one_in(2),
            },
            _ => Step::Append(random_batch(rng)),
        })
        .collect()
}

/// A few records: mostly small, sometimes over several sectors, seldom more than a segment holds.
fn random_batch(rng: &mut Rng) -> Records {
    let longest = [12, 12, 100, 100, 700, 1500, 1500, 5000][rng.below(8)];
    (0..1 + rng.below(3))
        .map(|_| {
            let length = rng.below(longest + 1);
            rng.bytes(length)
        })
        .collect()
}

/// What may be found after a restart: everything acknowledged, then at most one of the batches that were attempted
/// since, whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// Whether the journal's creation was acknowledged.
    exists: bool,
    pub(crate) acknowledged: Records,
    pub(crate) attempted: Vec<Records>,
}

impl Model {
    pub(crate) fn allows(&self, found: &Records) -> bool {
        found
            .strip_prefix(self.acknowledged.as_slice())
            .is_some_and(|rest| {
                rest.is_empty() || self.attempted.iter().any(|batch| batch.as_slice() == rest)
            })
    }

    fn acknowledge(&mut self, batch: &Records) {
        self.acknowledged.extend(batch.iter().cloned());
        self.attempted.clear();
    }

    /// A restart showed which of the possibilities it is; from here on it is promised.
    fn settle(&mut self, found: Records) {
        self.exists = true;
        self.acknowledged = found;
        self.attempted.clear();
    }
}

/// A process, its disk, and what it was promised.
pub(crate) struct Run {
    pub(crate) fs: SimFs,
    journal: Option<Journal>,
    snapshot: Option<SnapshotWriter>,
    pub(crate) model: Model,
    /// The model as of so many operations, in order.
    timeline: Vec<(u64, Model)>,
    /// Errors met, by what they mean to the caller.
    pub(crate) met: Met,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) full: usize,
    pub(crate) other: usize,
    /// How often a failed sync ended the writing.
    pub(crate) poisoned: usize,
}

impl Run {
    pub(crate) fn new(fs: SimFs) -> Self {
        let mut run = Self {
            fs,
            journal: None,
            snapshot: None,
            model: Model::default(),
            timeline: Vec::new(),
            met: Met::default(),
        };
        run.note();
        run
    }

    /// Does the steps, restarting whenever a failed sync ended the writing.
    pub(crate) fn perform(&mut self, steps: &[Step]) {
        for step in steps {
            self.ensure_open();
            self.step(step);
            if self.journal.as_ref().is_some_and(Journal::is_poisoned) {
                self.met.poisoned += 1;
                self.end_process(false);
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let Some(journal) = self.journal.as_mut() else {
            return;
        };
        match step {
            Step::Append(batch) => {
                self.model.attempted.push(batch.clone());
                self.note();
                self.append(batch);
            }
            Step::BeginSnapshot => match journal.begin_snapshot() {
                Ok(writer) => self.snapshot = fill(writer, &self.model.acknowledged),
                Err(error) => self.meet(&error),
            },
            Step::FinishSnapshot => {
                if let Some(writer) = self.snapshot.take()
                    && let Err(error) = writer.finish()
                {
                    self.meet(&error);
                }
            }
            Step::AbandonSnapshot => self.snapshot = None,
            Step::Restart { closing } => self.end_process(*closing),
        }
    }

    fn append(&mut self, batch: &Records) {
        let Some(journal) = self.journal.as_mut() else {
            return;
        };
        match journal.append(batch) {
            Ok(stats) => {
                let length = self.model.acknowledged.len() as u64;
                assert_eq!(stats.first_sequence, length + 1);
                assert_eq!(stats.last_sequence, length + batch.len() as u64);
                self.model.acknowledge(batch);
                self.note();
            }
            Err(error) => {
                assert_eq!(
                    journal.last_sequence(),
                    self.model.acknowledged.len() as u64,
                    "a failed append does not count"
                );
                self.meet(&error);
            }
        }
    }

    pub(crate) fn end_process(&mut self, closing: bool) {
        self.snapshot = None;
        if let Some(journal) = self.journal.take()
            && closing
            && let Err(error) = journal.close()
        {
            self.meet(&error);
        }
    }

    /// Starts a process, until it succeeds: an injected error passes. Whatever happened before, what it finds is
    /// never damage, and something the model allows.
    pub(crate) fn ensure_open(&mut self) {
        for _ in 0..16 {
            if self.journal.is_some() {
                return;
            }
            let result = if self.model.exists {
                self.reopen()
            } else {
                self.create()
            };
            match result {
                Ok((journal, found)) => {
                    assert!(self.model.allows(&found), "a restart found what it must not");
                    assert_eq!(journal.last_sequence(), found.len() as u64);
                    self.model.settle(found);
                    self.note();
                    self.journal = Some(journal);
                }
                Err(error) => {
                    assert!(!matches!(error, Error::Corrupt { .. }), "{error}");
                    self.meet(&error);
                }
            }
        }
        panic!("the journal does not open although nothing fails any more");
    }

    fn reopen(&self) -> Result<(Journal, Records), Error> {
        let (journal, recovered) = open(&self.fs)?;
        Ok((journal, read_all(recovered)?))
    }

    /// Creates the journal, in the place of one that did not come into being.
    fn create(&self) -> Result<(Journal, Records), Error> {
        Journal::destroy(&self.fs, directory())?;
        Ok((create(&self.fs)?, Vec::new()))
    }

    fn meet(&mut self, error: &Error) {
        match error {
            Error::Full { .. } => self.met.full += 1,
            Error::Io { .. } | Error::Poisoned => self.met.other += 1,
            Error::Corrupt { .. }
            | Error::Unsupported { .. }
            | Error::Locked { .. }
            | Error::TooLarge { .. }
            | Error::Exists { .. } => panic!("a failing disk does not explain this: {error}"),
        }
    }

    fn note(&mut self) {
        self.timeline.push((self.fs.operations(), self.model.clone()));
    }

    /// What the process was promised when so many operations had been done.
    pub(crate) fn model_at(&self, operations: u64) -> &Model {
        let later = self.timeline.partition_point(|(at, _)| *at <= operations);
        &self.timeline[later.saturating_sub(1)].1
    }
}

/// Puts every record so far into a snapshot; `None` when the disk would not take it.
fn fill(mut writer: SnapshotWriter, records: &Records) -> Option<SnapshotWriter> {
    assert_eq!(writer.sequence(), records.len() as u64);
    for record in records {
        if writer.add(record).is_err() {
            return None;
        }
    }
    Some(writer)
}

/// Counts of a check, printed by the tests.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) crash_points: usize,
    pub(crate) images: usize,
    /// Images of crashes during the recovery from another crash.
    pub(crate) nested_images: usize,
}

impl Checked {
    pub(crate) fn add(&mut self, other: Self) {
        let Self {
            crash_points,
            images,
            nested_images,
        } = other;
        self.crash_points += crash_points;
        self.images += images;
        self.nested_images += nested_images;
    }
}

/// How thoroughly crashes are checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thoroughness {
    /// Images of each crash point.
    pub(crate) images: usize,
    /// For one in so many images, the recovery is itself cut at every operation.
    pub(crate) nested_one_in: usize,
}

/// Cuts the power at each of the points and checks what a restart finds on the disks that may be left.
pub(crate) fn check_crashes(
    run: &Run,
    points: &[CrashPoint],
    thoroughness: Thoroughness,
    rng: &mut Rng,
) -> Checked {
    let mut checked = Checked::default();
    for point in points {
        let model = run.model_at(point.operations);
        checked.crash_points += 1;
        for image in point.images(thoroughness.images, rng) {
            checked.images += 1;
            let nested = rng.one_in(thoroughness.nested_one_in);
            checked.nested_images += check_image(&image, model, nested, rng);
        }
    }
    checked
}

/// Restarts from an image; what is found must be allowed, stay, and be possible to append to.
fn check_image(image: &SimFs, model: &Model, nested: bool, rng: &mut Rng) -> usize {
    if nested {
        image.record_crash_points();
    }
    let Some((mut journal, found)) = restart(image, model) else {
        return 0;
    };
    let points = image.crash_points();

    // From here on it was served, so it is promised: a second power cut must not take it back.
    let mut served = Model::default();
    served.settle(found);
    let before_append = image.crash_point();
    for again in before_append.images(2, rng) {
        restart(&again, &served);
    }
    let batch = vec![rng.bytes(600)];
    journal.append(&batch).expect("the disk is sound");
    served.acknowledge(&batch);
    for again in image.crash_point().images(2, rng) {
        restart(&again, &served);
    }

    // A crash while recovering finds what the first one left.
    let mut images = 0;
    for point in points {
        for again in point.images(6, rng) {
            images += 1;
            restart(&again, model);
        }
    }
    images
}

/// Opens an image and checks what is there. `None` where the journal had not come into being.
fn restart(image: &SimFs, model: &Model) -> Option<(Journal, Records)> {
    let (journal, recovered) = match open(image) {
        Ok(opened) => opened,
        Err(_) if !model.exists => {
            Journal::destroy(image, directory()).expect("what was left can be removed");
            create(image).expect("and a journal created");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let report = recovered.report.clone();
    let found = match read_all(recovered) {
        Ok(found) => found,
        Err(error) => panic!("{error}\n{report:?}"),
    };
    assert!(
        model.allows(&found),
        "promised {} records and perhaps one of {:?} more, found {}\n{report:?}",
        model.acknowledged.len(),
        model.attempted.iter().map(Vec::len).collect::<Vec<_>>(),
        found.len(),
    );
    Some((journal, found))
}

/// How many times longer than usual the random tests run: `OMENDB_SIM_EFFORT`, for nights.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
pub(crate) fn effort() -> u64 {
    std::env::var("OMENDB_SIM_EFFORT")
        .ok()
        .and_then(|effort| effort.parse().ok())
        .unwrap_or(1)
}

/// The seed the random tests begin with: `OMENDB_SIM_SEED`, to go where no run has been.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration file")]
pub(crate) fn first_seed() -> u64 {
    std::env::var("OMENDB_SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1)
}
