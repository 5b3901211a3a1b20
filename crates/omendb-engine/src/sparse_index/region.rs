//! What an index knows about one region of slots: the chunks it has read, and their terms.

use std::ops::Range;
use std::sync::{Arc, Weak};

use crate::ledger::{Charge, Component, Ledger};
use crate::payload_index::REGION_SLOTS;
use crate::state::{SparseRows, State};

/// The index of one sparse vector over one region.
#[derive(Debug)]
pub(crate) struct Region {
    /// The chunks that were read, where one was: compared by the identity of their rows, which the weak reference keeps
    /// from being given to others.
    chunks: Vec<Option<Weak<SparseRows>>>,
    /// Ascending, each once.
    terms: Vec<u32>,
    /// Where each term's postings begin, and the end of the last.
    starts: Vec<usize>,
    /// Ascending within a term.
    positions: Vec<u16>,
    /// As many as there are positions.
    values: Vec<f32>,
    /// Slots of the chunks that were read.
    slots: usize,
    _charge: Charge,
}

/// The slots that have a term, as positions in their region, and the values there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Postings<'a> {
    pub(crate) positions: &'a [u16],
    pub(crate) values: &'a [f32],
}

/// A term of the vector at a position.
struct Entry {
    term: u32,
    position: u16,
    value: f32,
}

impl Region {
    /// Reads sparse vector `column` in the full chunks of region `number`, of points that were deleted too: a search on
    /// an older state may have them still.
    pub(crate) fn read(state: &State, (column, number): (usize, usize), ledger: &Arc<Ledger>) -> Self {
        let chunk_slots = state.layout.chunk_slots;
        let per_region = REGION_SLOTS / chunk_slots;
        let mut chunks = Vec::with_capacity(per_region);
        let mut entries = Vec::new();
        for at in 0..per_region {
            let chunk = state.full_chunk(number * per_region + at);
            chunks.push(chunk.map(|chunk| Arc::downgrade(chunk.sparse(column))));
            let Some(chunk) = chunk else { continue };
            for slot in 0..chunk.slots() {
                let Some(row) = chunk.sparse(column).row(slot) else {
                    continue;
                };
                // A region has 2^16 slots.
                let position = (at * chunk_slots + slot) as u16;
                let terms = row.indices.iter().zip(row.values);
                entries.extend(terms.map(|(&term, &value)| Entry {
                    term,
                    position,
                    value,
                }));
            }
        }
        entries.sort_unstable_by_key(|entry| (entry.term, entry.position));
        Self::new((chunks, chunk_slots), &entries, ledger)
    }

    /// From entries in order of terms and positions.
    fn new(
        (chunks, chunk_slots): (Vec<Option<Weak<SparseRows>>>, usize),
        entries: &[Entry],
        ledger: &Arc<Ledger>,
    ) -> Self {
        let (mut terms, mut starts) = (Vec::new(), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            if terms.last() != Some(&entry.term) {
                terms.push(entry.term);
                starts.push(at);
            }
        }
        starts.push(entries.len());
        terms.shrink_to_fit();
        starts.shrink_to_fit();
        let positions: Vec<u16> = entries.iter().map(|entry| entry.position).collect();
        let values: Vec<f32> = entries.iter().map(|entry| entry.value).collect();
        let bytes = size_of::<Self>()
            + chunks.capacity() * size_of::<Option<Weak<SparseRows>>>()
            + terms.capacity() * size_of::<u32>()
            + starts.capacity() * size_of::<usize>()
            + positions.capacity() * size_of::<u16>()
            + values.capacity() * size_of::<f32>();
        Self {
            slots: chunks.iter().flatten().count() * chunk_slots,
            chunks,
            terms,
            starts,
            positions,
            values,
            _charge: Charge::new(ledger, Component::SparseIndex, bytes),
        }
    }

    /// Whether it has read these rows of the chunk at a place of the region.
    pub(crate) fn covers(&self, at: usize, rows: &Arc<SparseRows>) -> bool {
        matches!(self.chunks.get(at), Some(Some(read)) if std::ptr::eq(read.as_ptr(), Arc::as_ptr(rows)))
    }

    /// Slots of the chunks that it has read.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// The postings of a term.
    pub(crate) fn postings(&self, term: u32) -> Postings<'_> {
        let range: Range<usize> = match self.terms.binary_search(&term) {
            Ok(at) => self.starts[at]..self.starts[at + 1],
            Err(_) => 0..0,
        };
        Postings {
            positions: &self.positions[range.clone()],
            values: &self.values[range],
        }
    }
}

impl Postings<'_> {
    /// Bytes read to go through all of them.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.positions) + size_of_val(self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_lead_to_positions_with_values() {
        let entry = |(term, position, value)| Entry {
            term,
            position,
            value,
        };
        let entries = [(1, 7, 0.5), (1, 9, -1.0), (u32::MAX, 0, 2.0)].map(entry);
        let ledger = Arc::default();
        let region = Region::new((Vec::new(), 1), &entries, &ledger);
        let postings = |term| {
            let Postings { positions, values } = region.postings(term);
            positions
                .iter()
                .copied()
                .zip(values.iter().copied())
                .collect::<Vec<_>>()
        };
        assert_eq!(postings(1), [(7, 0.5), (9, -1.0)]);
        assert_eq!(postings(u32::MAX), [(0, 2.0)]);
        assert_eq!(postings(0), []);
        assert_eq!(region.postings(1).bytes(), 12);
        assert!(ledger.component(Component::SparseIndex) > 0);
        drop(region);
        assert_eq!(ledger.total(), 0);
        assert_eq!(
            Region::new((Vec::new(), 1), &[], &ledger).postings(1).positions,
            []
        );
    }
}
