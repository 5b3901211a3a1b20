//! Reading records, as far as they can be trusted: whatever a damaged one says is checked before it is used.

use super::{
    ABSENT, COMPLETE, Column, DENSE, Effect, NUMBER, PARTIAL, Payloads, Presence, SPARSE, SparseColumn, UUID,
    Upsert,
};
use crate::numbering::Form;
use crate::state::Layout;
use crate::{Error, IndexKind, PayloadPath, PointId, Uuid, limits};

/// What is left of a record, or of other bytes in its forms.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Points with columns of these forms, of which the upsert has those that the layout has.
    pub(super) fn upsert(
        &mut self,
        (layout, forms): (&Layout, &[(u32, Form)]),
        ids: Vec<PointId>,
    ) -> Result<Upsert<'a>, Error> {
        let count = ids.len();
        let mut columns: Vec<_> = layout
            .columns
            .iter()
            .map(|column| Column::absent(column.dimension))
            .collect();
        let mut sparse: Vec<_> = layout.sparse.iter().map(|_| SparseColumn::default()).collect();
        for &(number, form) in forms {
            match form {
                Form::Dense(dimension) => {
                    let column = self.column(count, dimension)?;
                    let place = layout.columns.iter().position(|known| known.number == number);
                    if let Some(known) = place.and_then(|place| columns.get_mut(place)) {
                        if known.dimension != dimension {
                            return Err(Error::corrupt(format!(
                                "record with a vector of dimension {dimension} where {} is expected",
                                known.dimension
                            )));
                        }
                        *known = column;
                    }
                }
                Form::Sparse => {
                    let column = self.sparse_column(count)?;
                    let place = layout.sparse.iter().position(|known| known.number == number);
                    if let Some(known) = place.and_then(|place| sparse.get_mut(place)) {
                        *known = column;
                    }
                }
            }
        }
        let payloads = self.payloads(count)?;
        Ok(Upsert {
            ids,
            columns,
            sparse,
            payloads,
        })
    }

    pub(super) fn forms(&mut self) -> Result<Vec<(u32, Form)>, Error> {
        let count = usize::from(u16::from_le_bytes(self.array()?));
        if count > limits::MAX_VECTORS_PER_COLLECTION {
            return Err(Error::corrupt(format!("record with columns of {count} vectors")));
        }
        (0..count)
            .map(|_| Ok((u32::from_le_bytes(self.array()?), self.form()?)))
            .collect()
    }

    /// What a record holds of one vector.
    pub(crate) fn form(&mut self) -> Result<Form, Error> {
        match self.byte()? {
            SPARSE => Ok(Form::Sparse),
            DENSE => match u32::from_le_bytes(self.array()?) as usize {
                dimension @ 1..=limits::MAX_DIMENSION => Ok(Form::Dense(dimension)),
                dimension => Err(Error::corrupt(format!(
                    "record with a vector of dimension {dimension}"
                ))),
            },
            other => Err(Error::corrupt(format!(
                "record with a vector of unknown kind {other}"
            ))),
        }
    }

    pub(super) fn index(&mut self) -> Result<Effect<'a>, Error> {
        let kind = match self.byte()? {
            0 => None,
            number => {
                let kind = IndexKind::ALL.get(usize::from(number) - 1);
                let unknown = || Error::corrupt(format!("record with an index of unknown kind {number}"));
                Some(*kind.ok_or_else(unknown)?)
            }
        };
        let length = u16::from_le_bytes(self.array()?);
        let key = std::str::from_utf8(self.take(usize::from(length))?)
            .map_err(|_| Error::corrupt("record with an index key that is not UTF-8"))?;
        key.parse::<PayloadPath>()
            .map_err(|error| Error::corrupt(format!("record with an index: {error}")))?;
        Ok(Effect::Index(key, kind))
    }

    pub(super) fn payloads(&mut self, count: usize) -> Result<Payloads<'a>, Error> {
        let lengths = self.pieces(count)?;
        let total: u64 = lengths
            .iter()
            .map(|length| u64::from(u32::from_le_bytes(*length)))
            .sum();
        // Payload positions within a record are 32 bits.
        let total =
            u32::try_from(total).map_err(|_| Error::corrupt("record with more than 4 GiB of payload"))?;
        let bytes = self.take(total as usize)?;
        Ok(Payloads { lengths, bytes })
    }

    fn column(&mut self, count: usize, dimension: usize) -> Result<Column<'a>, Error> {
        let (presence, present) = self.presence(count)?;
        let rows = self.pieces(present.saturating_mul(dimension))?;
        Ok(Column {
            presence,
            dimension,
            rows,
        })
    }

    /// Which of `count` points have a row, and how many.
    pub(super) fn presence(&mut self, count: usize) -> Result<(Presence<'a>, usize), Error> {
        match self.byte()? {
            ABSENT => Ok((Presence::None, 0)),
            COMPLETE => Ok((Presence::All, count)),
            PARTIAL => {
                let bitmap = self.take(count.div_ceil(8))?;
                let present = (0..count)
                    .filter(|point| bitmap[point / 8] >> (point % 8) & 1 != 0)
                    .count();
                Ok((Presence::Some(bitmap), present))
            }
            other => Err(Error::corrupt(format!(
                "record with a column of unknown kind {other}"
            ))),
        }
    }

    pub(crate) fn ids(&mut self, count: usize) -> Result<Vec<PointId>, Error> {
        // Nine bytes are the shortest id, so a damaged count cannot make us allocate much more than the record.
        let mut ids = Vec::with_capacity(count.min(self.bytes.len() / 9));
        for _ in 0..count {
            ids.push(match self.byte()? {
                NUMBER => PointId::Number(u64::from_le_bytes(self.array()?)),
                UUID => PointId::Uuid(Uuid::from_u128(u128::from_le_bytes(self.array()?))),
                other => {
                    return Err(Error::corrupt(format!(
                        "record with an id of unknown kind {other}"
                    )));
                }
            });
        }
        Ok(ids)
    }

    pub(crate) fn pieces(&mut self, count: usize) -> Result<&'a [[u8; 4]], Error> {
        Ok(self.take(count.saturating_mul(4))?.as_chunks().0)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(*bytes)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(bytes)
    }
}

fn cut_short() -> Error {
    Error::corrupt("record cut short")
}
