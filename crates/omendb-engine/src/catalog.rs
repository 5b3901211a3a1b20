//! The list of collections: a small file that is replaced as a whole, so that creating, changing and deleting are atomic.

mod format;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use omendb_storage::{AtomicFile, FileSystem};

use format::{VERSION, decode, encode};

use crate::numbering::Numbering;
use crate::{CollectionConfig, Error, Uuid};

const FILE: &str = "catalog";
const MAGIC: [u8; 8] = *b"OMENCATL";

/// One collection as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogEntry {
    pub(crate) id: Uuid,
    pub(crate) config: CollectionConfig,
    pub(crate) numbering: Numbering,
}

/// The catalogue in memory and its file.
#[derive(Debug)]
pub(crate) struct Catalog {
    file: AtomicFile,
    content: Content,
}

/// What is in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    /// By name.
    collections: BTreeMap<String, CatalogEntry>,
    /// The collections that aliases stand for.
    aliases: BTreeMap<String, String>,
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
        let content = decode(version, &content)?;
        Ok(Some(Self { file, content }))
    }

    /// Writes an empty catalogue.
    pub(crate) fn create(fs: Arc<dyn FileSystem>, directory: &Path) -> Result<Self, Error> {
        let file = AtomicFile::new(fs, &directory.join(FILE), MAGIC, VERSION);
        let content = Content::default();
        file.replace(&encode(&content))?;
        Ok(Self { file, content })
    }

    pub(crate) fn entries(&self) -> &BTreeMap<String, CatalogEntry> {
        &self.content.collections
    }

    pub(crate) fn aliases(&self) -> &BTreeMap<String, String> {
        &self.content.aliases
    }

    /// Adds a collection, or replaces what is known of it; durable on return.
    pub(crate) fn insert(&mut self, name: &str, entry: CatalogEntry) -> Result<(), Error> {
        let mut content = self.content.clone();
        content.collections.insert(name.to_owned(), entry);
        self.replace(content)
    }

    /// Removes a collection and its aliases; durable on return.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        let mut content = self.content.clone();
        content.collections.remove(name);
        content.aliases.retain(|_, collection| collection != name);
        self.replace(content)
    }

    /// Replaces all aliases, whose collections exist; durable on return.
    pub(crate) fn set_aliases(&mut self, aliases: BTreeMap<String, String>) -> Result<(), Error> {
        let content = Content {
            aliases,
            ..self.content.clone()
        };
        self.replace(content)
    }

    /// Whether a failed sync left it open what the file holds.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.file.is_poisoned()
    }

    fn replace(&mut self, content: Content) -> Result<(), Error> {
        self.file.replace(&encode(&content))?;
        self.content = content;
        Ok(())
    }
}
