//! A page of 10,000 series in every format, each beside a copy of its own bytes, and `prometheus`'s; and what scraping
//! does to queries.

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use omendb_bench::stopwatch::thread_cpu_s;
use omendb_metrics::{
    Catalogue, Clock, Collect, Counters, DeclarationError, Family, FloatGauge, Format, Histogram, Label,
    OpenGroup, Registry, Selection, Series, Snapshot, gzip, metrics,
};
use prometheus::{Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, TextEncoder};

use crate::memory::page_of_one_route;
use crate::metrics::median;
use crate::{Options, Report, scrape};

const COLLECTIONS: usize = 100;
/// Interleaved measurements; the median of each kind counts.
const ROUNDS: usize = 31;

/// Texts of `count` label values, made on first use.
fn texts(count: usize, text: impl Fn(usize) -> String) -> Vec<&'static str> {
    (0..count).map(|index| &*text(index).leak()).collect()
}

pub(crate) static ENDPOINTS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    texts(50, |index| {
        format!("/collections/:collection/points/action-{index}")
    })
});
pub(crate) static STATUSES: LazyLock<Vec<&str>> =
    LazyLock::new(|| texts(20, |index| (200 + index).to_string()));
static KINDS: LazyLock<Vec<&str>> = LazyLock::new(|| texts(15, |index| format!("kind_{index}")));

macro_rules! table_label {
    ($(#[$doc:meta])* $name:ident, $keys:expr, $table:ident, |$text:ident| $values:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(pub(crate) usize);

        impl Label for $name {
            const KEYS: &'static [&'static str] = $keys;

            fn count() -> usize {
                $table.len()
            }

            fn index(self) -> usize {
                self.0
            }

            fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
                let $text = $table[index];
                $values
            }
        }
    };
}

table_label! {
    /// A route.
    Route, &["method", "endpoint"], ENDPOINTS, |endpoint| ["POST", endpoint]
}
table_label! {
    /// A status.
    Status, &["status"], STATUSES, |status| [status]
}
table_label! {
    /// Some kind of thing.
    Kind, &["kind"], KINDS, |kind| [kind]
}

metrics! {
    /// 4,000 counters by route and status.
    struct Web {
        /// Requests.
        requests: Counters<(Route, Status)> = "bench_http_requests_total",
        /// Bytes received.
        received: Counters<(Route, Status)> = "bench_http_request_bytes_total",
        /// Bytes sent.
        sent: Counters<(Route, Status)> = "bench_http_response_bytes_total",
        /// Slow ones.
        slow: Counters<(Route, Status)> = "bench_http_slow_requests_total",
    }
}
metrics! {
    /// 15 counters, 15 gauges and a histogram of 30 lines for each collection: 6,000 lines for 100.
    struct PerCollection by "db_id" {
        /// Things that happened.
        events: Counters<Kind> = "bench_engine_events_total",
        /// Shares.
        shares: Family<Kind, FloatGauge> = "bench_engine_shares_ratio",
        /// Latency.
        latency: Histogram = "bench_query_duration_seconds",
    }
}

struct Engine {
    collections: OpenGroup<PerCollection>,
    series: Vec<Arc<Series<PerCollection>>>,
}

impl Collect for Engine {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.open_group::<PerCollection>(self.collections.cardinality())
    }

    fn collect(&self, out: &mut Snapshot) {
        self.collections
            .collect(out, |series, out| out.group::<PerCollection>(series));
    }
}

/// `cargo x bench export`
pub(crate) fn measure(_options: &Options) -> Result<Report, String> {
    let registry = ours().map_err(|error| error.to_string())?;
    let theirs = theirs().map_err(|error| error.to_string())?;
    let rendered = |format| registry.scrape(Selection::default(), |snapshot| snapshot.to_page(format));
    let (text, protobuf) = (|| rendered(Format::Text), || rendered(Format::Protobuf));
    let (page, protobuf_page, their_page) = (text(), protobuf(), their_text(&theirs));
    let [mut copy, mut protobuf_copy, mut their_copy] =
        [&page, &protobuf_page, &their_page].map(|page| vec![0; page.len()]);
    let mut rounds: [Vec<f64>; 8] = Default::default();
    for _ in 0..ROUNDS {
        let measured = [
            seconds(|| copy.copy_from_slice(black_box(&page))),
            seconds(text),
            seconds(|| protobuf_copy.copy_from_slice(black_box(&protobuf_page))),
            seconds(protobuf),
            seconds(|| registry.snapshot(Selection::default())),
            seconds(|| registry.scrape(Selection::default(), Snapshot::to_json)),
            seconds(|| their_copy.copy_from_slice(black_box(&their_page))),
            seconds(|| their_text(&theirs)),
        ];
        for (all, one) in rounds.iter_mut().zip(measured) {
            all.push(one);
        }
    }
    black_box((&copy, &protobuf_copy, &their_copy));
    let [
        copy_s,
        text_s,
        protobuf_copy_s,
        protobuf_s,
        collect_s,
        json_s,
        their_copy_s,
        their_text_s,
    ] = rounds.map(median);
    let mut report = Report::default();
    report.push("series", series_of(&page));
    report.push("page_bytes", page.len());
    report.push("memcpy_ms", copy_s * 1e3);
    report.push("text_over_memcpy", text_s / copy_s);
    report.push("text_ms", text_s * 1e3);
    report.push("protobuf_bytes", protobuf_page.len());
    report.push("protobuf_memcpy_ms", protobuf_copy_s * 1e3);
    report.push("protobuf_over_memcpy", protobuf_s / protobuf_copy_s);
    report.push("protobuf_ms", protobuf_s * 1e3);
    report.push("collect_ms", collect_s * 1e3);
    report.push("json_ms", json_s * 1e3);
    report.push("prometheus_over_memcpy", their_text_s / their_copy_s);
    report.push("prometheus_text_ms", their_text_s * 1e3);
    report.push("gzip_ms", seconds(|| gzip(&page)) * 1e3);
    report.push("gzip_bytes", gzip(&page).len());
    report.push("default_page_gzip_bytes", gzip(&page_of_one_route()?).len());
    scrape::measure(&mut report)?;
    Ok(report)
}

/// Lines of a page in the text format that are samples.
pub(crate) fn series_of(page: &[u8]) -> usize {
    let lines = page.split(|byte| *byte == b'\n');
    lines
        .filter(|line| line.first().is_some_and(|first| *first != b'#'))
        .count()
}

/// CPU seconds of a call right after another like it; what it returns is dropped outside.
fn seconds<R>(mut call: impl FnMut() -> R) -> f64 {
    drop(black_box(call()));
    let start = thread_cpu_s();
    let result = black_box(call());
    let seconds = thread_cpu_s() - start;
    drop(result);
    seconds
}

/// A count with a few digits more for every few series, as real ones have.
fn count(index: usize) -> u64 {
    (index as u64 % 7 + 1) * 10_u64.pow(index as u32 % 7)
}

pub(crate) fn ours() -> Result<Registry, DeclarationError> {
    let web = Arc::new(Web::default());
    for route in 0..ENDPOINTS.len() {
        for status in 0..STATUSES.len() {
            for counters in [&web.requests, &web.received, &web.sent, &web.slow] {
                counters.add((Route(route), Status(status)), count(route * 20 + status));
            }
        }
    }
    let collections = OpenGroup::<PerCollection>::new("db_id", COLLECTIONS, Clock::system());
    let names = (0..COLLECTIONS).map(|index| format!("collection-{index:03}"));
    let series: Vec<_> = names.map(|name| collections.open(&name)).collect();
    for (index, series) in series.iter().enumerate() {
        for kind in 0..KINDS.len() {
            series.events.add(Kind(kind), count(index + kind));
            series.shares.of(Kind(kind)).set(1.0 / (2 + index + kind) as f64);
        }
        (0..1_000).for_each(|i| series.latency.record(50_000 + i * i * 37));
    }
    let engine = Engine { collections, series };
    debug_assert_eq!(engine.series.len(), COLLECTIONS);
    Registry::new(Clock::system(), vec![web, Arc::new(engine)])
}

/// The same series in a registry of the `prometheus` crate.
fn theirs() -> prometheus::Result<prometheus::Registry> {
    let registry = prometheus::Registry::new();
    let labels = ["method", "endpoint", "status"];
    for name in [
        "requests_total",
        "request_bytes_total",
        "response_bytes_total",
        "slow_requests_total",
    ] {
        let counters = IntCounterVec::new(Opts::new(format!("bench_http_{name}"), "Counters."), &labels)?;
        for (route, endpoint) in ENDPOINTS.iter().enumerate() {
            for (index, status) in STATUSES.iter().enumerate() {
                counters
                    .with_label_values(&["POST", endpoint, status])
                    .inc_by(count(route * 20 + index));
            }
        }
        registry.register(Box::new(counters))?;
    }
    let events = IntCounterVec::new(
        Opts::new("bench_engine_events_total", "Events."),
        &["db_id", "kind"],
    )?;
    let shares = GaugeVec::new(
        Opts::new("bench_engine_shares_ratio", "Shares."),
        &["db_id", "kind"],
    )?;
    let bounds = (-20..=6).map(f64::from).map(f64::exp2).collect();
    let options = HistogramOpts::new("bench_query_duration_seconds", "Latency.").buckets(bounds);
    let latencies = HistogramVec::new(options, &["db_id"])?;
    for index in 0..COLLECTIONS {
        let name = format!("collection-{index:03}");
        for (kind, text) in KINDS.iter().enumerate() {
            events
                .with_label_values(&[name.as_str(), *text])
                .inc_by(count(index + kind));
            shares
                .with_label_values(&[name.as_str(), *text])
                .set(1.0 / (2 + index + kind) as f64);
        }
        let latency = latencies.with_label_values(&[name.as_str()]);
        (0..1_000).for_each(|i| latency.observe(f64::from(50_000 + i * i * 37) * 1e-9));
    }
    registry.register(Box::new(events))?;
    registry.register(Box::new(shares))?;
    registry.register(Box::new(latencies))?;
    Ok(registry)
}

fn their_text(registry: &prometheus::Registry) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = TextEncoder::new().encode(&registry.gather(), &mut page);
    page
}
