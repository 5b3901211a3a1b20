//! One snapshot in every format: chosen by content negotiation, filtered by name and collection, compressed on request.

use std::io::Read as _;

use serde_json::Value;

use crate::page::Page;
use crate::server::{Server, create_collection, upsert};

fn busy() -> Server {
    let server = Server::start();
    let mut client = server.client();
    for name in ["a", "b"] {
        create_collection(&mut client, name, "Dot");
        upsert(&mut client, name, 0..10);
        let body = serde_json::json!({"query": [1, 2, 3, 4]});
        client
            .post(&format!("/collections/{name}/points/query"), &body)
            .result();
    }
    server
}

#[test]
fn the_accept_header_chooses_the_format() {
    const TEXT: &str = "text/plain; version=0.0.4";
    const OPEN: &str = "application/openmetrics-text; version=1.0.0";
    let server = busy();
    let check = |accept: Option<&str>, expected: &str| {
        let headers = accept.map(|accept| ("accept", accept));
        let response = server.client().send("GET", "/metrics", headers.as_slice(), b"");
        assert_eq!(response.status, 200, "{accept:?}");
        let content_type = response.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with(expected),
            "{accept:?} got {content_type}"
        );
        assert_eq!(
            response.text().ends_with("# EOF\n"),
            expected == OPEN,
            "{accept:?}"
        );
    };
    check(None, TEXT);
    check(Some("*/*"), TEXT);
    check(Some("text/plain"), TEXT);
    check(Some("text/html"), TEXT);
    check(Some("application/openmetrics-text"), OPEN);
    check(
        Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"),
        OPEN,
    );
    check(
        Some("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4"),
        TEXT,
    );
    check(Some("application/openmetrics-text;q=0,*/*;q=0.1"), TEXT);
    check(
        Some(";;q=,=,application/openmetrics-text;version=1.0.0,garbage"),
        OPEN,
    );
    // What Prometheus 2.42 sends.
    check(
        Some(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ),
        OPEN,
    );
}

#[test]
fn gzip_comes_on_request_only() {
    let server = busy();
    let plain = server.client().get("/metrics");
    assert_eq!(plain.header("content-encoding"), None);
    let accept = [("accept-encoding", "gzip, deflate;q=0.5")];
    let packed = server.client().send("GET", "/metrics", &accept, b"");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(Page::parse(&text).types.len() > 20);
    // The budget of a default page with little on it; here there are two collections and more routes than one.
    assert!(packed.body.len() < 12 * 1024, "{} bytes", packed.body.len());
    let refused = server
        .client()
        .send("GET", "/metrics", &[("accept-encoding", "gzip;q=0")], b"");
    assert_eq!(refused.header("content-encoding"), None);
}

#[test]
fn names_and_collections_select() {
    let server = busy();
    let families = |path: &str| -> Page {
        let response = server.client().get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        Page::parse(response.text())
    };
    let page =
        families("/metrics?name%5B%5D=omendb_engine_queries_total&name[]=omendb_query_duration_seconds");
    let names: Vec<_> = page.types.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["omendb_engine_queries_total", "omendb_query_duration_seconds"]
    );
    assert_eq!(page.value(r#"omendb_engine_queries_total{db_id="a"}"#), 1.0);
    let page = families("/metrics?db_id=a");
    assert!(page.samples.keys().any(|series| series.contains(r#"db_id="a""#)));
    assert!(!page.samples.keys().any(|series| series.contains(r#"db_id="b""#)));
    assert!(families("/metrics?name[]=no_such_family").types.is_empty());
}

#[test]
fn json_and_openmetrics_say_what_the_text_says() {
    let server = busy();
    let text = server.scrape();
    let accept = [("accept", "application/openmetrics-text")];
    let open = server.client().send("GET", "/metrics", &accept, b"");
    let json = server.client().get("/metrics/json");
    assert_eq!(json.header("content-type"), Some("application/json"));
    let json = json.json();
    let families = json["families"].as_array().expect("families is a list");
    let names: std::collections::BTreeSet<_> = families
        .iter()
        .filter_map(|family| family["name"].as_str())
        .collect();
    assert_eq!(
        names,
        text.types.keys().map(String::as_str).collect(),
        "the same families"
    );

    // A figure that the scrapes themselves do not move.
    let series = r#"omendb_engine_vectors_indexed_total{db_id="a"}"#;
    assert_eq!(text.value(series), 10.0);
    assert!(open.text().contains(&format!("{series} 10")), "{}", open.text());
    let sample = sample(families, "omendb_engine_vectors_indexed_total", "a");
    assert_eq!(sample["value"], 10, "{sample}");
    let sample = self::sample(families, "omendb_query_duration_seconds", "a");
    assert_eq!(sample["count"], 1, "{sample}");
    for field in ["sum", "mean", "p50", "p95", "p99"] {
        assert!(
            sample[field].as_f64().is_some_and(|value| value > 0.0),
            "{field} in {sample}"
        );
    }
    assert!(
        sample["buckets"]
            .as_array()
            .is_some_and(|buckets| !buckets.is_empty()),
        "{sample}"
    );
}

fn sample<'a>(families: &'a [Value], name: &str, collection: &str) -> &'a Value {
    let family = families
        .iter()
        .find(|family| family["name"] == name)
        .expect("the family is there");
    let samples = family["samples"].as_array().expect("samples is a list");
    samples
        .iter()
        .find(|sample| sample["labels"]["db_id"] == collection)
        .expect("the collection has a sample")
}
