//! Sparse vectors of a chunk's slots: references to terms that the points of one write, or one move, share.
//!
//! Rows differ in length, so a chunk has no room kept for them, and copying the chunk that takes the next point copies
//! references and no terms.

use std::ops::Range;
use std::sync::Arc;

use crate::SparseVector;
use crate::ledger::{Charge, Component, Ledger};
use crate::state::SlotBits;
use crate::state::chunk::with_room;

/// Terms in order of indices, each index once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Terms<'a> {
    pub(crate) indices: &'a [u32],
    pub(crate) values: &'a [f32],
}

impl Terms<'_> {
    /// A copy of its own.
    pub(crate) fn to_vector(self) -> SparseVector {
        SparseVector {
            indices: self.indices.to_vec(),
            values: self.values.to_vec(),
        }
    }

    /// Bytes of the terms.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.indices) + size_of_val(self.values)
    }
}

impl<'a> From<&'a SparseVector> for Terms<'a> {
    /// Of a vector that was [sorted](SparseVector::sort).
    fn from(vector: &'a SparseVector) -> Self {
        let SparseVector { indices, values } = vector;
        Self { indices, values }
    }
}

/// Terms of several rows side by side, in one allocation each for indices and values.
#[derive(Debug)]
pub(crate) struct SparseSegment {
    indices: Vec<u32>,
    values: Vec<f32>,
    _charge: Charge,
}

/// The terms of one vector.
#[derive(Clone, Debug)]
pub(crate) struct SparseRow {
    segment: Arc<SparseSegment>,
    start: u32,
    end: u32,
}

impl SparseSegment {
    /// A segment of terms that are in order within each row.
    pub(crate) fn new(indices: Vec<u32>, values: Vec<f32>, ledger: &Arc<Ledger>) -> Arc<Self> {
        let bytes =
            indices.capacity() * size_of::<u32>() + values.capacity() * size_of::<f32>() + size_of::<Self>();
        Arc::new(Self {
            indices,
            values,
            _charge: Charge::new(ledger, Component::Vectors, bytes),
        })
    }

    /// Copies rows into one segment.
    pub(crate) fn gather<'r>(
        rows: impl Iterator<Item = Option<Terms<'r>>>,
        ledger: &Arc<Ledger>,
    ) -> Vec<Option<SparseRow>> {
        let (mut indices, mut values, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            ranges.push(row.map(|row| {
                // A chunk's rows: at most 256 of `MAX_SPARSE_TERMS`.
                let start = indices.len() as u32;
                indices.extend_from_slice(row.indices);
                values.extend_from_slice(row.values);
                start..indices.len() as u32
            }));
        }
        indices.shrink_to_fit();
        values.shrink_to_fit();
        let segment = Self::new(indices, values, ledger);
        ranges
            .into_iter()
            .map(|range| range.map(|range| Self::row(&segment, range)))
            .collect()
    }

    /// The row at `range` of `segment`.
    pub(crate) fn row(segment: &Arc<Self>, range: Range<u32>) -> SparseRow {
        SparseRow {
            segment: Arc::clone(segment),
            start: range.start,
            end: range.end,
        }
    }
}

impl SparseRow {
    fn terms(&self) -> Terms<'_> {
        let range = self.start as usize..self.end as usize;
        Terms {
            indices: &self.segment.indices[range.clone()],
            values: &self.segment.values[range],
        }
    }
}

/// One sparse vector of the slots written so far.
#[derive(Debug)]
pub(crate) struct SparseRows {
    /// Up to the last point that has the vector.
    rows: Vec<Option<SparseRow>>,
    /// Slots whose point has the vector, if only one without terms.
    pub(crate) present: SlotBits,
    slots: usize,
    charge: Charge,
}

impl SparseRows {
    pub(crate) fn new(slots: usize, ledger: &Arc<Ledger>) -> Self {
        let bytes = slots * size_of::<Option<SparseRow>>() + size_of::<Self>();
        Self {
            rows: Vec::with_capacity(slots),
            present: SlotBits::default(),
            slots,
            charge: Charge::new(ledger, Component::Vectors, bytes),
        }
    }

    /// The vector at `position`, if its point has it.
    pub(crate) fn row(&self, position: usize) -> Option<Terms<'_>> {
        self.rows.get(position)?.as_ref().map(SparseRow::terms)
    }

    /// Sets the row at `position`, after all others.
    pub(crate) fn push(&mut self, position: usize, row: SparseRow) {
        self.present.insert(position);
        self.rows.resize(position, None);
        self.rows.push(Some(row));
    }

    /// See [`Charge::retire`].
    pub(crate) fn retire(&self) {
        self.charge.retire();
    }
}

/// Keeps the room for a full chunk, which a derived clone would not.
impl Clone for SparseRows {
    fn clone(&self) -> Self {
        let Self {
            rows,
            present,
            slots,
            charge,
        } = self;
        Self {
            rows: with_room(rows, *slots),
            present: *present,
            slots: *slots,
            charge: charge.clone(),
        }
    }
}
