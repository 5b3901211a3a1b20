//! A chunk: consecutive slots with their ids, payloads and rows, shared by every version of the state that has it.
//!
//! A slot's id and rows are written once; deleting its point clears its `alive` bit and touches nothing else. So the
//! bits are kept beside the shared parts, and a deletion copies a few words where an insertion copies the open chunk.
//! A payload may be replaced, which copies the chunk's ids and references to payloads.

use std::sync::{Arc, Weak};

use crate::ledger::{Charge, Component, Ledger};
use crate::state::layout::{ColumnLayout, Layout, MAX_CHUNK_SLOTS};
use crate::state::{Codes, SparseRow, SparseRows};
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
    /// Slots that it has in all.
    slots: usize,
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
    /// Row-major, `dimension` elements each; zeros where the point has no such vector, and nothing where none has.
    values: Vec<f32>,
    /// The same rows in a quarter of the bytes, where the column has them.
    codes: Option<Codes>,
    /// Slots whose point has the vector.
    pub(crate) present: SlotBits,
    dimension: usize,
    is_coded: bool,
    slots: usize,
    ledger: Arc<Ledger>,
    /// Of `values` and of `codes`, once there are any.
    charges: Vec<Charge>,
}

impl Chunk {
    pub(crate) fn new(layout: &Layout, ledger: &Arc<Ledger>) -> Self {
        let slots = layout.new_chunk_slots;
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
            slots,
            entries: Arc::new(Entries::new(slots, ledger)),
            columns: columns.collect(),
            sparse: sparse.collect(),
        }
    }

    /// Slots written so far, alive or not.
    pub(crate) fn filled(&self) -> usize {
        self.entries.ids.len()
    }

    /// Slots that it has in all.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// Whether it takes no more points.
    pub(crate) fn is_full(&self) -> bool {
        self.filled() == self.slots
    }

    /// The chunk with the columns of another layout: those that both have, and without rows those that are new. It has
    /// no more slots than chunks of the other layout, unless more are written.
    pub(crate) fn reshaped(&self, (from, to): (&Layout, &Layout), ledger: &Arc<Ledger>) -> Self {
        let slots = self.slots.min(to.new_chunk_slots).max(self.filled());
        let columns = to.columns.iter().map(|column| {
            let known = from
                .columns
                .iter()
                .position(|known| known.number == column.number);
            known.map_or_else(
                || Arc::new(Rows::new(column, slots, ledger)),
                |known| Arc::clone(&self.columns[known]),
            )
        });
        let sparse = to.sparse.iter().map(|column| {
            let known = from.sparse.iter().position(|known| known.number == column.number);
            known.map_or_else(
                || Arc::new(SparseRows::new(slots, ledger)),
                |known| Arc::clone(&self.sparse[known]),
            )
        });
        let reshaped = Self {
            alive: self.alive,
            slots,
            entries: Arc::clone(&self.entries),
            columns: columns.collect(),
            sparse: sparse.collect(),
        };
        let is_gone = |number| to.forms().all(|(known, _)| known != number);
        let dense = from.columns.iter().zip(&self.columns);
        dense
            .filter(|(column, _)| is_gone(column.number))
            .for_each(|(_, rows)| rows.retire());
        let sparse = from.sparse.iter().zip(&self.sparse);
        sparse
            .filter(|(column, _)| is_gone(column.number))
            .for_each(|(_, rows)| rows.retire());
        reshaped
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

    /// How many vectors its living points have.
    pub(crate) fn living_vectors(&self) -> u64 {
        let dense = self.columns.iter().map(|rows| rows.present);
        let sparse = self.sparse.iter().map(|rows| rows.present);
        dense
            .chain(sparse)
            .map(|present| self.alive.and(&present).count() as u64)
            .sum()
    }

    /// Appends a point without its vectors, for which [`push_row`](Self::push_row) and
    /// [`push_sparse`](Self::push_sparse) are called next; returns its position.
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

    /// Gives the point at `position`, the last one, its vector of a column, `dimension` elements.
    pub(crate) fn push_row(&mut self, (position, column): (usize, usize), row: impl Iterator<Item = f32>) {
        Arc::make_mut(&mut self.columns[column]).push(position, row);
    }

    /// Gives the point at `position`, the last one, its vector of a sparse column.
    pub(crate) fn push_sparse(&mut self, (position, column): (usize, usize), row: SparseRow) {
        Arc::make_mut(&mut self.sparse[column]).push(position, row);
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
        Self {
            values: Vec::new(),
            codes: None,
            present: SlotBits::default(),
            dimension: column.dimension,
            is_coded: column.is_coded,
            slots,
            ledger: Arc::clone(ledger),
            charges: Vec::new(),
        }
    }

    /// Makes room for the rows of a full chunk, before the first.
    fn make_room(&mut self) {
        let (dimension, slots) = (self.dimension, self.slots);
        let bytes = dimension * size_of::<f32>() * slots + size_of::<Self>();
        self.values.reserve_exact(dimension * slots);
        self.charges
            .push(Charge::new(&self.ledger, Component::Vectors, bytes));
        if self.is_coded {
            let bytes = Codes::row_bytes(dimension) * slots;
            self.codes = Some(Codes::with_capacity(dimension, slots));
            self.charges
                .push(Charge::new(&self.ledger, Component::Codes, bytes));
        }
    }

    fn retire(&self) {
        self.charges.iter().for_each(Charge::retire);
    }

    /// Rows written so far: up to that of the last point that has the vector.
    pub(crate) fn filled(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// The rows written so far.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, coded; none where no point has the vector.
    pub(crate) fn codes(&self) -> Option<&Codes> {
        self.codes.as_ref()
    }

    /// The row at `position`, if its point has the vector.
    pub(crate) fn row(&self, position: usize) -> Option<&[f32]> {
        self.present.contains(position).then(|| self.slot(position))
    }

    /// The row at `position`, whose point or a later one has the vector: zeros if it does not itself.
    pub(crate) fn slot(&self, position: usize) -> &[f32] {
        &self.values[position * self.dimension..][..self.dimension]
    }

    /// Sets the row at `position`, after all others: `dimension` elements.
    fn push(&mut self, position: usize, row: impl Iterator<Item = f32>) {
        if self.values.is_empty() {
            self.make_room();
        }
        let start = self.values.len();
        self.values.resize(position * self.dimension, 0.0);
        self.values.extend(row);
        self.present.insert(position);
        if let Some(codes) = &mut self.codes {
            self.values[start..]
                .chunks_exact(self.dimension)
                .for_each(|row| codes.push(row));
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
            is_coded,
            slots,
            ledger,
            charges,
        } = self;
        let (dimension, slots) = (*dimension, *slots);
        let room = if values.is_empty() { 0 } else { dimension * slots };
        Self {
            values: with_room(values, room),
            codes: codes.as_ref().map(|codes| codes.with_room(slots)),
            present: *present,
            dimension,
            is_coded: *is_coded,
            slots,
            ledger: Arc::clone(ledger),
            charges: charges.clone(),
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
