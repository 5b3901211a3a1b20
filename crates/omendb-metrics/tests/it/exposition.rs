//! What a page looks like in every format.

use std::sync::Arc;

use omendb_metrics::{
    Blocks, Catalogue, Cell, Clock, Collect, Counter, Counters, DeclarationError, Family, FloatGauge, Gauge,
    Histogram, HistogramCells, Label, ManualTime, OpenGroup, Reading, Registry, Selection, Size, Snapshot,
    gzip, labels, metrics,
};

use crate::page::Page;

labels! {
    /// How a login ended.
    pub(crate) enum Login("status") { Success = "success", Failure = "failure" }
}
labels! {
    /// Status codes.
    pub(crate) enum Status("code") { Ok = "200", NotFound = "404" }
}

/// A label of two keys from a table that is known at start.
#[derive(Clone, Copy)]
pub(crate) struct Route(pub(crate) usize);

const ROUTES: [[&str; 2]; 3] = [
    ["GET", "/"],
    ["POST", "/query"],
    ["GET", "/collections/:collection"],
];

impl Label for Route {
    const KEYS: &'static [&'static str] = &["method", "endpoint"];
    const SPARSE: bool = true;

    fn count() -> usize {
        ROUTES.len()
    }

    fn index(self) -> usize {
        self.0
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        ROUTES[index]
    }
}

metrics! {
    /// One of everything that any thread may write.
    pub(crate) struct Web {
        /// Requests by route and status.
        pub(crate) requests: Counters<(Route, Status)> = "t_requests_total",
        /// Logins, by outcome. A "quoted" word, a back\slash.
        pub(crate) logins: Counters<Login> = "t_logins_total",
        /// Bytes sent.
        pub(crate) sent: Counter = "t_sent_bytes_total",
        /// Requests in flight.
        pub(crate) in_flight: Gauge = "t_in_flight",
        /// Share of something.
        pub(crate) share: FloatGauge = "t_share_ratio" experimental,
        /// Latency by route.
        pub(crate) latency: Family<Route, Histogram> = "t_latency_seconds",
        /// Time in a queue.
        pub(crate) wait: Histogram = "t_wait_seconds",
        /// Points in a batch.
        pub(crate) batch: Histogram<Size> = "t_batch_points",
    }
}
metrics! {
    /// What a worker counts.
    pub(crate) block Query by "db_id" {
        /// Queries.
        pub(crate) queries: Cell = "t_queries_total",
        /// Failed ones.
        pub(crate) failures: Family<Login, Cell> = "t_failures_total",
        /// Their latency.
        pub(crate) latency: HistogramCells = "t_query_seconds",
    }
}

pub(crate) struct Engine(pub(crate) OpenGroup<Arc<Blocks<Query>>>);

impl Collect for Engine {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.open_group::<Query>(self.0.cardinality())
    }

    fn collect(&self, out: &mut Snapshot) {
        self.0.collect(out, |series, out| drop(out.blocks(series)));
    }
}

pub(crate) struct Fixture {
    pub(crate) web: Arc<Web>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) registry: Registry,
}

pub(crate) fn fixture() -> Fixture {
    fixture_and_time().0
}

pub(crate) fn fixture_and_time() -> (Fixture, Arc<ManualTime>) {
    let (clock, time) = Clock::manual();
    time.set_wall(1_700_000_000_123_456_789);
    let web = Arc::new(Web::default());
    let engine = Arc::new(Engine(OpenGroup::new("db_id", 3, clock.clone())));
    let registry = Registry::new(clock, vec![web.clone(), engine.clone()]).unwrap();
    let fixture = Fixture {
        web,
        engine,
        registry,
    };
    (fixture, time)
}

impl Fixture {
    fn text(&self) -> String {
        self.registry.scrape(Selection::default(), Snapshot::to_text)
    }

    fn selected(&self, query: &str) -> Page {
        Page::parse(
            &self
                .registry
                .scrape(Selection::from_query(query), Snapshot::to_text),
        )
    }
}

#[test]
fn closed_labels_start_at_zero_and_sparse_ones_when_they_happen() {
    let fixture = fixture();
    let text = fixture.text();
    assert!(text.starts_with(
        "# HELP t_requests_total Requests by route and status.\n# TYPE t_requests_total counter\n\
         # HELP t_logins_total Logins, by outcome. A \"quoted\" word, a back\\\\slash.\n# TYPE t_logins_total counter\n\
         t_logins_total{status=\"success\"} 0\nt_logins_total{status=\"failure\"} 0\n\
         # HELP t_sent_bytes_total Bytes sent.\n# TYPE t_sent_bytes_total counter\nt_sent_bytes_total 0\n\
         # HELP t_in_flight Requests in flight.\n# TYPE t_in_flight gauge\nt_in_flight 0\n\
         # HELP t_share_ratio Share of something.\n# TYPE t_share_ratio gauge\n\
         # HELP t_latency_seconds Latency by route.\n# TYPE t_latency_seconds histogram\n\
         # HELP t_wait_seconds Time in a queue.\n# TYPE t_wait_seconds histogram\n\
         t_wait_seconds_bucket{le=\"9.5367431640625e-07\"} 0\n"
    ), "{text}");
    fixture.web.requests.add((Route(1), Status::NotFound), 3);
    fixture.web.share.set(0.25);
    fixture.web.in_flight.set(-2);
    let text = fixture.text();
    assert!(text.contains("\nt_requests_total{method=\"POST\",endpoint=\"/query\",code=\"404\"} 3\n# HELP"));
    assert!(text.contains("\nt_share_ratio 0.25\n") && text.contains("\nt_in_flight -2\n"));
}

/// More values than one page of counters holds.
#[derive(Clone, Copy)]
struct Number(usize);

const NUMBERS: [&str; 19] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
];

impl Label for Number {
    const KEYS: &'static [&'static str] = &["n"];

    fn count() -> usize {
        NUMBERS.len()
    }

    fn index(self) -> usize {
        self.0
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        [NUMBERS[index]]
    }
}

metrics! {
    /// Families of more series than a page of counters holds.
    pub(crate) struct Numbered {
        /// Dense.
        dense: Counters<Number> = "t_dense_total",
        /// Sparse.
        sparse: Counters<(Number, Route)> = "t_sparse_total",
        /// Gauges.
        gauges: Family<Number, Gauge> = "t_gauges",
    }
}

#[test]
fn every_count_is_under_its_own_labels() {
    let numbered = Arc::new(Numbered::default());
    let registry = Registry::new(Clock::manual().0, vec![numbered.clone()]).unwrap();
    // The middle of the sparse family stays untouched.
    let touched = |n: usize| !(3..=14).contains(&n);
    for n in 0..NUMBERS.len() {
        numbered.dense.add(Number(n), n as u64);
        numbered.gauges.of(Number(n)).set(n as i64);
        if touched(n) {
            numbered.sparse.add((Number(n), Route(n % 3)), n as u64 + 1);
        }
    }
    let page = Page::parse(&registry.scrape(Selection::default(), Snapshot::to_text));
    for (n, number) in NUMBERS.iter().enumerate() {
        assert_eq!(page.value("t_dense_total", &[("n", number)]), Some(n as f64));
        assert_eq!(page.value("t_gauges", &[("n", number)]), Some(n as f64));
        let [method, endpoint] = ROUTES[n % 3];
        let labels = [("n", *number), ("method", method), ("endpoint", endpoint)];
        assert_eq!(
            page.value("t_sparse_total", &labels),
            touched(n).then_some(n as f64 + 1.0)
        );
    }
}

#[test]
fn histograms_show_cumulative_buckets_sum_and_count() {
    let fixture = fixture();
    fixture.web.latency.of(Route(0)).record(1_000_000_000);
    fixture.web.latency.of(Route(0)).record(1_000_000_001);
    fixture.web.batch.record(500);
    let page = Page::parse(&fixture.text());
    let route = [("method", "GET"), ("endpoint", "/")];
    let bucket = |le| page.value("t_latency_seconds_bucket", &[route[0], route[1], ("le", le)]);
    assert_eq!(
        [bucket("0.5"), bucket("1"), bucket("2"), bucket("inf")],
        [0.0, 1.0, 2.0, 2.0].map(Some)
    );
    assert_eq!(page.value("t_latency_seconds_count", &route), Some(2.0));
    assert_eq!(page.value("t_latency_seconds_sum", &route), Some(2.000_000_001));
    assert_eq!(page.value("t_batch_points_bucket", &[("le", "512")]), Some(1.0));
    assert_eq!(page.value("t_batch_points_sum", &[]), Some(500.0));
    let other = [("method", "POST"), ("endpoint", "/query")];
    assert_eq!(page.value("t_latency_seconds_count", &other), None);
}

#[test]
fn openmetrics_differs_in_headers_and_end_only() {
    let fixture = fixture();
    fixture.web.requests.increment((Route(0), Status::Ok));
    let openmetrics = fixture.registry.snapshot(Selection::default()).to_openmetrics();
    assert!(openmetrics.ends_with("\n# EOF\n"));
    assert!(openmetrics.contains(
        "# TYPE t_sent_bytes counter\n# UNIT t_sent_bytes bytes\n# HELP t_sent_bytes Bytes sent.\nt_sent_bytes_total 0\n"
    ));
    assert!(openmetrics.contains("A \\\"quoted\\\" word, a back\\\\slash."));
    assert!(!openmetrics.contains("_created"));
    let text = fixture.registry.snapshot(Selection::default()).to_text();
    let samples = |page: &str| {
        page.lines()
            .filter(|line| !line.starts_with('#'))
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(samples(&openmetrics), samples(&text));
    assert_eq!(Page::parse(&openmetrics).samples, Page::parse(&text).samples);
}

#[test]
fn label_values_survive_every_format() {
    for name in ["a\"b\\c\nd", "Grüße 你好 \u{1f980}", "{a=\"b\"} 1", " ", "#"] {
        let fixture = fixture();
        let series = fixture.engine.0.open(name);
        Blocks::register(&series).queries.add(7);
        let snapshot = fixture.registry.snapshot(Selection::default());
        assert_eq!(snapshot.value("t_queries_total", &[("db_id", name)]), Some(7.0));
        for text in [snapshot.to_text(), snapshot.to_openmetrics()] {
            assert_eq!(
                Page::parse(&text).value("t_queries_total", &[("db_id", name)]),
                Some(7.0),
                "{text}"
            );
        }
        let json: serde_json::Value = serde_json::from_str(&snapshot.to_json()).unwrap();
        let family = json["families"]
            .as_array()
            .unwrap()
            .iter()
            .find(|family| family["name"] == "t_queries_total");
        assert_eq!(family.unwrap()["samples"][0]["labels"]["db_id"], name);
    }
}

#[test]
fn control_characters_never_reach_a_page() {
    let fixture = fixture();
    let _series = fixture.engine.0.open("tab\tbell\u{7}");
    let snapshot = fixture.registry.snapshot(Selection::default());
    assert!(snapshot.to_text().contains("{db_id=\"tab\u{fffd}bell\u{fffd}\"}"));
    serde_json::from_str::<serde_json::Value>(&snapshot.to_json()).unwrap();
}

#[test]
fn json_says_what_the_text_says() {
    let fixture = fixture();
    let series = fixture.engine.0.open("main");
    let block = Blocks::register(&series);
    (1..=100).for_each(|i| block.latency.record(i * 100_000));
    fixture.web.share.set(f64::NAN);
    let snapshot = fixture.registry.snapshot(Selection::default());
    let text = Page::parse(&snapshot.to_text());
    let json: serde_json::Value = serde_json::from_str(&snapshot.to_json()).unwrap();
    assert_eq!(json["timestamp"], 1_700_000_000.123);
    for family in json["families"].as_array().unwrap() {
        let name = family["name"].as_str().unwrap();
        assert_eq!(text.kinds[name], family["type"].as_str().unwrap());
        assert_eq!(text.help[name], family["help"].as_str().unwrap());
        for sample in family["samples"].as_array().unwrap() {
            let labels = sample["labels"].as_object().unwrap();
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap()))
                .collect();
            if family["type"] == "histogram" {
                assert_eq!(
                    sample["count"].as_f64(),
                    text.value(&format!("{name}_count"), &labels)
                );
                assert_eq!(
                    sample["sum"].as_f64(),
                    text.value(&format!("{name}_sum"), &labels)
                );
                for bucket in sample["buckets"].as_array().unwrap() {
                    let le = bucket["le"]
                        .as_str()
                        .unwrap()
                        .replace('+', "")
                        .to_lowercase()
                        .parse::<f64>()
                        .unwrap();
                    let mut labels = labels.clone();
                    let le = le.to_string();
                    labels.push(("le", &le));
                    assert_eq!(
                        bucket["count"].as_f64(),
                        text.value(&format!("{name}_bucket"), &labels)
                    );
                }
            } else if name == "t_share_ratio" {
                assert!(sample["value"].is_null() && text.value(name, &[]).unwrap().is_nan());
            } else {
                assert_eq!(sample["value"].as_f64(), text.value(name, &labels), "{name}");
            }
        }
    }
    let latency = json["families"]
        .as_array()
        .unwrap()
        .iter()
        .find(|family| family["name"] == "t_query_seconds")
        .unwrap();
    let sample = &latency["samples"][0];
    assert!((sample["mean"].as_f64().unwrap() - 0.005_05).abs() < 1e-9);
    assert!((sample["p95"].as_f64().unwrap() - 0.0095).abs() < 0.0095 * 0.045);
}

#[test]
fn ten_thousand_observations_leave_the_page_as_long_as_ten() {
    let fixture = fixture();
    let length = |observations: u64| {
        (0..observations).for_each(|i| fixture.web.latency.of(Route(2)).record(i * 7_919));
        fixture.text().len()
    };
    let (few, many) = (length(10), length(10_000));
    // Longer by the digits of the numbers only.
    assert!(many - few < 300, "{few} -> {many} bytes");
}

#[test]
fn a_selection_keeps_whole_families_and_series_only() {
    let fixture = fixture();
    let _both = ["main", "other"].map(|name| fixture.engine.0.open(name));
    let page = fixture.selected("name[]=t_query_seconds&name[]=t_wait_seconds_bucket");
    assert_eq!(
        page.kinds.keys().collect::<Vec<_>>(),
        ["t_query_seconds", "t_wait_seconds"]
    );
    assert_eq!(page.samples.len(), 3 * (28 + 2));
    let page = fixture.selected("db_id=main");
    assert!(
        page.samples
            .keys()
            .all(|(_, labels)| labels.get("db_id").is_some_and(|id| id == "main"))
    );
    assert_eq!(page.value("t_queries_total", &[("db_id", "main")]), Some(0.0));
    assert!(fixture.selected("name[]=nothing").kinds.is_empty());
    assert!(fixture.selected("db_id=nothing").samples.is_empty());
}

#[test]
fn every_declared_family_is_on_the_page_and_in_the_catalogue() {
    let fixture = fixture();
    let page = Page::parse(&fixture.text());
    let catalogue: Vec<_> = fixture
        .registry
        .catalogue()
        .families()
        .iter()
        .map(|family| family.name)
        .collect();
    assert_eq!(page.kinds.len(), catalogue.len());
    assert!(catalogue.iter().all(|name| page.kinds.contains_key(*name)));
    assert_eq!(
        Page::parse(&Registry::new(Clock::manual().0, vec![]).unwrap().scrape(
            Selection::default(),
            |empty| {
                assert!(empty.find("omendb_metrics_series", &[]).is_some());
                empty.to_openmetrics()
            }
        ))
        .kinds
        .len(),
        4
    );
}

#[test]
fn scraping_is_counted_and_the_series_too() {
    let fixture = fixture();
    let first = Page::parse(&fixture.text());
    assert_eq!(first.value("omendb_metrics_scrape_seconds_count", &[]), Some(0.0));
    let snapshot = fixture.registry.snapshot(Selection::default());
    assert_eq!(snapshot.value("omendb_metrics_scrape_seconds", &[]), Some(1.0));
    assert_eq!(
        snapshot.value("omendb_metrics_series", &[]),
        Some(snapshot.series() as f64)
    );
    let before = snapshot.value("omendb_metrics_memory_bytes", &[]).unwrap();
    fixture.web.sent.increment();
    let after = fixture
        .registry
        .snapshot(Selection::default())
        .value("omendb_metrics_memory_bytes", &[])
        .unwrap();
    assert_eq!(after - before, 528.0, "a page of counters and its place");
    assert!(matches!(
        snapshot.find("t_in_flight", &[]),
        Some(Reading::Signed(0))
    ));
}

#[test]
fn gzip_gives_the_page_back() {
    use std::io::Read as _;
    let text = fixture().text();
    let compressed = gzip(text.as_bytes());
    assert!(
        compressed.len() < text.len() / 4,
        "{} of {}",
        compressed.len(),
        text.len()
    );
    let mut page = String::new();
    flate2::read::GzDecoder::new(&*compressed)
        .read_to_string(&mut page)
        .unwrap();
    assert_eq!(page, text);
}
