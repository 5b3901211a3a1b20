//! What a collection holds at one moment: shared by readers, never changed once published.

mod chunk;
mod codes;
mod cow_vec;
mod id_map;
mod layout;
mod sparse_rows;
mod store;

use std::sync::Arc;

pub(crate) use chunk::{Chunk, Entries, Rows, SlotBits};
pub(crate) use codes::{Certificate, Codes, encode, round_up};
pub(crate) use layout::{ColumnLayout, Layout, MAX_CHUNK_SLOTS, SparseLayout};
pub(crate) use sparse_rows::{SparseRow, SparseRows, SparseSegment, Terms};
pub(crate) use store::{Applied, Store};

use cow_vec::CowVec;
use id_map::IdMap;

use crate::ledger::Ledger;
use crate::payload_index::Schema;

/// One version of a collection. A clone shares everything, so a reader that holds one sees neither half of a later
/// write nor the room of a deleted point reused.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) layout: Arc<Layout>,
    /// The sequence number of the newest write in it.
    pub(crate) sequence: u64,
    /// Deleted or replaced points whose slots are not free yet.
    pub(crate) tombstones: u64,
    /// Vectors of the points that exist.
    pub(crate) vectors: u64,
    pub(crate) ids: IdMap,
    /// The payload keys that have an index.
    pub(crate) schema: Arc<Schema>,
    /// Another one whenever a chunk begins, is full or goes, or the vectors change: what is known of the full chunks holds
    /// as long as this does.
    shape: Arc<()>,
    /// By number; `None` where all points are gone and the room is free.
    chunks: CowVec<Option<Arc<Chunk>>>,
}

impl State {
    pub(crate) fn new(layout: Arc<Layout>, ledger: &Arc<Ledger>) -> Self {
        let (ids, chunks) = (IdMap::new(ledger), CowVec::new());
        Self {
            layout,
            sequence: 0,
            tombstones: 0,
            vectors: 0,
            ids,
            schema: Arc::default(),
            shape: Arc::default(),
            chunks,
        }
    }

    /// The chunks that hold points, with their numbers.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (usize, &Arc<Chunk>)> {
        self.chunks
            .iter()
            .enumerate()
            .filter_map(|(number, chunk)| Some((number, chunk.as_ref()?)))
    }

    /// How many numbers of chunks are in use.
    pub(crate) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The identity of the set of full chunks.
    pub(crate) fn shape(&self) -> &Arc<()> {
        &self.shape
    }

    /// The chunk of that number, if it holds points.
    pub(crate) fn chunk(&self, number: usize) -> Option<&Arc<Chunk>> {
        self.chunks.get(number)?.as_ref()
    }

    /// How many points have the vector of a column.
    pub(crate) fn rows(&self, column: usize) -> u64 {
        let of_chunk = |chunk: &Chunk| chunk.alive.and(&chunk.column(column).present).count() as u64;
        self.chunks().map(|(_, chunk)| of_chunk(chunk)).sum()
    }

    /// A chunk that takes no more points.
    pub(crate) fn full_chunk(&self, number: usize) -> Option<&Arc<Chunk>> {
        self.chunk(number).filter(|chunk| chunk.is_full())
    }

    /// The chunk of a slot that holds a point, and the position in it.
    pub(crate) fn locate(&self, slot: u32) -> Option<(&Arc<Chunk>, usize)> {
        let (chunk, position) = self.layout.locate(slot);
        Some((self.chunks.get(chunk)?.as_ref()?, position))
    }
}
