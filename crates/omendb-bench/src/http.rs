//! Queries over HTTP on the real points by one client and by eight, through the dialect: against the server of this
//! repository, or with `--url` against any peer that speaks it.

mod connection;
pub(crate) mod load;
pub(crate) mod target;
mod truth;

use omendb::client::Client;
use omendb_bench::dataset::{self, Matrix, Package};
use omendb_bench::stopwatch::wall_s;
use serde_json::{Value, json};

use crate::ingest::bodies;
use crate::server::send;
use crate::{Options, Report};
use connection::request;
use load::{Load, Round};
use target::{Collection, Target};
use truth::Truth;

/// Hits of a query, and recall is counted over as many true neighbours.
const K: usize = 10;
/// Rounds of each number of clients, one after the other; medians are reported.
const ROUNDS: usize = 5;
/// Queries of a round, unless told otherwise.
const QUERIES: usize = 5_000;
/// Clients of the second load.
const MANY: usize = 8;
/// Most candidates that are tried for a recall.
const MAX_EF: usize = 4_096;
/// The collection is indexed when it is green and has counted the same vectors for so long.
const SETTLED_S: f64 = 2.0;
/// The longest wait for an index.
const MAX_INDEXING_S: f64 = 900.0;

/// What only this benchmark takes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct HttpOptions {
    /// `--url http://HOST:PORT`: a peer, instead of a server of our own.
    pub(crate) url: Option<String>,
    /// `--pid N`: the peer's process, to read its CPU time.
    pub(crate) pid: Option<u32>,
    /// `--ef N`: candidates a graph search keeps.
    pub(crate) ef: Option<usize>,
    /// `--recall SHARE`: as many candidates as it takes to find this share of the true neighbours, instead of `--ef`.
    pub(crate) recall: Option<f64>,
    /// `--queries N`: of one round.
    pub(crate) queries: Option<usize>,
    /// `--filter NAME`: what the hits have to pass.
    pub(crate) filter: Option<String>,
}

/// `cargo x bench http`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let directory = dataset::directory(options.data.as_deref())?;
    let packages = dataset::packages(&directory)?;
    let (points, queries) = (dataset::vectors(&directory)?, dataset::queries(&directory)?);
    let truth = match &options.http.filter {
        None => Truth::given(&dataset::neighbors(&directory)?),
        Some(name) => Truth::of_filter(name, &packages, (&points, &queries))?,
    };
    let target = Target::of(&options.http)?;
    let mut report = Report::default();
    report.push("n", points.rows());
    report.push("dim", points.columns());
    report.push("k", K);
    let collection = target.create_collection(points.columns())?;
    if let Some(condition) = truth.filter() {
        report.push("filter", condition.to_string());
        report.push("matches", truth.matches());
        collection.create_indexes()?;
    }
    ingest(&collection, (&packages, &points), &mut report)?;
    let requests = |ef| requests(&collection, &queries, (ef, truth.filter()));
    let recall = |ef| recall(&collection, &requests(ef), &truth);
    let ef = match options.http.recall {
        None => options.http.ef,
        Some(wanted) => Some(least_ef(wanted, |ef| recall(Some(ef)))?),
    };
    let requests = requests(ef);
    report.push("ef", ef);
    report.push("recall", recall(ef)?);
    measure_load(
        &target,
        &requests,
        options.http.queries.unwrap_or(QUERIES),
        &mut report,
    )?;
    Ok(report)
}

/// What a server of our own answers on a path when it holds all points with their payloads, indexed.
pub(crate) fn asked_when_loaded(options: &Options, path: &str) -> Result<Value, String> {
    let target = Target::own("http", &[])?;
    let (_collection, _) = loaded(&target, options)?;
    send(&mut Client::new(target.address()), "GET", path, "")
}

/// A collection that holds all points with their payloads, indexed, and every query as the bytes that are sent.
pub(crate) fn loaded<'t>(
    target: &'t Target,
    options: &Options,
) -> Result<(Collection<'t>, Vec<Vec<u8>>), String> {
    let directory = dataset::directory(options.data.as_deref())?;
    let (packages, points) = (dataset::packages(&directory)?, dataset::vectors(&directory)?);
    let collection = target.create_collection(points.columns())?;
    ingest(&collection, (&packages, &points), &mut Report::default())?;
    let queries = dataset::queries(&directory)?;
    let requests = requests(&collection, &queries, (None, None));
    Ok((collection, requests))
}

/// Uploads all points by one client, then waits until they are indexed.
fn ingest(
    collection: &Collection<'_>,
    (packages, points): (&[Package], &Matrix<f32>),
    report: &mut Report,
) -> Result<(), String> {
    let bodies = bodies(packages, points);
    let begun = wall_s();
    for body in &bodies {
        collection.call("PUT", "/points?wait=true", body)?;
    }
    report.push("points_per_s", points.rows() as f64 / (wall_s() - begun));
    let mut indexed = (None, begun);
    loop {
        let info = collection.call("GET", "", "")?;
        let is_green = info["result"]["status"] == "green";
        let count = info["result"]["indexed_vectors_count"].as_u64();
        let now = wall_s();
        if indexed.0 != count || !is_green {
            indexed = (count, now);
        }
        if now - indexed.1 >= SETTLED_S {
            break;
        }
        if now - begun > MAX_INDEXING_S {
            return Err(format!("not indexed after {MAX_INDEXING_S} s: {info}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (count, at) = indexed;
    report.push("indexed_vectors", count);
    report.push("indexed_s", at - begun);
    Ok(())
}

/// Every query as the bytes that are sent.
fn requests(
    collection: &Collection<'_>,
    queries: &Matrix<f32>,
    (ef, filter): (Option<usize>, Option<&Value>),
) -> Vec<Vec<u8>> {
    let of_row = |row: usize| {
        let mut body = json!({"query": queries.row(row), "limit": K});
        if let Some(ef) = ef {
            body["params"] = json!({"hnsw_ef": ef});
        }
        if let Some(filter) = filter {
            body["filter"] = filter.clone();
        }
        let path = collection.path("/points/query");
        request(collection.host(), ("POST", &path), &body.to_string())
    };
    (0..queries.rows()).map(of_row).collect()
}

/// The least number of candidates with which queries find this share of the true neighbours.
fn least_ef(wanted: f64, recall: impl Fn(usize) -> Result<f64, String>) -> Result<usize, String> {
    // More candidates find more, so that the least of them is between two that are halved.
    let (mut too_few, mut enough) = (K - 1, K);
    while recall(enough)? < wanted {
        (too_few, enough) = (enough, enough * 2);
        if enough > MAX_EF {
            return Err(format!(
                "--recall {wanted}: not reached with {too_few} candidates"
            ));
        }
    }
    while enough - too_few > 1 {
        let middle = usize::midpoint(too_few, enough);
        if recall(middle)? < wanted {
            too_few = middle;
        } else {
            enough = middle;
        }
    }
    Ok(enough)
}

/// The mean share of the true neighbours that the answers have.
fn recall(collection: &Collection<'_>, requests: &[Vec<u8>], truth: &Truth) -> Result<f64, String> {
    let (mut right, mut wanted) = (0, 0);
    for (row, request) in requests.iter().enumerate() {
        let answer = collection.exchange(request)?;
        let hits = answer["result"]["points"].as_array();
        let hits = hits.ok_or_else(|| format!("no points in {answer}"))?;
        let found = hits.iter().filter_map(|hit| hit["id"].as_u64());
        right += truth.count_right(row, found);
        wanted += truth.wanted(row);
    }
    Ok(right as f64 / wanted.max(1) as f64)
}

fn measure_load(
    target: &Target,
    requests: &[Vec<u8>],
    queries: usize,
    report: &mut Report,
) -> Result<(), String> {
    let loads = [1, MANY].map(|clients| Load { clients, queries });
    for load in loads {
        // Not counted: caches fill, connections and threads come up to speed.
        let warm = Load {
            queries: requests.len(),
            ..load
        };
        warm.run(target, requests)?;
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (load, rounds) in loads.iter().zip(&mut rounds) {
            rounds.push(load.run(target, requests)?);
        }
    }
    let [one, many] = &rounds;
    report.push("qps_1", median(one, |round| Some(round.qps())));
    report.push("qps_8", median(many, |round| Some(round.qps())));
    report.push("p50_us_1", median(one, |round| Some(round.latency_us(0.5))));
    report.push("p99_us_1", median(one, |round| Some(round.latency_us(0.99))));
    report.push("p50_us_8", median(many, |round| Some(round.latency_us(0.5))));
    report.push("p99_us_8", median(many, |round| Some(round.latency_us(0.99))));
    report.push("server_cpu_us", median(many, Round::server_cpu_us));
    report.push("server_cpu_us_1", median(one, Round::server_cpu_us));
    report.push(
        "generator_cpu_us",
        median(many, |round| Some(round.generator_cpu_us())),
    );
    report.push(
        "generator_cores",
        median(many, |round| Some(round.generator_cores())),
    );
    report.push("server_resident_mb", target.resident_mb());
    report.push("rounds", ROUNDS);
    report.push("queries", queries);
    Ok(())
}

/// The median of a figure that all rounds have.
fn median(rounds: &[Round], figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect::<Option<_>>()?;
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_of_candidates_is_found() {
        let check = |wanted: f64, expected: Option<usize>| {
            // 1 - 1/ef: 0.9 with 10, 0.99 with 100.
            let found = least_ef(wanted, |ef| Ok(1.0 - 1.0 / ef as f64));
            assert_eq!(found.ok(), expected, "{wanted}");
        };
        check(0.0, Some(K));
        check(0.9, Some(K));
        check(0.95, Some(20));
        check(0.9875, Some(80));
        check(0.99, Some(100));
        check(1.0, None);
    }
}
