//! Sampled requests become spans at a collector, whatever it does no request waits for it, and what is lost is counted.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

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
    let after = wall();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer
        .header("traceparent")
        .expect("a sampled request is told its span");

    let spans = collector.wait_for(1);
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
