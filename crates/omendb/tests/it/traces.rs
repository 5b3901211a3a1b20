//! Sampled requests become spans at a collector, whatever it does no request waits for it, and what is lost is counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::collector::{Collector, Manner, attribute};
use crate::page::Page;
use crate::server::{Directory, Server, create_collection};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A server that sends its spans to `collector`.
fn server(collector: &Collector, more: &[&str]) -> Server {
    let endpoint = collector.endpoint();
    let arguments = [&["--traces-endpoint", &endpoint], more].concat();
    Server::start_in(&Directory::new(), &arguments)
}

/// A search in collection `c` whose caller has decided about its trace.
fn query(client: &mut Client, flags: &str) -> Response {
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let headers = [
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=abc"),
        ("x-request-id", "the-one"),
    ];
    let body = json!({"query": [1, 2, 3, 4]}).to_string();
    client.send("POST", "/collections/c/points/query", &headers, body.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn spans_by_outcome(page: &Page) -> [f64; 4] {
    ["exported", "rejected", "failed", "dropped"]
        .map(|outcome| page.value(&format!("omendb_trace_spans_total{{outcome=\"{outcome}\"}}")))
}

/// Scrapes until the counts are `expected`.
fn until(server: &Server, expected: impl Fn([f64; 4]) -> bool) -> [f64; 4] {
    let begin = Instant::now();
    loop {
        let counts = spans_by_outcome(&server.scrape());
        if expected(counts) {
            return counts;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{counts:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn root(spans: &[Span]) -> &Span {
    let mut roots = spans.iter().filter(|span| span.kind() == SpanKind::Server);
    roots.next().expect("a span of the request itself")
}

#[test]
fn a_request_of_a_sampled_trace_is_a_span_in_it() {
    let collector = Collector::start(Manner::Willing);
    let server = server(&collector, &["--traces-ratio", "0"]);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let wall = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.expect("a clock after 1970").as_nanos() as u64
    };
    let before = wall();
    let answer = query(&mut client, "01");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer
        .header("traceparent")
        .expect("a sampled request is told its span");

    let spans = collector.wait_for(1);
    let after = wall();
    let span = root(&spans);
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&span.span_id)));
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(span.trace_state, "vendor=abc");
    assert_eq!(span.name, "POST /collections/:collection/points/query");
    assert_eq!(span.status, None);
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    assert!(before <= start && start < end && end <= after, "{start} to {end}");
    let check = |key: &str, expected: &str| {
        assert_eq!(attribute(span, key).as_deref(), Some(expected), "{key}");
    };
    check("http.request.method", "POST");
    check("http.route", "/collections/:collection/points/query");
    check("http.response.status_code", "200");
    check("http.request.body.size", "19");
    check("http.response.body.size", &answer.body.len().to_string());
    check("omendb.request_id", "the-one");
    check("omendb.collection", "c");
    let resource = collector.messages()[0].resource_spans[0].resource.clone();
    let resource = resource.expect("the message says who sends it");
    assert!(
        resource
            .attributes
            .iter()
            .any(|attribute| attribute.key == "service.name"),
        "{resource:?}"
    );
    // Nothing else was sampled: not what built the collection, not the scrape before this one.
    assert_eq!(until(&server, |counts| counts[0] > 0.0)[1..], [0.0; 3]);
    assert_eq!(collector.spans().len(), spans.len());
}

#[test]
fn callers_that_do_not_sample_are_left_alone_and_others_are_drawn() {
    let collector = Collector::start(Manner::Willing);
    let check = |ratio: &str, headers: &[(&str, &str)], expected: bool| {
        let server = server(&collector, &["--traces-ratio", ratio]);
        let answer = server.client().send("GET", "/livez", headers, b"");
        let told = answer.header("traceparent");
        assert_eq!(told.is_some(), expected, "{ratio} {headers:?}: {told:?}");
    };
    let unwanted = format!("00-{TRACE}-{PARENT}-00");
    check("1", &[], true);
    check("0", &[], false);
    check("1", &[("traceparent", &unwanted)], false);
    check("0", &[("traceparent", "00-nonsense")], false);
    // Without a collector nothing is sampled, whatever a caller asks for.
    let wanted = format!("00-{TRACE}-{PARENT}-01");
    let answer = Server::start()
        .client()
        .send("GET", "/livez", &[("traceparent", &wanted)], b"");
    assert_eq!(answer.header("traceparent"), None);
}

/// A request to `c` that is sampled, and its spans: first its own, then those of its stages in order of their begin.
fn spans_of(server: &Server, collector: &Collector, method: &str, path: &str, body: &Value) -> Vec<Span> {
    let known = collector.spans().len();
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", parent.as_str())];
    let answer = server
        .client()
        .send(method, path, &headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    // All spans of a request are in one message.
    let mut spans = collector.wait_for(known + 1).split_off(known);
    spans.sort_by_key(|span| (span.kind() != SpanKind::Server, span.start_time_unix_nano));
    spans
}

/// Nanoseconds of each of a request's stages, checked to be children of its own span that follow on one another and fill it.
fn stages(spans: &[Span]) -> BTreeMap<&str, u64> {
    let (root, children) = spans.split_first().expect("a span of the request itself");
    assert_eq!(root.kind(), SpanKind::Server);
    let mut ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len(), "no two have one id");
    let mut nanos = BTreeMap::new();
    let mut covered = root.start_time_unix_nano;
    for child in children {
        assert_eq!(child.trace_id, root.trace_id);
        assert_eq!(child.parent_span_id, root.span_id);
        assert_eq!(child.kind(), SpanKind::Internal);
        assert_eq!(child.start_time_unix_nano, covered, "{}", child.name);
        covered = child.end_time_unix_nano;
        *nanos.entry(child.name.as_str()).or_default() += covered - child.start_time_unix_nano;
    }
    assert_eq!(covered, root.end_time_unix_nano);
    nanos
}

#[test]
fn the_stages_of_a_request_are_spans_that_fill_its_own() {
    let collector = Collector::start(Manner::Willing);
    let server = server(&collector, &["--traces-ratio", "0"]);
    create_collection(&mut server.client(), "c", "Dot");
    // The stages that there must be, in the order in which they begin; and some that there must not be.
    let check = |method: &str, path: &str, body: Value, expected: &[&str], unexpected: &[&str]| {
        let spans = spans_of(&server, &collector, method, path, &body);
        let stages = stages(&spans);
        let begun: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        let mut places = expected
            .iter()
            .map(|stage| begun.iter().position(|name| name == stage));
        assert!(places.all(|place| place.is_some()), "{path}: {begun:?}");
        let places = expected
            .iter()
            .map(|stage| begun.iter().position(|name| name == stage));
        assert!(places.is_sorted(), "{path}: {begun:?}");
        for stage in unexpected {
            assert!(!stages.contains_key(stage), "{path}: {begun:?}");
        }
        assert_eq!(attribute(&spans[0], "omendb.collection").as_deref(), Some("c"));
    };
    let point = |id: u64| json!({"id": id, "vector": [1, 2, 3, id], "payload": {"n": id}});
    let points = json!({"points": (0..100).map(point).collect::<Vec<_>>()});
    check(
        "PUT",
        "/collections/c/points?wait=true",
        points,
        &["receive", "queue", "parse", "apply", "fsync", "serialise", "send"],
        &["search", "fetch"],
    );
    let filter = json!({"must": [{"key": "n", "range": {"lt": 50}}]});
    let query = json!({"query": [1, 2, 3, 4], "limit": 20, "filter": filter, "with_payload": true});
    check(
        "POST",
        "/collections/c/points/query",
        query.clone(),
        &[
            "receive",
            "queue",
            "parse",
            "filter",
            "search",
            "fetch",
            "serialise",
            "send",
        ],
        &["fsync", "apply"],
    );
    // The collection is in the body.
    check(
        "POST",
        "/query",
        json!({"db_id": "c", "vector": [1, 2, 3, 4]}),
        &["queue", "parse", "search", "serialise", "send"],
        &["filter", "fsync"],
    );
    check(
        "POST",
        "/collections/c/points/query/batch",
        json!({"searches": vec![query; 200]}),
        &["queue", "parse", "filter", "search", "fetch", "serialise", "send"],
        &["fsync"],
    );
}

#[test]
fn the_stages_in_a_trace_are_those_that_are_counted() {
    let collector = Collector::start(Manner::Willing);
    let server = server(&collector, &["--traces-ratio", "0"]);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let before = server.scrape();
    let body = json!({"query": [1, 2, 3, 4]});
    let spans = spans_of(&server, &collector, "POST", "/collections/c/points/query", &body);
    let moved = server.scrape().since(&before);
    let same = |name: &str, series: &str, nanos: u64| {
        let seconds = moved.get(series).copied().unwrap_or_default();
        assert!(
            (seconds - nanos as f64 / 1e9).abs() < 1e-9,
            "{name}: {seconds} s, {nanos} ns"
        );
    };
    let whole = spans[0].end_time_unix_nano - spans[0].start_time_unix_nano;
    same("whole", "omendb_query_exchange_seconds_sum", whole);
    let stages = stages(&spans);
    assert_eq!(stages.values().sum::<u64>(), whole);
    for (name, nanos) in stages {
        same(
            name,
            &format!("omendb_query_stage_seconds_sum{{stage=\"{name}\"}}"),
            nanos,
        );
    }
}

/// Sends `requests` sampled ones and checks that none of them waits for the collector.
fn hurry(server: &Server, requests: usize) {
    let mut client = server.client();
    let begin = Instant::now();
    for _ in 0..requests {
        assert_eq!(query(&mut client, "01").status, 404);
    }
    let taken = begin.elapsed();
    assert!(
        taken < Duration::from_secs(20),
        "{taken:?} for {requests} requests"
    );
}

#[test]
fn what_a_collector_does_not_take_is_counted() {
    let check = |manner: Manner, outcome: usize, expected: f64| {
        let collector = Collector::start(manner);
        let server = server(&collector, &["--traces-ratio", "0"]);
        hurry(&server, 3);
        let counts = until(&server, |counts| counts.iter().sum::<f64>() == 3.0);
        assert_eq!(counts[outcome], expected, "{manner:?}: {counts:?}");
    };
    check(Manner::Willing, 0, 3.0);
    check(Manner::Picky(2), 1, 2.0);
    check(Manner::Refusing(503), 2, 3.0);
    check(Manner::Refusing(400), 2, 3.0);
}

#[test]
fn a_silent_collector_costs_spans_and_no_time() {
    let collector = Collector::start(Manner::Silent);
    let more = [
        "--traces-ratio",
        "0",
        "--traces-queue",
        "2",
        "--traces-timeout",
        "500ms",
    ];
    let mut server = server(&collector, &more);
    // More than one message takes and the queue holds, while the first message waits for its answer.
    hurry(&server, 600);
    let counts = until(&server, |counts| counts.iter().sum::<f64>() == 600.0);
    assert!(
        counts[2] > 0.0 && counts[3] > 0.0 && counts[0] == 0.0,
        "{counts:?}"
    );
    assert!(server.log().contains("traces.endpoint"), "{}", server.log());
    let begin = Instant::now();
    server.signal_term();
    assert!(server.wait().success());
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn the_last_spans_are_sent_before_the_server_ends() {
    let collector = Collector::start(Manner::Willing);
    let mut server = server(&collector, &["--traces-ratio", "0"]);
    hurry(&server, 5);
    server.signal_term();
    assert!(server.wait().success());
    assert_eq!(collector.spans().len(), 5);
}
