//! 50,000 real points over HTTP in batches of 500: exact answers equal the given neighbours, up to ties.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::consumers::skipped;
use crate::server::Server;

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

#[test]
fn exact_answers_equal_the_given_neighbours() {
    let Some(dir) = data_set() else {
        return skipped("the 50,000 real points: OMENDB_DATA is not set");
    };
    let server = Server::start();
    let mut client = server.client();
    let created = json!({"vectors": {"size": DIMENSION, "distance": "Cosine"}});
    client.put("/collections/packages", &created).result();
    let points = vectors(&dir.join("vectors.f16.npy"));
    for (rows, number) in points.chunks(BATCH * DIMENSION).zip(0..) {
        let body = batch(rows, number * BATCH);
        assert!(body.len() > 1_000_000, "a batch is a body of megabytes");
        let answer = client.send(
            "PUT",
            "/collections/packages/points?wait=true",
            &[],
            body.as_bytes(),
        );
        assert_eq!(answer.status, 200, "batch {number}: {}", answer.text());
    }
    let count = client
        .post("/collections/packages/points/count", &json!({"exact": true}))
        .result();
    assert_eq!(count["count"], points.len() / DIMENSION);

    let queries = vectors(&dir.join("queries.f16.npy"));
    let neighbors = npy(&dir.join("neighbors100.i32.npy"));
    let neighbors: Vec<usize> = neighbors
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| i32::from_le_bytes(bytes) as usize)
        .collect();
    let row = |id: usize| &points[id * DIMENSION..][..DIMENSION];
    let asked = queries
        .chunks(DIMENSION)
        .zip(neighbors.chunks(NEIGHBORS))
        .take(QUERIES);
    for (query, expected) in asked {
        let body = json!({"query": query, "limit": NEIGHBORS});
        let hits = client.post("/collections/packages/points/query", &body).result();
        let hits = hits["points"].as_array().expect("points is a list").clone();
        let found: Vec<usize> = hits
            .iter()
            .map(|hit| hit["id"].as_u64().expect("ids are numbers") as usize)
            .collect();
        assert_eq!(found.len(), NEIGHBORS);
        assert_eq!(
            found.iter().collect::<std::collections::BTreeSet<_>>().len(),
            NEIGHBORS,
            "a hit came twice"
        );
        for ((&found, &expected), hit) in found.iter().zip(expected).zip(&hits) {
            let is = cosine(query, row(found));
            let other = found != expected && (is - cosine(query, row(expected))).abs() > TIE;
            assert!(
                !other,
                "found {found} where {expected} is nearer, and it is no tie"
            );
            let score = hit["score"].as_f64().expect("scores are numbers");
            assert!(
                (score - is).abs() < 1e-5,
                "point {found} scores {is}, the server says {score}"
            );
        }
    }
    let page = server.scrape();
    assert_eq!(page.value(r#"omendb_engine_vectors{db_id="packages"}"#), 50_000.0);
    let distances = page.value(r#"omendb_engine_distance_computations_total{db_id="packages"}"#);
    assert_eq!(
        distances,
        (QUERIES * 50_000) as f64,
        "an exact search looks at every point"
    );
}
