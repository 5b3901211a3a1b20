//! The usual crates given the same observations: their pages and ours say the same.

use omendb_metrics::{Blocks, Selection};
use prometheus::Encoder as _;
use prometheus_client::encoding::EncodeLabelSet;

use crate::exposition::{Fixture, Login, Route, Status, fixture};
use crate::page::{Page, SeriesKey};

/// Nanoseconds, so that every bucket boundary of interest has something on both of its sides.
const LATENCIES: [u64; 7] = [
    0,
    953,
    954,
    1_000_000,
    1_000_000_000,
    1_000_000_001,
    70_000_000_000,
];
const BATCHES: [u64; 5] = [1, 2, 3, 500, 2_000_000];
const NAME: &str = "a \"b\"\\c\nd";

/// The upper bounds of the classic buckets.
fn bounds(from: i32, to: i32) -> Vec<f64> {
    (from..=to).map(f64::from).map(f64::exp2).collect()
}

fn observed() -> Fixture {
    let fixture = fixture();
    let web = &fixture.web;
    web.requests.add((Route(1), Status::Ok), 12);
    web.requests.add((Route(2), Status::NotFound), 3);
    web.logins.increment(Login::Failure);
    web.share.set(0.1 + 0.2);
    web.in_flight.set(-4);
    LATENCIES
        .iter()
        .for_each(|nanos| web.latency.of(Route(1)).record(*nanos));
    BATCHES.iter().for_each(|points| web.batch.record(*points));
    fixture
}

/// Our samples of the families that the oracle also has.
fn ours(page: &Page, oracle: &Page) -> Vec<(SeriesKey, f64)> {
    let names: std::collections::BTreeSet<_> = oracle.samples.keys().map(|(name, _)| name.as_str()).collect();
    let of_oracle = |(key, _): &(&SeriesKey, &f64)| names.contains(key.0.as_str());
    page.samples
        .iter()
        .filter(of_oracle)
        .map(|(key, value)| (key.clone(), *value))
        .collect()
}

fn check(ours_text: &str, oracle_text: &str, samples: usize) {
    let (page, oracle) = (Page::parse(ours_text), Page::parse(oracle_text));
    assert_eq!(oracle.samples.len(), samples);
    let expected: Vec<_> = oracle
        .samples
        .iter()
        .map(|(key, value)| (key.clone(), *value))
        .collect();
    assert_eq!(ours(&page, &oracle), expected);
    for (name, kind) in &oracle.kinds {
        assert_eq!(page.kinds.get(name), Some(kind), "{name}");
    }
}

#[test]
fn prometheus_gives_the_same_page() {
    use prometheus::{
        Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder,
        core::Collector,
    };
    let registry = Registry::new();
    let add = |collector: Box<dyn Collector>| registry.register(collector).unwrap();
    let labels = ["method", "endpoint", "code"];
    let requests = IntCounterVec::new(Opts::new("t_requests_total", "x"), &labels).unwrap();
    requests.with_label_values(&["POST", "/query", "200"]).inc_by(12);
    requests
        .with_label_values(&["GET", "/collections/:collection", "404"])
        .inc_by(3);
    add(Box::new(requests));
    let logins = IntCounterVec::new(Opts::new("t_logins_total", "x"), &["status"]).unwrap();
    logins.with_label_values(&["failure"]).inc();
    logins.with_label_values(&["success"]).inc_by(0);
    add(Box::new(logins));
    let share = Gauge::new("t_share_ratio", "x").unwrap();
    share.set(0.1 + 0.2);
    add(Box::new(share));
    let in_flight = GaugeVec::new(Opts::new("t_in_flight", "x"), &[]).unwrap();
    in_flight.with_label_values::<&str>(&[]).set(-4.0);
    add(Box::new(in_flight));
    let options = HistogramOpts::new("t_latency_seconds", "x").buckets(bounds(-20, 6));
    let latency = HistogramVec::new(options, &["method", "endpoint"]).unwrap();
    LATENCIES.iter().for_each(|nanos| {
        latency
            .with_label_values(&["POST", "/query"])
            .observe(*nanos as f64 / 1e9)
    });
    add(Box::new(latency));
    let options = HistogramOpts::new("t_batch_points", "x").buckets(bounds(0, 20));
    let batch = prometheus::Histogram::with_opts(options).unwrap();
    BATCHES.iter().for_each(|points| batch.observe(*points as f64));
    add(Box::new(batch));

    let fixture = observed();
    let mut oracle = Vec::new();
    TextEncoder::new()
        .encode(&registry.gather(), &mut oracle)
        .unwrap();
    let text = fixture.registry.snapshot(Selection::default()).to_text();
    check(
        &text,
        std::str::from_utf8(&oracle).unwrap(),
        2 + 2 + 1 + 1 + (28 + 2) + (22 + 2),
    );
}

#[test]
fn prometheus_escapes_label_values_and_help_as_we_do() {
    let fixture = fixture();
    let series = fixture.engine.0.open(NAME);
    Blocks::register(&series).queries.add(5);
    let options = prometheus::Opts::new(
        "t_queries_total",
        "Logins, by outcome. A \"quoted\" word, a back\\slash.",
    );
    let queries = prometheus::IntCounterVec::new(options, &["db_id"]).unwrap();
    queries.with_label_values(&[NAME]).inc_by(5);
    let mut oracle = Vec::new();
    let families = prometheus::core::Collector::collect(&queries);
    prometheus::TextEncoder::new()
        .encode(&families, &mut oracle)
        .unwrap();
    let (oracle, text) = (
        String::from_utf8(oracle).unwrap(),
        fixture.registry.snapshot(Selection::default()).to_text(),
    );
    let sample = oracle.lines().last().unwrap();
    assert!(text.lines().any(|line| line == sample), "{sample}");
    let help = oracle
        .lines()
        .next()
        .unwrap()
        .replace("t_queries_total", "t_logins_total");
    assert!(text.lines().any(|line| line == help), "{help}");
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OpenLabels {
    db_id: &'static str,
}

#[test]
fn prometheus_client_gives_the_same_openmetrics_page() {
    use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
    use prometheus_client::registry::{Registry, Unit};
    let mut registry = Registry::default();
    let sent = Counter::<u64>::default();
    sent.inc_by(99);
    registry.register_with_unit("t_sent", "Bytes sent", Unit::Bytes, sent);
    let queries = Family::<OpenLabels, Counter>::default();
    queries.get_or_create(&OpenLabels { db_id: "main" }).inc_by(5);
    registry.register("t_queries", "Queries", queries);
    let in_flight = Gauge::<i64>::default();
    in_flight.set(-4);
    registry.register("t_in_flight", "Requests in flight", in_flight);
    let latency = Family::<RouteLabels, Histogram>::new_with_constructor(|| Histogram::new(bounds(-20, 6)));
    let route = latency.get_or_create_owned(&RouteLabels {
        method: "POST",
        endpoint: "/query",
    });
    LATENCIES
        .iter()
        .for_each(|nanos| route.observe(*nanos as f64 / 1e9));
    registry.register_with_unit("t_latency", "Latency by route", Unit::Seconds, latency);

    let fixture = observed();
    fixture.web.sent.add(99);
    let series = fixture.engine.0.open("main");
    Blocks::register(&series).queries.add(5);
    let mut oracle = String::new();
    prometheus_client::encoding::text::encode(&mut oracle, &registry).unwrap();
    let openmetrics = fixture.registry.snapshot(Selection::default()).to_openmetrics();
    check(&openmetrics, &oracle, 1 + 1 + 1 + 28 + 2);
    // They also put the same lines around the samples of a counter with a unit.
    for line in oracle.lines().filter(|line| line.contains("t_sent")) {
        assert!(openmetrics.lines().any(|own| own == line), "{line}");
    }
}
