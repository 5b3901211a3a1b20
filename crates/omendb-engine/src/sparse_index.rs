//! Inverted indexes of sparse vectors: for each term the slots whose vectors have it, with the values there.
//!
//! As with payload indexes, an index is beside the points: for each region of slots and each sparse vector there is an
//! immutable [`Region`] that names the chunks it has read. A search adds up scores from the postings for the chunks of
//! its snapshot that are still these very ones, and compares the vectors of all others one by one, in the same order of
//! additions: an index that lags behind costs time and never changes an answer. A background pass brings it up to date.

mod region;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use region::{Postings, Region};

use crate::ledger::Ledger;
use crate::payload_index::{REGION_SLOTS, wants_reading};
use crate::state::{Chunk, Layout, State};

/// The indexes of a collection at one moment; a clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SparseIndexes {
    /// By the number of the vector, then by that of the region; `None` where none was read yet.
    vectors: BTreeMap<u32, Vec<Option<Arc<Region>>>>,
}

impl SparseIndexes {
    /// What is known of a region of one sparse vector.
    pub(crate) fn region(&self, vector: u32, number: usize) -> Option<&Region> {
        self.vectors.get(&vector)?.get(number)?.as_deref()
    }

    /// Whether there is none of a vector that `layout` does not have.
    pub(crate) fn is_only_of(&self, layout: &Layout) -> bool {
        self.vectors.keys().all(|vector| layout.has_number(*vector))
    }

    /// Keeps those of the vectors that `layout` has.
    pub(crate) fn retained(&self, layout: &Layout) -> Self {
        let mut retained = self.clone();
        retained.vectors.retain(|vector, _| layout.has_number(*vector));
        retained
    }

    fn set(&mut self, vector: u32, number: usize, region: Region) {
        let regions = self.vectors.entry(vector).or_default();
        if regions.len() <= number {
            regions.resize(number + 1, None);
        }
        regions[number] = Some(Arc::new(region));
    }
}

/// One pass over the indexes of a collection.
pub(crate) struct Build<'a> {
    pub(crate) state: &'a State,
    pub(crate) ledger: &'a Arc<Ledger>,
    /// Whether nothing was written since the previous pass, so that it pays to leave nothing out.
    pub(crate) is_quiet: bool,
}

impl Build<'_> {
    /// Calls `publish` with newer indexes as they become ready; stops early when it says so.
    pub(crate) fn run(&self, indexes: &SparseIndexes, mut publish: impl FnMut(&SparseIndexes) -> bool) {
        let mut newer = indexes.clone();
        let per_region = REGION_SLOTS / self.state.layout.chunk_slots;
        let regions = self.state.chunk_count().div_ceil(per_region);
        for (column, layout) in self.state.layout.sparse.iter().enumerate() {
            for number in 0..regions {
                let known = newer.region(layout.number, number);
                let covers =
                    |at, chunk: &Chunk| known.is_some_and(|region| region.covers(at, chunk.sparse(column)));
                if !wants_reading(self.state, number, self.is_quiet, covers) {
                    continue;
                }
                newer.set(
                    layout.number,
                    number,
                    Region::read(self.state, (column, number), self.ledger),
                );
                if !publish(&newer) {
                    return;
                }
            }
        }
    }
}
