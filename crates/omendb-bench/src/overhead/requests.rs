//! What the web layer records of a request: counted by callgrind, and timed.

use omendb::http::Rehearsal;
use omendb_bench::stopwatch::thread_cpu_s;
use omendb_engine::SearchStats;

use crate::metrics::median;
use crate::server::Server;
use crate::{Options, Report, callgrind};

/// Requests that callgrind counts, after one that it does not.
const CALLS: usize = 1_000;
/// Requests of one measurement of time, and how many there are; the median counts.
const TIMED: usize = 100_000;
const ROUNDS: usize = 11;

/// Instructions for one request.
pub(crate) fn instructions() -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let (count, _) = callgrind::collected(&program, &["requests"], "*requests::record_request*")?;
    Ok(count as f64 / CALLS as f64)
}

/// Processor time for one request, microseconds.
pub(crate) fn microseconds() -> Result<f64, String> {
    let server = Server::start("requests")?;
    let rehearsal = rehearsal(&server)?;
    let stats = stats();
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = thread_cpu_s();
        (0..TIMED).for_each(|_| record_request(&rehearsal, &stats));
        rounds.push((thread_cpu_s() - begun) / TIMED as f64 * 1e6);
    }
    Ok(median(rounds))
}

/// The `requests` benchmark: what callgrind runs; of no use by itself.
pub(crate) fn measure(_options: &Options) -> Result<Report, String> {
    let server = Server::start("requests")?;
    let rehearsal = rehearsal(&server)?;
    let stats = stats();
    // What is allocated once.
    rehearsal.query(&stats);
    (0..CALLS).for_each(|_| record_request(&rehearsal, &stats));
    let mut report = Report::default();
    report.push("calls", CALLS);
    Ok(report)
}

fn rehearsal(server: &Server) -> Result<Rehearsal, String> {
    let app = server.app().ok_or("the server has ended")?;
    Ok(Rehearsal::new(app))
}

#[inline(never)]
fn record_request(rehearsal: &Rehearsal, stats: &SearchStats) {
    rehearsal.query(stats);
}

/// Of a search like those on the real points.
fn stats() -> SearchStats {
    SearchStats {
        distance_computations: 1_700,
        rescored: 40,
        hops: 110,
        visited: 1_700,
        hits: 10,
        prepare_ns: 1_000,
        scan_ns: 150_000,
        rescore_ns: 5_000,
        gather_ns: 3_000,
        ..SearchStats::default()
    }
}
