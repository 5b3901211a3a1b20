//! How long queries take while a scraper asks for page after page, beside queries alone and queries beside a thread
//! that computes: a scrape takes its processor time from somewhere, and must not make anybody wait beyond that.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use omendb::client::Client;
use omendb_bench::stopwatch::wall_s;
use serde_json::json;

use crate::metrics::median;
use crate::server::{Server, send};
use crate::{Report, memory};

const DIMENSION: usize = 64;
const POINTS: usize = 5_000;
/// Collections on the page, so that it is one worth scraping.
const COLLECTIONS: usize = 50;
/// Queries of one measurement, and how often each kind is repeated, in turns.
const QUERIES: usize = 1_000;
const ROUNDS: usize = 7;

/// What runs beside the queries.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    Scrapes,
    Computing,
}

/// Adds the figures to `report`.
pub(crate) fn measure(report: &mut Report) -> Result<(), String> {
    let server = Server::start("scrape")?;
    let mut client = server.client();
    fill(&mut client)?;
    let scrapes = AtomicU64::new(0);
    let mut p99 = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (kind, all) in [Beside::Nothing, Beside::Scrapes, Beside::Computing]
            .into_iter()
            .zip(&mut p99)
        {
            let us = beside(kind, &server, &scrapes)?;
            // The first round warms up.
            if round > 0 {
                all.push(us);
            }
        }
    }
    let [alone, scraped, computing] = p99.map(median);
    report.push("scrapes", scrapes.into_inner());
    report.push("query_p99_us", alone);
    report.push("query_p99_us_while_scraped", scraped);
    report.push("query_p99_us_beside_computing", computing);
    Ok(())
}

/// The 99th percentile of [`QUERIES`] queries, microseconds.
fn beside(kind: Beside, server: &Server, scrapes: &AtomicU64) -> Result<f64, String> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = server.client();
            while !is_over.load(Ordering::Relaxed) {
                match kind {
                    Beside::Nothing => return Ok(()),
                    Beside::Computing => drop(black_box((0..1_000_u64).map(black_box).sum::<u64>())),
                    Beside::Scrapes => {
                        memory::page(&mut client)?;
                        scrapes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Ok(())
        });
        let measured = queries(&mut server.client());
        is_over.store(true, Ordering::Relaxed);
        other
            .join()
            .unwrap_or_else(|_| Err("the other thread panicked".to_owned()))?;
        measured
    })
}

fn queries(client: &mut Client) -> Result<f64, String> {
    let mut microseconds = Vec::with_capacity(QUERIES);
    for query in 0..QUERIES {
        let body = json!({"query": vector(query), "limit": 10}).to_string();
        let begin = wall_s();
        send(client, "POST", "/collections/c-0/points/query", &body)?;
        microseconds.push((wall_s() - begin) * 1e6);
    }
    microseconds.sort_by(f64::total_cmp);
    Ok(microseconds[QUERIES * 99 / 100])
}

/// One collection with points, and others that only have their series.
fn fill(client: &mut Client) -> Result<(), String> {
    for index in 0..COLLECTIONS {
        let config = json!({"vectors": {"size": DIMENSION, "distance": "Cosine"}}).to_string();
        send(client, "PUT", &format!("/collections/c-{index}"), &config)?;
    }
    let points: Vec<_> = (0..POINTS)
        .map(|id| json!({"id": id, "vector": vector(id)}))
        .collect();
    let points = json!({"points": points}).to_string();
    send(client, "PUT", "/collections/c-0/points?wait=true", &points).map(drop)
}

/// Any vector, another for each `seed`.
fn vector(seed: usize) -> Vec<f64> {
    (0..DIMENSION)
        .map(|component| (1 + (seed * 31 + component * 17) % 997) as f64 / 997.0)
        .collect()
}
