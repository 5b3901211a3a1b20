//! What a collection tells about itself.

use crate::collection::Shared;

/// What a collection holds right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    /// Points.
    pub points: u64,
    /// Vectors: a point of a collection with named vectors has several.
    pub vectors: u64,
    /// Vectors that are found through a graph.
    pub indexed_vectors: u64,
    /// Chunks of storage in memory.
    pub segments: u64,
    /// Deleted or replaced points not compacted away yet.
    pub tombstones: u64,
    /// The sequence number of the newest visible write.
    pub sequence: u64,
    /// Bytes of memory it holds.
    pub memory_bytes: u64,
    /// Bytes of log that a restart would read.
    pub log_bytes: u64,
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
    /// Neither: its files are damaged.
    Failed,
    /// Deleted, or the engine is closed.
    Closed,
}

impl CollectionStatus {
    /// Every status, in order.
    pub(crate) const ALL: [Self; 5] = [
        Self::Loading,
        Self::Ready,
        Self::Poisoned,
        Self::Failed,
        Self::Closed,
    ];
}

impl CollectionInfo {
    pub(crate) fn of(shared: &Shared) -> Self {
        let state = shared.published();
        Self {
            points: state.ids.len(),
            vectors: state.vectors,
            indexed_vectors: shared.graph_vectors(&state),
            segments: state.chunks().count() as u64,
            tombstones: state.tombstones,
            sequence: state.sequence,
            memory_bytes: shared.ledger.total(),
            log_bytes: shared.log_bytes(),
            status: shared.status(),
        }
    }
}
