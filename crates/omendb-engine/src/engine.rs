//! The engine: one data directory and the collections in it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Collection, CollectionConfig, EngineHealth, Error, Worker};

/// How an engine is opened.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The data directory; created when missing.
    pub dir: PathBuf,
}

impl EngineOptions {
    /// The defaults, on `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }
}

/// One data directory and the collections in it.
#[derive(Debug)]
pub struct Engine {}

/// How far [`Engine::load`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Whether everything is loaded.
    pub is_ready: bool,
    /// Bytes of snapshots and logs read.
    pub loaded_bytes: u64,
    /// Bytes of snapshots and logs to read.
    pub total_bytes: u64,
    /// Collections ready.
    pub loaded_collections: u64,
    /// Collections in the catalogue.
    pub total_collections: u64,
}

/// What [`Engine::load`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Collections loaded.
    pub collections: u64,
    /// Points in them.
    pub points: u64,
    /// Bytes of snapshots and logs read.
    pub bytes: u64,
    /// Bytes of torn log tails cut: writes that a crash interrupted before they were acknowledged.
    pub torn_bytes: u64,
    /// Directories of deleted or never finished collections removed.
    pub orphans_removed: u64,
}

impl Engine {
    /// Opens a data directory: takes its lock and reads the catalogue. Quick; data is read by [`load`](Self::load).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when another process has the directory,
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the catalogue is damaged.
    pub fn open(_options: EngineOptions) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {}))
    }

    /// Reads all collections. Call once, on a thread that may take its time; until it returns, operations on
    /// collections answer [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) naming the collection whose files are damaged.
    pub fn load(&self) -> Result<LoadReport, Error> {
        Err(Error::unavailable("loading is not built yet"))
    }

    /// How far [`load`](Self::load) is.
    pub fn progress(&self) -> LoadProgress {
        LoadProgress::default()
    }

    /// Creates a collection, durable on return.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when there is one of that name,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a wrong name or configuration.
    pub fn create_collection(
        &self,
        _name: &str,
        _config: CollectionConfig,
    ) -> Result<Arc<Collection>, Error> {
        Err(Error::unavailable("collections are not built yet"))
    }

    /// Deletes a collection, durable on return; false when there is none of that name.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while loading.
    pub fn delete_collection(&self, _name: &str) -> Result<bool, Error> {
        Err(Error::unavailable("collections are not built yet"))
    }

    /// The collection of that name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) naming it.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, Error> {
        Err(Error::not_found(format!("collection {name:?} doesn't exist")))
    }

    /// All collections, in order of names.
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        Vec::new()
    }

    /// A worker for one execution slot.
    pub fn worker(&self) -> Worker {
        Worker {}
    }

    /// Whether the engine can do its work.
    pub fn health(&self) -> EngineHealth {
        EngineHealth::default()
    }

    /// Takes no more writes, finishes those it took, stops the background threads. Idempotent.
    pub fn close(&self) {}
}
