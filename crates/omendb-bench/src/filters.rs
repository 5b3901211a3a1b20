//! Searches under filters on real points: the plan chosen, the recall, and the time beside a scan of the matches.

use crate::ann::{DataSet, K, Scratch, insert, open};
use crate::{Options, Report};
use omendb_bench::dataset::{self, Package};
use omendb_bench::stopwatch::thread_cpu_s;
use omendb_engine::filter::{Match, Range, Test};
use omendb_engine::{
    Collection, Condition, Filter, IndexKind, Operation, Payload, SearchRequest, SearchResponse, Value,
    Worker, WriteBatch,
};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

/// Queries of each filter.
const QUERIES: usize = 200;

/// Times the queries are run each way; the median round is reported.
const ROUNDS: usize = 3;

/// A filter by what it is called, and whether a package passes.
struct Case {
    name: &'static str,
    conditions: Vec<Condition>,
    passes: fn(&Package) -> bool,
}

/// `cargo x bench filters`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let packages = dataset::packages(&dataset::directory(options.data.as_deref())?)?;
    let scratch = Scratch::new()?;
    let (engine, collection) = open(&scratch, data.points.columns())?;
    insert(&collection, &data.points, |row| payload(&packages[row]))?;
    let mut report = Report::default();
    let mut rows = Vec::new();
    for is_indexed in [false, true] {
        if is_indexed {
            index(&collection)?;
        }
        // Twice: indexes take in what is new only when nothing was written meanwhile.
        engine.tick();
        engine.tick();
        let mut worker = engine.worker();
        for case in cases()? {
            let matches = packages.iter().filter(|package| (case.passes)(package)).count();
            let mut row = run(&mut worker, &collection, &data, case)?;
            row["matches"] = json!(matches);
            row["payload_indexes"] = json!(is_indexed);
            rows.push(row);
        }
    }
    engine.close();
    report.push("n", data.points.rows());
    report.push("k", K);
    report.push("queries", QUERIES);
    report.push("filters", rows);
    Ok(report)
}

pub(crate) fn payload(package: &Package) -> Payload {
    let size = i64::try_from(package.installed_size_kb).unwrap_or(i64::MAX);
    let fields = [
        ("section", Value::String(package.section.clone())),
        ("installed_size_kb", Value::Int(size)),
    ];
    // Two fields are no payload that could be too large.
    Payload::from_fields(&fields).unwrap_or_default()
}

fn index(collection: &Collection) -> Result<(), String> {
    for (key, kind) in [
        ("section", IndexKind::Keyword),
        ("installed_size_kb", IndexKind::Integer),
    ] {
        let batch = WriteBatch {
            operations: vec![Operation::CreateIndex(key.to_owned(), kind)],
        };
        collection.write(batch).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn field(key: &str, test: Test) -> Result<Condition, String> {
    let path = key.parse().map_err(|error| format!("{key}: {error}"))?;
    Ok(Condition::Field(path, test))
}

/// Packages of at least this size.
pub(crate) fn at_least(size_kb: f64) -> Result<Condition, String> {
    let range = Range {
        gte: Some(size_kb),
        ..Range::default()
    };
    field("installed_size_kb", Test::Range(range))
}

fn cases() -> Result<Vec<Case>, String> {
    let section = |name: &str| field("section", Test::Match(Match::Keyword(name.to_owned())));
    let case = |name, conditions, passes| Case {
        name,
        conditions,
        passes,
    };
    Ok(vec![
        case("installed_size_kb >= 50", vec![at_least(50.0)?], |package| {
            package.installed_size_kb >= 50
        }),
        case("installed_size_kb >= 1000", vec![at_least(1e3)?], |package| {
            package.installed_size_kb >= 1_000
        }),
        case("section = libs", vec![section("libs")?], |package| {
            package.section == "libs"
        }),
        case("installed_size_kb >= 10000", vec![at_least(1e4)?], |package| {
            package.installed_size_kb >= 10_000
        }),
        case("section = rust", vec![section("rust")?], |package| {
            package.section == "rust"
        }),
        case(
            "section = rust and installed_size_kb >= 1000",
            vec![section("rust")?, at_least(1e3)?],
            |package| package.section == "rust" && package.installed_size_kb >= 1_000,
        ),
        case(
            "section = admin and installed_size_kb >= 10000",
            vec![section("admin")?, at_least(1e4)?],
            |package| package.section == "admin" && package.installed_size_kb >= 10_000,
        ),
    ])
}

/// One filter, with the plan that is chosen and with a scan, on the same queries in one run.
fn run(
    worker: &mut Worker,
    collection: &Collection,
    data: &DataSet,
    case: Case,
) -> Result<serde_json::Value, String> {
    let filter = Arc::new(Filter {
        must: case.conditions,
        ..Filter::default()
    });
    let request = |query: usize, exact| SearchRequest {
        filter: Some(Arc::clone(&filter)),
        exact,
        ..SearchRequest::nearest(data.queries.row(query).to_vec(), K)
    };
    let mut round = |exact| {
        let (mut cpu_s, mut responses) = (0.0, Vec::with_capacity(QUERIES));
        for query in 0..QUERIES {
            let request = request(query, exact);
            let begun = thread_cpu_s();
            let response = worker
                .search(collection, &request)
                .map_err(|error| error.to_string())?;
            cpu_s += thread_cpu_s() - begun;
            responses.push(response);
        }
        Ok::<_, String>((cpu_s, responses))
    };
    let (mut planned, mut scanned) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        planned.push(round(false)?);
        scanned.push(round(true)?);
    }
    let median = |rounds: &mut Vec<(f64, Vec<SearchResponse>)>| {
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        rounds.swap_remove(ROUNDS / 2)
    };
    let ((cpu_s, found), (scan_cpu_s, truth)) = (median(&mut planned), median(&mut scanned));
    let mut plans: Vec<_> = found.iter().map(|response| response.stats.plan.name()).collect();
    plans.sort_unstable();
    plans.dedup();
    let sum = |of: fn(&SearchResponse) -> u64| found.iter().map(of).sum::<u64>() as f64 / QUERIES as f64;
    Ok(json!({
        "filter": case.name,
        "plans": plans,
        "recall": recall(&found, &truth),
        "us": cpu_s * 1e6 / QUERIES as f64,
        "scan_us": scan_cpu_s * 1e6 / QUERIES as f64,
        "over_scan": cpu_s / scan_cpu_s,
        "distances": sum(|response| response.stats.distance_computations),
        "filter_checked": sum(|response| response.stats.filter_checked),
        "hops": sum(|response| response.stats.hops),
    }))
}

fn recall(found: &[SearchResponse], truth: &[SearchResponse]) -> f64 {
    let (mut right, mut all) = (0, 0);
    for (found, truth) in found.iter().zip(truth) {
        let ids: HashSet<_> = truth.hits.iter().map(|hit| hit.id).collect();
        right += found.hits.iter().filter(|hit| ids.contains(&hit.id)).count();
        all += ids.len();
    }
    if all == 0 { 1.0 } else { right as f64 / all as f64 }
}
