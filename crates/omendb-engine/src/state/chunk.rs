//! A chunk: consecutive slots with their ids, payloads and rows, shared by every version of the state that has it.
//!
//! A slot's id and rows are written once; deleting its point clears its `alive` bit and touches nothing else. So the
//! bits are kept beside the shared parts, and a deletion copies a few words where an insertion copies the open chunk.
//! A payload may be replaced, which copies the chunk's ids and references to payloads.

use std::sync::{Arc, Weak};

use crate::ledger::{Charge, Component, Ledger};
use crate::state::layout::{ColumnLayout, Layout, MAX_CHUNK_SLOTS};
use crate::state::{Codes, SparseRows};
use crate::{Payload, PointId};

/// One bit per slot of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotBits([u64; MAX_CHUNK_SLOTS / 64]);

impl SlotBits {
    pub(crate) fn contains(&self, position: usize) -> bool {
        self.0[position / 64] >> (position % 64) & 1 != 0
    }

    pub(crate) fn insert(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    pub(crate) fn remove(&mut self, position: usize) {
        self.0[position / 64] &= !(1 << (position % 64));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; MAX_CHUNK_SLOTS / 64]
    }

    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        for (word, other) in both.0.iter_mut().zip(&other.0) {
            *word &= other;
        }
        both
    }

    pub(crate) fn or(&self, other: &Self) -> Self {
        let mut either = *self;
        for (word, other) in either.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
        either
    }

    /// All bits, 64 to a word.
    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    /// The bits of words, the rest clear.
    pub(crate) fn from_words(words: &[u64]) -> Self {
        let mut bits = Self::default();
        bits.0[..words.len()].copy_from_slice(words);
        bits
    }

    /// The positions that are set, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let bit = word.trailing_zeros() as usize;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Slots whose points exist.
    pub(crate) alive: SlotBits,
    entries: Arc<Entries>,
    /// One per dense vector of the collection.
    columns: Box<[Arc<Rows>]>,
    /// One per sparse vector of the collection.
    sparse: Box<[Arc<SparseRows>]>,
}

/// Ids and payloads of the slots written so far.
#[derive(Debug)]
pub(crate) struct Entries {
    ids: Vec<PointId>,
    payloads: Vec<Payload>,
    slots: usize,
    charge: Charge,
}

/// One vector of the slots written so far.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Row-major, `dimension` elements each; zeros where the point has no such vector.
    values: Vec<f32>,
    /// The same rows in a quarter of the bytes, where the column has them.
    codes: Option<Codes>,
    /// Slots whose point has the vector.
    pub(crate) present: SlotBits,
    dimension: usize,
    slots: usize,
    charge: Charge,
    code_charge: Option<Charge>,
}

impl Chunk {
    pub(crate) fn new(layout: &Layout, ledger: &Arc<Ledger>) -> Self {
        let slots = layout.chunk_slots;
        let columns = layout
            .columns
            .iter()
            .map(|column| Arc::new(Rows::new(column, slots, ledger)));
        let sparse = layout
            .sparse
            .iter()
            .map(|_| Arc::new(SparseRows::new(slots, ledger)));
        Self {
            alive: SlotBits::default(),
            entries: Arc::new(Entries::new(slots, ledger)),
            columns: columns.collect(),
            sparse: sparse.collect(),
        }
    }

    /// Slots written so far, alive or not.
    pub(crate) fn filled(&self) -> usize {
        self.entries.ids.len()
    }

    /// The identity of its ids and payloads: no other chunk has it, nor this one after a payload changed.
    pub(crate) fn entries(&self) -> Weak<Entries> {
        Arc::downgrade(&self.entries)
    }

    /// Whether its ids and payloads are these, unchanged.
    pub(crate) fn has_entries(&self, entries: &Weak<Entries>) -> bool {
        std::ptr::eq(entries.as_ptr(), Arc::as_ptr(&self.entries))
    }

    pub(crate) fn id(&self, position: usize) -> PointId {
        self.entries.ids[position]
    }

    pub(crate) fn payload(&self, position: usize) -> &Payload {
        &self.entries.payloads[position]
    }

    pub(crate) fn column(&self, column: usize) -> &Rows {
        &self.columns[column]
    }

    /// A column that others may keep beyond the chunk.
    pub(crate) fn shared_column(&self, column: usize) -> &Arc<Rows> {
        &self.columns[column]
    }

    pub(crate) fn sparse(&self, column: usize) -> &Arc<SparseRows> {
        &self.sparse[column]
    }

    /// How many vectors the point at `position` has.
    pub(crate) fn vectors(&self, position: usize) -> usize {
        let dense = self.columns.iter().map(|rows| rows.present);
        let sparse = self.sparse.iter().map(|rows| rows.present);
        dense
            .chain(sparse)
            .filter(|present| present.contains(position))
            .count()
    }

    /// Appends a point without its vectors, for which [`rows_mut`](Self::rows_mut) and
    /// [`sparse_mut`](Self::sparse_mut) are called next; returns its position.
    pub(crate) fn push_entry(&mut self, id: PointId, payload: Payload) -> usize {
        let entries = Arc::make_mut(&mut self.entries);
        let position = entries.ids.len();
        entries.ids.push(id);
        entries.payloads.push(payload);
        self.alive.insert(position);
        position
    }

    /// Replaces the payload of a point. Its rows are not copied, nor, where no reader holds them, its neighbours.
    pub(crate) fn set_payload(&mut self, position: usize, payload: Payload) {
        Arc::make_mut(&mut self.entries).payloads[position] = payload;
    }

    pub(crate) fn rows_mut(&mut self, column: usize) -> &mut Rows {
        Arc::make_mut(&mut self.columns[column])
    }

    pub(crate) fn sparse_mut(&mut self, column: usize) -> &mut SparseRows {
        Arc::make_mut(&mut self.sparse[column])
    }

    /// The chunk leaves the current state: what readers still hold of it is retired.
    pub(crate) fn retire(&self) {
        self.entries.charge.retire();
        self.columns.iter().for_each(|rows| rows.retire());
        self.sparse.iter().for_each(|rows| rows.retire());
    }
}

impl Entries {
    fn new(slots: usize, ledger: &Arc<Ledger>) -> Self {
        let bytes =
            slots * (size_of::<PointId>() + size_of::<Payload>()) + size_of::<Chunk>() + size_of::<Self>();
        let (ids, payloads) = (Vec::with_capacity(slots), Vec::with_capacity(slots));
        Self {
            ids,
            payloads,
            slots,
            charge: Charge::new(ledger, Component::Ids, bytes),
        }
    }
}

/// Keeps the room for a full chunk, which a derived clone would not.
impl Clone for Entries {
    fn clone(&self) -> Self {
        let Self {
            ids,
            payloads,
            slots,
            charge,
        } = self;
        Self {
            ids: with_room(ids, *slots),
            payloads: with_room(payloads, *slots),
            slots: *slots,
            charge: charge.clone(),
        }
    }
}

impl Rows {
    fn new(column: &ColumnLayout, slots: usize, ledger: &Arc<Ledger>) -> Self {
        let dimension = column.dimension;
        let codes = column.is_coded.then(|| Codes::with_capacity(dimension, slots));
        let code_bytes = Codes::row_bytes(dimension) * slots;
        let bytes = dimension * size_of::<f32>() * slots + size_of::<Self>();
        Self {
            values: Vec::with_capacity(dimension * slots),
            code_charge: codes
                .is_some()
                .then(|| Charge::new(ledger, Component::Codes, code_bytes)),
            codes,
            present: SlotBits::default(),
            dimension,
            slots,
            charge: Charge::new(ledger, Component::Vectors, bytes),
        }
    }

    fn retire(&self) {
        self.charge.retire();
        self.code_charge.iter().for_each(Charge::retire);
    }

    /// All rows written so far.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// All rows written so far, coded.
    pub(crate) fn codes(&self) -> Option<&Codes> {
        self.codes.as_ref()
    }

    /// The row at `position`, if its point has the vector.
    pub(crate) fn row(&self, position: usize) -> Option<&[f32]> {
        self.present.contains(position).then(|| self.slot(position))
    }

    /// The row at `position`: zeros if its point does not have the vector.
    pub(crate) fn slot(&self, position: usize) -> &[f32] {
        &self.values[position * self.dimension..][..self.dimension]
    }

    /// Appends a row for the next slot: `dimension` elements, or none for a point without this vector.
    pub(crate) fn push(&mut self, row: Option<impl Iterator<Item = f32>>) {
        let end = self.values.len() + self.dimension;
        if let Some(row) = row {
            self.present.insert(self.values.len() / self.dimension);
            self.values.extend(row);
        }
        self.values.resize(end, 0.0);
        if let Some(codes) = &mut self.codes {
            codes.push(&self.values[end - self.dimension..]);
        }
    }
}

/// As for [`Entries`].
impl Clone for Rows {
    fn clone(&self) -> Self {
        let Self {
            values,
            codes,
            present,
            dimension,
            slots,
            charge,
            code_charge,
        } = self;
        let (dimension, slots) = (*dimension, *slots);
        let values = with_room(values, dimension * slots);
        Self {
            values,
            codes: codes.as_ref().map(|codes| codes.with_room(slots)),
            present: *present,
            dimension,
            slots,
            charge: charge.clone(),
            code_charge: code_charge.clone(),
        }
    }
}

pub(super) fn with_room<T: Clone>(elements: &[T], room: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(room);
    copy.extend_from_slice(elements);
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_counted_and_listed() {
        let mut bits = SlotBits::default();
        assert!(bits.is_empty());
        for position in [0, 63, 64, 200, 255] {
            bits.insert(position);
        }
        bits.remove(64);
        assert!(bits.contains(63) && !bits.contains(64));
        assert!(bits.iter().eq([0, 63, 200, 255]));
        assert_eq!(bits.count(), 4);
        let mut other = SlotBits::default();
        other.insert(200);
        assert!(bits.and(&other).iter().eq([200]));
        other.insert(7);
        assert!(bits.or(&other).iter().eq([0, 7, 63, 200, 255]));
        assert!(SlotBits::from_words(&[1, 2]).iter().eq([0, 65]));
    }
}
