//! One directory's log: appends that are durable when they return, and the snapshots that let it be trimmed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use omendb_metrics::Clock;

use crate::error::Error;
use crate::file_header::Kind;
use crate::frame;
use crate::fs::{Access, FileSystem};
use crate::limits::{KEPT_BUFFER_BYTES, SEGMENT_BYTES};
use crate::manifest::{self, Manifest, SegmentEntry};
use crate::recovery::{self, Recovered};
use crate::segment::Segment;
use crate::snapshot::SnapshotWriter;
use crate::store::{Place, Store, manifest_file};

/// How a journal is run.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Times the writes and syncs.
    pub clock: Clock,
    /// Chance, unpredictable to clients: files are marked with numbers derived from it so that no payload can be
    /// made to look like a frame.
    pub seed: u64,
    /// The size at which an append moves on to a new segment, in bytes.
    pub segment_bytes: u64,
}

impl JournalOptions {
    /// Segments of the usual size.
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            seed,
            segment_bytes: SEGMENT_BYTES,
        }
    }
}

/// The log, snapshots and manifest of one directory. One process at a time (see [`crate::DirectoryLock`]), one
/// appender at a time (`&mut`).
#[derive(Debug)]
pub struct Journal {
    store: Arc<Store>,
    options: JournalOptions,
    /// Created by the first append, so that opening and closing writes nothing.
    active: Option<Segment>,
    last_sequence: u64,
    /// The end of a segment is known here that the manifest on disk may not have yet.
    has_unsaved_seal: bool,
    buffer: Vec<u8>,
}

/// What one append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendStats {
    /// Sequence of the first record of the batch.
    pub first_sequence: u64,
    /// Sequence of the last record of the batch.
    pub last_sequence: u64,
    /// Bytes written to the log, frame header and padding included.
    pub bytes: u64,
    /// Nanoseconds in the write.
    pub write_ns: u64,
    /// Nanoseconds in the `fdatasync`.
    pub fsync_ns: u64,
    /// Whether a new segment was begun for it, which costs four more syncs, in neither of the two times.
    pub segment_rolled: bool,
}

impl Journal {
    /// Creates an empty journal in a directory of its own, which must not exist yet; the parent directory must.
    /// Durable on return.
    ///
    /// # Errors
    /// [`Error::Exists`] when the directory is there already. After another error it may be, empty or not:
    /// [`Self::destroy`] removes it, or the next journal takes another name.
    pub fn create(fs: Arc<dyn FileSystem>, directory: &Path, options: JournalOptions) -> Result<Self, Error> {
        fs.create_directory(directory).map_err(|e| {
            let exists = e.kind() == io::ErrorKind::AlreadyExists;
            if exists {
                Error::Exists {
                    path: directory.to_owned(),
                }
            } else {
                Error::io("create", directory, e)
            }
        })?;
        let parent = directory.parent().unwrap_or(Path::new("."));
        fs.sync_directory(parent)
            .map_err(|e| Error::io("sync", parent, e))?;
        let manifest = Manifest::empty(1);
        manifest_file(&fs, directory).replace(&manifest.encode())?;
        let place = Place {
            fs,
            directory: directory.to_owned(),
        };
        let store = Store::new(place, manifest, 0, options.seed);
        Ok(Self::assemble(Arc::new(store), options, None, 0))
    }

    /// Opens the journal of `directory` and returns what it holds. What a crash left behind is put in order first:
    /// a torn tail is cut, the last append is written again and synced unless it is known to be, unfinished files
    /// are removed; the report in [`Recovered`] says so.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when something that was synced is not what it was; damage to sealed segments and the
    /// snapshot shows when [`Recovered`] is read.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        directory: &Path,
        options: JournalOptions,
    ) -> Result<(Self, Recovered), Error> {
        let place = Place {
            fs,
            directory: directory.to_owned(),
        };
        let recovery::Opened {
            store,
            active,
            recovered,
        } = recovery::open(place, options.seed)?;
        let last_sequence = recovered.report.last_sequence;
        Ok((Self::assemble(store, options, active, last_sequence), recovered))
    }

    /// About the bytes that opening the journal of `directory` and reading what it holds will read: for telling how far
    /// reading is, before it begins. What cannot be measured counts nothing; opening will say what is wrong with it.
    pub fn measure(fs: &dyn FileSystem, directory: &Path) -> u64 {
        let entries = fs.list(directory).unwrap_or_default();
        let ours = entries.iter().filter(|entry| Kind::number(&entry.name).is_some());
        let size = |name: &str| fs.open(&directory.join(name), Access::Read)?.size();
        ours.map(|entry| size(&entry.name).unwrap_or(0)).sum()
    }

    /// Removes the journal of `directory` with the directory, which nobody has open. A directory that is missing,
    /// wholly or in part, is fine: a crash may have interrupted an earlier removal.
    pub fn destroy(fs: &dyn FileSystem, directory: &Path) -> Result<(), Error> {
        let entries = match fs.list(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("list", directory, error)),
        };
        for entry in entries {
            let ours = [manifest::FILE, manifest::TEMPORARY_FILE].contains(&entry.name.as_str());
            if ours || Kind::number(&entry.name).is_some() {
                let path = directory.join(&entry.name);
                fs.remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
        }
        fs.remove_directory(directory)
            .map_err(|e| Error::io("remove", directory, e))
    }

    /// Appends a batch: one frame, one write, one `fdatasync` (and a new segment now and then). On return the
    /// records are durable, numbered in order.
    ///
    /// # Errors
    /// The journal is as before after [`Error::Full`], [`Error::TooLarge`] and every other error that leaves
    /// [`Self::is_poisoned`] false; the append may be tried again. If the process then ends without another append,
    /// the batch is absent after the restart or, at most, present as a whole.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<AppendStats, Error> {
        self.store.check_not_poisoned()?;
        let mut stats = AppendStats {
            first_sequence: self.last_sequence + 1,
            last_sequence: self.last_sequence + records.len() as u64,
            bytes: 0,
            write_ns: 0,
            fsync_ns: 0,
            segment_rolled: false,
        };
        if records.is_empty() {
            return Ok(stats);
        }
        let frame_bytes = frame::measure(records)?;
        stats.segment_rolled = self.make_room(frame_bytes)?;
        stats.bytes = frame_bytes as u64;

        let clock = &self.options.clock;
        let segment = self
            .active
            .as_mut()
            .expect("there was one with room, or rolling made one");
        let buffer = &mut self.buffer;
        buffer.clear();
        frame::encode(buffer, segment.identity(), stats.first_sequence, records);
        let start = clock.now();
        segment.write(buffer)?;
        let written = clock.now();
        segment.sync(&self.store, frame_bytes)?;
        stats.write_ns = written.nanos_since(start);
        stats.fsync_ns = clock.now().nanos_since(written);

        self.last_sequence = stats.last_sequence;
        buffer.truncate(KEPT_BUFFER_BYTES);
        buffer.shrink_to(KEPT_BUFFER_BYTES);
        Ok(stats)
    }

    /// Begins a snapshot of the state after [`Self::last_sequence`]. The writer may be used from another thread
    /// while appends go on; they go to a new segment, so that finishing it frees all of the log before it.
    pub fn begin_snapshot(&mut self) -> Result<SnapshotWriter, Error> {
        self.store.check_not_poisoned()?;
        self.seal_active();
        SnapshotWriter::create(Arc::clone(&self.store), self.last_sequence)
    }

    /// Records that everything is synced, so that the next start has nothing to put in order.
    pub fn close(mut self) -> Result<(), Error> {
        self.store.check_not_poisoned()?;
        self.seal_active();
        if !self.has_unsaved_seal {
            return Ok(());
        }
        let mut current = self.store.manifest();
        let next = current.clone();
        self.store.swap_manifest(&mut current, next)
    }

    /// The sequence of the last durable record, 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Bytes of log that a restart would read.
    pub fn log_bytes(&self) -> u64 {
        let active = self.active.as_ref();
        let sealed: u64 = {
            let manifest = self.store.manifest();
            let is_active = |entry: &&SegmentEntry| active.is_none_or(|a| *a.identity() != entry.identity);
            manifest
                .segments
                .iter()
                .filter(is_active)
                .map(|entry| entry.end)
                .sum()
        };
        sealed + active.map_or(0, Segment::end)
    }

    /// Whether a failed sync ended all writing until the journal is opened anew.
    pub fn is_poisoned(&self) -> bool {
        self.store.is_poisoned()
    }

    fn assemble(
        store: Arc<Store>,
        options: JournalOptions,
        active: Option<Segment>,
        last_sequence: u64,
    ) -> Self {
        Self {
            store,
            options,
            active,
            last_sequence,
            has_unsaved_seal: false,
            buffer: Vec::new(),
        }
    }

    /// Moves on to a new segment unless the active one has room for a frame of this size; true if it did. A frame
    /// larger than a segment gets one of its own.
    fn make_room(&mut self, frame_bytes: usize) -> Result<bool, Error> {
        let has_room = self.active.as_ref().is_some_and(|segment| {
            !segment.has_frames() || segment.end() + frame_bytes as u64 <= self.options.segment_bytes
        });
        if !has_room {
            self.roll()?;
        }
        Ok(!has_room)
    }

    /// Moves on to a new segment. Its contents and its name are durable before the manifest names it, and the
    /// manifest is durable before anything is appended.
    fn roll(&mut self) -> Result<(), Error> {
        let identity = self.store.new_identity(self.last_sequence + 1);
        let segment = Segment::create(&self.store, identity, &[])?;
        let mut current = self.store.manifest();
        let mut next = current.clone();
        if let Some(full) = &self.active {
            seal(&mut next, full, self.last_sequence);
        }
        next.segments.push(SegmentEntry::empty(identity));
        if let Err(error) = self.store.swap_manifest(&mut current, next) {
            // Poisoned: the manifest that a power cut leaves may name the file, so it stays.
            if !self.store.is_poisoned() {
                self.store.discard(&self.store.path(Kind::Log, identity.number));
            }
            return Err(error);
        }
        drop(current);
        self.has_unsaved_seal = false;
        self.active = Some(segment);
        Ok(())
    }

    /// Ends the active segment; the next append begins another. On disk the manifest learns of it when next
    /// swapped: until then a restart finds the same end by reading.
    fn seal_active(&mut self) {
        if let Some(segment) = self.active.take() {
            seal(&mut self.store.manifest(), &segment, self.last_sequence);
            self.has_unsaved_seal = true;
        }
    }
}

/// Notes in the manifest that `segment`, its last, ends where it does.
fn seal(manifest: &mut Manifest, segment: &Segment, last_sequence: u64) {
    if let Some(entry) = manifest
        .segments
        .iter_mut()
        .find(|entry| entry.identity == *segment.identity())
    {
        entry.end = segment.end();
        entry.last_sequence = last_sequence;
        entry.sealed = true;
    }
}
