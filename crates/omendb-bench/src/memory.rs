//! What a server's metrics hold in memory, by their own account, and the size of its page after light traffic.
//!
//! The account is compared with the allocator's in the tests of omendb-metrics. Every execution slot has cells of its
//! own, so the bytes grow with the processors. Budgets: 50 KB for all default metrics, 80 bytes for each series of a
//! counter, 8 KB for the compressed page. And where the memory of a server is that holds the 50,000 real points: what
//! nobody accounts for may be a twentieth of it.

use std::collections::BTreeMap;

use omendb::client::Client;
use omendb_engine::{CollectionConfig, Distance};
use omendb_metrics::{Counters, Metric as _, gzip};
use serde_json::{Value, json};

use crate::export::{ENDPOINTS, Route, STATUSES, Status};
use crate::http::asked_when_loaded;
use crate::server::{Server, send};
use crate::{Options, Report};

/// Components of a point.
const DIMENSION: usize = 8;
/// Light traffic: points written and queries made by one client, one after the other.
const POINTS: usize = 100;
const QUERIES: usize = 100;
/// Collections added to the first, to see what each of them takes.
const MORE_COLLECTIONS: usize = 16;

/// `cargo x bench memory`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let mut report = Report::default();
    let (one, all) = with_traffic()?;
    report.push("default_metrics_bytes", one);
    report.push(
        "per_collection_bytes",
        (all - one) as f64 / MORE_COLLECTIONS as f64,
    );
    report.push("bytes_per_counter_series", bytes_per_counter());
    let page = page_of_one_route()?;
    report.push("default_page_bytes", page.len());
    report.push("default_page_gzip_bytes", gzip(&page).len());
    let parts = parts_when_loaded(options)?;
    let whole: f64 = parts.values().sum();
    let unattributed = parts.get("unattributed").copied().unwrap_or(whole);
    report.push("ledger_bytes", json!(parts));
    report.push("ledger_unattributed_fraction", unattributed / whole);
    Ok(report)
}

/// The physical memory of a server that holds the real points, by what it is used for.
fn parts_when_loaded(options: &Options) -> Result<BTreeMap<String, f64>, String> {
    const FAMILY: &str = "omendb_memory_bytes";
    let page = asked_when_loaded(options, &format!("/metrics/json?name[]={FAMILY}"))?;
    let samples = page["families"][0]["samples"].as_array();
    let samples = samples.ok_or_else(|| format!("no {FAMILY} in {page}"))?;
    let part = |sample: &Value| {
        Some((
            sample["labels"]["part"].as_str()?.to_owned(),
            sample["value"].as_f64()?,
        ))
    };
    let parts: Option<BTreeMap<_, _>> = samples.iter().map(part).collect();
    parts.ok_or_else(|| format!("{FAMILY} is not as expected: {page}"))
}

/// Bytes held by all metrics of a server with one collection, and with [`MORE_COLLECTIONS`], each of which was
/// created, written and queried.
fn with_traffic() -> Result<(u64, u64), String> {
    let server = Server::start("memory")?;
    let mut client = server.client();
    traffic(&mut client, "first")?;
    let one = metrics_bytes(&mut client)?;
    for index in 0..MORE_COLLECTIONS {
        traffic(&mut client, &format!("more-{index}"))?;
    }
    Ok((one, metrics_bytes(&mut client)?))
}

fn traffic(client: &mut Client, collection: &str) -> Result<(), String> {
    let path = format!("/collections/{collection}");
    let config = json!({"vectors": {"size": DIMENSION, "distance": "Cosine"}});
    send(client, "PUT", &path, &config.to_string())?;
    let points: Vec<Value> = (0..POINTS)
        .map(|id| json!({"id": id, "vector": vector(id), "payload": {"number": id}}))
        .collect();
    let points = json!({"points": points}).to_string();
    send(client, "PUT", &format!("{path}/points?wait=true"), &points)?;
    queries(client, collection)
}

fn queries(client: &mut Client, collection: &str) -> Result<(), String> {
    let path = format!("/collections/{collection}/points/query");
    (0..QUERIES).try_for_each(|query| {
        let body = json!({"query": vector(query), "limit": 10});
        send(client, "POST", &path, &body.to_string()).map(drop)
    })
}

/// Any vector, another for each `seed`.
fn vector(seed: usize) -> Vec<f64> {
    (0..DIMENSION)
        .map(|component| (1 + (seed * 31 + component * 17) % 97) as f64 / 97.0)
        .collect()
}

/// What the metrics hold by the server's own count.
fn metrics_bytes(client: &mut Client) -> Result<u64, String> {
    const FAMILY: &str = "omendb_metrics_memory_bytes";
    let page = send(client, "GET", &format!("/metrics/json?name[]={FAMILY}"), "")?;
    let bytes = page["families"][0]["samples"][0]["value"].as_u64();
    bytes.ok_or_else(|| format!("no {FAMILY} in {page}"))
}

/// Bytes on the heap for each series of a family of which all are in use.
fn bytes_per_counter() -> f64 {
    let counters = Counters::<(Route, Status)>::default();
    for route in 0..ENDPOINTS.len() {
        for status in 0..STATUSES.len() {
            counters.increment((Route(route), Status(status)));
        }
    }
    counters.heap_bytes() as f64 / (ENDPOINTS.len() * STATUSES.len()) as f64
}

/// A server with one collection after queries, the only requests it ever got, and the client that sent them.
pub(crate) fn server_of_one_route() -> Result<(Server, Client), String> {
    let server = Server::start("page")?;
    let engine = server.engine().ok_or("the server has ended")?;
    engine
        .create_collection("main", CollectionConfig::unnamed(DIMENSION, Distance::Cosine))
        .map_err(|error| error.to_string())?;
    let mut client = server.client();
    queries(&mut client, "main")?;
    Ok((server, client))
}

/// The page of such a server.
pub(crate) fn page_of_one_route() -> Result<Vec<u8>, String> {
    let (_server, mut client) = server_of_one_route()?;
    page(&mut client)
}

/// One scrape.
pub(crate) fn page(client: &mut Client) -> Result<Vec<u8>, String> {
    let answer = client
        .send("GET", "/metrics", "")
        .map_err(|error| format!("GET /metrics: {error}"))?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("GET /metrics: {status}")),
    }
}
