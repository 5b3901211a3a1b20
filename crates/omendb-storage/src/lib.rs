//! The append-only log, snapshots and manifest of one directory, through a file-system trait.
//!
//! A [`Journal`] owns one directory. [`Journal::append`] makes a batch of records durable with one write and one
//! `fdatasync`; the batch is there whole after any crash, or not at all. [`Journal::begin_snapshot`] starts a
//! [`SnapshotWriter`] which, once finished, lets the older log be removed. [`Journal::open`] returns what the
//! directory holds ([`Recovered`]) and says what it had to do ([`RecoveryReport`]).
//!
//! A [`CommitQueue`] joins the operations that wait into one such batch. An [`AtomicFile`] is a small file that is
//! replaced as a whole (catalogue, manifest, credentials); a [`DirectoryLock`] keeps a second process out.
//!
//! Every byte passes through [`FileSystem`], so that `omendb-sim` can tear, delay, fail and fill the disk. The byte
//! layouts are drawn in `docs/file-format.md`.

mod atomic_file;
mod commit_queue;
mod error;
mod file_header;
mod frame;
mod frame_reader;
mod fs;
mod journal;
mod limits;
mod little_endian;
mod lock;
mod log_reader;
mod manifest;
mod recovery;
mod segment;
mod snapshot;
mod store;

pub use atomic_file::AtomicFile;
pub use commit_queue::{CommitPool, CommitQueue, Done, QueueLimits, Refusal, Rejected};

pub use error::{Error, is_full};
pub use fs::{Access, DirectoryEntry, DiskCounters, DiskTotals, File, FileLock, FileSystem, RealFs, Space};
pub use journal::{AppendStats, Journal, JournalOptions};
pub use limits::{MAX_FRAME_BYTES, MAX_RECORDS_PER_FRAME, SEGMENT_BYTES};
pub use lock::DirectoryLock;
pub use log_reader::{LogReader, Record};
pub use recovery::{Recovered, RecoveryReport, TornTail};
pub use snapshot::{SnapshotReader, SnapshotStats, SnapshotWriter};
