//! Nearest neighbours on real points, through the engine: what is held, what building takes, and what a query costs
//! at which recall. One thread searches; queries come from another distribution than the points.

use crate::{Options, Report};
use omendb_bench::dataset::{self, Matrix};
use omendb_bench::stopwatch::{process_cpu_s, thread_cpu_s, wall_s};
use omendb_distance::Kernels;
use omendb_engine::{
    Collection, CollectionConfig, Distance, Engine, EngineOptions, Payload, Plan, Point, PointId,
    SearchRequest, Vectors, Worker, WriteBatch, limits,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Hits per query, and recall is counted over as many true neighbours.
pub(crate) const K: usize = 10;

/// Candidate list sizes to ask for, the default among them. A plan that ignores them is measured once.
const EFS: [usize; 8] = [10, 16, 32, 64, limits::DEFAULT_EF, 128, 256, 512];

/// Times the queries are run; the round with the median CPU time is reported.
const ROUNDS: usize = 3;

/// The collection's name.
pub(crate) const COLLECTION: &str = "ann";

/// Points per write.
const BATCH: usize = 500;

/// Scores this close to the last true neighbour's are ties: the given neighbours were ranked by another order of
/// additions.
const TIE: f32 = 1e-5;

/// `cargo x bench ann`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let scratch = Scratch::new()?;
    let (engine, collection) = open(&scratch, data.points.columns())?;

    let started = process_cpu_s();
    insert(&collection, &data.points, |_| Payload::default())?;
    let insert_cpu_s = process_cpu_s() - started;
    engine.tick();
    let build_cpu_s = process_cpu_s() - started - insert_cpu_s;
    let covered = collection.info().indexed_vectors;
    let bytes = collection.info().memory_bytes as f64;

    let mut worker = engine.worker();
    let curve = curve(&mut worker, &collection, &data)?;
    engine.close();
    let mut report = Report::default();
    report.push("n", data.points.rows());
    report.push("dim", data.points.columns());
    report.push("k", K);
    report.push("queries", data.queries.rows());
    report.push("kernel", Kernels::detected().isa());
    report.push("bytes_per_vector", bytes / data.points.rows() as f64);
    report.push("insert_cpu_s", insert_cpu_s);
    report.push("build_cpu_s", build_cpu_s);
    report.push("graph_vectors", covered);
    report.push("curve", curve);
    Ok(report)
}

pub(crate) struct DataSet {
    pub(crate) points: Matrix<f32>,
    pub(crate) queries: Matrix<f32>,
    neighbors: Matrix<i32>,
}

impl DataSet {
    pub(crate) fn read(directory: Option<&Path>) -> Result<Self, String> {
        let directory = dataset::directory(directory)?;
        Ok(Self {
            points: dataset::vectors(&directory)?,
            queries: dataset::queries(&directory)?,
            neighbors: dataset::neighbors(&directory)?,
        })
    }
}

/// An engine's directory, removed in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("omendb-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        Ok(Self(directory))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed stays in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An engine whose background work the caller does, and an empty collection for the points.
pub(crate) fn open(scratch: &Scratch, dimension: usize) -> Result<(Arc<Engine>, Arc<Collection>), String> {
    let engine = reopen(scratch, |_| ())?;
    let config = CollectionConfig::unnamed(dimension, Distance::Cosine);
    let collection = engine
        .create_collection(COLLECTION, config)
        .map_err(|error| error.to_string())?;
    Ok((engine, collection))
}

/// The engine of a directory, with the collections that are there, opened as by default but for background work and what
/// `change` changes.
pub(crate) fn reopen(
    scratch: &Scratch,
    change: impl FnOnce(&mut EngineOptions),
) -> Result<Arc<Engine>, String> {
    let mut options = EngineOptions {
        has_housekeeping: false,
        ..EngineOptions::new(&scratch.0, 1)
    };
    change(&mut options);
    let engine = Engine::open(options).map_err(|error| error.to_string())?;
    engine.load().map_err(|error| error.to_string())?;
    Ok(engine)
}

/// Row `i` becomes the point with id `i`.
pub(crate) fn insert(
    collection: &Collection,
    points: &Matrix<f32>,
    payload: impl Fn(usize) -> Payload,
) -> Result<(), String> {
    for start in (0..points.rows()).step_by(BATCH) {
        let rows = start..(start + BATCH).min(points.rows());
        let batch = rows.map(|row| Point {
            id: PointId::from(row as u64),
            vectors: Vectors::Unnamed(points.row(row).to_vec()),
            payload: payload(row),
        });
        collection
            .write(WriteBatch::upsert(batch.collect()))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// One object per candidate list size, or a single one where the size has no effect.
fn curve(worker: &mut Worker, collection: &Collection, data: &DataSet) -> Result<Vec<Value>, String> {
    let mut curve = Vec::new();
    for ef in EFS {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(Round::run(worker, collection, data, ef)?);
        }
        rounds.sort_by(|a, b| a.cpu_s.total_cmp(&b.cpu_s));
        let round = &rounds[ROUNDS / 2];
        curve.push(round.point(ef, data.queries.rows()));
        if round.plan == Plan::Exact {
            break;
        }
    }
    Ok(curve)
}

/// All queries, once.
struct Round {
    plan: Plan,
    /// True neighbours found, over all queries.
    right: usize,
    cpu_s: f64,
    /// Wall-clock time of each query, ascending.
    query_s: Vec<f64>,
    distance_computations: u64,
    hops: u64,
    rescored: u64,
    bytes_touched: u64,
}

impl Round {
    fn run(worker: &mut Worker, collection: &Collection, data: &DataSet, ef: usize) -> Result<Self, String> {
        let mut round = Self {
            plan: Plan::default(),
            right: 0,
            cpu_s: 0.0,
            query_s: Vec::with_capacity(data.queries.rows()),
            distance_computations: 0,
            hops: 0,
            rescored: 0,
            bytes_touched: 0,
        };
        for query in 0..data.queries.rows() {
            let mut request = SearchRequest::nearest(data.queries.row(query).to_vec(), K);
            request.ef = Some(ef);
            let (cpu, wall) = (thread_cpu_s(), wall_s());
            let response = worker
                .search(collection, &request)
                .map_err(|error| error.to_string())?;
            round.query_s.push(wall_s() - wall);
            round.cpu_s += thread_cpu_s() - cpu;
            round.plan = response.stats.plan;
            round.distance_computations += response.stats.distance_computations;
            round.hops += response.stats.hops;
            round.rescored += response.stats.rescored;
            round.bytes_touched += response.stats.bytes_touched;
            let found = response.hits.iter().filter_map(|hit| match hit.id {
                PointId::Number(number) => Some(number),
                PointId::Uuid(_) => None,
            });
            round.right += count_right(data, query, found);
        }
        round.query_s.sort_by(f64::total_cmp);
        Ok(round)
    }

    fn point(&self, ef: usize, queries: usize) -> Value {
        json!({
            "ef": ef,
            "plan": self.plan.name(),
            "recall": self.right as f64 / (queries * K) as f64,
            "qps_cpu": queries as f64 / self.cpu_s,
            "us": self.query_s[queries / 2] * 1e6,
            "us_p99": self.query_s[queries * 99 / 100] * 1e6,
            "hops": self.hops as f64 / queries as f64,
            "rescored": self.rescored as f64 / queries as f64,
            "distances": self.distance_computations as f64 / queries as f64,
            "bytes_touched": self.bytes_touched as f64 / queries as f64,
        })
    }
}

/// How many of the `K` true neighbours are among `found`; one that scores like the last of them counts as it.
fn count_right(data: &DataSet, query: usize, found: impl Iterator<Item = u64>) -> usize {
    let truth = &data.neighbors.row(query)[..K];
    let score = |row: usize| Kernels::scalar().cosine(data.queries.row(query), data.points.row(row));
    let last = truth.last().map_or(f32::INFINITY, |&row| score(row as usize)) - TIE;
    let found: HashSet<u64> = found.collect();
    let right = found
        .iter()
        .filter(|&&row| truth.contains(&(row as i32)) || score(row as usize) >= last);
    right.count().min(K)
}
