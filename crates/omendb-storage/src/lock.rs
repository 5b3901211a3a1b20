//! One process per data directory.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::fs::{FileLock, FileSystem};

const LOCK_FILE: &str = "LOCK";

/// Exclusive possession of a directory, until dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DirectoryLock {
    _lock: Box<dyn FileLock>,
}

impl DirectoryLock {
    /// Takes the lock file `LOCK` in `directory`, which must exist. The file stays when the lock is released: its
    /// presence means nothing.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process (or another lock of this one) has it.
    pub fn acquire(fs: &dyn FileSystem, directory: &Path) -> Result<Self, Error> {
        let path = directory.join(LOCK_FILE);
        match fs.lock(&path) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Error::Locked { path }),
            Err(error) => Err(Error::io("lock", &path, error)),
        }
    }
}
