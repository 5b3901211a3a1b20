//! `io.prometheus.client`, as far as it is exported, declared by hand for a library that is not ours; and a page read
//! back into the samples of a text page.
//!
//! (`metrics.proto` of Prometheus's client model.)

use std::collections::BTreeMap;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub(crate) unit: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub(crate) gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Counter>,
    #[prost(message, optional, tag = "7")]
    pub(crate) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Gauge {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Counter {
    #[prost(double, optional, tag = "1")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(crate) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(crate) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(crate) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    pub(crate) positive_delta: Vec<i64>,
    #[prost(message, optional, tag = "15")]
    pub(crate) created_timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub(crate) exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(crate) upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub(crate) label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub(crate) value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(crate) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(crate) length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, optional, tag = "1")]
    pub(crate) seconds: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) nanos: Option<i32>,
}

impl Timestamp {
    pub(crate) fn unix_nanos(&self) -> u64 {
        self.seconds() as u64 * 1_000_000_000 + self.nanos() as u64
    }
}

/// The families of a page, in order; fails where it ends inside of one.
pub(crate) fn families(mut page: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !page.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut page).expect("a delimited family"));
    }
    families
}

/// Name and labels, to value.
pub(crate) type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// The samples of a text page that say what `families` say by gauges, counters and classic buckets.
pub(crate) fn samples(families: &[MetricFamily]) -> Samples {
    let mut samples = Samples::new();
    let mut add = |name: String, labels: &BTreeMap<String, String>, value: f64| {
        let before = samples.insert((name.clone(), labels.clone()), value);
        assert_eq!(before, None, "{name} {labels:?} twice");
    };
    for family in families {
        let name = family.name();
        for metric in &family.metric {
            let labels = labels(&metric.label);
            match (family.kind(), &metric.counter, &metric.gauge, &metric.histogram) {
                (0, Some(counter), None, None) => add(name.into(), &labels, counter.value()),
                (1, None, Some(gauge), None) => add(name.into(), &labels, gauge.value()),
                (4, None, None, Some(histogram)) => {
                    add(format!("{name}_count"), &labels, histogram.sample_count() as f64);
                    add(format!("{name}_sum"), &labels, histogram.sample_sum());
                    for bucket in &histogram.bucket {
                        let mut labels = labels.clone();
                        labels.insert("le".into(), bucket.upper_bound().to_string());
                        add(
                            format!("{name}_bucket"),
                            &labels,
                            bucket.cumulative_count() as f64,
                        );
                    }
                }
                other => unreachable!("{name}: {other:?}"),
            }
        }
    }
    samples
}

pub(crate) fn labels(pairs: &[LabelPair]) -> BTreeMap<String, String> {
    let labels: BTreeMap<_, _> = pairs
        .iter()
        .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
        .collect();
    assert_eq!(labels.len(), pairs.len(), "a label twice");
    labels
}

impl Histogram {
    /// Upper bound and count of every native bucket that is not empty, the zero bucket first, by the definition of the
    /// standard schemas: bucket `i` ends at two to the power of `i / 2^schema`.
    pub(crate) fn native(&self) -> Vec<(f64, u64)> {
        let (mut index, mut count, mut deltas) = (0, 0, self.positive_delta.iter());
        let mut buckets = vec![(self.zero_threshold(), self.zero_count())];
        for (number, span) in self.positive_span.iter().enumerate() {
            assert!(
                number == 0 || span.offset() > 0,
                "spans that touch are one: {:?}",
                self.positive_span
            );
            index += span.offset();
            for _ in 0..span.length() {
                count += deltas.next().expect("a delta for every bucket of a span");
                assert!(count > 0, "only occupied buckets are listed");
                let bound = (f64::from(index) / f64::from(self.schema()).exp2()).exp2();
                buckets.push((bound, count as u64));
                index += 1;
            }
        }
        assert_eq!(deltas.next(), None, "as many deltas as buckets");
        buckets.retain(|(_, count)| *count > 0);
        buckets
    }

    /// Compares the number of observations and every classic bucket with what the native ones say.
    pub(crate) fn check_native(&self, name: &str) {
        let native = self.native();
        let at_or_below = |bound: f64| -> u64 {
            let within = |(upper, _): &(f64, u64)| *upper <= bound * (1.0 + 1e-12);
            native
                .iter()
                .copied()
                .filter(within)
                .map(|(_, count)| count)
                .sum()
        };
        assert_eq!(at_or_below(f64::INFINITY), self.sample_count(), "{name}");
        let last = self.bucket.last().expect("classic buckets");
        assert_eq!(last.upper_bound(), f64::INFINITY, "{name}");
        for bucket in &self.bucket {
            let bound = bucket.upper_bound();
            assert_eq!(
                at_or_below(bound),
                bucket.cumulative_count(),
                "{name} up to {bound}"
            );
        }
    }
}
