//! Finding the hits of a query and of the prefetches in front of it, on one version of a collection.

use std::collections::HashSet;
use std::sync::Arc;

use omendb_distance::Distance;
use omendb_metrics::Timestamp;

use crate::count;
use crate::filter::{Condition, Filter};
use crate::graph::Graphs;
use crate::payload_index::Indexes;
use crate::search::diverse::diversify;
use crate::search::fusion::fuse;
use crate::search::objective::{Examples, Formula, Objective};
use crate::search::order::OrderValue;
use crate::search::request::{Diverse, Fusion, Prefetch, Query};
use crate::search::top_k::{Candidate, TopK};
use crate::search::{Searcher, check_depth, check_ef};
use crate::sparse_index::SparseIndexes;
use crate::state::State;
use crate::{Error, PointId, Reason, SearchStats, limits};

/// What is searched: one version of a collection, and what stands beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) state: &'a State,
    pub(crate) indexes: &'a Indexes,
    pub(crate) graphs: &'a Graphs,
    pub(crate) sparse: &'a SparseIndexes,
}

/// A point with its score in the user's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) slot: u32,
    pub(crate) id: PointId,
    pub(crate) score: f32,
    /// Where it is in an order that was asked for.
    pub(crate) order_value: Option<OrderValue>,
}

/// A query or one of its prefetches.
#[derive(Clone, Debug)]
pub(crate) struct Level<'a> {
    pub(crate) using: &'a str,
    pub(crate) query: &'a Query,
    /// Hits to find.
    pub(crate) depth: usize,
    pub(crate) exact: bool,
    pub(crate) ef: Option<usize>,
    pub(crate) idf_corpus: Option<&'a Filter>,
    pub(crate) score_threshold: Option<f32>,
    /// Its own filter and those of the queries that it is in front of.
    pub(crate) filter: Option<Arc<Filter>>,
    pub(crate) prefetch: &'a [Prefetch],
}

/// Refuses prefetches beyond their limits; returns how many there are.
pub(crate) fn check_prefetches(query: &Query, prefetch: &[Prefetch]) -> Result<usize, Error> {
    if let Query::Fusion(fusion) = query {
        check_fusion(fusion, prefetch.len())?;
    }
    if let Query::Formula(formula) = query {
        formula.check(prefetch.len())?;
    }
    let mut count = prefetch.len();
    for inner in prefetch {
        check_depth(inner.limit, 0)?;
        check_ef(inner.ef)?;
        inner.filter.as_deref().map_or(Ok(()), Filter::check)?;
        inner.idf_corpus.as_deref().map_or(Ok(()), Filter::check)?;
        count += check_prefetches(&inner.query, &inner.prefetch)?;
    }
    if count > limits::MAX_PREFETCHES {
        let most = limits::MAX_PREFETCHES;
        return Err(Error::invalid(format!(
            "prefetch: {count} of them, more than {most}"
        )));
    }
    Ok(count)
}

fn check_fusion(fusion: &Fusion, lists: usize) -> Result<(), Error> {
    if lists == 0 {
        return Err(Error::invalid("fusion: there is no prefetch to fuse"));
    }
    match fusion {
        Fusion::ReciprocalRank { weights, .. } if !weights.is_empty() && weights.len() != lists => {
            let count = weights.len();
            Err(Error::invalid(format!(
                "rrf: {count} weights for {lists} prefetches"
            )))
        }
        Fusion::ReciprocalRank { .. } | Fusion::ScoreDistribution => Ok(()),
    }
}

impl Searcher {
    /// The best points of a level, best first. `begun` is when the time of the present stage began to count.
    pub(crate) fn find(
        &mut self,
        subject: Subject<'_>,
        level: &Level<'_>,
        begun: &mut Timestamp,
        stats: &mut SearchStats,
    ) -> Result<Vec<Found>, Error> {
        if level.prefetch.is_empty() {
            return self.find_among(subject, level, None, (begun, stats));
        }
        let mut lists = Vec::with_capacity(level.prefetch.len());
        for prefetch in level.prefetch {
            let inner = Level {
                using: &prefetch.using,
                query: &prefetch.query,
                depth: prefetch.limit,
                exact: prefetch.exact,
                ef: prefetch.ef,
                idf_corpus: prefetch.idf_corpus.as_deref(),
                score_threshold: prefetch.score_threshold,
                filter: both(level.filter.as_ref(), prefetch.filter.as_ref()),
                prefetch: &prefetch.prefetch,
            };
            let list = self.find(subject, &inner, begun, stats)?;
            self.is_cut |= list.len() >= inner.depth;
            lists.push(list);
        }
        if let Query::Fusion(fusion) = level.query {
            let mut fused = fuse(fusion, lists);
            fused.retain(|found| level.score_threshold.is_none_or(|worst| found.score >= worst));
            fused.truncate(level.depth);
            return Ok(fused);
        }
        if let Query::Formula(formula) = level.query {
            return self.rescore(subject.state, (level, formula), &lists, (begun, stats));
        }
        let slots: HashSet<u32> = lists.iter().flatten().map(|found| found.slot).collect();
        self.find_among(subject, level, Some(&slots), (begun, stats))
    }

    /// The best points of a level, out of `slots` if they are given, which pass its filter then.
    pub(crate) fn find_among(
        &mut self,
        subject: Subject<'_>,
        level: &Level<'_>,
        slots: Option<&HashSet<u32>>,
        (begun, stats): (&mut Timestamp, &mut SearchStats),
    ) -> Result<Vec<Found>, Error> {
        let Subject {
            state,
            indexes: _,
            graphs: _,
            sparse: _,
        } = subject;
        if slots.is_none() {
            stats.reason = Reason::Kind;
        }
        if let Some(found) = self.unranked(subject, level, slots, (begun, stats))? {
            return Ok(found);
        }
        if let Some(column) = state.layout.sparse_column(level.using) {
            return self.find_sparse((subject, column), level, slots, (begun, stats));
        }
        let column = state.layout.dense_column(level.using)?;
        let (objective, excluded) = Examples::new(state, column).objective(level.query)?;
        let now = self.clock.now();
        stats.prepare_ns += now.nanos_since(*begun);
        *begun = now;
        let depth = match level.query {
            Query::Diverse(diverse) => check_diverse(diverse, level.depth)?,
            Query::Nearest(_)
            | Query::NearestTo(_)
            | Query::Recommend(_)
            | Query::Discover(..)
            | Query::Context(_)
            | Query::Feedback(_)
            | Query::Fusion(_)
            | Query::Formula(_)
            | Query::Listed
            | Query::OrderBy(_)
            | Query::Sample => level.depth,
        };
        let others_before = stats.filter_ns + stats.rescore_ns;
        let question = Ranking {
            column,
            objective: &objective,
            excluded: &excluded,
            depth,
            exact: level.exact,
            ef: level.ef,
        };
        let filter = level.filter.as_deref().filter(|filter| !filter.is_empty());
        let candidates = match slots {
            Some(slots) => self.rank_slots(state, &question, slots, stats),
            None if objective.formula == Formula::Nearest => {
                self.rank_nearest(subject, &question, filter, stats)
            }
            None => self.rank_by_examples(subject, &question, filter, stats),
        };
        let mut found = scored(&objective, candidates, level.score_threshold);
        if let Query::Diverse(Diverse { diversity, .. }) = level.query {
            let wanted = (*diversity, level.depth);
            found = diversify(self.kernels, (state, column), &objective, found, wanted);
        }
        let now = self.clock.now();
        stats.scan_ns += now
            .nanos_since(*begun)
            .saturating_sub(count::value(stats.filter_ns + stats.rescore_ns - others_before));
        *begun = now;
        self.last = objective.vectors.into_iter().next().unwrap_or_default();
        Ok(found)
    }

    fn rank_slots(
        &mut self,
        state: &State,
        ranking: &Ranking<'_>,
        slots: &HashSet<u32>,
        stats: &mut SearchStats,
    ) -> Vec<Candidate> {
        let mut top = TopK::new(ranking.depth, slots.len());
        for &slot in slots {
            if let Some((chunk, position)) = state.locate(slot)
                && let Some(row) = chunk.column(ranking.column).row(position)
                && !ranking.excluded.contains(&slot)
            {
                stats.distance_computations += ranking.objective.vectors.len() as u64;
                let work = (&mut self.scores, &mut *stats);
                let rank = ranking.objective.rank(self.kernels, row, work);
                top.offer(rank, chunk.id(position), slot);
            }
        }
        stats.heap_pushes += top.pushes();
        top.into_sorted()
    }
}

/// What points are ranked by.
pub(super) struct Ranking<'a> {
    pub(super) column: usize,
    pub(super) objective: &'a Objective,
    pub(super) excluded: &'a [u32],
    pub(super) depth: usize,
    /// See [`SearchRequest`](crate::SearchRequest).
    pub(super) exact: bool,
    pub(super) ef: Option<usize>,
}

/// How many points a diverse query chooses from.
pub(super) fn check_diverse(diverse: &Diverse, depth: usize) -> Result<usize, Error> {
    let Diverse {
        near: _,
        diversity,
        candidates,
    } = diverse;
    if !(0.0..=1.0).contains(diversity) {
        return Err(Error::invalid(format!(
            "mmr: diversity {diversity} is not from 0 to 1"
        )));
    }
    let (candidates, most) = (candidates.unwrap_or(depth), limits::MAX_DIVERSE_CANDIDATES);
    if candidates > most {
        return Err(Error::invalid(format!(
            "mmr: {candidates} candidates, more than {most}"
        )));
    }
    Ok(candidates)
}

/// Candidates as the user sees them, up to the first that is worse than `worst`.
pub(super) fn scored(objective: &Objective, candidates: Vec<Candidate>, worst: Option<f32>) -> Vec<Found> {
    let is_plain = objective.formula == Formula::Nearest;
    let distance = objective.distance;
    let found = candidates.into_iter().map(|Candidate { rank, id, slot }| {
        let score = if is_plain {
            user_score(distance, rank)
        } else {
            rank.clamp(f32::MIN, f32::MAX)
        };
        Found {
            slot,
            id,
            score,
            order_value: None,
        }
    });
    let is_rising = is_plain && !distance.higher_is_better();
    found
        .take_while(|found| {
            worst.is_none_or(|worst| {
                if is_rising {
                    found.score <= worst
                } else {
                    found.score >= worst
                }
            })
        })
        .collect()
}

/// What the user sees of a rank. Sums that left the range of f32 are shown at its end, since JSON has no infinity.
fn user_score(distance: Distance, rank: f32) -> f32 {
    let raw = if distance.higher_is_better() { rank } else { -rank };
    distance.score_from_raw(raw).clamp(f32::MIN, f32::MAX)
}

/// A filter that passes what both pass.
pub(crate) fn both(outer: Option<&Arc<Filter>>, inner: Option<&Arc<Filter>>) -> Option<Arc<Filter>> {
    match (outer, inner) {
        (None, filter) | (filter, None) => filter.cloned(),
        (Some(outer), Some(inner)) => {
            let part = |filter: &Arc<Filter>| Condition::Filter(Filter::clone(filter));
            Some(Arc::new(Filter {
                must: vec![part(outer), part(inner)],
                ..Filter::default()
            }))
        }
    }
}
