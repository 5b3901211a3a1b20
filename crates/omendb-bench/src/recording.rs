//! Instructions of one recording, counted by callgrind: this program runs itself under valgrind, with collection
//! toggled around one function.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use omendb_metrics::{
    Blocks, Cell, Clock, Counter, Family, Histogram, HistogramCells, SparseHistogramCells, WorkerBlocks,
    labels, metrics,
};
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};

use crate::{Options, Report, callgrind};

/// Calls of each function under callgrind.
const CALLS: u64 = 1_000;

/// Figure, and the function that callgrind collects.
const FUNCTIONS: [(&str, &str); 5] = [
    ("record_instructions", "record_in_block"),
    ("shared_record_instructions", "record_shared"),
    ("query_instructions", "record_query"),
    ("prometheus_record_instructions", "record_prometheus"),
    (
        "prometheus_labelled_record_instructions",
        "record_labelled_prometheus",
    ),
];

labels! {
    /// Parts of a query.
    enum Stage("stage") { Plan = "plan", Search = "search", Rescore = "rescore", Payload = "payload" }
}

metrics! {
    /// About what an engine records for a query.
    block QueryCells by "db_id" {
        /// Queries.
        queries: Cell = "bench_queries_total",
        /// Distance computations.
        distances: Cell = "bench_distances_total",
        /// Hops.
        hops: Cell = "bench_hops_total",
        /// Rescored.
        rescored: Cell = "bench_rescored_total",
        /// Rejected by the filter.
        rejected: Cell = "bench_rejected_total",
        /// Bytes touched.
        bytes: Cell = "bench_touched_bytes_total",
        /// Elements.
        elements: Cell = "bench_elements_total",
        /// Elements in full vectors.
        full: Cell = "bench_full_elements_total",
        /// Hits.
        hits: Cell = "bench_hits_total",
        /// Draws for the recall probe.
        draws: Cell = "bench_draws_total",
        /// Latency.
        latency: HistogramCells = "bench_query_seconds",
        /// Stages.
        stages: Family<Stage, SparseHistogramCells> = "bench_stage_seconds",
    }
}

/// Adds the instruction counts to `report`; says so if there is no valgrind here.
pub(crate) fn count_instructions(report: &mut Report) -> Result<(), String> {
    let clock = Clock::system().source();
    report.push("clock", clock);
    if !callgrind::is_installed() {
        report.push("instructions", "not counted: valgrind is not installed");
        return Ok(());
    }
    for (figure, function) in FUNCTIONS {
        report.push(figure, per_call(function)?);
    }
    Ok(())
}

/// Instructions of one call of `function`, the call itself left out.
pub(crate) fn per_call(function: &str) -> Result<f64, String> {
    Ok((collected(function)? - collected("empty_call")?) / CALLS as f64)
}

/// Instructions collected while `function` ran, in all calls.
fn collected(function: &str) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let pattern = format!("*recording::{function}*");
    Ok(callgrind::collected(&program, &["recording"], &pattern)?.0 as f64)
}

/// The `recording` benchmark: calls everything that callgrind counts; of no use by itself.
pub(crate) fn measure(_options: &Options) -> Result<Report, String> {
    let clock = Clock::system();
    let blocks: Vec<_> = (0..2)
        .map(|_| Arc::new(Blocks::<QueryCells>::default()))
        .collect();
    let mut worker = WorkerBlocks::default();
    let prometheus = Prometheus::new().map_err(|error| error.to_string())?;
    let (latency, counter) = (Histogram::default(), Counter::default());
    let stats = black_box(Stats {
        counts: [1, 1_100, 70, 20, 0, 500_000, 422_400, 422_400, 10, 1],
        extra_ns: 800_000,
    });
    // Everything that is allocated on first use, and every label the other crate looks up.
    for blocks in &blocks {
        record_query(&clock, &mut worker, blocks, &stats);
    }
    latency.record(stats.extra_ns);
    counter.increment();
    for call in 0..CALLS as usize {
        empty_call(&clock);
        record_in_block(&clock, worker.of(&blocks[0]), &stats);
        record_shared(&clock, &latency, &counter, &stats);
        record_query(&clock, &mut worker, &blocks[call % 2], &stats);
        record_prometheus(&prometheus, &stats);
        record_labelled_prometheus(&prometheus, &stats);
    }
    let mut report = Report::default();
    report.push("calls", CALLS);
    report.push("clock", clock.source());
    Ok(report)
}

/// What a search says about itself; read from memory, as the engine's is.
struct Stats {
    counts: [u64; 10],
    /// Added to what the clock says, so that durations are of a usual size without anybody waiting.
    extra_ns: u64,
}

/// What calling and returning alone are counted as.
#[inline(never)]
fn empty_call(clock: &Clock) {
    black_box(clock);
}

/// Timer, histogram and counter of an engine worker.
#[inline(never)]
fn record_in_block(clock: &Clock, cells: &QueryCells, stats: &Stats) {
    let start = clock.now();
    black_box(());
    cells
        .latency
        .record(clock.now().nanos_since(start) + stats.extra_ns);
    cells.queries.increment();
}

/// Timer, histogram and counter of any other thread.
#[inline(never)]
fn record_shared(clock: &Clock, latency: &Histogram, counter: &Counter, stats: &Stats) {
    let start = clock.now();
    black_box(());
    latency.record(clock.now().nanos_since(start) + stats.extra_ns);
    counter.increment();
}

/// Everything for a query on another collection than the last: five readings of the clock, the look-up of the
/// worker's block, four stages, the latency and ten counts.
#[inline(never)]
fn record_query(
    clock: &Clock,
    worker: &mut WorkerBlocks<QueryCells>,
    blocks: &Arc<Blocks<QueryCells>>,
    stats: &Stats,
) {
    let times: [_; 5] = std::array::from_fn(|_| clock.now());
    let cells = worker.of(blocks);
    for (stage, time) in Stage::ALL.iter().zip(times.windows(2)) {
        cells
            .stages
            .of(*stage)
            .record(time[1].nanos_since(time[0]) + stats.extra_ns);
    }
    cells
        .latency
        .record(times[4].nanos_since(times[0]) + stats.extra_ns);
    let [
        queries,
        distances,
        hops,
        rescored,
        rejected,
        bytes,
        elements,
        full,
        hits,
        draws,
    ] = &stats.counts;
    for (cell, count) in [
        (&cells.queries, queries),
        (&cells.distances, distances),
        (&cells.hops, hops),
        (&cells.rescored, rescored),
        (&cells.rejected, rejected),
        (&cells.bytes, bytes),
        (&cells.elements, elements),
        (&cells.full, full),
        (&cells.hits, hits),
        (&cells.draws, draws),
    ] {
        cell.add(*count);
    }
}

/// The same with `prometheus`: the metric in hand, and looked up by its label.
struct Prometheus {
    latencies: HistogramVec,
    counters: IntCounterVec,
    latency: prometheus::Histogram,
    counter: IntCounter,
}

impl Prometheus {
    fn new() -> prometheus::Result<Self> {
        let bounds = (-20..=6).map(f64::from).map(f64::exp2).collect();
        let latencies = HistogramVec::new(
            HistogramOpts::new("latency", "Latency.").buckets(bounds),
            &["db_id"],
        )?;
        let counters = IntCounterVec::new(Opts::new("queries", "Queries."), &["db_id"])?;
        let (latency, counter) = (
            latencies.with_label_values(&["main"]),
            counters.with_label_values(&["main"]),
        );
        Ok(Self {
            latencies,
            counters,
            latency,
            counter,
        })
    }
}

#[inline(never)]
#[expect(
    clippy::disallowed_methods,
    reason = "as the crate's own timer takes the time"
)]
fn record_prometheus(metrics: &Prometheus, stats: &Stats) {
    let start = Instant::now();
    black_box(());
    metrics
        .latency
        .observe(start.elapsed().as_secs_f64() + stats.extra_ns as f64 * 1e-9);
    metrics.counter.inc();
}

#[inline(never)]
#[expect(
    clippy::disallowed_methods,
    reason = "as the crate's own timer takes the time"
)]
fn record_labelled_prometheus(metrics: &Prometheus, stats: &Stats) {
    let start = Instant::now();
    black_box(());
    let seconds = start.elapsed().as_secs_f64() + stats.extra_ns as f64 * 1e-9;
    metrics.latencies.with_label_values(&["main"]).observe(seconds);
    metrics.counters.with_label_values(&["main"]).inc();
}
