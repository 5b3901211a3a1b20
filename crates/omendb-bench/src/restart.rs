//! A restart after deletions: what taking the graph up again costs beside building it.

use crate::ann::{COLLECTION, DataSet, K, Scratch, insert, open, reopen};
use crate::{Options, Report};
use omendb_bench::stopwatch::{process_cpu_s, wall_s};
use omendb_engine::{Payload, PointId, SearchRequest, WriteBatch};
use std::collections::HashSet;

/// One in so many points is deleted after the graph was written.
const DELETED: usize = 5;

/// Queries before and after.
const QUERIES: usize = 500;

/// `cargo x bench restart`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let scratch = Scratch::new()?;
    let (engine, collection) = open(&scratch, data.points.columns())?;
    insert(&collection, &data.points, |_| Payload::default())?;
    let begun = process_cpu_s();
    engine.tick();
    let build_cpu_s = process_cpu_s() - begun;
    let deleted = (0..data.points.rows()).step_by(DELETED);
    let deleted: Vec<_> = deleted.map(|row| PointId::from(row as u64)).collect();
    let count = deleted.len();
    collection
        .write(WriteBatch::delete(deleted))
        .map_err(|error| error.to_string())?;
    engine.close();
    drop((engine, collection));

    let engine = reopen(&scratch, |_| ())?;
    let (cpu, wall) = (process_cpu_s(), wall_s());
    engine.tick();
    let (resume_cpu_s, resume_s) = (process_cpu_s() - cpu, wall_s() - wall);
    let collection = engine.collection(COLLECTION).map_err(|error| error.to_string())?;
    let mut worker = engine.worker();
    let mut hits = |query: usize, exact| {
        let request = SearchRequest {
            exact,
            ..SearchRequest::nearest(data.queries.row(query).to_vec(), K)
        };
        let response = worker.search(&collection, &request);
        let response = response.map_err(|error| error.to_string())?;
        Ok::<HashSet<_>, String>(response.hits.iter().map(|hit| hit.id).collect())
    };
    let mut right = 0;
    for query in 0..QUERIES {
        right += hits(query, false)?.intersection(&hits(query, true)?).count();
    }
    let covered = collection.info().indexed_vectors;
    engine.close();
    let mut report = Report::default();
    report.push("n", data.points.rows());
    report.push("deleted", count);
    report.push("graph_vectors", covered);
    report.push("build_cpu_s", build_cpu_s);
    report.push("resume_cpu_s", resume_cpu_s);
    report.push("resume_s", resume_s);
    report.push("recall", right as f64 / (QUERIES * K) as f64);
    Ok(report)
}
