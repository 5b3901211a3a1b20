//! Queries by several examples on real points: the plan chosen, the recall, and the time beside comparing all.

use crate::ann::{DataSet, K, Scratch, insert, open};
use crate::filters::{at_least, payload};
use crate::{Options, Report};
use omendb_bench::dataset;
use omendb_bench::stopwatch::thread_cpu_s;
use omendb_engine::{
    Collection, ContextPair, Example, Filter, Hit, PointId, Query, Recommend, SearchRequest, SearchResponse,
    Strategy, Worker,
};
use serde_json::json;
use std::sync::Arc;

/// Queries of each kind.
const QUERIES: usize = 50;

/// Times the queries are run each way; the median round is reported.
const ROUNDS: usize = 3;

/// Scores this close are ties.
const TIE: f32 = 1e-6;

/// A kind of query, and how the examples that it is given make one.
type Kind = (&'static str, fn(&mut Examples<'_>) -> Query);

const KINDS: &[Kind] = &[
    ("best_score of 3", |of| of.recommend(3, 0, Strategy::BestScore)),
    ("best_score of 3 and 2 against", |of| {
        of.recommend(3, 2, Strategy::BestScore)
    }),
    ("best_score of 3 against", |of| {
        of.recommend(0, 3, Strategy::BestScore)
    }),
    ("sum_scores of 3", |of| of.recommend(3, 0, Strategy::SumScores)),
    ("sum_scores of 3 and 2 against", |of| {
        of.recommend(3, 2, Strategy::SumScores)
    }),
    ("best_score of 1 and 3 against", |of| {
        of.recommend(1, 3, Strategy::BestScore)
    }),
    ("sum_scores of 2 and 2 against", |of| {
        of.recommend(2, 2, Strategy::SumScores)
    }),
    ("sum_scores of 1 and 3 against", |of| {
        of.recommend(1, 3, Strategy::SumScores)
    }),
    ("sum_scores of 3 against", |of| {
        of.recommend(0, 3, Strategy::SumScores)
    }),
    ("discover by 1 pair", |of| of.discover(1)),
    ("discover by 3 pairs", |of| of.discover(3)),
    ("context of 1 pair", |of| Query::Context(of.pairs(1))),
    ("context of 3 pairs", |of| Query::Context(of.pairs(3))),
];

/// `cargo x bench examples`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let packages = dataset::packages(&dataset::directory(options.data.as_deref())?)?;
    let scratch = Scratch::new()?;
    let (engine, collection) = open(&scratch, data.points.columns())?;
    insert(&collection, &data.points, |row| payload(&packages[row]))?;
    engine.tick();
    let mut worker = engine.worker();
    let mut rows = Vec::new();
    let filtered = Filter {
        must: vec![at_least(50.0)?],
        ..Filter::default()
    };
    for filter in [None, Some(Arc::new(filtered))] {
        for kind in KINDS {
            rows.push(run((&mut worker, &collection), &data, kind, filter.as_ref())?);
        }
    }
    engine.close();
    let mut report = Report::default();
    report.push("n", data.points.rows());
    report.push("k", K);
    report.push("queries", QUERIES);
    report.push("kinds", rows);
    Ok(report)
}

/// Examples in turn: query vectors that have not to do with one another, and stored points.
struct Examples<'a> {
    data: &'a DataSet,
    next: usize,
}

impl Examples<'_> {
    fn take(&mut self) -> Example {
        // A step that leads everywhere.
        self.next += 7_919;
        if self.next.is_multiple_of(2) {
            let row = self.next % self.data.points.rows();
            Example::Point(PointId::from(row as u64))
        } else {
            let row = self.next % self.data.queries.rows();
            Example::Vector(self.data.queries.row(row).to_vec().into())
        }
    }

    fn recommend(&mut self, positive: usize, negative: usize, strategy: Strategy) -> Query {
        Query::Recommend(Recommend {
            positive: (0..positive).map(|_| self.take()).collect(),
            negative: (0..negative).map(|_| self.take()).collect(),
            strategy,
        })
    }

    fn discover(&mut self, pairs: usize) -> Query {
        Query::Discover(self.take(), self.pairs(pairs))
    }

    fn pairs(&mut self, pairs: usize) -> Vec<ContextPair> {
        let pair = |_| ContextPair {
            positive: self.take(),
            negative: self.take(),
        };
        (0..pairs).map(pair).collect()
    }
}

/// One kind, with the plan that is chosen and exactly, on the same queries in one run.
fn run(
    (worker, collection): (&mut Worker, &Collection),
    data: &DataSet,
    (name, query): &Kind,
    filter: Option<&Arc<Filter>>,
) -> Result<serde_json::Value, String> {
    let mut round = |exact| {
        let mut examples = Examples { data, next: 0 };
        let (mut cpu_s, mut responses) = (0.0, Vec::with_capacity(QUERIES));
        for _ in 0..QUERIES {
            let request = SearchRequest {
                query: query(&mut examples),
                exact,
                filter: filter.cloned(),
                ..SearchRequest::nearest(Vec::new(), K)
            };
            let begun = thread_cpu_s();
            let response = worker.search(collection, &request);
            cpu_s += thread_cpu_s() - begun;
            responses.push(response.map_err(|error| error.to_string())?);
        }
        Ok::<_, String>((cpu_s, responses))
    };
    let (mut planned, mut compared) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        planned.push(round(false)?);
        compared.push(round(true)?);
    }
    let median = |rounds: &mut Vec<(f64, Vec<SearchResponse>)>| {
        rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        rounds.swap_remove(ROUNDS / 2)
    };
    let ((cpu_s, found), (exact_cpu_s, truth)) = (median(&mut planned), median(&mut compared));
    let mut plans: Vec<_> = found.iter().map(|response| response.stats.plan.name()).collect();
    plans.sort_unstable();
    plans.dedup();
    let sum = |of: fn(&SearchResponse) -> u64| found.iter().map(of).sum::<u64>() as f64 / QUERIES as f64;
    Ok(json!({
        "kind": name,
        "is_filtered": filter.is_some(),
        "plans": plans,
        "recall": recall(&found, &truth),
        "us": cpu_s * 1e6 / QUERIES as f64,
        "exact_us": exact_cpu_s * 1e6 / QUERIES as f64,
        "over_exact": cpu_s / exact_cpu_s,
        "distances": sum(|response| response.stats.distance_computations),
        "hops": sum(|response| response.stats.hops),
    }))
}

/// Hits that score at least as the last of the true ones: ranks by pairs may be alike.
fn recall(found: &[SearchResponse], truth: &[SearchResponse]) -> f64 {
    let (mut right, mut all) = (0, 0);
    for (found, truth) in found.iter().zip(truth) {
        let last = truth.hits.last().map_or(f32::INFINITY, |hit| hit.score) - TIE;
        let is_right = |hit: &&Hit| hit.score >= last;
        right += found.hits.iter().filter(is_right).count();
        all += truth.hits.len();
    }
    if all == 0 { 1.0 } else { right as f64 / all as f64 }
}
