//! An error at every operation, and what a restart makes of it.

use omendb_sim::{Fault, Injected, Rng, SimFs};
use omendb_storage::Error;

use crate::history::{self, Checked, Met, Run, Step, Thoroughness, random_steps};

const THOROUGHNESS: Thoroughness = Thoroughness {
    images: 3,
    nested_one_in: 200,
};

/// Each operation of random histories fails, alone or with those after it, in each of the ways it can. The process goes on (or
/// restarts, when a failed sync ended the writing), and after that the power is cut at every operation.
#[test]
fn an_error_at_any_operation_loses_nothing_acknowledged() {
    let mut total = Checked::default();
    let mut runs = 0;
    let mut met = Met::default();
    for seed in history::first_seed()..history::first_seed() + 2 * history::effort() {
        let mut rng = Rng::new(seed);
        let steps = random_steps(&mut rng, 16);
        for (error, length) in [
            (Injected::Io, 1),
            (Injected::Io, 2),
            (Injected::NoSpace, 3),
            (Injected::NoSpaceAtSync, 1),
        ] {
            for number in 0..operations(seed, &steps) {
                let fault = Fault {
                    operations: number..number + length,
                    error,
                };
                let run = faulty_run(seed, &steps, fault);
                // Until the error, the history is one of those that are cut without an error; long after it, too.
                let mut points = run.fs.crash_points();
                let last = points.len() - 1;
                let near = number..number + 40;
                points = points
                    .into_iter()
                    .enumerate()
                    .filter(|(index, point)| near.contains(&point.operations) || *index == last)
                    .map(|(_, point)| point)
                    .collect();
                total.add(history::check_crashes(&run, &points, THOROUGHNESS, &mut rng));
                runs += 1;
                met.full += run.met.full;
                met.other += run.met.other;
                met.poisoned += run.met.poisoned;
                assert!(
                    error != Injected::NoSpace || run.met.poisoned == 0,
                    "a full disk is no reason to stop"
                );
            }
        }
    }
    println!("{runs} runs with an error: {total:?}, {met:?}");
    assert!(
        met.full > 0 && met.other > 0 && met.poisoned > 0,
        "the errors were met: {met:?}"
    );
}

/// How many operations the steps take on a sound disk.
fn operations(seed: u64, steps: &[Step]) -> u64 {
    let fs = history::disk(seed);
    let mut run = Run::new(fs.clone());
    run.perform(steps);
    run.end_process(true);
    fs.operations()
}

fn faulty_run(seed: u64, steps: &[Step], fault: Fault) -> Run {
    let fs: SimFs = history::disk(seed);
    // The directory the journal lies in was made before the fault counts.
    let fault = Fault {
        operations: fault.operations.start.max(fs.operations())..fault.operations.end,
        ..fault
    };
    fs.inject(fault);
    let mut run = Run::new(fs);
    run.fs.record_crash_points();
    run.perform(steps);
    run.end_process(true);
    run.ensure_open();
    run.end_process(false);
    run
}

/// A failed sync of the log ends the writing until a restart, which finds the batch whole or not at all. So does one
/// for want of space: what it left on the disk is as unknown.
#[test]
fn a_failed_sync_poisons_until_the_restart() {
    for error in [Injected::Io, Injected::NoSpaceAtSync] {
        let fs = history::disk(1);
        let mut journal = history::create(&fs).unwrap();
        journal.append(&[b"first"]).unwrap();
        // The next append is a write and then a sync.
        let operations = fs.operations() + 1..fs.operations() + 2;
        fs.inject(Fault { operations, error });
        match journal.append(&[b"second"]) {
            Err(Error::Io {
                operation: "sync", ..
            }) => assert_eq!(error, Injected::Io),
            Err(Error::Full { .. }) => assert_eq!(error, Injected::NoSpaceAtSync),
            other => panic!("{other:?}"),
        }
        assert!(journal.is_poisoned());
        assert!(matches!(journal.append(&[b"third"]), Err(Error::Poisoned)));
        assert!(matches!(journal.begin_snapshot(), Err(Error::Poisoned)));
        drop(journal);

        // The kernel still shows the second record and believes it clean; being read, it has to become durable.
        let (_journal, recovered) = history::open(&fs).unwrap();
        assert_eq!(recovered.report.rewritten_records, 1);
        assert_eq!(
            history::read_all(recovered).unwrap(),
            [b"first".to_vec(), b"second".to_vec()]
        );
        for image in fs.crash_point().images(64, &mut Rng::new(1)) {
            let (_, recovered) = history::open(&image).unwrap();
            assert_eq!(
                history::read_all(recovered).unwrap().len(),
                2,
                "what was served stays"
            );
        }
    }
}

/// A failed write is not a failed sync: the next append goes on where the last good one ended.
#[test]
fn a_failed_write_is_cut_off_and_the_next_append_follows() {
    for (seed, failing) in (0..32).flat_map(|seed| [(seed, 1), (seed, 2)]) {
        let fs = history::disk(seed);
        let mut journal = history::create(&fs).unwrap();
        journal.append(&[b"first"]).unwrap();
        // Only the write fails, or the cutting off of what it left does, too.
        let operations = fs.operations()..fs.operations() + failing;
        fs.inject(Fault {
            operations,
            error: Injected::Io,
        });
        let long = vec![7_u8; 1300];
        assert!(matches!(
            journal.append(&[long]),
            Err(Error::Io {
                operation: "write",
                ..
            })
        ));
        assert!(!journal.is_poisoned());
        let stats = journal.append(&[b"second"]).unwrap();
        assert_eq!(stats.first_sequence, 2);
        let (_, recovered) = history::open(&fs).unwrap();
        assert_eq!(
            recovered.report.torn_tail, None,
            "nothing of the failed write is left"
        );
        assert_eq!(
            history::read_all(recovered).unwrap(),
            [b"first".to_vec(), b"second".to_vec()]
        );
    }
}

/// A snapshot was put in force, but the sync of that rename failed: the next process sees the new manifest, a power
/// cut would bring back the old one, which needs the old segments. They go only once the new one is durable.
#[test]
fn old_segments_are_kept_until_the_manifest_without_them_is_durable() {
    let build = || {
        let fs = history::disk(1);
        let mut journal = history::create(&fs).unwrap();
        journal.append(&[b"first"]).unwrap();
        let mut snapshot = journal.begin_snapshot().unwrap();
        snapshot.add(b"first").unwrap();
        (fs, snapshot)
    };
    let (fs, snapshot) = build();
    let start = fs.operations();
    snapshot.finish().unwrap();
    let last = (start..fs.operations()).rev();
    let mut poisoned = 0;
    for number in last {
        let (fs, snapshot) = build();
        fs.inject(Fault::io(number));
        poisoned += usize::from(snapshot.finish().is_err());
        fs.record_crash_points();
        let (_, recovered) = history::open(&fs).unwrap();
        assert_eq!(history::read_all(recovered).unwrap(), [b"first".to_vec()]);
        for point in fs.crash_points() {
            for image in point.images(64, &mut Rng::new(number)) {
                let (_, recovered) = history::open(&image).unwrap();
                assert_eq!(history::read_all(recovered).unwrap(), [b"first".to_vec()]);
            }
        }
    }
    assert!(poisoned > 4, "the finishing has that many steps that can fail");
}
