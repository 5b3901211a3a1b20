//! Collections and connections come and go while two scrapers read all four formats: no counter goes back, nothing that
//! was counted is lost, and what is gone leaves neither series nor memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, connect};
use crate::client_model;
use crate::page::{Page, sorted};
use crate::server::{Directory, Server, create_collection, upsert};

/// Threads that create and drop collections: more than there are series for beside the one collection that stays.
const CHURNERS: u64 = 4;
/// Collections with series of their own.
const SERIES: &str = "3";
/// How far the allocator's figure may be from one quiet moment to the next though nothing is kept: buffers of connections, the rings of
/// slow queries and of the audit log's rates fill up to their bounds.
const NOISE: f64 = 1e6;

const FORMATS: [&str; 4] = ["text", "OpenMetrics", "protobuf", "JSON"];

/// One series as all formats call it.
fn series(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<_> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
    }
}

/// Whether what is called so only counts.
fn is_counter(series: &str) -> bool {
    let name = series.split('{').next().unwrap_or(series);
    ["_total", "_count", "_bucket"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// The counters of one page in the format of this number.
fn counters(client: &mut Client, format: usize) -> BTreeMap<String, f64> {
    let accept = match format {
        1 => "application/openmetrics-text; version=1.0.0",
        2 => "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        _ => "*/*",
    };
    let path = if format == 3 { "/metrics/json" } else { "/metrics" };
    let answer = client.send("GET", path, &[("accept", accept)], b"");
    assert_eq!(answer.status, 200, "{}", FORMATS[format]);
    let mut counters = match format {
        2 => {
            let samples = client_model::samples(&client_model::families(&answer.body)).into_iter();
            samples
                .map(|((name, labels), value)| (series(&name, &labels), value))
                .collect()
        }
        3 => of_json(&answer.json()),
        _ => {
            let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
            // An exemplar follows the value.
            let samples = lines.map(|line| line.split(" # ").next().unwrap_or(line));
            samples
                .map(|sample| {
                    let (series, value) = sample.rsplit_once(' ').expect("a sample has a value");
                    (sorted(series), value.parse().expect("a value is a number"))
                })
                .collect::<BTreeMap<_, _>>()
        }
    };
    counters.retain(|series, _| is_counter(series));
    counters
}

/// Counters, and how many observations histograms have.
fn of_json(page: &Value) -> BTreeMap<String, f64> {
    let mut counters = BTreeMap::new();
    for family in page["families"].as_array().expect("families") {
        let name = family["name"].as_str().expect("a name");
        for sample in family["samples"].as_array().expect("samples") {
            let labels: BTreeMap<String, String> =
                serde_json::from_value(sample["labels"].clone()).expect("labels are texts");
            match (sample["value"].as_f64(), sample["count"].as_f64()) {
                (Some(value), None) => counters.insert(series(name, &labels), value),
                (None, Some(count)) => counters.insert(series(&format!("{name}_count"), &labels), count),
                _ => unreachable!("{name}: {sample}"),
            };
        }
    }
    counters
}

/// What a scraper has seen last of each series, whatever the format.
#[derive(Default)]
struct Scraper {
    last: BTreeMap<String, f64>,
    pages: u64,
}

impl Scraper {
    /// Reads all four formats one after the other and compares each with those before.
    fn scrape(&mut self, client: &mut Client, begin: usize) {
        for format in (begin..begin + FORMATS.len()).map(|number| number % FORMATS.len()) {
            let page = counters(client, format);
            assert!(page.len() > 100, "{} counters in {}", page.len(), FORMATS[format]);
            for (series, value) in page {
                let last = self.last.insert(series.clone(), value).unwrap_or(0.0);
                assert!(
                    value >= last,
                    "{}: {series} from {last} to {value}",
                    FORMATS[format]
                );
            }
            self.pages += 1;
        }
    }
}

/// One collection from its creation to its end, under a name that nothing had before.
fn churn(client: &mut Client, name: &str) {
    let path = format!("/collections/{name}");
    create_collection(client, name, "Dot");
    upsert(client, name, 0..20);
    let query = json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "n", "range": {"lt": 10}}]}});
    client.post(&format!("{path}/points/query"), &query).result();
    let short = json!({"points": [{"id": 1, "vector": [1]}]});
    assert_eq!(client.put(&format!("{path}/points"), &short).status, 400);
    client.delete(&path).result();
}

/// A connection that breaks off: before its head is complete, before its body is, or before it has its answer.
fn break_off(server: &Server, number: u64) {
    let body = json!({"query": [1, 2, 3, 4]}).to_string();
    let head = format!(
        "POST /collections/steady/points/query HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        server.address(),
        body.len()
    );
    let whole = head.clone() + &body;
    let sent = [head.len() / 2, head.len() + 3, whole.len()][(number % 3) as usize];
    let mut stream = connect(server.address()).expect("the server accepts");
    stream
        .write_all(&whole.as_bytes()[..sent])
        .expect("the server reads");
}

/// What was done to a server.
#[derive(Debug, Default)]
struct Done {
    churned: AtomicU64,
    asked: AtomicU64,
    broken: AtomicU64,
    pages: AtomicU64,
}

impl Done {
    fn get(counter: &AtomicU64) -> f64 {
        counter.load(Ordering::Relaxed) as f64
    }
}

/// Stops the others when one of them has failed, so that the test ends.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Everything at once, until `rounds` collections have come and gone.
fn storm(server: &Server, done: &Done, scrapers: &mut [Scraper; 2], rounds: u64) {
    let first = done.churned.load(Ordering::Relaxed);
    let next = AtomicU64::new(first);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churners: Vec<_> = (0..CHURNERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = server.client();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= first + rounds || is_over.load(Ordering::Relaxed) {
                            return;
                        }
                        churn(&mut client, &format!("brief-{number}"));
                        done.churned.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let _stop = StopAtEnd(&is_over);
            while !is_over.load(Ordering::Relaxed) {
                // A connection of its own each time.
                let answer = server
                    .client()
                    .post("/query", &json!({"db_id": "steady", "vector": [1, 2, 3, 4]}));
                assert_eq!(answer.status, 200, "{}", answer.text());
                break_off(server, done.broken.fetch_add(1, Ordering::Relaxed));
                done.asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for (number, scraper) in scrapers.iter_mut().enumerate() {
            let is_over = &is_over;
            scope.spawn(move || {
                let _stop = StopAtEnd(is_over);
                let mut client = server.client();
                let before = scraper.pages;
                while !is_over.load(Ordering::Relaxed) {
                    scraper.scrape(&mut client, number * 2);
                }
                done.pages.fetch_add(scraper.pages - before, Ordering::Relaxed);
            });
        }
        let ends: Vec<_> = churners.into_iter().map(|churner| churner.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok), "a churner failed");
    });
}

/// The page once nothing of a storm is left on the server: only the scraper is connected.
fn quiet(server: &Server) -> Page {
    let mut client = server.client();
    Page::until(&mut client, r#"omendb_connection_pool_active{pool="http"}"#, 1.0);
    Page::until(&mut client, r#"omendb_connection_pool_active{pool="main"}"#, 0.0);
    Page::until(&mut client, "omendb_engine_retired_bytes", 0.0);
    Page::scrape(&mut client)
}

/// Everything that was done is counted, and nothing else.
fn check_counts(page: &Page, done: &Done) {
    let churned = Done::get(&done.churned);
    let requests = |method: &str, endpoint: &str, status: &str| {
        page.value(&format!(
            r#"omendb_http_requests_total{{method="{method}",endpoint="{endpoint}",status="{status}"}}"#
        ))
    };
    let collection = "/collections/:collection";
    let points = format!("{collection}/points");
    assert_eq!(requests("PUT", collection, "200"), churned + 1.0);
    assert_eq!(requests("DELETE", collection, "200"), churned);
    assert_eq!(requests("PUT", &points, "200"), churned + 1.0);
    assert_eq!(requests("PUT", &points, "400"), churned);
    assert_eq!(requests("POST", "/query", "200"), Done::get(&done.asked));
    assert_eq!(
        page.value(r#"omendb_metrics_dropped_total{reason="redacted"}"#),
        0.0
    );
    assert_eq!(
        page.value(r#"omendb_metrics_dropped_total{reason="undeclared"}"#),
        0.0
    );
    // Each collection either had series of its own, which left with it, or shared those of the overflow.
    let dropped = |reason: &str| page.value(&format!("omendb_metrics_dropped_total{{reason=\"{reason}\"}}"));
    assert_eq!(dropped("removed") + dropped("limit"), churned);
    let queries = r#"omendb_engine_queries_total{db_id="_overflow"}"#;
    assert_eq!(page.get(queries).unwrap_or(0.0), dropped("limit"));
}

/// The names of the series, without those that come with what was sampled or timed by chance.
fn lasting(page: &Page) -> BTreeSet<&str> {
    let names = page.samples.keys().map(String::as_str);
    names
        .filter(|series| {
            !["accuracy", "status=\"499\"", "status=\"400\"", "_bucket"]
                .iter()
                .any(|part| series.contains(part))
        })
        .collect()
}

fn start() -> Server {
    // Spans of every request, to a collector that is not there.
    let options = [
        ["--metrics-max-collections", SERIES],
        ["--slots-count", "2"],
        ["--traces-endpoint", "http://127.0.0.1:1"],
        ["--traces-ratio", "1"],
        ["--traces-timeout", "200ms"],
    ];
    let server = Server::start_in(&Directory::new(), &options.concat());
    create_collection(&mut server.client(), "steady", "Dot");
    upsert(&mut server.client(), "steady", 0..100);
    server
}

/// What is kept for good, bytes.
fn allocated(page: &Page) -> f64 {
    page.value("omendb_allocator_allocated_bytes") - page.value("omendb_metrics_history_bytes")
}

#[test]
fn counters_never_go_back_and_what_is_gone_leaves_nothing() {
    let server = start();
    let (done, mut scrapers) = (Done::default(), <[Scraper; 2]>::default());
    storm(&server, &done, &mut scrapers, 60);
    let before = quiet(&server);
    check_counts(&before, &done);
    storm(&server, &done, &mut scrapers, 60);
    let after = quiet(&server);
    check_counts(&after, &done);
    assert!(
        Done::get(&done.pages) >= 8.0 && Done::get(&done.broken) >= 3.0,
        "{done:?}"
    );

    let named: Vec<_> = after
        .samples
        .keys()
        .filter(|series| series.contains("brief"))
        .collect();
    assert!(named.is_empty(), "series of collections that are gone: {named:?}");
    let (first, second) = (lasting(&before), lasting(&after));
    let more: Vec<_> = second.difference(&first).collect();
    assert!(more.is_empty(), "series that a second storm added: {more:?}");
    let grown = |figure: fn(&Page) -> f64| figure(&after) - figure(&before);
    let memory = |page: &Page| page.value("omendb_metrics_memory_bytes");
    assert!(
        grown(memory) < 50_000.0,
        "metrics grew by {} bytes",
        grown(memory)
    );
    assert!(grown(allocated) < NOISE, "{} bytes more", grown(allocated));
    for figure in ["process_open_fds", "process_threads"] {
        let more = after.value(figure) - before.value(figure);
        assert!(more <= 2.0, "{figure} grew by {more}");
    }
}

/// The same for minutes: `cargo x soak`. Prints its figures, one JSON object on the last line.
#[test]
#[ignore = "takes minutes: cargo x soak"]
fn soak() {
    let minutes = std::env::var("OMENDB_SOAK_MINUTES").ok();
    let minutes: u64 = minutes.map_or(1, |text| text.parse().expect("OMENDB_SOAK_MINUTES is a number"));
    let server = start();
    let (done, mut scrapers) = (Done::default(), <[Scraper; 2]>::default());
    let begin = Instant::now();
    let mut quiets: Vec<Page> = Vec::new();
    println!("seconds  collections  pages  allocated  metrics  resident  series  fds  threads");
    while begin.elapsed() < Duration::from_secs(60 * minutes) {
        storm(&server, &done, &mut scrapers, 500);
        let page = quiet(&server);
        check_counts(&page, &done);
        println!(
            "{:7.0} {:12} {:6} {:10.0} {:8.0} {:9.0} {:7.0} {:4.0} {:8.0}",
            begin.elapsed().as_secs_f64(),
            Done::get(&done.churned),
            Done::get(&done.pages),
            allocated(&page),
            page.value("omendb_metrics_memory_bytes"),
            page.value("process_resident_memory_bytes"),
            page.value("omendb_metrics_series"),
            page.value("process_open_fds"),
            page.value("process_threads"),
        );
        quiets.push(page);
    }
    let [.., third, _, last] = &quiets[..] else {
        unreachable!("{} quiet moments in {minutes} minutes", quiets.len());
    };
    let early = &quiets[quiets.len() / 3];
    let churned = |page: &Page| {
        page.value(
            r#"omendb_http_requests_total{method="DELETE",endpoint="/collections/:collection",status="200"}"#,
        )
    };
    let grown = |figure: &dyn Fn(&Page) -> f64| figure(last) - figure(early);
    let per_collection = grown(&allocated) / grown(&churned).max(1.0);
    let resident = grown(&|page| page.value("process_resident_memory_bytes"));
    let figures = json!({
        "minutes": minutes,
        "collections": Done::get(&done.churned),
        "pages": Done::get(&done.pages),
        "broken_connections": Done::get(&done.broken),
        "allocated_bytes": allocated(last),
        "allocated_growth_bytes": grown(&allocated),
        "allocated_growth_per_collection_bytes": per_collection,
        "resident_growth_bytes": resident,
        "series": last.value("omendb_metrics_series"),
    });
    println!("{figures}");
    assert!(grown(&allocated) < NOISE, "{figures}");
    assert!(lasting(last).is_subset(&lasting(third)), "series came late");
}
