//! The 50,000 real points upserted over HTTP, in batches, by one client and by sixteen; each on a fresh server.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use omendb::client::Client;
use omendb_bench::dataset::{self, Matrix, Package};
use omendb_metrics::Clock;
use serde_json::json;

use crate::server::{Server, send};
use crate::{Options, Report};

/// Points of one upsert.
const BATCH: usize = 500;
const COLLECTION: &str = "/collections/packages";

/// `cargo x bench ingest`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let directory = dataset::directory(options.data.as_deref())?;
    let (packages, vectors) = (dataset::packages(&directory)?, dataset::vectors(&directory)?);
    let bodies = bodies(&packages, &vectors);
    let mut report = Report::default();
    report.push("n", vectors.rows());
    report.push("dim", vectors.columns());
    report.push("batch_points", BATCH);
    report.push(
        "batch_mb",
        bodies.iter().map(String::len).sum::<usize>() as f64 / bodies.len() as f64 / 1e6,
    );
    for (clients, rate, syncs) in [
        (1, "points_per_s_1", "fsyncs_per_batch_1"),
        (16, "points_per_s_16", "fsyncs_per_batch_16"),
    ] {
        let run = ingest(&bodies, vectors.columns(), clients)?;
        if run.stored != vectors.rows() as u64 {
            return Err(format!("{} points stored of {}", run.stored, vectors.rows()));
        }
        report.push(rate, vectors.rows() as f64 / run.seconds);
        report.push(syncs, run.fsyncs as f64 / bodies.len() as f64);
    }
    Ok(report)
}

/// What one upload took.
struct Run {
    seconds: f64,
    /// By the server's own count.
    fsyncs: u64,
    stored: u64,
}

fn ingest(bodies: &[String], dimension: usize, clients: usize) -> Result<Run, String> {
    let server = Server::start(&clients.to_string())?;
    let mut client = server.client();
    let config = json!({"vectors": {"size": dimension, "distance": "Cosine"}});
    send(&mut client, "PUT", COLLECTION, &config.to_string())?;
    let fsyncs_before = fsyncs(&mut client)?;
    let clock = Clock::system();
    let start = clock.now();
    upload(&server, bodies, clients)?;
    let seconds = clock.now().since(start).as_secs_f64();
    let fsyncs = fsyncs(&mut client)? - fsyncs_before;
    let count = send(&mut client, "POST", &format!("{COLLECTION}/points/count"), "{}")?;
    let stored = count["result"]["count"]
        .as_u64()
        .ok_or_else(|| format!("no count in {count}"))?;
    Ok(Run {
        seconds,
        fsyncs,
        stored,
    })
}

/// Sends every body once, each client taking the next as soon as it has its answer.
fn upload(server: &Server, bodies: &[String], clients: usize) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let path = format!("{COLLECTION}/points?wait=true");
    let work = || {
        let mut client = server.client();
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            send(&mut client, "PUT", &path, body)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<(), String>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client panicked".to_owned()))
        };
        threads.into_iter().try_for_each(join)
    })
}

/// How many fsyncs of the log the server has counted.
fn fsyncs(client: &mut Client) -> Result<u64, String> {
    const FAMILY: &str = "omendb_log_fsync_seconds";
    let page = send(client, "GET", &format!("/metrics/json?name[]={FAMILY}"), "")?;
    let families = page["families"].as_array().map(Vec::as_slice).unwrap_or_default();
    let family = families.iter().find(|family| family["name"] == FAMILY);
    let samples = family.and_then(|family| family["samples"].as_array());
    let samples = samples.ok_or_else(|| format!("no {FAMILY} in the server's metrics"))?;
    samples
        .iter()
        .map(|sample| sample["count"].as_u64())
        .sum::<Option<u64>>()
        .ok_or_else(|| format!("{FAMILY} has no count"))
}

/// Every batch as a client written in Python would send it: numbers with all their digits, 4 MB in all.
pub(crate) fn bodies(packages: &[Package], vectors: &Matrix<f32>) -> Vec<String> {
    let rows: Vec<usize> = (0..vectors.rows()).collect();
    rows.chunks(BATCH)
        .map(|rows| body(rows, packages, vectors))
        .collect()
}

fn body(rows: &[usize], packages: &[Package], vectors: &Matrix<f32>) -> String {
    let mut body = String::from("{\"points\":[");
    for (position, &row) in rows.iter().enumerate() {
        let Package {
            name,
            section,
            installed_size_kb,
            version,
            tags,
        } = &packages[row];
        let payload = json!({
            "name": name, "section": section, "installed_size_kb": installed_size_kb, "version": version, "tags": tags,
        });
        let separator = if position == 0 { "" } else { "," };
        let components: Vec<String> = vectors
            .row(row)
            .iter()
            .map(|&component| f64::from(component).to_string())
            .collect();
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "{separator}{{\"id\":{row},\"vector\":[{}],\"payload\":{payload}}}",
            components.join(",")
        );
    }
    body.push_str("]}");
    body
}
