//! One series of a snapshot with its value: plain numbers that go from registers to their place, for there may be many
//! thousands of them. Put together in memory and copied, they take twice as long to collect.

use crate::distribution::Distribution;
use crate::label::PiecePair;
use crate::reading::Reading;
use crate::snapshot::PieceId;

/// One series: the pieces of its labels, and the value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The piece of the open label.
    pub(crate) open: PieceId,
    closed: PiecePair,
    kind: ValueKind,
    bits: u64,
}

#[derive(Debug, Clone, Copy)]
enum ValueKind {
    Unsigned,
    Signed,
    Float,
    /// The bits are a position in [`Distributions`].
    Distribution,
}

/// The distributions of a snapshot, in the order in which they were collected.
pub(crate) type Distributions = Vec<Distribution>;

/// The value of a sample.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'s> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Distribution(&'s Distribution),
}

impl Sample {
    /// A series and what it says; a distribution moves into `distributions`.
    #[inline]
    pub(crate) fn new(
        open: PieceId,
        closed: PiecePair,
        reading: Reading,
        distributions: &mut Distributions,
    ) -> Self {
        let (kind, bits) = match reading {
            Reading::Unsigned(value) => (ValueKind::Unsigned, value),
            Reading::Signed(value) => (ValueKind::Signed, value.cast_unsigned()),
            Reading::Float(value) => (ValueKind::Float, value.to_bits()),
            Reading::Distribution(distribution) => {
                distributions.push(*distribution);
                (ValueKind::Distribution, distributions.len() as u64 - 1)
            }
        };
        Self {
            open,
            closed,
            kind,
            bits,
        }
    }

    /// All pieces of its labels.
    #[inline]
    pub(crate) fn pieces(&self) -> [PieceId; 3] {
        let [first, second] = self.closed;
        [self.open, first, second]
    }

    /// All pieces but the last, and the last.
    #[inline]
    pub(crate) fn head_and_last(&self) -> ([PieceId; 2], PieceId) {
        let [open, first, second] = self.pieces();
        match (first == PieceId::NONE, second == PieceId::NONE) {
            (_, false) => ([open, first], second),
            (false, true) => ([open, PieceId::NONE], first),
            (true, true) => ([PieceId::NONE; 2], open),
        }
    }

    /// What it says.
    #[inline]
    pub(crate) fn value<'s>(&self, distributions: &'s Distributions) -> Value<'s> {
        match self.kind {
            ValueKind::Unsigned => Value::Unsigned(self.bits),
            ValueKind::Signed => Value::Signed(self.bits.cast_signed()),
            ValueKind::Float => Value::Float(f64::from_bits(self.bits)),
            ValueKind::Distribution => Value::Distribution(&distributions[self.bits as usize]),
        }
    }

    /// What it says, on its own.
    pub(crate) fn reading(&self, distributions: &Distributions) -> Reading {
        match self.value(distributions) {
            Value::Unsigned(value) => Reading::Unsigned(value),
            Value::Signed(value) => Reading::Signed(value),
            Value::Float(value) => Reading::Float(value),
            Value::Distribution(distribution) => Reading::Distribution(Box::new(distribution.clone())),
        }
    }

    /// Adds `reading`, for series that stand for several things.
    pub(crate) fn merge(&mut self, reading: &Reading, distributions: &mut Distributions) {
        if let (ValueKind::Distribution, Reading::Distribution(more)) = (self.kind, reading) {
            distributions[self.bits as usize].add(more);
            return;
        }
        let mut sum = self.reading(distributions);
        sum.merge(reading);
        *self = Self::new(self.open, self.closed, sum, distributions);
    }
}
