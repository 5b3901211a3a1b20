//! The list of collections: a small file that is replaced as a whole, so that creating, changing and deleting are atomic.

mod format;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use omendb_storage::{AtomicFile, FileSystem};

use format::{VERSION, decode, encode};

use crate::{CollectionConfig, Error, Uuid};

const FILE: &str = "catalog";
const MAGIC: [u8; 8] = *b"OMENCATL";

/// One collection as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogEntry {
    pub(crate) id: Uuid,
    pub(crate) config: CollectionConfig,
}

/// The catalogue in memory and its file.
#[derive(Debug)]
pub(crate) struct Catalog {
    file: AtomicFile,
    entries: BTreeMap<String, CatalogEntry>,
}

impl Catalog {
    /// Reads the catalogue of a data directory; `None` when there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the file is damaged.
    pub(crate) fn open(fs: Arc<dyn FileSystem>, directory: &Path) -> Result<Option<Self>, Error> {
        let file = AtomicFile::new(fs, &directory.join(FILE), MAGIC, VERSION);
        let Some((version, content)) = file.recover()? else {
            return Ok(None);
        };
        let entries = decode(version, &content)?;
        Ok(Some(Self { file, entries }))
    }

    /// Writes an empty catalogue.
    pub(crate) fn create(fs: Arc<dyn FileSystem>, directory: &Path) -> Result<Self, Error> {
        let file = AtomicFile::new(fs, &directory.join(FILE), MAGIC, VERSION);
        file.replace(&encode(&BTreeMap::new()))?;
        Ok(Self {
            file,
            entries: BTreeMap::new(),
        })
    }

    pub(crate) fn entries(&self) -> &BTreeMap<String, CatalogEntry> {
        &self.entries
    }

    /// Adds a collection, or replaces what is known of it; durable on return.
    pub(crate) fn insert(&mut self, name: &str, entry: CatalogEntry) -> Result<(), Error> {
        let mut entries = self.entries.clone();
        entries.insert(name.to_owned(), entry);
        self.replace(entries)
    }

    /// Removes a collection; durable on return.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        let mut entries = self.entries.clone();
        entries.remove(name);
        self.replace(entries)
    }

    /// Whether a failed sync left it open what the file holds.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.file.is_poisoned()
    }

    fn replace(&mut self, entries: BTreeMap<String, CatalogEntry>) -> Result<(), Error> {
        self.file.replace(&encode(&entries))?;
        self.entries = entries;
        Ok(())
    }
}
