//! 50,000 real points over HTTP in batches of 500: exact answers equal the given neighbours, near ones have most of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::Client;
use crate::consumers::skipped;
use crate::server::{Directory, Server};

const DIMENSION: usize = 384;
const NEIGHBORS: usize = 100;
const BATCH: usize = 500;
/// Queries asked: all would take a minute more in a test build and show nothing else.
const QUERIES: usize = 200;
/// Scores this close are ties: the vectors are stored as f16 and compared in f32.
const TIE: f64 = 2e-6;

/// The data set of `OMENDB_DATA` (see `cargo x test`), if there is one.
fn data_set() -> Option<PathBuf> {
    std::env::var_os("OMENDB_DATA").map(PathBuf::from)
}

/// The rows of a little-endian `.npy` file, whose header ends with a line feed.
fn npy(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()));
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].to_vec()
}

/// IEEE 754 half precision; the data holds no infinities.
fn half(bits: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bits);
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    if exponent == 0 {
        sign * fraction * 2_f32.powi(-24)
    } else {
        sign * (1024.0 + fraction) * 2_f32.powi(exponent - 25)
    }
}

fn vectors(path: &Path) -> Vec<f32> {
    npy(path)
        .as_chunks::<2>()
        .0
        .iter()
        .map(|&bits| half(bits))
        .collect()
}

/// `{"points":[{"id":..,"vector":[..]},..]}` for the rows from `first`.
fn batch(rows: &[f32], first: usize) -> String {
    let mut body = "{\"points\":[".to_owned();
    for (row, id) in rows.chunks(DIMENSION).zip(first..) {
        let comma = if id == first { "" } else { "," };
        write!(body, "{comma}{{\"id\":{id},\"vector\":{row:?}}}").expect("a String takes everything");
    }
    body + "]}"
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Uploads all points in batches of [`BATCH`], each a body of megabytes.
fn upload(client: &mut Client, points: &[f32]) {
    let created = json!({"vectors": {"size": DIMENSION, "distance": "Cosine"}});
    client.put("/collections/packages", &created).result();
    let path = "/collections/packages/points?wait=true";
    for (rows, number) in points.chunks(BATCH * DIMENSION).zip(0..) {
        let body = batch(rows, number * BATCH);
        assert!(body.len() > 1_000_000, "batch {number} has {} bytes", body.len());
        let answer = client.send("PUT", path, &[], body.as_bytes());
        assert_eq!(answer.status, 200, "batch {number}: {}", answer.text());
    }
    let count = client.post("/collections/packages/points/count", &json!({"exact": true}));
    assert_eq!(count.result()["count"], points.len() / DIMENSION);
}

/// The queries, and the nearest points of each, best first.
fn questions(dir: &Path) -> (Vec<f32>, Vec<usize>) {
    let neighbors = npy(&dir.join("neighbors100.i32.npy"));
    let neighbors = neighbors.as_chunks::<4>().0.iter();
    let neighbors = neighbors.map(|&bytes| i32::from_le_bytes(bytes) as usize);
    (vectors(&dir.join("queries.f16.npy")), neighbors.collect())
}

/// Asks for the nearest of `query` and compares them, rank by rank, with `expected`.
fn verify(client: &mut Client, points: &[f32], query: &[f32], expected: &[usize]) {
    let body = json!({"query": query, "limit": expected.len(), "params": {"exact": true}});
    let hits = client.post("/collections/packages/points/query", &body).result();
    let hits = hits["points"].as_array().expect("points is a list");
    let row = |id: usize| &points[id * DIMENSION..][..DIMENSION];
    let mut seen = BTreeSet::new();
    for (hit, &expected) in hits.iter().zip(expected) {
        let found = hit["id"].as_u64().expect("ids are numbers") as usize;
        assert!(seen.insert(found), "point {found} came twice");
        let is = cosine(query, row(found));
        let is_tie = (is - cosine(query, row(expected))).abs() <= TIE;
        assert!(
            found == expected || is_tie,
            "found {found} where {expected} is nearer"
        );
        let score = hit["score"].as_f64().expect("scores are numbers");
        assert!(
            (score - is).abs() < 1e-5,
            "point {found} scores {is}, not {score}"
        );
    }
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn exact_answers_equal_the_given_neighbours() {
    let Some(dir) = data_set() else {
        return skipped("the 50,000 real points: OMENDB_DATA is not set");
    };
    let server = Server::start();
    let mut client = server.client();
    let points = vectors(&dir.join("vectors.f16.npy"));
    upload(&mut client, &points);

    let (queries, neighbors) = questions(&dir);
    let asked = queries.chunks(DIMENSION).zip(neighbors.chunks(NEIGHBORS));
    for (query, expected) in asked.take(QUERIES) {
        verify(&mut client, &points, query, expected);
    }
    let page = server.scrape();
    let count = points.len() / DIMENSION;
    assert_eq!(
        page.value(r#"omendb_engine_vectors{db_id="packages"}"#),
        count as f64
    );
    let distances = page.value(r#"omendb_engine_distance_computations_total{db_id="packages"}"#);
    assert_eq!(
        distances,
        (QUERIES * count) as f64,
        "an exact search looks at every point"
    );
}

/// The share of the nearest ten that queries find, with these parameters; all have to go through the graph.
fn recall(client: &mut Client, params: &Value, (queries, neighbors): (&[f32], &[usize])) -> f64 {
    let mut right = 0;
    let asked = queries
        .chunks(DIMENSION)
        .zip(neighbors.chunks(NEIGHBORS))
        .take(QUERIES);
    for (query, expected) in asked {
        let body = json!({"query": query, "limit": 10, "params": params});
        let hits = client.post("/collections/packages/points/query", &body).result();
        let hits = hits["points"].as_array().expect("points is a list");
        let found = hits.iter().filter_map(|hit| hit["id"].as_u64());
        right += found
            .filter(|id| expected[..10].contains(&(*id as usize)))
            .count();
    }
    right as f64 / (10 * QUERIES) as f64
}

/// Waits until nearly all vectors are found through the graph; some are in chunks that are not full.
fn until_indexed(client: &mut Client, points: usize) {
    for _ in 0..600 {
        let info = client.get("/collections/packages").result();
        if info["indexed_vectors_count"]
            .as_u64()
            .is_some_and(|indexed| indexed as usize + 256 > points)
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    unreachable!(
        "the graph is not built: {}",
        client.get("/collections/packages").text()
    );
}

#[test]
fn near_answers_come_from_the_graph_and_a_killed_server_takes_it_up_again() {
    let Some(dir) = data_set() else {
        return skipped("the 50,000 real points: OMENDB_DATA is not set");
    };
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    let points = vectors(&dir.join("vectors.f16.npy"));
    let count = points.len() / DIMENSION;
    upload(&mut client, &points);
    until_indexed(&mut client, count);
    let (queries, neighbors) = questions(&dir);
    let asked = (&queries[..], &neighbors[..]);
    let (by_default, with_more) = (json!({}), json!({"hnsw_ef": 512}));
    let first = recall(&mut client, &by_default, asked);
    assert!(first >= 0.95, "recall of the nearest ten, by default: {first}");
    let more = recall(&mut client, &with_more, asked);
    assert!(
        more >= 0.99,
        "recall of the nearest ten, of 512 candidates: {more}"
    );
    let page = server.scrape();
    let value = |name: &str| page.value(&format!(r#"{name}{{db_id="packages"}}"#));
    let distances = value("omendb_engine_distance_computations_total");
    assert!(
        distances < (2 * QUERIES * count / 5) as f64,
        "{distances} distances are those of scans"
    );
    assert!(value("omendb_engine_hops_total") > (2 * QUERIES * 100) as f64);
    assert_eq!(page.value("omendb_engine_index_build_seconds_count"), 1.0);
    let inserted = value("omendb_engine_graph_insertions_total");

    drop(server.kill());
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    until_indexed(&mut client, count);
    let again = server
        .scrape()
        .value(r#"omendb_engine_graph_insertions_total{db_id="packages"}"#);
    assert!(
        again * 4.0 < inserted,
        "{again} of {inserted} vectors were inserted again"
    );
    let second = recall(&mut client, &by_default, asked);
    assert!(second >= 0.95, "recall after the restart: {second}");
}
