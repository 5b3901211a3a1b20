//! The page as protocol buffers: delimited `io.prometheus.client.MetricFamily` messages.
//!
//! A histogram is in it twice, as native buckets and as the classic ones of the text formats, from the same counts.
//! Everything is written once, where it stays: no message is built in memory first.
//! (`metrics.proto` of Prometheus's client model; "Native histograms" specification, "Exposition formats".)

use std::ops::Range;

use crate::catalogue::FamilyInfo;
use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::exemplar::Exemplar;
use crate::sample::{Sample, Value};
use crate::snapshot::{PieceId, Snapshot};
use crate::text::{BLOCK, push_blocks};
use crate::wire::{
    delimited, double, integer, integer_len, push_bytes, push_delimited, push_double, push_integer,
    push_integer_field, push_message, put_integer, zigzag,
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
/// The key of `exemplars` of `Histogram`, field 16, which takes two bytes.
const NATIVE_EXEMPLAR: [u8; 2] = [0x82, 0x01];

/// Bytes to expect of a sample and of a histogram: a wrong guess costs a copy, nothing else.
const SCALAR_BYTES: usize = 136;
const HISTOGRAM_BYTES: usize = 1_000;
const EXEMPLAR_BYTES: usize = 90;

/// Bytes made room for at once.
const ROOM: usize = 16 << 10;

impl Snapshot {
    /// The page as delimited protocol buffers. Every chosen family is there, also without series.
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut page = Page::new(self);
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
        bytes.resize(bytes.len() + BLOCK, 0);
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
    /// The pieces and the value of the open label that the rest was made for.
    made_for: Option<([PieceId; 2], PieceId)>,
    /// All labels but the last, followed by zeros, so that they can be copied in blocks; and their length.
    head: (Vec<u8>, usize),
    /// The end of a counter and of a gauge, with room for the value.
    ends: [End; 2],
    /// When the series began to count, as the end of a `Histogram`.
    histogram_start: Vec<u8>,
}

/// A `Counter` or `Gauge` as a field of `Metric`, with room for the value: never more than a block.
#[derive(Default)]
struct End {
    bytes: [u8; BLOCK],
    length: usize,
}

/// Where the value stands in an [`End`].
const VALUE: Range<usize> = 3..11;

impl End {
    fn new(field: u8, start: &[u8]) -> Self {
        let mut end = Self::default();
        end.length = VALUE.end + start.len();
        end.bytes[..VALUE.start].copy_from_slice(&[delimited(field), end.length as u8 - 2, double(1)]);
        end.bytes[VALUE.end..end.length].copy_from_slice(start);
        end
    }

    #[inline]
    fn put(&self, room: &mut [u8], value: f64) {
        room[..BLOCK].copy_from_slice(&self.bytes);
        // Written over what was copied: a copy of what has just been written would wait for it.
        room[VALUE].copy_from_slice(&value.to_le_bytes());
    }
}

/// Copies the first `length` bytes of `from` in blocks, as [`push_blocks`] does, to where there is room for one block more.
#[inline]
fn put_blocks(room: &mut [u8], from: &[u8], length: usize) {
    for (room, from) in room
        .chunks_exact_mut(BLOCK)
        .zip(from.chunks_exact(BLOCK))
        .take(length.div_ceil(BLOCK))
    {
        room.copy_from_slice(from);
    }
}

impl<'s> Page<'s> {
    fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            pieces: Pieces::of(snapshot),
            made_for: None,
            head: (Vec::new(), 0),
            ends: Default::default(),
            histogram_start: Vec::new(),
        }
    }

    fn push_family(&mut self, out: &mut Vec<u8>, family: &FamilyInfo, samples: &[Sample]) {
        push_delimited(out, expected_bytes(family, samples), |out| {
            out.extend_from_slice(&family.protobuf_header);
            let mut end = out.len();
            for sample in samples {
                let made_for = (sample.head_and_last().0, sample.open);
                if self.made_for != Some(made_for) {
                    self.make(made_for);
                }
                let value = match self.snapshot.value_of(sample) {
                    Value::Unsigned(value) => value as f64,
                    Value::Signed(value) => value as f64,
                    Value::Float(value) => value,
                    Value::Distribution(distribution) => {
                        out.truncate(end);
                        self.push_histogram(out, sample, distribution);
                        end = out.len();
                        continue;
                    }
                };
                end = self.put_scalar(out, end, (family.kind, value), sample);
            }
            out.truncate(end);
        });
    }

    #[cold]
    fn make(&mut self, made_for: ([PieceId; 2], PieceId)) {
        self.made_for = Some(made_for);
        let (head, open) = made_for;
        let (bytes, head_len) = &mut self.head;
        bytes.clear();
        for piece in head {
            let (piece, length) = self.pieces.get(piece);
            bytes.extend_from_slice(&piece[..length]);
        }
        *head_len = bytes.len();
        bytes.resize(*head_len + BLOCK, 0);
        let started = self.snapshot.started(open);
        let start = timestamp(COUNTER_START, started);
        self.ends = [End::new(COUNTER, start.as_slice()), End::new(GAUGE, &[])];
        self.histogram_start = timestamp(HISTOGRAM_START, started);
    }

    /// Writes a series at `at`, from where on the room of `out` is free, and says where it ends. Room is made for many at
    /// a time: asking for it with every piece takes longer than the piece.
    #[inline]
    fn put_scalar(&self, out: &mut Vec<u8>, at: usize, (kind, value): (Kind, f64), sample: &Sample) -> usize {
        let (head, head_len) = &self.head;
        let (last, last_len) = self.pieces.get(sample.head_and_last().1);
        let end = match kind {
            Kind::Counter => &self.ends[0],
            Kind::Gauge | Kind::Histogram => &self.ends[1],
        };
        let length = head_len + last_len + end.length;
        // The key, the length, and what the last block of each piece is longer than it.
        let most = length + 3 * BLOCK + 16;
        if out.len() < at + most {
            out.resize(at + most + ROOM, 0);
        }
        let room = &mut out[at..at + most];
        room[0] = delimited(METRIC_OF_FAMILY);
        let begin = 1 + put_integer(&mut room[1..], length as u64);
        put_blocks(&mut room[begin..], head, *head_len);
        put_blocks(&mut room[begin + head_len..], last, last_len);
        end.put(&mut room[begin + head_len + last_len..], value);
        at + begin + length
    }

    fn push_histogram(&self, out: &mut Vec<u8>, sample: &Sample, distribution: &Distribution) {
        push_message(out, METRIC_OF_FAMILY, HISTOGRAM_BYTES, |out| {
            let (head, head_len) = &self.head;
            let (last, last_len) = self.pieces.get(sample.head_and_last().1);
            push_blocks(out, head, *head_len);
            push_blocks(out, last, last_len);
            push_message(out, HISTOGRAM, HISTOGRAM_BYTES, |out| {
                push_integer_field(out, 1, distribution.count());
                push_double(out, 2, distribution.sum());
                push_classic(out, distribution);
                push_native(out, distribution);
                out.extend_from_slice(&self.histogram_start);
                for exemplar in distribution.exemplars() {
                    out.extend_from_slice(&NATIVE_EXEMPLAR);
                    push_exemplar(out, exemplar);
                }
            });
        });
    }
}

/// The classic buckets, the unbounded one included.
fn push_classic(out: &mut Vec<u8>, distribution: &Distribution) {
    for (index, (_, cumulative)) in distribution.classic().enumerate() {
        let bound = distribution.spec().classic_bound(index);
        let push_bucket = |out: &mut Vec<u8>| {
            push_integer_field(out, 1, cumulative);
            push_double(out, 2, bound);
        };
        match distribution.exemplar(index) {
            None => push_plain_bucket(out, cumulative, bound),
            Some(exemplar) => push_message(out, 3, EXEMPLAR_BYTES, |out| {
                push_bucket(out);
                out.push(delimited(3));
                push_exemplar(out, exemplar);
            }),
        }
    }
}

/// A `Bucket` without an exemplar, as one block.
#[inline]
fn push_plain_bucket(out: &mut Vec<u8>, cumulative: u64, bound: f64) {
    let (mut block, end) = ([0; BLOCK], out.len());
    block[..3].copy_from_slice(&[delimited(3), 0, integer(1)]);
    let at = 3 + put_integer(&mut block[3..], cumulative);
    block[1] = at as u8 + 7;
    block[at] = double(2);
    block[at + 1..at + 9].copy_from_slice(&bound.to_le_bytes());
    out.extend_from_slice(&block);
    out.truncate(end + at + 9);
}

/// The native buckets: the zero bucket is the grid's first, which holds everything up to the first bound; what is
/// above the last bound stands in the first bucket above it, as its quantiles are named by that bound everywhere else.
fn push_native(out: &mut Vec<u8>, distribution: &Distribution) {
    let spec = distribution.spec();
    push_integer_field(out, 5, zigzag(i64::from(spec.per_octave.ilog2())));
    push_double(out, 6, spec.classic_bound(0));
    push_integer_field(out, 7, distribution.bucket(0));
    let zero_index = i64::from(spec.lowest_log2) * spec.per_octave as i64;
    // Runs of occupied buckets, and the index after the last of them, from which the distance to the next one counts.
    let (mut run, mut end) = (0..0, 0);
    let (mut deltas, mut before) = (Vec::with_capacity(64), 0);
    let occupied = distribution.buckets().chunks(8).enumerate();
    let occupied = occupied
        .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
        .flat_map(|(chunk, counts)| (chunk * 8..).zip(counts));
    for (bucket, &count) in occupied.filter(|(bucket, count)| *bucket > 0 && **count > 0) {
        let index = zero_index + bucket as i64;
        if run.is_empty() || index != run.end {
            push_span(out, run, &mut end);
            run = index..index;
        }
        run.end += 1;
        push_integer(&mut deltas, zigzag(count.wrapping_sub(before) as i64));
        before = count;
    }
    push_span(out, run, &mut end);
    if !deltas.is_empty() {
        push_bytes(out, 13, &deltas);
    }
}

/// The length of an `Exemplar`, and the exemplar.
fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let Exemplar {
        nanos,
        wall_nanos,
        origin,
    } = exemplar;
    push_delimited(out, EXEMPLAR_BYTES, |out| {
        push_label(out, 1, origin.label(), origin.id().as_bytes());
        push_double(out, 2, *nanos as f64 / 1e9);
        out.extend_from_slice(&timestamp(3, *wall_nanos));
    });
}

/// A `BucketSpan`, unless it is empty.
fn push_span(out: &mut Vec<u8>, run: Range<i64>, end: &mut i64) {
    if run.is_empty() {
        return;
    }
    let (offset, length) = (zigzag(run.start - *end), (run.end - run.start) as u64);
    *end = run.end;
    let span_len = 2 + integer_len(offset) + integer_len(length);
    out.extend_from_slice(&[delimited(12), span_len as u8]);
    push_integer_field(out, 1, offset);
    push_integer_field(out, 2, length);
}

/// A `Timestamp` as field `field`.
fn timestamp(field: u8, wall_nanos: u64) -> Vec<u8> {
    let (seconds, nanos) = (wall_nanos / 1_000_000_000, wall_nanos % 1_000_000_000);
    let mut start = Vec::with_capacity(24);
    let length = 2 + integer_len(seconds) + integer_len(nanos);
    start.extend_from_slice(&[delimited(field), length as u8]);
    push_integer_field(&mut start, 1, seconds);
    push_integer_field(&mut start, 2, nanos);
    start
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
