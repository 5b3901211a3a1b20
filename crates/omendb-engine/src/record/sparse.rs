//! Columns of sparse vectors in a record: lengths, then all indices, then all values, so that they are copied as they
//! are into what the points share.

use std::sync::Arc;

use super::{ABSENT, ELEMENT, Presence, Reader, put_presence};
use crate::ledger::Ledger;
use crate::state::{SparseRow, SparseSegment, Terms};
use crate::{Error, limits};

/// One sparse vector of the points of an upsert.
#[derive(Debug, Default)]
pub(super) struct SparseColumn<'a> {
    presence: Presence<'a>,
    lengths: &'a [[u8; ELEMENT]],
    indices: &'a [[u8; ELEMENT]],
    values: &'a [[u8; ELEMENT]],
}

impl SparseColumn<'_> {
    /// The rows, one per point, in one allocation charged to `ledger`.
    pub(super) fn rows(
        &self,
        points: usize,
        ledger: &Arc<Ledger>,
    ) -> impl Iterator<Item = Option<SparseRow>> {
        let indices = self.indices.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let values = self.values.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let segment = SparseSegment::new(indices.collect(), values.collect(), ledger);
        let mut lengths = self.lengths.iter();
        let mut start = 0;
        (0..points).map(move |point| {
            let length = self.presence.has(point).then(|| lengths.next())??;
            let end = start + u32::from_le_bytes(*length);
            let row = SparseSegment::row(&segment, start..end);
            start = end;
            Some(row)
        })
    }

    /// Checks the terms of every row, for records that come from disk.
    pub(super) fn check(&self) -> Result<(), Error> {
        let mut rest = self.indices;
        for length in self.lengths {
            let row;
            // The lengths were checked against the bytes when the record was decoded.
            (row, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            if row.len() > limits::MAX_SPARSE_TERMS {
                let (terms, most) = (row.len(), limits::MAX_SPARSE_TERMS);
                return Err(Error::corrupt(format!(
                    "record with a sparse vector of {terms} terms, more than {most}"
                )));
            }
            if !row.is_sorted_by(|a, b| u32::from_le_bytes(*a) < u32::from_le_bytes(*b)) {
                return Err(Error::corrupt(
                    "record with a sparse vector whose terms are out of order",
                ));
            }
        }
        match self
            .values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .find(|value| !value.is_finite())
        {
            None => Ok(()),
            Some(value) => Err(Error::corrupt(format!(
                "record with a sparse vector that has {value} in it"
            ))),
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn sparse_column(&mut self, points: usize) -> Result<SparseColumn<'a>, Error> {
        let (presence, present) = self.presence(points)?;
        let lengths = self.pieces(present)?;
        let total: u64 = lengths
            .iter()
            .map(|length| u64::from(u32::from_le_bytes(*length)))
            .sum();
        // Positions among the terms of a record are 32 bits.
        let total = u32::try_from(total)
            .map_err(|_| Error::corrupt("record with more than 2^32 terms of a sparse vector"))?;
        Ok(SparseColumn {
            presence,
            lengths,
            indices: self.pieces(total as usize)?,
            values: self.pieces(total as usize)?,
        })
    }
}

/// Appends a column, of which each point has a row or none.
pub(super) fn put_sparse_column(record: &mut Vec<u8>, rows: &[Option<Terms<'_>>]) {
    if put_presence(record, rows) == ABSENT {
        return;
    }
    for row in rows.iter().flatten() {
        // A vector has at most `MAX_SPARSE_TERMS`.
        record.extend_from_slice(&(row.indices.len() as u32).to_le_bytes());
    }
    for row in rows.iter().flatten() {
        record.extend(row.indices.iter().flat_map(|index| index.to_le_bytes()));
    }
    for row in rows.iter().flatten() {
        record.extend(row.values.iter().flat_map(|value| value.to_le_bytes()));
    }
}
