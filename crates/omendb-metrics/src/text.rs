//! The two text formats: Prometheus text 0.0.4 and OpenMetrics 1.0.
//!
//! They differ in the header lines of a family and in the end of the page. Bounds of histogram buckets are spelt as
//! OpenMetrics demands (`le="1.0"`) in both, so that a server which negotiates another format after an upgrade does
//! not see new series. Lines are copied together from rendered pieces; only the numbers are formatted.
//! (Prometheus, "Exposition formats"; OpenMetrics 1.0, section "Text format".)

use crate::catalogue::FamilyInfo;
use crate::distribution::Distribution;
use crate::number::{push_float, push_signed, push_unsigned};
use crate::reading::Reading;
use crate::snapshot::{Sample, Snapshot};

impl Snapshot {
    /// The page in Prometheus text format 0.0.4. Every chosen family has its HELP and TYPE, also without series.
    pub fn to_text(&self) -> String {
        render(self, |family| &family.text_header)
    }

    /// The page in OpenMetrics 1.0.
    pub fn to_openmetrics(&self) -> String {
        let mut page = render(self, |family| &family.openmetrics_header);
        page.push_str("# EOF\n");
        page
    }
}

fn render(snapshot: &Snapshot, header: impl Fn(&FamilyInfo) -> &str) -> String {
    let mut page = String::with_capacity(size_hint(snapshot));
    let mut line = String::new();
    for (_, family, samples) in snapshot.families() {
        page.push_str(header(family));
        for sample in samples {
            match &sample.reading {
                Reading::Distribution(distribution) => {
                    line.clear();
                    push_labels(&mut line, snapshot, sample);
                    push_histogram(&mut page, family.name, &line, distribution);
                }
                Reading::Unsigned(_) | Reading::Signed(_) | Reading::Float(_) => {
                    page.push_str(family.name);
                    push_braced_labels(&mut page, snapshot, sample);
                    push_value(&mut page, &sample.reading);
                    page.push('\n');
                }
            }
        }
    }
    page
}

/// Enough for most pages to be written without growing: growing copies everything written so far.
fn size_hint(snapshot: &Snapshot) -> usize {
    const LINE: usize = 96;
    let lines = |sample: &Sample| match &sample.reading {
        Reading::Distribution(distribution) => distribution.spec().classic.len() + 3,
        Reading::Unsigned(_) | Reading::Signed(_) | Reading::Float(_) => 1,
    };
    snapshot
        .families()
        .map(|(_, _, samples)| 3 + samples.iter().map(lines).sum::<usize>())
        .sum::<usize>()
        * LINE
}

#[inline]
fn push_labels(out: &mut String, snapshot: &Snapshot, sample: &Sample) {
    let mut separator = "";
    for piece in snapshot.rendered(sample) {
        out.push_str(separator);
        out.push_str(piece);
        separator = ",";
    }
}

/// `{labels} `, or the blank alone.
#[inline]
fn push_braced_labels(out: &mut String, snapshot: &Snapshot, sample: &Sample) {
    let mut separator = '{';
    for piece in snapshot.rendered(sample) {
        out.push(separator);
        out.push_str(piece);
        separator = ',';
    }
    out.push_str(if separator == '{' { " " } else { "} " });
}

#[inline]
fn push_value(out: &mut String, reading: &Reading) {
    match reading {
        Reading::Unsigned(value) => push_unsigned(out, *value),
        Reading::Signed(value) => push_signed(out, *value),
        Reading::Float(value) => push_float(out, *value),
        Reading::Distribution(distribution) => push_unsigned(out, distribution.count()),
    }
}

/// The cumulative buckets, the sum and the count of one series.
fn push_histogram(page: &mut String, name: &str, labels: &str, distribution: &Distribution) {
    let prefix = match labels {
        "" => format!("{name}_bucket{{le=\""),
        _ => format!("{name}_bucket{{{labels},le=\""),
    };
    let mut count = 0;
    for (bound, cumulative) in distribution.classic() {
        page.push_str(&prefix);
        page.push_str(bound);
        page.push_str("\"} ");
        push_unsigned(page, cumulative);
        page.push('\n');
        count = cumulative;
    }
    let braced = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    for (suffix, reading) in [
        ("_sum", Reading::Float(distribution.sum())),
        ("_count", Reading::Unsigned(count)),
    ] {
        page.push_str(name);
        page.push_str(suffix);
        page.push_str(&braced);
        page.push(' ');
        push_value(page, &reading);
        page.push('\n');
    }
}
