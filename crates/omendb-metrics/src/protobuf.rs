//! The page as protocol buffers: delimited `io.prometheus.client.MetricFamily` messages.
//!
//! A histogram is in it twice, as native buckets and as the classic ones of the text formats, from the same counts.
//! Everything is written once, where it stays: no message is built in memory first.
//! (`metrics.proto` of Prometheus's client model; "Native histograms" specification, "Exposition formats".)

use crate::catalogue::FamilyInfo;
use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::reading::Reading;
use crate::snapshot::{PieceId, Sample, Snapshot};
use crate::text::push_blocks;
use crate::wire::{
    delimited, double, integer_len, push_bytes, push_delimited, push_double, push_integer,
    push_integer_field, push_message, zigzag,
};

/// Fields of `Metric`.
const LABEL: u8 = 1;
const GAUGE: u8 = 2;
const COUNTER: u8 = 3;
const METRIC_OF_FAMILY: u8 = 4;
const HISTOGRAM: u8 = 7;
/// `created_timestamp` of `Counter` and of `Histogram`.
const COUNTER_START: u8 = 3;
const HISTOGRAM_START: u8 = 15;

/// Bytes to expect of a sample and of a histogram: a wrong guess costs a copy, nothing else.
const SCALAR_BYTES: usize = 136;
const HISTOGRAM_BYTES: usize = 1_000;

impl Snapshot {
    /// The page as delimited protocol buffers. Every chosen family is there, also without series.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut page = Page {
            snapshot: self,
            pieces: Pieces::of(self),
            head: Vec::new(),
            head_of: None,
            start: Vec::new(),
        };
        let expected =
            |(_, family, samples): (usize, &FamilyInfo, &[Sample])| expected_bytes(family, samples);
        let mut out = Vec::with_capacity(self.families().map(expected).sum());
        for (_, family, samples) in self.families() {
            page.push_family(&mut out, family, samples);
        }
        out
    }
}

/// What the header of a family is: everything but its series.
pub(crate) fn header(name: &str, help: &str, kind: Kind, unit: &str) -> Vec<u8> {
    let mut header = Vec::new();
    push_bytes(&mut header, 1, name.as_bytes());
    push_bytes(&mut header, 2, help.as_bytes());
    let kind = match kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 4,
    };
    push_integer_field(&mut header, 3, kind);
    if !unit.is_empty() {
        push_bytes(&mut header, 5, unit.as_bytes());
    }
    header
}

fn expected_bytes(family: &FamilyInfo, samples: &[Sample]) -> usize {
    let each = match family.kind {
        Kind::Histogram => HISTOGRAM_BYTES,
        Kind::Counter | Kind::Gauge => SCALAR_BYTES,
    };
    family.protobuf_header.len() + 8 + samples.len() * each
}

/// The pieces of the snapshot's labels as fields of `Metric`, rendered once however many series carry them.
struct Pieces {
    /// Followed by zeros, so that a piece can be copied in blocks.
    bytes: Vec<u8>,
    /// Where each piece ends; it begins where the one before ended.
    ends: Vec<usize>,
}

impl Pieces {
    fn of(snapshot: &Snapshot) -> Self {
        let (mut bytes, mut ends, mut value) = (Vec::new(), Vec::new(), Vec::new());
        for piece in snapshot.pieces() {
            for (name, escaped) in snapshot.pairs_of(piece) {
                value.clear();
                unescape(&mut value, escaped);
                push_label(&mut bytes, LABEL, name, &value);
            }
            ends.push(bytes.len());
        }
        bytes.resize(bytes.len() + 64, 0);
        Self { bytes, ends }
    }

    /// A text that begins with the piece, and the piece's length.
    #[inline]
    fn get(&self, piece: PieceId) -> (&[u8], usize) {
        let Some(index) = piece.index() else {
            return (&[], 0);
        };
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        (&self.bytes[start..], self.ends[index] - start)
    }
}

/// Appends a `LabelPair` as field `field`.
fn push_label(out: &mut Vec<u8>, field: u8, name: &str, value: &[u8]) {
    push_message(out, field, name.len() + value.len() + 4, |out| {
        push_bytes(out, 1, name.as_bytes());
        push_bytes(out, 2, value);
    });
}

/// Undoes [`crate::escape::label_value`].
fn unescape(out: &mut Vec<u8>, escaped: &str) {
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(other) => other,
                None => b'\\',
            },
            byte => byte,
        });
    }
}

/// What is written from, and what neighbouring series share.
struct Page<'s> {
    snapshot: &'s Snapshot,
    pieces: Pieces,
    /// All labels but the last.
    head: Vec<u8>,
    /// The pieces the head was made for, and the value of the open label that `start` is for; in the present family.
    head_of: Option<([PieceId; 2], PieceId)>,
    /// When the series began to count, as the end of a `Counter`.
    start: Vec<u8>,
}

impl Page<'_> {
    fn push_family(&mut self, out: &mut Vec<u8>, family: &FamilyInfo, samples: &[Sample]) {
        self.head_of = None;
        push_delimited(out, expected_bytes(family, samples), |out| {
            out.extend_from_slice(&family.protobuf_header);
            for sample in samples {
                match &sample.reading {
                    Reading::Unsigned(value) => self.push_scalar(out, (family.kind, *value as f64), sample),
                    Reading::Signed(value) => self.push_scalar(out, (family.kind, *value as f64), sample),
                    Reading::Float(value) => self.push_scalar(out, (family.kind, *value), sample),
                    Reading::Distribution(distribution) => self.push_histogram(out, sample, distribution),
                }
            }
        });
    }

    #[inline]
    fn push_scalar(&mut self, out: &mut Vec<u8>, (kind, value): (Kind, f64), sample: &Sample) {
        let (head, last) = sample.head_and_last();
        if self.head_of != Some((head, sample.open())) {
            self.make_head(head, sample.open());
        }
        let (field, start) = match kind {
            Kind::Counter => (COUNTER, self.start.as_slice()),
            Kind::Gauge | Kind::Histogram => (GAUGE, &[][..]),
        };
        let (last_piece, last_len) = self.pieces.get(last);
        // One field of eight bytes and its key, and the start where there is one: never more than 127 bytes.
        let value_len = 9 + start.len();
        let length = self.head.len() + last_len + 2 + value_len;
        out.push(delimited(METRIC_OF_FAMILY));
        push_integer(out, length as u64);
        out.extend_from_slice(&self.head);
        push_blocks(out, last_piece, last_len);
        let mut bytes = [0; 11];
        bytes[..3].copy_from_slice(&[delimited(field), value_len as u8, double(1)]);
        bytes[3..].copy_from_slice(&value.to_le_bytes());
        out.extend_from_slice(&bytes);
        out.extend_from_slice(start);
    }

    #[cold]
    fn make_head(&mut self, head: [PieceId; 2], open: PieceId) {
        self.head_of = Some((head, open));
        self.head.clear();
        for piece in head {
            let (bytes, length) = self.pieces.get(piece);
            self.head.extend_from_slice(&bytes[..length]);
        }
        self.start.clear();
        push_start(&mut self.start, COUNTER_START, self.snapshot.started(open));
    }

    fn push_histogram(&self, out: &mut Vec<u8>, sample: &Sample, distribution: &Distribution) {
        push_message(out, METRIC_OF_FAMILY, HISTOGRAM_BYTES, |out| {
            for piece in sample.pieces {
                let (bytes, length) = self.pieces.get(piece);
                out.extend_from_slice(&bytes[..length]);
            }
            push_message(out, HISTOGRAM, HISTOGRAM_BYTES, |out| {
                push_integer_field(out, 1, distribution.count());
                push_double(out, 2, distribution.sum());
                push_classic(out, distribution);
                push_native(out, distribution);
                push_start(out, HISTOGRAM_START, self.snapshot.started(sample.open()));
            });
        });
    }
}

/// The classic buckets, the unbounded one included.
fn push_classic(out: &mut Vec<u8>, distribution: &Distribution) {
    for (index, (_, cumulative)) in distribution.classic().enumerate() {
        out.push(delimited(3));
        out.push(1 + integer_len(cumulative) as u8 + 9);
        push_integer_field(out, 1, cumulative);
        push_double(out, 2, distribution.spec().classic_bound(index));
    }
}

/// The native buckets: the zero bucket is the grid's first, which holds everything up to the first bound; what is
/// above the last bound stands in the first bucket above it, as its quantiles are named by that bound everywhere else.
fn push_native(out: &mut Vec<u8>, distribution: &Distribution) {
    let spec = distribution.spec();
    push_integer_field(out, 5, zigzag(i64::from(spec.per_octave.ilog2())));
    push_double(out, 6, spec.classic_bound(0));
    push_integer_field(out, 7, distribution.bucket(0));
    let first_index = i64::from(spec.lowest_log2) * spec.per_octave as i64;
    // The index after the last span, from which the distance to the next one counts.
    let (mut end, mut span) = (0, None::<(i64, u64)>);
    let push_span = |out: &mut Vec<u8>, end: &mut i64, (start, length): (i64, u64)| {
        let offset = zigzag(start - *end);
        *end = start + length as i64;
        out.push(delimited(12));
        out.push(2 + (integer_len(offset) + integer_len(length)) as u8);
        push_integer_field(out, 1, offset);
        push_integer_field(out, 2, length);
    };
    let positive = || distribution.occupied().filter(|(bucket, _)| *bucket > 0);
    for (bucket, _) in positive() {
        let index = first_index + i64::from(bucket);
        span = match span {
            Some((start, length)) if start + length as i64 == index => Some((start, length + 1)),
            other => {
                if let Some(finished) = other {
                    push_span(out, &mut end, finished);
                }
                Some((index, 1))
            }
        };
    }
    let Some(last) = span else { return };
    push_span(out, &mut end, last);
    push_message(out, 13, 64, |out| {
        let mut before = 0;
        for (_, count) in positive() {
            push_integer(out, zigzag(count.wrapping_sub(before) as i64));
            before = count;
        }
    });
}

/// A `Timestamp` as field `field`.
fn push_start(out: &mut Vec<u8>, field: u8, wall_nanos: u64) {
    push_message(out, field, 12, |out| {
        push_integer_field(out, 1, wall_nanos / 1_000_000_000);
        push_integer_field(out, 2, wall_nanos % 1_000_000_000);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape;

    #[test]
    fn label_values_are_what_they_were_before_they_were_escaped() {
        for value in ["", "main", "a\"b\\c\nd", "\\n", "\\\\", "Grüße 你好"] {
            let (mut escaped, mut raw) = (String::new(), Vec::new());
            escape::label_value(&mut escaped, value);
            unescape(&mut raw, &escaped);
            assert_eq!(raw, value.as_bytes());
        }
    }
}
