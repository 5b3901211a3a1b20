//! A collection as the server holds it.

use crate::{
    CollectionConfig, Error, PayloadSelector, PointId, Record, VectorSelector, WriteBatch, WriteOutcome,
};

/// A named set of points with the same vectors. Shared; every method may be called from any thread.
#[derive(Debug)]
pub struct Collection {
    name: String,
    config: CollectionConfig,
}

/// What a collection holds right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    /// Points.
    pub points: u64,
    /// Vectors: a point of a collection with named vectors has several.
    pub vectors: u64,
    /// Vectors that an index covers; none so far, since every search is exact.
    pub indexed_vectors: u64,
    /// Chunks of storage in memory.
    pub segments: u64,
    /// Deleted or replaced points not compacted away yet.
    pub tombstones: u64,
    /// The sequence number of the newest visible write.
    pub sequence: u64,
    /// Whether it takes reads and writes.
    pub status: CollectionStatus,
}

/// Whether a collection takes reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectionStatus {
    /// Not read from disk yet.
    Loading,
    /// Reads and writes.
    Ready,
    /// Reads only, until a restart: an fsync failed, so nobody knows what the disk holds.
    Poisoned,
    /// Deleted, or the engine is closed.
    Closed,
}

impl Collection {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was created with.
    pub fn config(&self) -> &CollectionConfig {
        &self.config
    }

    /// What it holds right now.
    pub fn info(&self) -> CollectionInfo {
        CollectionInfo {
            points: 0,
            vectors: 0,
            indexed_vectors: 0,
            segments: 0,
            tombstones: 0,
            sequence: 0,
            status: CollectionStatus::Loading,
        }
    }

    /// Checks a batch and queues it; returns at once. `done` is called once, on another thread, when the batch is
    /// durable and visible or has failed; it must not block. When this returns an error, `done` is dropped uncalled.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the point and what is wrong with it;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when loading, closed, poisoned or the queue is full;
    /// to `done` also [`ErrorKind::ResourceExhausted`](crate::ErrorKind::ResourceExhausted) when the disk is full.
    pub fn submit(
        &self,
        _batch: WriteBatch,
        _done: Box<dyn FnOnce(Result<WriteOutcome, Error>) + Send>,
    ) -> Result<(), Error> {
        Err(Error::unavailable("writing is not built yet"))
    }

    /// [`submit`](Self::submit), waiting for the outcome.
    ///
    /// # Errors
    /// As for `submit`.
    pub fn write(&self, _batch: WriteBatch) -> Result<WriteOutcome, Error> {
        Err(Error::unavailable("writing is not built yet"))
    }

    /// The points of these ids, in the order asked; ids that do not exist are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an unknown vector name or too many ids;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while loading.
    pub fn retrieve(
        &self,
        _ids: &[PointId],
        _with_payload: &PayloadSelector,
        _with_vector: &VectorSelector,
    ) -> Result<Vec<Record>, Error> {
        Err(Error::unavailable("reading is not built yet"))
    }

    /// Up to `limit` points in order of ids, from `offset` (itself included) or the first; and the id where the next
    /// page begins, `None` at the end.
    ///
    /// # Errors
    /// As for [`retrieve`](Self::retrieve).
    pub fn scroll(
        &self,
        _offset: Option<PointId>,
        _limit: usize,
        _with_payload: &PayloadSelector,
        _with_vector: &VectorSelector,
    ) -> Result<(Vec<Record>, Option<PointId>), Error> {
        Err(Error::unavailable("reading is not built yet"))
    }

    /// How many points there are.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while loading.
    pub fn count(&self) -> Result<u64, Error> {
        Err(Error::unavailable("reading is not built yet"))
    }
}
