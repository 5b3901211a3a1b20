//! Bringing indexes up to date in the background, region by region.

use std::sync::Arc;

use crate::Error;
use crate::ledger::Ledger;
use crate::payload_index::{Field, Indexes, REGION_SLOTS, Region};
use crate::state::{Chunk, State};

/// While writes go on, a region is read again when one in so many of its chunks is not in its index: what a search
/// tests one by one stays small, and a point is read at most about so many times while its region fills.
const STALE_SHARE: usize = 8;

/// One pass over the indexes of a collection.
pub(crate) struct Build<'a> {
    pub(crate) state: &'a State,
    pub(crate) ledger: &'a Arc<Ledger>,
    /// Whether nothing was written since the previous pass, so that it pays to leave nothing out.
    pub(crate) is_quiet: bool,
}

impl Build<'_> {
    /// Calls `publish` with newer indexes as they become ready; stops early when it says so.
    ///
    /// # Errors
    /// None: keys of a schema were checked when they entered it.
    pub(crate) fn run(
        &self,
        indexes: &Indexes,
        mut publish: impl FnMut(&Indexes) -> bool,
    ) -> Result<(), Error> {
        let mut newer = indexes.clone();
        if newer.follow(&self.state.schema)? && !publish(&newer) {
            return Ok(());
        }
        let keys: Vec<String> = newer.fields.keys().cloned().collect();
        for key in keys {
            for number in 0..self.regions() {
                let Some(field) = newer.fields.get_mut(&key) else {
                    continue;
                };
                if !self.wants_reading(field, number) {
                    continue;
                }
                let region = Region::read(self.state, number, field, self.ledger);
                if field.regions.len() <= number {
                    field.regions.resize(number + 1, None);
                }
                field.regions[number] = Some(Arc::new(region));
                if !publish(&newer) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn regions(&self) -> usize {
        self.state.chunk_count().div_ceil(self.chunks_per_region())
    }

    fn chunks_per_region(&self) -> usize {
        REGION_SLOTS / self.state.layout.chunk_slots
    }

    fn wants_reading(&self, field: &Field, number: usize) -> bool {
        let region = field.regions.get(number).and_then(Option::as_ref);
        let covers = |at, chunk: &Chunk| region.is_some_and(|region| region.covers(at, chunk));
        wants_reading(self.state, number, self.is_quiet, covers)
    }
}

/// Whether a region is worth reading again, of whose full chunks `covers` says which are in its index as they are.
pub(crate) fn wants_reading(
    state: &State,
    number: usize,
    is_quiet: bool,
    covers: impl Fn(usize, &Chunk) -> bool,
) -> bool {
    let per_region = REGION_SLOTS / state.layout.chunk_slots;
    let (mut full, mut stale) = (0, 0);
    for at in 0..per_region {
        if let Some(chunk) = state.full_chunk(number * per_region + at) {
            full += 1;
            stale += usize::from(!covers(at, chunk));
        }
    }
    stale > 0 && (is_quiet || stale * STALE_SHARE >= full)
}
