//! A disk that fills up and gets its space back.

use omendb_sim::{Rng, SimFs};
use omendb_storage::{Error, Journal};

use crate::history;

/// Fills the disk to the last sector, again and again at other sizes; frees space; goes on. Everything acknowledged
/// before, between and after is there.
#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_space() {
    let mut refusals = 0;
    let mut rng = Rng::new(9);
    for sectors in 4..60 {
        let fs = history::disk(sectors);
        let mut journal = history::create(&fs).unwrap();
        let mut acknowledged = Vec::new();
        let mut capacity = sectors * 512;
        fs.set_capacity(capacity);
        for _ in 0..3 {
            refusals += fill(&fs, &mut journal, &mut acknowledged, &mut rng);
            assert!(fs.used_bytes() <= capacity);
            check_power_cuts(&fs, &acknowledged, &mut rng);
            capacity += 8 * 512;
            fs.set_capacity(capacity);
            let batch = vec![rng.bytes(40)];
            journal
                .append(&batch)
                .expect("there is space again, also for a new segment");
            acknowledged.extend(batch);
        }
        check_power_cuts(&fs, &acknowledged, &mut rng);
    }
    println!("{refusals} appends refused");
    assert!(refusals > 56 * 3);
}

/// Appends until the disk is full, and then tries with less; returns how many appends were refused.
fn fill(fs: &SimFs, journal: &mut Journal, acknowledged: &mut Vec<Vec<u8>>, rng: &mut Rng) -> usize {
    let mut refused = 0;
    while refused < 4 {
        let length = [900, 400, 60, 0][refused];
        let batch = vec![rng.bytes(length), rng.bytes(3)];
        let used = fs.used_bytes();
        match journal.append(&batch) {
            Ok(_) => acknowledged.extend(batch),
            Err(Error::Full { .. }) => {
                refused += 1;
                assert_eq!(fs.used_bytes(), used, "what a refused append took is given back");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(!journal.is_poisoned());
        assert_eq!(journal.last_sequence(), acknowledged.len() as u64);
    }
    refused
}

fn check_power_cuts(fs: &SimFs, acknowledged: &[Vec<u8>], rng: &mut Rng) {
    for image in fs.crash_point().images(16, rng) {
        let (_, recovered) = history::open(&image).unwrap();
        let found = history::read_all(recovered).unwrap();
        // The last refused batch had room for all of it only if it was whole.
        assert_eq!(found[..acknowledged.len()], *acknowledged);
        assert!(found.len() == acknowledged.len() || found.len() == acknowledged.len() + 2);
    }
}

/// A snapshot that finds no space leaves the log as it was, and another one can be made later.
#[test]
fn a_snapshot_without_space_leaves_the_log() {
    let fs = history::disk(3);
    let mut journal = history::create(&fs).unwrap();
    let records: Vec<Vec<u8>> = (0..8).map(|i| vec![i; 300]).collect();
    for record in &records {
        journal.append(&[record]).unwrap();
    }
    fs.set_capacity(fs.used_bytes() + 1024);
    let write = |journal: &mut Journal| {
        let mut writer = journal.begin_snapshot()?;
        records.iter().try_for_each(|record| writer.add(record))?;
        writer.finish()
    };
    assert!(matches!(write(&mut journal), Err(Error::Full { .. })));
    assert!(!journal.is_poisoned());

    fs.set_capacity(1 << 20);
    let before = journal.log_bytes();
    let stats = write(&mut journal).unwrap();
    assert_eq!((stats.sequence, stats.records), (8, 8));
    assert_eq!(stats.trimmed_log_bytes, before);
    assert_eq!(journal.log_bytes(), 0);
    journal.append(&[b"after"]).unwrap();
    let (_, recovered) = history::open(&fs).unwrap();
    assert_eq!(recovered.report.snapshot_sequence, Some(8));
    assert_eq!(history::read_all(recovered).unwrap().len(), 9);
}
