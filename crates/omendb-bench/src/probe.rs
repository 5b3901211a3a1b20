//! The recall probe on real points: whether what it says of the queries that are served is true of them, with and
//! without a filter, idle and under full load, and what processor time it takes.
//!
//! The truth is the recall of every query of the set, computed outside of the probe by asking each twice, as it is served and
//! exactly. Queries are served in a seeded random order, so the mean of `n` samples is within 3.29 standard errors of the
//! mean of all in 99.9 % of runs.

use crate::ann::{COLLECTION, DataSet, K, Scratch, insert, open, reopen};
use crate::filters::{at_least, payload};
use crate::{Options, Report};
use omendb_bench::dataset;
use omendb_bench::stopwatch::wall_s;
use omendb_engine::{Collection, Engine, Filter, PointId, SearchRequest, SearchResponse};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Of a server, and one that gathers enough samples while a benchmark runs.
const DEFAULT_SHARE: f64 = 0.003;
const SAMPLING_SHARE: f64 = 0.1;
/// Samples that are waited for, and how long at most.
const SAMPLES: u64 = 300;
const LONGEST_S: f64 = 60.0;
/// How long processor time is measured.
const BUDGET_S: f64 = 60.0;
/// Standard errors that hold 99.9 % of all means.
const BOUND: f64 = 3.29;
/// Scores this close to the last true one are ties.
const TIE: f32 = 1e-5;

/// Who asks while the probe looks.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    /// One thread, a query every two milliseconds.
    Idle,
    /// A thread for each processor, one query after the other.
    Full,
}

/// `cargo x bench probe`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let packages = dataset::packages(&dataset::directory(options.data.as_deref())?)?;
    let scratch = Scratch::new()?;
    let (engine, collection) = open(&scratch, data.points.columns())?;
    insert(&collection, &data.points, |row| payload(&packages[row]))?;
    engine.tick();
    let filter = Arc::new(Filter::of(at_least(1e3)?));
    let mut report = Report::default();
    report.push("n", data.points.rows());
    report.push("queries", data.queries.rows());
    let mut cases = Vec::new();
    for filter in [None, Some(filter)] {
        let requests = requests(&data, filter.as_ref());
        cases.push((
            filter.is_some(),
            truth(&engine, &collection, &requests)?,
            requests,
        ));
    }
    drop(collection);
    engine.close();
    drop(engine);
    let mut rows = Vec::new();
    for (is_filtered, truth, requests) in &cases {
        for load in [Load::Idle, Load::Full] {
            let mut row = compare(&scratch, requests, load, truth)?;
            row["filtered"] = json!(is_filtered);
            rows.push(row);
        }
    }
    report.push("agreement", rows);
    for (name, load) in [
        ("idle_cpu_share", Load::Idle),
        ("full_load_cpu_share", Load::Full),
    ] {
        let served = serve(&scratch, &cases[0].2, load, (DEFAULT_SHARE, u64::MAX, BUDGET_S))?;
        report.push(name, served.probe_cpu_s / served.wall_s);
    }
    report.push("cpu_share_allowed", DEFAULT_SHARE);
    Ok(report)
}

fn requests(data: &DataSet, filter: Option<&Arc<Filter>>) -> Vec<SearchRequest> {
    let request = |query| SearchRequest {
        filter: filter.map(Arc::clone),
        ..SearchRequest::nearest(data.queries.row(query).to_vec(), K)
    };
    (0..data.queries.rows()).map(request).collect()
}

/// Mean and standard deviation of the recall of all queries.
struct Truth {
    mean: f64,
    deviation: f64,
}

fn truth(engine: &Arc<Engine>, collection: &Collection, requests: &[SearchRequest]) -> Result<Truth, String> {
    let mut worker = engine.worker();
    let mut search = |request: &SearchRequest| {
        let found = worker.search(collection, request);
        found.map_err(|error| error.to_string())
    };
    let mut recalls = Vec::with_capacity(requests.len());
    for request in requests {
        let exact = SearchRequest {
            exact: true,
            ..request.clone()
        };
        recalls.push(recall(&search(request)?, &search(&exact)?));
    }
    let mean = recalls.iter().sum::<f64>() / recalls.len() as f64;
    let squares = recalls.iter().map(|recall| (recall - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (recalls.len() - 1) as f64).sqrt();
    Ok(Truth { mean, deviation })
}

/// The share of the true hits that was found, or others as near as the last of them.
fn recall(found: &SearchResponse, truth: &SearchResponse) -> f64 {
    let Some(last) = truth.hits.last() else {
        return 1.0;
    };
    let ids: HashSet<PointId> = truth.hits.iter().map(|hit| hit.id).collect();
    let is_right = |id, score: f32| ids.contains(&id) || score >= last.score - TIE;
    let right = found
        .hits
        .iter()
        .filter(|hit| is_right(hit.id, hit.score))
        .count();
    right as f64 / truth.hits.len() as f64
}

/// What the probe says beside the truth.
fn compare(
    scratch: &Scratch,
    requests: &[SearchRequest],
    load: Load,
    truth: &Truth,
) -> Result<Value, String> {
    let served = serve(scratch, requests, load, (SAMPLING_SHARE, SAMPLES, LONGEST_S))?;
    let bound = BOUND * truth.deviation / (served.samples as f64).sqrt();
    let row = json!({
        "full_load": load == Load::Full,
        "true_recall": truth.mean,
        "probe_recall": served.recall,
        "samples": served.samples,
        "bound_99_9": bound,
        "queries_served": served.queries,
        "cpu_share": served.probe_cpu_s / served.wall_s,
    });
    if (served.recall - truth.mean).abs() > bound {
        return Err(format!(
            "the probe is further from the truth than its bound: {row}"
        ));
    }
    Ok(row)
}

/// What came of serving queries for a while.
struct Served {
    recall: f64,
    samples: u64,
    queries: u64,
    probe_cpu_s: f64,
    wall_s: f64,
}

/// Serves `requests` in random order until there are so many samples, or for so many seconds.
fn serve(
    scratch: &Scratch,
    requests: &[SearchRequest],
    load: Load,
    (share, samples, longest_s): (f64, u64, f64),
) -> Result<Served, String> {
    let engine = reopen(scratch, |options| options.recall_cpu_share = share)?;
    let collection = engine.collection(COLLECTION).map_err(|error| error.to_string())?;
    let threads = match load {
        Load::Idle => 1,
        Load::Full => std::thread::available_parallelism().map_or(2, usize::from),
    };
    let (is_over, queries) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = (wall_s(), probe_cpu_s()?);
    std::thread::scope(|scope| {
        for seed in 0..threads {
            let (engine, collection, is_over, queries) = (&engine, &collection, &is_over, &queries);
            scope.spawn(move || {
                let (mut worker, mut chance) = (engine.worker(), Chance(seed as u64 + 1));
                while !is_over.load(Relaxed) {
                    let request = &requests[chance.below(requests.len())];
                    if worker.search(collection, request).is_ok() {
                        queries.fetch_add(1, Relaxed);
                    }
                    if load == Load::Idle {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
        while collection.accuracy().samples < samples && wall_s() - begun.0 < longest_s {
            std::thread::sleep(Duration::from_millis(100));
        }
        is_over.store(true, Relaxed);
    });
    let (wall_s, probe_cpu_s) = (wall_s() - begun.0, probe_cpu_s()? - begun.1);
    let report = collection.accuracy();
    engine.close();
    Ok(Served {
        recall: report.mean.ok_or("the probe has measured nothing")?,
        samples: report.samples,
        queries: queries.into_inner(),
        probe_cpu_s,
        wall_s,
    })
}

/// Seconds that the probe's thread has been on a processor, as the kernel counts them.
fn probe_cpu_s() -> Result<f64, String> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| format!("/proc/self/task: {error}"))?;
    for task in tasks.flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        if read("comm").trim() == "recall-probe" {
            let schedstat = read("schedstat");
            let nanos = schedstat
                .split(' ')
                .next()
                .and_then(|nanos| nanos.parse::<f64>().ok());
            return nanos
                .map(|nanos| nanos / 1e9)
                .ok_or_else(|| format!("schedstat: {schedstat:?}"));
        }
    }
    Err("the probe has no thread".to_owned())
}

/// splitmix64: the order of queries is the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}
