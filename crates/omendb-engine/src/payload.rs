//! A point's payload: one JSON object, kept as compact bytes and read without building a tree.
//!
//! ```text
//! payload  = fields                                   (an empty payload is zero bytes)
//! fields   = { key, value }       key = varint length, UTF-8 bytes
//! value    = 0                    null
//!          | 1 | 2                false | true
//!          | 3 zigzag varint      integer that fits i64
//!          | 4 varint             integer that fits only u64
//!          | 5 f64 little endian
//!          | 6 varint length, UTF-8 bytes
//!          | 7 u32 length in bytes, { value }         list
//!          | 8 u32 length in bytes, fields            object
//! ```
//! Containers carry their length so that a look-up steps over what it does not want.

mod change;
mod encode;
mod path;
mod read;
mod select;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use change::PayloadChange;
pub use encode::PayloadEncoder;
pub use path::PayloadPath;
pub(crate) use read::check_payload;
pub use read::{Fields, List, ValueRef};
pub use select::PayloadSelector;

use crate::Error;
use crate::ledger::{Charge, Component, Ledger};

/// A JSON value as a tree, for callers that build payloads by hand. Servers write into a [`PayloadEncoder`] directly.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction that fits 64 signed bits.
    Int(i64),
    /// A number without fraction above `i64::MAX`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(String),
    /// A list.
    List(Vec<Self>),
    /// An object, its fields in their given order.
    Object(Vec<(String, Self)>),
}

/// An encoded payload. A clone shares the bytes, which many points may share too.
#[derive(Clone, Default)]
pub struct Payload {
    segment: Option<Arc<PayloadSegment>>,
    start: u32,
    end: u32,
}

impl Payload {
    /// Encodes an object.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if a key appears twice in an object, or a limit is passed:
    /// [`MAX_PAYLOAD_BYTES`](crate::limits::MAX_PAYLOAD_BYTES), [`MAX_PAYLOAD_DEPTH`](crate::limits::MAX_PAYLOAD_DEPTH).
    pub fn from_fields<K: AsRef<str>>(fields: &[(K, Value)]) -> Result<Self, Error> {
        let mut encoder = PayloadEncoder::new();
        for (key, value) in fields {
            encoder.key(key.as_ref())?;
            encoder.value(value)?;
        }
        encoder.finish()
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        // An encoder refuses more than `MAX_PAYLOAD_BYTES`, far below 4 GiB.
        let end = bytes.len() as u32;
        Self {
            segment: Some(Arc::new(PayloadSegment { bytes, _charge: None })),
            start: 0,
            end,
        }
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Its top-level fields, in the order they were written.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(self.as_bytes())
    }

    /// The encoding.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.segment {
            Some(segment) => &segment.bytes[self.start as usize..self.end as usize],
            None => &[],
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.fields()).finish()
    }
}

/// The payloads of one write batch, or of one chunk after compaction, side by side in one allocation that lives as
/// long as the last of them: batches of 500 points make one allocation, not 500.
pub(crate) struct PayloadSegment {
    bytes: Vec<u8>,
    /// What the collection's memory ledger is charged; nothing until the segment belongs to a collection.
    _charge: Option<Charge>,
}

impl PayloadSegment {
    /// A segment that belongs to a collection; the caller has checked the encoding of the payloads in it.
    pub(crate) fn new(bytes: Vec<u8>, ledger: &Arc<Ledger>) -> Arc<Self> {
        let charge = Charge::new(ledger, Component::Payload, bytes.capacity() + size_of::<Self>());
        Arc::new(Self {
            bytes,
            _charge: Some(charge),
        })
    }

    /// Copies payloads into one segment.
    pub(crate) fn gather<'p>(
        payloads: impl Iterator<Item = &'p Payload>,
        ledger: &Arc<Ledger>,
    ) -> Vec<Payload> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for payload in payloads {
            bytes.extend_from_slice(payload.as_bytes());
            // A chunk's payloads: at most 256 of `MAX_PAYLOAD_BYTES`, 2 GiB.
            ends.push(bytes.len() as u32);
        }
        bytes.shrink_to_fit();
        let segment = Self::new(bytes, ledger);
        let starts = [0].into_iter().chain(ends.iter().copied());
        starts
            .zip(&ends)
            .map(|(start, &end)| Self::payload(&segment, start..end))
            .collect()
    }

    /// The payload at `range` of `segment`.
    pub(crate) fn payload(segment: &Arc<Self>, range: Range<u32>) -> Payload {
        if range.is_empty() {
            return Payload::default();
        }
        Payload {
            segment: Some(Arc::clone(segment)),
            start: range.start,
            end: range.end,
        }
    }
}
