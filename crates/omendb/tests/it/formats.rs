//! One snapshot in every format: chosen by content negotiation, filtered by name and collection, compressed on request.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::client_model::{self, MetricFamily};
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
    const PROTOBUF: &str =
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
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
        let is_open = response.body.ends_with(b"# EOF\n");
        assert_eq!(is_open, expected == OPEN, "{accept:?}");
        // The first byte of a text page is that of a comment.
        assert_eq!(response.body[0] != b'#', expected == PROTOBUF, "{accept:?}");
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
    // What it sends with --enable-feature=native-histograms.
    check(
        Some(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
             application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ),
        PROTOBUF,
    );
    check(Some("application/vnd.google.protobuf;encoding=text"), TEXT);
}

/// The page of `path` as protocol buffers.
fn families(server: &Server, path: &str) -> Vec<MetricFamily> {
    let accept = [("accept", "application/vnd.google.protobuf")];
    let response = server.client().send("GET", path, &accept, b"");
    assert_eq!(response.status, 200, "{path}");
    client_model::families(&response.body)
}

/// The families with their types, of each that has any.
fn types(families: &[MetricFamily]) -> BTreeSet<(String, &'static str)> {
    let kind = |family: &MetricFamily| ["counter", "gauge", "", "", "histogram"][family.kind() as usize];
    families
        .iter()
        .map(|family| (family.name().to_owned(), kind(family)))
        .collect()
}

#[test]
fn protobuf_says_what_the_text_says() {
    let server = busy();
    let check = |query: &str| {
        let families = families(&server, &format!("/metrics?{query}"));
        let text = server.client().get(&format!("/metrics?{query}"));
        let text = Page::parse(text.text());
        let named: BTreeSet<_> = text
            .types
            .iter()
            .map(|(name, kind)| (name.clone(), kind.as_str()))
            .collect();
        assert_eq!(types(&families), named, "{query}");
        (families, text)
    };
    // What no request between the two pages moves.
    let (found, text) = check("name[]=omendb_query_duration_seconds&name[]=omendb_engine_queries_total");
    assert_eq!(by_labels_but_bound(&found), without_bounds(&text));
    let (all, _) = check("");
    assert!(all.len() > 60, "{} families", all.len());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for (family, metric) in all
        .iter()
        .flat_map(|family| family.metric.iter().map(move |metric| (family, metric)))
    {
        let Some(histogram) = &metric.histogram else {
            continue;
        };
        histogram.check_native(family.name());
        let started = histogram
            .created_timestamp
            .as_ref()
            .map(|start| start.unix_nanos());
        assert!(started.is_some_and(|start| (now - 600_000_000_000..now).contains(&start)));
    }
    let (of_a, _) = check("db_id=a");
    let of_a = client_model::samples(&of_a);
    assert!(
        !of_a.is_empty()
            && of_a
                .keys()
                .all(|(_, labels)| labels.get("db_id").is_some_and(|id| id == "a"))
    );
    assert!(families(&server, "/metrics?name[]=no_such_family").is_empty());
}

/// The values of each series in ascending order, the buckets of a histogram as one.
type Values = BTreeMap<String, Vec<String>>;

fn by_labels_but_bound(families: &[MetricFamily]) -> Values {
    let samples = client_model::samples(families).into_iter();
    values(samples.map(|((name, mut labels), value)| {
        labels.remove("le");
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        (format!("{name}{{{}}}", labels.join(",")), value)
    }))
}

fn without_bounds(page: &Page) -> Values {
    values(page.samples.iter().map(|(series, value)| {
        let (before, bound) = series.split_once(",le=\"").unwrap_or((series, ""));
        let after = bound.split_once('"').map_or("", |(_, after)| after);
        (format!("{before}{after}"), *value)
    }))
}

fn values(samples: impl Iterator<Item = (String, f64)>) -> Values {
    let mut values = Values::new();
    for (series, value) in samples {
        values.entry(series).or_default().push(value.to_string());
    }
    values.values_mut().for_each(|values| values.sort_unstable());
    values
}

#[test]
fn every_format_is_compressed_on_request_and_left_out_of_the_answer_to_a_head() {
    let server = busy();
    for accept in [
        "text/plain",
        "application/openmetrics-text",
        "application/vnd.google.protobuf",
    ] {
        // A page that the requests made here do not change.
        let path = "/metrics?db_id=a";
        let plain = server.client().send("GET", path, &[("accept", accept)], b"");
        let headers = [("accept", accept), ("accept-encoding", "gzip")];
        let packed = server.client().send("GET", path, &headers, b"");
        assert_eq!(packed.header("content-encoding"), Some("gzip"), "{accept}");
        assert_eq!(
            packed.header("content-type"),
            plain.header("content-type"),
            "{accept}"
        );
        let mut page = Vec::new();
        flate2::read::GzDecoder::new(packed.body.as_slice())
            .read_to_end(&mut page)
            .unwrap();
        assert_eq!(page.len(), plain.body.len(), "{accept}");
        let head = server.client().send("HEAD", path, &[("accept", accept)], b"");
        assert_eq!((head.status, head.body.len()), (200, 0), "{accept}");
        assert_eq!(
            head.header("content-type"),
            plain.header("content-type"),
            "{accept}"
        );
    }
}

#[test]
fn an_answer_names_its_request_and_exemplars_lead_to_it() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let server = busy();
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let body = serde_json::json!({"query": [1, 2, 3, 4]}).to_string();
    let query = |collection: &str, headers: &[(&str, &str)]| {
        let path = format!("/collections/{collection}/points/query");
        let headers = [headers, &[("content-type", "application/json")]].concat();
        let answer = server.client().send("POST", &path, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
            .header("x-request-id")
            .expect("every answer has one")
            .to_owned()
    };
    // A collection's first query, in a bucket that has no exemplar of this second.
    let mut client = server.client();
    for name in ["named", "traced", "nameless"] {
        create_collection(&mut client, name, "Dot");
    }
    assert_eq!(query("named", &[("x-request-id", "ticket-42")]), "ticket-42");
    assert_eq!(
        query(
            "traced",
            &[("x-request-id", "ticket-43"), ("traceparent", &parent)]
        ),
        "ticket-43"
    );
    let made = query(
        "nameless",
        &[("x-request-id", "two words"), ("traceparent", "00-zz")],
    );
    assert_eq!(made.len(), 16, "{made}");
    let refused = server.client().get("/no/such/route");
    assert!(refused.header("x-request-id").is_some());

    let selection =
        "/metrics?name[]=omendb_query_duration_seconds&name[]=omendb_http_request_latency_seconds";
    let accept = [("accept", "application/openmetrics-text")];
    let page = server.client().send("GET", selection, &accept, b"");
    let exemplar_of = |collection: &str, label: &str| {
        let mut lines = page.text().lines();
        lines.any(|line| line.contains(&format!("db_id=\"{collection}\"")) && line.contains(label))
    };
    assert!(
        exemplar_of("named", "# {request_id=\"ticket-42\"}"),
        "{}",
        page.text()
    );
    assert!(
        exemplar_of("traced", &format!("# {{trace_id=\"{TRACE}\"}}")),
        "{}",
        page.text()
    );
    assert!(
        exemplar_of("nameless", &format!("# {{request_id=\"{made}\"}}")),
        "{}",
        page.text()
    );
    let latency =
        |line: &str| line.starts_with("omendb_http_request_latency_seconds_bucket") && line.contains(" # {");
    assert!(page.text().lines().any(latency), "{}", page.text());
    let with_native = |family: &MetricFamily| {
        let histograms = family
            .metric
            .iter()
            .filter_map(|metric| metric.histogram.as_ref());
        histograms
            .map(|histogram| histogram.exemplars.len())
            .sum::<usize>()
            > 0
    };
    assert!(families(&server, selection).iter().all(with_native));
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
    let names: BTreeSet<_> = families
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
