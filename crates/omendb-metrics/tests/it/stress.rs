//! Workers, threads and scrapes at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use omendb_metrics::{Blocks, Cell, Counters, Family, HistogramCells, SparseHistogramCells, labels, metrics};

labels! {
    /// Parts of the work.
    pub(crate) enum Stage("stage") { Plan = "plan", Search = "search" }
}
metrics! {
    /// All kinds of cells.
    pub(crate) block Cells {
        /// Queries.
        pub(crate) queries: Cell = "t_queries_total",
        /// Latency.
        pub(crate) latency: HistogramCells = "t_latency_seconds",
        /// Stages.
        pub(crate) stages: Family<Stage, SparseHistogramCells> = "t_stage_seconds",
    }
}

/// What a total of all cells says: queries, latencies, and stages.
fn figures(blocks: &Blocks<Cells>) -> [u64; 4] {
    let total = blocks.read();
    let stage = |stage| total.stages.of(stage).distribution().count();
    [
        total.queries.get(),
        total.latency.distribution().count(),
        stage(Stage::Plan),
        stage(Stage::Search),
    ]
}

#[test]
fn workers_that_come_and_go_agree_with_a_plain_atomic() {
    const THREADS: u64 = 4;
    const LIVES: u64 = 60;
    let blocks = Arc::new(Blocks::<Cells>::default());
    let (reference, finished) = (AtomicU64::new(0), AtomicBool::new(false));
    let start = Barrier::new(THREADS as usize + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (blocks, reference, start) = (&blocks, &reference, &start);
                scope.spawn(move || {
                    start.wait();
                    for life in 0..LIVES {
                        let block = Blocks::register(blocks);
                        for i in 0..(thread * 7 + life * 13) % 500 {
                            reference.fetch_add(1, Ordering::Relaxed);
                            block.queries.increment();
                            block.latency.record(i * 977);
                            block.stages.of(Stage::Plan).record(i);
                            block.stages.of(Stage::Search).record(i << 20);
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut last = [0; 4];
            start.wait();
            while !finished.load(Ordering::Acquire) {
                let now = figures(&blocks);
                assert!(
                    now.iter().zip(&last).all(|(now, last)| now >= last),
                    "{last:?} -> {now:?}"
                );
                // Never ahead of the truth: the atomic moves before the cells do.
                let bound = reference.load(Ordering::SeqCst) + THREADS;
                assert!(now.iter().all(|count| *count <= bound), "{now:?} of {bound}");
                last = now;
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        finished.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!(figures(&blocks), [reference.load(Ordering::SeqCst); 4]);
    assert_eq!(blocks.live(), 0);
}

#[test]
fn foreign_threads_that_come_and_go_agree_with_a_plain_atomic() {
    let counters = Counters::<Stage>::default();
    let (reference, finished) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !finished.load(Ordering::Acquire) {
                let now = counters.get(Stage::Plan);
                assert!(now >= last, "{last} -> {now}");
                last = now;
            }
        });
        // More at a time than there are shards, and each takes over the shard of one that has ended.
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for _ in 0..12 {
                    scope.spawn(|| {
                        for _ in 0..2_000 {
                            counters.increment(Stage::Plan);
                            reference.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
        }
        finished.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!(counters.get(Stage::Plan), reference.load(Ordering::Relaxed));
    assert_eq!(counters.get(Stage::Search), 0);
}
