//! The few file operations the engine rests on, as a trait: the real disk and the simulated one.

mod counters;
mod real;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub use counters::{DiskCounters, DiskTotals};
pub use real::RealFs;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// An existing file, for reading.
    Read,
    /// A file that must not be there yet, for reading and writing.
    CreateNew,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is itself a directory.
    pub is_directory: bool,
}

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this process may still write.
    pub available_bytes: u64,
    /// Bytes there are, free or not.
    pub total_bytes: u64,
}

/// A file system. Nothing is durable before it is synced: contents and length by [`File::sync_data`] or
/// [`File::sync_all`], names (created, renamed, removed) by [`FileSystem::sync_directory`] on their directory.
pub trait FileSystem: Debug + Send + Sync {
    /// Opens or creates a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>>;
    /// Gives a file another name, replacing what had it, as one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; whoever has it open may go on reading.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates one directory, whose parent exists.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no particular order.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Takes an exclusive lock on a file, created when missing, until the guard is dropped or the process ends.
    /// [`io::ErrorKind::WouldBlock`] when somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;
    /// How much room the file system that holds `directory` has.
    fn space(&self, directory: &Path) -> io::Result<Space>;
    /// What passed through so far.
    fn counters(&self) -> &DiskCounters;
}

/// An open file. Positions are explicit, so one handle serves several threads.
pub trait File: Debug + Send + Sync {
    /// Reads at `offset` into `buffer`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`. After an error any part of them may be there.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends (with zeros) the file.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
    /// The file's size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Makes contents and length durable. After an error nobody knows what is, and trying again does not help: the
    /// kernel may have dropped what it could not write.
    fn sync_data(&self) -> io::Result<()>;
    /// As [`File::sync_data`], and the rest of the file's attributes.
    fn sync_all(&self) -> io::Result<()>;
}

/// A held lock; dropping it releases it.
pub trait FileLock: Debug + Send + Sync {}
