//! The two text formats: Prometheus text 0.0.4 and OpenMetrics 1.0.
//!
//! They differ in the header lines of a family, in exemplars and in the end of the page. Bounds of histogram buckets are spelt as
//! OpenMetrics demands (`le="1.0"`) in both, so that a server which negotiates another format after an upgrade does
//! not see new series. Lines are copied together from rendered pieces; only the numbers are formatted.
//! (Prometheus, "Exposition formats"; OpenMetrics 1.0, section "Text format".)

use crate::catalogue::FamilyInfo;
use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::exemplar::Exemplar;
use crate::negotiate::Format;
use crate::number::{push_float, push_signed, push_unsigned};
use crate::sample::{Sample, Value};
use crate::snapshot::{PieceId, Snapshot};

impl Snapshot {
    /// The page in `format`. Every chosen family has its HELP and TYPE (and UNIT, except in text 0.0.4), also without
    /// series.
    pub fn to_page(&self, format: Format) -> Vec<u8> {
        match format {
            Format::Text => render(self, false, |family| &family.text_header),
            Format::OpenMetrics => {
                let mut page = render(self, true, |family| &family.openmetrics_header);
                page.extend_from_slice(b"# EOF\n");
                page
            }
            Format::Protobuf => self.to_protobuf(),
        }
    }

    /// The page in Prometheus text format 0.0.4 as a string.
    pub fn to_text(&self) -> String {
        // Everything in it was text, so the check cannot fail.
        String::from_utf8(self.to_page(Format::Text)).unwrap_or_default()
    }

    /// The page in OpenMetrics 1.0 as a string.
    pub fn to_openmetrics(&self) -> String {
        String::from_utf8(self.to_page(Format::OpenMetrics)).unwrap_or_default()
    }
}

fn render(snapshot: &Snapshot, has_exemplars: bool, header: impl Fn(&FamilyInfo) -> &str) -> Vec<u8> {
    let text = Vec::with_capacity(size_hint(snapshot));
    let mut page = Page {
        snapshot,
        has_exemplars,
        text,
        head: Vec::new(),
        head_of: None,
    };
    for (_, family, samples) in snapshot.families() {
        page.text.extend_from_slice(header(family).as_bytes());
        page.head_of = None;
        for sample in samples {
            match snapshot.value_of(sample) {
                Value::Distribution(distribution) => page.push_histogram(family.name, sample, distribution),
                value @ (Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)) => {
                    page.push_scalar(family.name, sample, value)
                }
            }
        }
    }
    page.text
}

/// Enough for most pages to be written without growing: growing copies everything written so far.
fn size_hint(snapshot: &Snapshot) -> usize {
    const LINE: usize = 104;
    let bounds = |sample: &Sample| match snapshot.value_of(sample) {
        Value::Distribution(distribution) => distribution.spec().classic.len(),
        Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => 0,
    };
    let lines = |family: &FamilyInfo, samples: &[Sample]| match family.kind {
        Kind::Histogram => samples.iter().map(|sample| bounds(sample) + 3).sum(),
        Kind::Counter | Kind::Gauge => samples.len(),
    };
    snapshot
        .families()
        .map(|(_, family, samples)| 3 + lines(family, samples))
        .sum::<usize>()
        * LINE
}

/// A page being written, every line where it stays: putting each together elsewhere and copying it takes 5 % longer.
struct Page<'s> {
    snapshot: &'s Snapshot,
    has_exemplars: bool,
    text: Vec<u8>,
    /// What a line shares with its predecessor: `name{first="..",`, if the last label alone differs.
    head: Vec<u8>,
    /// The labels that the head was made for, in the present family.
    head_of: Option<[PieceId; 2]>,
}

impl Page<'_> {
    #[inline]
    fn push_scalar(&mut self, name: &str, sample: &Sample, value: Value<'_>) {
        let (head, last) = sample.head_and_last();
        if self.head_of != Some(head) {
            self.make_head(name, head, last);
        }
        self.text.extend_from_slice(&self.head);
        if last != PieceId::NONE {
            let (from, length) = self.snapshot.last_piece(last);
            push_blocks(&mut self.text, from, length);
        }
        push_value(&mut self.text, value);
        self.text.push(b'\n');
    }

    #[cold]
    fn make_head(&mut self, name: &str, head: [PieceId; 2], last: PieceId) {
        self.head_of = Some(head);
        self.head.clear();
        self.head.extend_from_slice(name.as_bytes());
        self.head.push(if last == PieceId::NONE { b' ' } else { b'{' });
        for piece in head.into_iter().filter(|piece| *piece != PieceId::NONE) {
            self.head.extend_from_slice(self.snapshot.piece(piece).as_bytes());
            self.head.push(b',');
        }
    }

    /// The cumulative buckets, the sum and the count of one series.
    fn push_histogram(&mut self, name: &str, sample: &Sample, distribution: &Distribution) {
        let labels = self
            .snapshot
            .rendered(sample.pieces())
            .collect::<Vec<_>>()
            .join(",");
        let comma = if labels.is_empty() { "" } else { "," };
        self.head_of = None;
        self.head.clear();
        for part in [name, "_bucket{", &labels, comma, "le=\""] {
            self.head.extend_from_slice(part.as_bytes());
        }
        let mut count = 0;
        for (index, (bound, cumulative)) in distribution.classic().enumerate() {
            self.text.extend_from_slice(&self.head);
            self.text.extend_from_slice(bound.as_bytes());
            self.text.extend_from_slice(b"\"} ");
            push_unsigned(&mut self.text, cumulative);
            if let Some(exemplar) = distribution.exemplar(index).filter(|_| self.has_exemplars) {
                push_exemplar(&mut self.text, exemplar);
            }
            self.text.push(b'\n');
            count = cumulative;
        }
        let (open, close) = if labels.is_empty() { ("", " ") } else { ("{", "} ") };
        for (suffix, value) in [
            ("_sum", Value::Float(distribution.sum())),
            ("_count", Value::Unsigned(count)),
        ] {
            for part in [name, suffix, open, &labels, close] {
                self.text.extend_from_slice(part.as_bytes());
            }
            push_value(&mut self.text, value);
            self.text.push(b'\n');
        }
    }
}

/// Bytes copied at once.
pub(crate) const BLOCK: usize = 32;

/// Appends the first `length` bytes of `from` in blocks, reading and overwriting beyond its end where there is room:
/// for the short texts of a line that is several times as fast as a copy of exactly their length, which is a call with
/// its own decisions.
#[inline]
pub(crate) fn push_blocks(out: &mut Vec<u8>, mut from: &[u8], length: usize) {
    let end = out.len() + length;
    while out.len() < end {
        match from.split_first_chunk::<BLOCK>() {
            Some((block, rest)) => {
                out.extend_from_slice(block);
                from = rest;
            }
            None => push_rest(out, &from[..end - out.len()]),
        }
    }
    out.truncate(end);
}

/// The end of a text that no block follows. Apart, lest the compiler makes one copy of variable length of both.
#[cold]
#[inline(never)]
fn push_rest(out: &mut Vec<u8>, rest: &[u8]) {
    out.extend_from_slice(rest);
}

/// What follows the value of a bucket in OpenMetrics.
fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let Exemplar {
        nanos,
        wall_nanos,
        origin,
    } = exemplar;
    for part in [" # {", origin.label(), "=\"", origin.id(), "\"} "] {
        out.extend_from_slice(part.as_bytes());
    }
    push_float(out, *nanos as f64 / 1e9);
    out.push(b' ');
    // Milliseconds, which a float still holds exactly enough to be written short.
    push_float(out, (wall_nanos / 1_000_000) as f64 / 1e3);
}

#[inline]
fn push_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Unsigned(value) => push_unsigned(out, value),
        Value::Signed(value) => push_signed(out, value),
        Value::Float(value) => push_float(out, value),
        Value::Distribution(distribution) => push_unsigned(out, distribution.count()),
    }
}
