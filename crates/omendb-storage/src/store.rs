//! What a journal and its snapshot writers share: the directory, its manifest, and whether writes are poisoned.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::atomic_file::AtomicFile;
use crate::error::Error;
use crate::file_header::{FileIdentity, Kind};
use crate::fs::{Access, File, FileSystem};
use crate::manifest::{self, Manifest};

#[derive(Debug)]
pub(crate) struct Store {
    fs: Arc<dyn FileSystem>,
    directory: PathBuf,
    seed: u64,
    epoch: u64,
    next_number: AtomicU64,
    manifest_file: AtomicFile,
    manifest: Mutex<Manifest>,
    poisoned: AtomicBool,
}

impl Store {
    /// The store of `directory` with this manifest in force. `highest_number` is that of any file there, named or
    /// not, so that no file is ever created over another.
    pub(crate) fn new(place: Place, manifest: Manifest, highest_number: u64, seed: u64) -> Self {
        let Place { fs, directory } = place;
        Self {
            manifest_file: manifest_file(&fs, &directory),
            fs,
            seed: seed ^ u64::from(crc32c::crc32c(directory.as_os_str().as_encoded_bytes())),
            directory,
            epoch: manifest.epoch + 1,
            next_number: AtomicU64::new(highest_number.max(manifest.highest_number()) + 1),
            manifest: Mutex::new(manifest),
            poisoned: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self, kind: Kind, number: u64) -> PathBuf {
        self.directory.join(kind.file_name(number))
    }

    /// The manifest as it should be: what is on disk, and what became certain since. Locked for the time of a
    /// manifest swap, which an append waits for only when it moves to a new segment.
    pub(crate) fn manifest(&self) -> MutexGuard<'_, Manifest> {
        // The manifest is only ever assigned as a whole, so a panic elsewhere cannot leave half of one.
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `next` in force, durably, or leaves the manifest as it was.
    pub(crate) fn swap_manifest(&self, current: &mut Manifest, mut next: Manifest) -> Result<(), Error> {
        next.epoch = self.epoch;
        if let Err(error) = self.manifest_file.replace(&next.encode()) {
            return Err(if self.manifest_file.is_poisoned() {
                self.poison(error)
            } else {
                error
            });
        }
        *current = next;
        Ok(())
    }

    /// A new file's identity.
    pub(crate) fn new_identity(&self, sequence: u64) -> FileIdentity {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let salt = mix(self.seed ^ mix(self.epoch ^ mix(number)));
        FileIdentity {
            number,
            epoch: self.epoch,
            salt,
            sequence,
        }
    }

    pub(crate) fn create(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        self.fs
            .open(path, Access::CreateNew)
            .map_err(|e| Error::io("create", path, e))
    }

    /// Opens a file that the manifest names.
    pub(crate) fn open(&self, path: &Path) -> Result<Box<dyn File>, Error> {
        self.fs.open(path, Access::Read).map_err(|e| {
            let is_missing = e.kind() == io::ErrorKind::NotFound;
            if is_missing {
                Error::corrupt(path, 0, "the file is missing")
            } else {
                Error::io("open", path, e)
            }
        })
    }

    /// Removes a file nothing refers to. That it may fail is of no consequence: the next start tries again.
    pub(crate) fn discard(&self, path: &Path) -> bool {
        self.fs.remove_file(path).is_ok()
    }

    /// Makes a file that nothing refers to yet durable. Running out of space leaves nothing in doubt, as the file
    /// is thrown away; any other failure means the disk cannot be trusted.
    pub(crate) fn sync_new(&self, file: &dyn File, path: &Path) -> Result<(), Error> {
        file.sync_all().map_err(|e| {
            let error = Error::io("sync", path, e);
            if error.is_full() {
                error
            } else {
                self.poison(error)
            }
        })
    }

    pub(crate) fn sync_directory(&self) -> Result<(), Error> {
        self.fs
            .sync_directory(&self.directory)
            .map_err(|e| self.poison(Error::io("sync", &self.directory, e)))
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Refuses every write from here on.
    pub(crate) fn poison(&self, error: Error) -> Error {
        self.poisoned.store(true, Ordering::Release);
        error
    }

    pub(crate) fn check_not_poisoned(&self) -> Result<(), Error> {
        if self.is_poisoned() {
            Err(Error::Poisoned)
        } else {
            Ok(())
        }
    }
}

/// A directory on some file system.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) directory: PathBuf,
}

/// The manifest file of a journal's directory.
pub(crate) fn manifest_file(fs: &Arc<dyn FileSystem>, directory: &Path) -> AtomicFile {
    AtomicFile::new(
        Arc::clone(fs),
        &directory.join(manifest::FILE),
        manifest::MAGIC,
        manifest::VERSION,
    )
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014), which spreads every input bit over the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
