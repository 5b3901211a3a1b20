//! The journal on the file system of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs, process};

use omendb_metrics::Clock;
use omendb_sim::Rng;
use omendb_storage::{Error, FileSystem, Journal, JournalOptions, RealFs};

use crate::history::read_all;

/// A directory of this test, removed with it.
pub(crate) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("omendb-storage-{name}-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: 64 << 10,
        ..JournalOptions::new(Clock::system(), 7)
    }
}

#[test]
fn appends_snapshots_and_restarts_on_the_real_disk() {
    let parent = TemporaryDirectory::new("journal");
    let directory = parent.path().join("j");
    let fs: Arc<dyn FileSystem> = Arc::new(RealFs::new());
    let mut rng = Rng::new(5);
    let mut journal = Journal::create(Arc::clone(&fs), &directory, options()).unwrap();
    assert!(matches!(
        Journal::create(Arc::clone(&fs), &directory, options()),
        Err(Error::Exists { .. })
    ));
    let mut records = Vec::new();
    for life in 0..6 {
        for round in 0..20 {
            let batch = vec![rng.bytes(round * 700), rng.bytes(9)];
            let stats = journal.append(&batch).unwrap();
            assert_eq!(stats.last_sequence, records.len() as u64 + 2);
            records.extend(batch);
        }
        if life % 2 == 1 {
            let mut snapshot = journal.begin_snapshot().unwrap();
            records.iter().for_each(|record| snapshot.add(record).unwrap());
            journal.append(&[b"while the snapshot is written"]).unwrap();
            let stats = snapshot.finish().unwrap();
            assert!(stats.trimmed_log_bytes > 0);
            records.push(b"while the snapshot is written".to_vec());
        }
        if life % 3 == 0 {
            journal.close().unwrap();
        } else {
            drop(journal);
        }
        let recovered;
        (journal, recovered) = Journal::open(Arc::clone(&fs), &directory, options()).unwrap();
        assert_eq!(recovered.report.was_closed, life % 3 == 0);
        assert_eq!(recovered.report.torn_tail, None);
        assert_eq!(read_all(recovered).unwrap(), records);
    }
    drop(journal);
    Journal::destroy(&*fs, &directory).unwrap();
    assert!(!directory.exists());
    Journal::destroy(&*fs, &directory).unwrap();
}

/// Closing tells the next start where the log ends, also when a snapshot was begun since the last append.
#[test]
fn a_closed_journal_opens_without_writing() {
    let parent = TemporaryDirectory::new("closed");
    let directory = parent.path().join("j");
    let fs: Arc<dyn FileSystem> = Arc::new(RealFs::new());
    for begin_snapshot in [false, true] {
        let mut journal = match Journal::create(Arc::clone(&fs), &directory, options()) {
            Ok(journal) => journal,
            Err(_) => Journal::open(Arc::clone(&fs), &directory, options()).unwrap().0,
        };
        journal.append(&[b"one"]).unwrap();
        if begin_snapshot {
            drop(journal.begin_snapshot().unwrap());
        }
        journal.close().unwrap();
        let before = fs.counters().totals();
        let (journal, recovered) = Journal::open(Arc::clone(&fs), &directory, options()).unwrap();
        let after = fs.counters().totals();
        assert!(recovered.report.was_closed);
        assert_eq!(recovered.report.rewritten_records, 0);
        assert_eq!(
            (after.write_operations, after.file_syncs),
            (before.write_operations, before.file_syncs)
        );
        journal.close().unwrap();
        assert_eq!(
            fs.counters().totals().file_syncs,
            after.file_syncs,
            "nothing to say"
        );
    }
}

/// One append is one write and one sync, and both are counted.
#[test]
fn an_append_is_one_write_and_one_sync() {
    let parent = TemporaryDirectory::new("counts");
    let fs: Arc<dyn FileSystem> = Arc::new(RealFs::new());
    let mut journal = Journal::create(Arc::clone(&fs), &parent.path().join("j"), options()).unwrap();
    assert!(journal.append(&[b"begins the segment"]).unwrap().segment_rolled);
    let before = fs.counters().totals();
    let stats = journal.append(&[vec![1_u8; 1000], vec![2_u8; 30]]).unwrap();
    let after = fs.counters().totals();
    assert!(!stats.segment_rolled && stats.fsync_ns > 0);
    assert_eq!(after.write_operations - before.write_operations, 1);
    assert_eq!(after.write_bytes - before.write_bytes, stats.bytes);
    assert_eq!(after.file_syncs - before.file_syncs, 1);
    assert_eq!(after.directory_syncs, before.directory_syncs);
    // Frame header, two lengths, the records, padding to 8.
    assert_eq!(stats.bytes, (32_u64 + 4 + 1000 + 4 + 30).next_multiple_of(8));
}

/// What is stored is nobody else's business.
#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TemporaryDirectory::new("modes");
    let directory = parent.path().join("j");
    let mut journal = Journal::create(Arc::new(RealFs::new()), &directory, options()).unwrap();
    journal.append(&[b"private"]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn the_room_of_a_directory_is_that_of_its_file_system() {
    let directory = TemporaryDirectory::new("space");
    let space = RealFs::new().space(directory.path()).unwrap();
    assert!(
        space.available_bytes > 0 && space.available_bytes <= space.total_bytes,
        "{space:?}"
    );
    let missing = RealFs::new()
        .space(&directory.path().join("missing"))
        .unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
}
