//! The data directory: where the catalogue and the collections' directories are, and which of these are orphans.
//!
//! ```text
//! <data>/LOCK                  held while a process has the directory
//! <data>/catalog               the list of collections
//! <data>/trial                 for a moment, after a refused write: would one be accepted now?
//! <data>/collections/<uuid>/   one collection's log and snapshots, and graphs, which could be made anew
//! ```
//! A directory comes before its entry in the catalogue and goes after it, so whatever a crash interrupts, a directory
//! without an entry is one that nobody was promised.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use omendb_metrics::Clock;
use omendb_storage::{Access, DirectoryEntry, FileSystem, Journal, JournalOptions};

use crate::catalog::Catalog;
use crate::collection::GRAPH_FILE_PREFIX;
use crate::{Error, ErrorKind, Uuid};

const COLLECTIONS: &str = "collections";
const TRIAL: &str = "trial";

#[derive(Debug)]
pub(crate) struct DataDirectory {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    /// The state of a splitmix64 generator.
    chance: AtomicU64,
}

impl DataDirectory {
    pub(crate) fn new(fs: Arc<dyn FileSystem>, path: &Path, seed: u64) -> Self {
        Self {
            fs,
            path: path.to_owned(),
            chance: AtomicU64::new(seed),
        }
    }

    /// Creates the directory and those above it that are missing.
    pub(crate) fn create(&self) -> Result<(), Error> {
        self.create_with_parents(&self.path)
    }

    /// Reads the catalogue, or writes the first one.
    pub(crate) fn catalog(&self) -> Result<Catalog, Error> {
        let catalog = match Catalog::open(Arc::clone(&self.fs), &self.path)? {
            Some(catalog) => catalog,
            None if self.directories()?.is_empty() => Catalog::create(Arc::clone(&self.fs), &self.path)?,
            // The catalogue is the first thing ever written here, so it was lost, and with it which of these count.
            None => {
                let path = self.path.display();
                return Err(Error::corrupt(format!(
                    "{path} holds collections but no catalogue"
                )));
            }
        };
        self.create_with_parents(&self.path.join(COLLECTIONS))?;
        Ok(catalog)
    }

    /// Where the collection `id` is.
    pub(crate) fn collection(&self, id: Uuid) -> PathBuf {
        self.path.join(COLLECTIONS).join(id.to_string())
    }

    /// A new collection's id: random, version 4.
    pub(crate) fn new_id(&self) -> Uuid {
        let bits = u128::from(self.random()) << 64 | u128::from(self.random());
        let version = 4 << 76;
        let variant = 2 << 62;
        Uuid::from_u128(bits & !(0xf << 76) & !(3 << 62) | version | variant)
    }

    /// How a collection's journal is run.
    pub(crate) fn journal_options(&self, clock: &Clock) -> JournalOptions {
        JournalOptions::new(clock.clone(), self.random())
    }

    /// Removes the directories of collections that the catalogue does not know; returns how many.
    pub(crate) fn remove_orphans(&self, known: &HashSet<Uuid>) -> Result<u64, Error> {
        let mut removed = 0;
        for id in self.directories()?.into_iter().filter(|id| !known.contains(id)) {
            self.destroy_collection(id)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes a collection's files and its directory.
    pub(crate) fn destroy_collection(&self, id: Uuid) -> Result<(), Error> {
        let directory = self.collection(id);
        let entries = match self.fs.list(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused("list", &directory, &error)),
        };
        let graphs = entries
            .iter()
            .filter(|entry| entry.name.starts_with(GRAPH_FILE_PREFIX));
        for entry in graphs {
            let path = directory.join(&entry.name);
            self.fs
                .remove_file(&path)
                .map_err(|error| refused("remove", &path, &error))?;
        }
        Ok(Journal::destroy(&*self.fs, &directory)?)
    }

    /// Writes a page to a file of its own, makes it durable, and removes it.
    pub(crate) fn try_writing(&self) -> Result<(), Error> {
        /// What file systems give out at once.
        const PAGE: [u8; 4096] = [0; 4096];
        let path = self.path.join(TRIAL);
        // One that a crash left behind; otherwise there is none to remove.
        let _ = self.fs.remove_file(&path);
        let write = || {
            let file = self.fs.open(&path, Access::CreateNew)?;
            file.write_at(&PAGE, 0)?;
            file.sync_data()
        };
        let written = write().map_err(|error| refused("write", &path, &error));
        // Where nothing was created there is nothing to remove.
        let _ = self.fs.remove_file(&path);
        written
    }

    /// The ids that have a directory. Whatever else is there is not ours and left alone.
    fn directories(&self) -> Result<Vec<Uuid>, Error> {
        let path = self.path.join(COLLECTIONS);
        let entries = match self.fs.list(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused("list", &path, &error)),
        };
        let id = |entry: &DirectoryEntry| {
            let id: Uuid = entry.name.parse().ok()?;
            (entry.is_directory && id.to_string() == entry.name).then_some(id)
        };
        Ok(entries.iter().filter_map(id).collect())
    }

    fn create_with_parents(&self, path: &Path) -> Result<(), Error> {
        match self.fs.create_directory(path) {
            Ok(()) => self.sync_parent(path),
            // Perhaps by a process that was stopped before it synced the name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.sync_parent(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().ok_or_else(|| refused("create", path, &error))?;
                self.create_with_parents(parent)?;
                self.fs
                    .create_directory(path)
                    .map_err(|error| refused("create", path, &error))?;
                self.sync_parent(path)
            }
            Err(error) => Err(refused("create", path, &error)),
        }
    }

    fn sync_parent(&self, path: &Path) -> Result<(), Error> {
        // The root and relative paths of one name have no parent to speak of.
        let parent = match path.parent() {
            None => return Ok(()),
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
        };
        self.fs
            .sync_directory(parent)
            .map_err(|error| refused("sync", parent, &error))
    }

    /// A number by chance.
    pub(crate) fn random(&self) -> u64 {
        let mut word = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

fn refused(what: &str, path: &Path, error: &io::Error) -> Error {
    let kind = if omendb_storage::is_full(error) {
        ErrorKind::ResourceExhausted
    } else {
        ErrorKind::Internal
    };
    Error::new(kind, format!("could not {what} {}: {error}", path.display()))
}
