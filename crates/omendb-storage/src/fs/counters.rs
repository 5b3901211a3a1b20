//! Counts what passes between us and the disk, for `omendb_disk_*` and for tests that count syncs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Running counts of one file system. Moved once per system call, which costs a thousand times more.
#[derive(Debug, Default)]
pub struct DiskCounters {
    read_operations: AtomicU64,
    read_bytes: AtomicU64,
    write_operations: AtomicU64,
    write_bytes: AtomicU64,
    file_syncs: AtomicU64,
    directory_syncs: AtomicU64,
}

/// A reading of [`DiskCounters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskTotals {
    /// Reads of file contents.
    pub read_operations: u64,
    /// Bytes they returned.
    pub read_bytes: u64,
    /// Writes of file contents that were accepted.
    pub write_operations: u64,
    /// Bytes they carried.
    pub write_bytes: u64,
    /// Syncs of a file, failed ones included.
    pub file_syncs: u64,
    /// Syncs of a directory, failed ones included.
    pub directory_syncs: u64,
}

impl DiskCounters {
    /// The counts so far. Each is exact; together they are not one instant.
    pub fn totals(&self) -> DiskTotals {
        DiskTotals {
            read_operations: self.read_operations.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            write_operations: self.write_operations.load(Ordering::Relaxed),
            write_bytes: self.write_bytes.load(Ordering::Relaxed),
            file_syncs: self.file_syncs.load(Ordering::Relaxed),
            directory_syncs: self.directory_syncs.load(Ordering::Relaxed),
        }
    }

    /// Notes a read that returned `bytes`. For implementations of [`crate::FileSystem`].
    pub fn add_read(&self, bytes: usize) {
        self.read_operations.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes a write that took `bytes`.
    pub fn add_write(&self, bytes: usize) {
        self.write_operations.fetch_add(1, Ordering::Relaxed);
        self.write_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes a sync of a file.
    pub fn add_file_sync(&self) {
        self.file_syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a sync of a directory.
    pub fn add_directory_sync(&self) {
        self.directory_syncs.fetch_add(1, Ordering::Relaxed);
    }
}
