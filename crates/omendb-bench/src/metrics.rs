//! What counting costs: increments beside a relaxed atomic, and instructions per recording, ours and `prometheus`'s.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use omendb_bench::stopwatch::thread_cpu_s;
use omendb_metrics::{Blocks, Cell, Counter};

use crate::{Options, Report, recording};

/// Increments by each thread in one measurement.
const INCREMENTS: u64 = 4_000_000;

/// Interleaved measurements; the median of each kind counts.
const ROUNDS: usize = 15;

/// `cargo x bench metrics`
pub(crate) fn measure(_options: &Options) -> Result<Report, String> {
    let mut report = Report::default();
    for (threads, ns, names) in [
        (
            1,
            "atomic_ns_1t",
            [
                "counter_ratio_1t",
                "shared_counter_ratio_1t",
                "prometheus_counter_ratio_1t",
                "prometheus_float_counter_ratio_1t",
            ],
        ),
        (
            2,
            "atomic_ns_2t",
            [
                "counter_ratio_2t",
                "shared_counter_ratio_2t",
                "prometheus_counter_ratio_2t",
                "prometheus_float_counter_ratio_2t",
            ],
        ),
    ] {
        let [atomic, others @ ..] = counters(threads);
        report.push(ns, atomic);
        for (name, other) in names.into_iter().zip(others) {
            report.push(name, other / atomic);
        }
    }
    recording::count_instructions(&mut report)?;
    Ok(report)
}

/// CPU nanoseconds of one increment on a relaxed atomic, a worker's cell, our shared counter, and the integer and the
/// floating-point counter of `prometheus`, all threads incrementing one counter (or the sum of their cells).
fn counters(threads: usize) -> [f64; 5] {
    let mut rounds: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let measured = [
            atomic(threads),
            cells(threads),
            shared(threads),
            prometheus_integer(threads),
            prometheus_float(threads),
        ];
        for (all, one) in rounds.iter_mut().zip(measured) {
            all.push(one);
        }
    }
    rounds.map(median)
}

fn atomic(threads: usize) -> f64 {
    let counter = AtomicU64::new(0);
    let ns = per_increment(threads, || {
        || {
            black_box(&counter).fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(counter.into_inner(), threads as u64 * INCREMENTS);
    ns
}

fn cells(threads: usize) -> f64 {
    let blocks = Arc::new(Blocks::<Cell>::default());
    let ns = per_increment(threads, || {
        let block = Blocks::register(&blocks);
        move || black_box(&block).increment()
    });
    assert_eq!(blocks.read().get(), threads as u64 * INCREMENTS);
    ns
}

fn shared(threads: usize) -> f64 {
    let counter = Counter::default();
    let ns = per_increment(threads, || || black_box(&counter).increment());
    assert_eq!(counter.get(), threads as u64 * INCREMENTS);
    ns
}

#[expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]
fn prometheus_integer(threads: usize) -> f64 {
    let counter = prometheus::IntCounter::new("counter", "A counter.").expect("a valid name");
    let ns = per_increment(threads, || || black_box(&counter).inc());
    assert_eq!(counter.get(), threads as u64 * INCREMENTS);
    ns
}

#[expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]
fn prometheus_float(threads: usize) -> f64 {
    let counter = prometheus::Counter::new("counter", "A counter.").expect("a valid name");
    let ns = per_increment(threads, || || black_box(&counter).inc());
    assert_eq!(counter.get() as u64, threads as u64 * INCREMENTS);
    ns
}

/// Mean CPU nanoseconds of a call on `threads` threads at once, each with what `prepare` gives it.
fn per_increment<F: FnMut()>(threads: usize, prepare: impl Fn() -> F + Sync) -> f64 {
    let start = Barrier::new(threads);
    let run = || {
        let mut increment = prepare();
        start.wait();
        let before = thread_cpu_s();
        for _ in 0..INCREMENTS {
            increment();
        }
        thread_cpu_s() - before
    };
    let seconds: f64 = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        own + others
            .into_iter()
            .filter_map(|other| other.join().ok())
            .sum::<f64>()
    });
    seconds * 1e9 / (threads as u64 * INCREMENTS) as f64
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
