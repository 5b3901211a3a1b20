//! What a request for data did and what it took, as JSON: in its answer, in the ring of slow queries and in the log.

use omendb_engine::{SearchStats, WriteStats};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::telemetry::query_record::Work;
use crate::telemetry::stages::StageTimes;

/// What one or several searches did; a figure that was not found out is left out.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Explanation {
    #[serde(flatten)]
    search: SearchJson,
    matches: Matches,
    stages_us: StagesJson,
    /// Each of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searches: Vec<SearchJson>,
}

/// How many points pass the filter.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Matches {
    /// By the payload indexes; null without one that helps.
    estimated: Option<u64>,
    /// As they were counted afterwards; null without a filter.
    actual: Option<u64>,
}

impl Matches {
    pub(crate) fn of(work: &Work) -> Self {
        let estimated = work.search.filter_estimated;
        Self {
            estimated: (estimated > 0).then_some(estimated),
            actual: work.matched,
        }
    }
}

impl Explanation {
    /// Of what a request did in these stages; `searches` is each of its searches.
    pub(crate) fn new(work: &Work, stages: StageTimes, searches: &[SearchStats]) -> Self {
        let several = if searches.len() > 1 { searches } else { &[] };
        Self {
            search: SearchJson::from(&work.search),
            matches: Matches::of(work),
            stages_us: StagesJson(stages),
            searches: several.iter().map(SearchJson::from).collect(),
        }
    }
}

/// [`SearchStats`]; what each field counts is said there.
#[derive(Debug, serde::Serialize)]
pub(crate) struct SearchJson {
    plan: &'static str,
    why: &'static str,
    sequence: u64,
    distance_computations: u64,
    rescored: u64,
    postings: u64,
    bytes_touched: u64,
    elements: u64,
    elements_in_full_vectors: u64,
    ef: u64,
    hops: u64,
    visited: u64,
    chunks: u64,
    heap_pushes: u64,
    filter_estimated: u64,
    filter_candidates: u64,
    filter_checked: u64,
    filter_rejected: u64,
    hits: u64,
    engine_us: f64,
    sampled: bool,
}

impl From<&SearchStats> for SearchJson {
    fn from(stats: &SearchStats) -> Self {
        // Exhaustive, so that a figure the engine learns to count is not forgotten here.
        let SearchStats {
            plan,
            reason,
            sequence,
            distance_computations,
            rescored,
            postings,
            bytes_touched,
            elements,
            elements_in_full_vectors,
            ef,
            hops,
            visited,
            chunks,
            heap_pushes,
            filter_estimated,
            filter_candidates,
            filter_checked,
            filter_rejected,
            hits,
            prepare_ns: _,
            filter_ns: _,
            scan_ns: _,
            rescore_ns: _,
            gather_ns: _,
            is_sampled,
            is_exemplar: _,
        } = *stats;
        Self {
            plan: plan.name(),
            why: reason.name(),
            sequence,
            distance_computations,
            rescored,
            postings,
            bytes_touched,
            elements,
            elements_in_full_vectors,
            ef,
            hops,
            visited,
            chunks,
            heap_pushes,
            filter_estimated,
            filter_candidates,
            filter_checked,
            filter_rejected,
            hits,
            engine_us: micros(stats.total_ns()),
            sampled: is_sampled,
        }
    }
}

/// [`WriteStats`]; what each field counts is said there.
#[derive(Debug, serde::Serialize)]
pub(crate) struct WriteJson {
    points_upserted: u64,
    points_replaced: u64,
    points_deleted: u64,
    payloads_changed: u64,
    vectors_written: u64,
    log_bytes: u64,
    commits_joined: u64,
}

impl From<&WriteStats> for WriteJson {
    fn from(stats: &WriteStats) -> Self {
        let WriteStats {
            points_upserted,
            points_replaced,
            points_deleted,
            payloads_changed,
            vectors_written,
            log_bytes,
            batches,
            wait_ns: _,
            apply_ns: _,
            append_ns: _,
            fsync_ns: _,
        } = *stats;
        Self {
            points_upserted,
            points_replaced,
            points_deleted,
            payloads_changed,
            vectors_written,
            log_bytes,
            commits_joined: batches,
        }
    }
}

/// The stages that a request went through, in microseconds, in order.
#[derive(Debug)]
pub(crate) struct StagesJson(pub(crate) StageTimes);

impl Serialize for StagesJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (stage, nanos) in self.0.iter() {
            map.serialize_entry(stage.as_str(), &micros(nanos))?;
        }
        map.end()
    }
}

/// Microseconds, as JSON shows times.
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
