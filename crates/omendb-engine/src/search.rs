//! A search: what is asked, what is answered, what it took.

mod filtered;
mod request;
mod scan;
mod screen;
mod top_k;

use omendb_distance::{Distance, Kernels, normalize};
use omendb_metrics::Clock;

pub use request::{Hit, Query, SearchRequest, SearchResponse};

use filtered::{FilteredScan, Question};
use scan::{Comparison, Scratch, Target, scan};
use top_k::Candidate;

use crate::filter::Filter;
use crate::payload_index::{Indexes, Selection};
use crate::projection::Projection;
use crate::state::State;
use crate::validation::{check_dimension, check_finite};
use crate::{CollectionConfig, Error, PointId, Record, SearchStats, limits};

/// What a worker needs to search, kept between searches.
#[derive(Debug)]
pub(crate) struct Searcher {
    pub(crate) kernels: &'static Kernels,
    pub(crate) clock: Clock,
    /// The query's vector, at unit length for `Cosine`.
    query: Vec<f32>,
    scores: Vec<f32>,
    dots: Vec<i32>,
}

impl Searcher {
    pub(crate) fn new(kernels: &'static Kernels, clock: Clock) -> Self {
        Self {
            kernels,
            clock,
            query: Vec::new(),
            scores: Vec::new(),
            dots: Vec::new(),
        }
    }

    /// Searches one version of a collection.
    pub(crate) fn search(
        &mut self,
        (config, state, indexes): (&CollectionConfig, &State, &Indexes),
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let started = self.clock.now();
        let mut stats = SearchStats {
            sequence: state.sequence,
            ..SearchStats::default()
        };
        let SearchRequest {
            using,
            query,
            limit,
            offset,
            score_threshold,
            with_payload,
            with_vector,
            exact: _,
            ef: _,
            filter,
        } = request;
        let depth = check_depth(*limit, *offset)?;
        filter.as_deref().map_or(Ok(()), Filter::check)?;
        let projection = Projection::new(config, with_payload, with_vector)?;
        let (column, vector) = config.vector(using)?;
        let excluded = self.prepare_query(state, column, query)?;
        if vector.distance == Distance::Cosine {
            normalize(&mut self.query);
        }
        let prepared = self.clock.now();
        let target = Target {
            column,
            distance: vector.distance,
            query: &self.query,
            excluded,
        };
        let (ranks, dots) = (&mut self.scores, &mut self.dots);
        let work = (Scratch { ranks, dots }, &mut stats);
        let candidates = match filter.as_deref().filter(|filter| !filter.is_empty()) {
            None => scan(self.kernels, state, &target, depth, work),
            Some(filter) => {
                let question = Question {
                    filter,
                    selection: Selection::of(indexes, filter, state),
                    k: depth,
                };
                let comparison = Comparison::new(self.kernels, state, &target, depth);
                FilteredScan::new(&self.clock, state, comparison, work).run(question)
            }
        };
        let scanned = self.clock.now();
        let candidates = candidates.into_iter().skip(*offset);
        let is_good = |candidate: &Candidate| {
            let score = user_score(vector.distance, candidate.rank);
            score_threshold.is_none_or(|threshold| is_within(vector.distance, score, threshold))
        };
        let hits = candidates.take_while(is_good).filter_map(|candidate| {
            let score = user_score(vector.distance, candidate.rank);
            hit(&projection, state, candidate.slot, score).transpose()
        });
        let hits = hits.collect::<Result<Vec<_>, _>>()?;
        stats.hits = hits.len() as u64;
        stats.prepare_ns = prepared.nanos_since(started);
        stats.scan_ns = scanned.nanos_since(prepared).saturating_sub(stats.filter_ns);
        stats.gather_ns = self.clock.now().nanos_since(scanned);
        Ok(SearchResponse { hits, stats })
    }

    /// The vector of the newest search, as it was compared.
    pub(crate) fn last_query(&self) -> &[f32] {
        &self.query
    }

    /// Puts the vector to compare into `self.query`; returns the slot of the point it is of, if it is a point's.
    fn prepare_query(&mut self, state: &State, column: usize, query: &Query) -> Result<Option<u32>, Error> {
        let layout = &state.layout.columns[column];
        self.query.clear();
        match query {
            Query::Nearest(vector) => {
                let name = || format!("query vector {:?}", layout.name);
                check_dimension(vector, layout.dimension, name)?;
                check_finite(vector, name)?;
                self.query.extend_from_slice(vector);
                Ok(None)
            }
            Query::NearestTo(id) => {
                let slot = state.ids.get(*id).ok_or_else(|| no_point(*id))?;
                let row = state
                    .locate(slot)
                    .and_then(|(chunk, position)| chunk.column(column).row(position));
                let missing = || Error::not_found(format!("point {id} has no vector {:?}", layout.name));
                self.query.extend_from_slice(row.ok_or_else(missing)?);
                Ok(Some(slot))
            }
        }
    }
}

/// The point at `slot` as a hit.
fn hit(projection: &Projection<'_>, state: &State, slot: u32, score: f32) -> Result<Option<Hit>, Error> {
    let record = projection.record(state, slot)?;
    Ok(record.map(|Record { id, payload, vectors }| Hit {
        id,
        score,
        payload,
        vectors,
    }))
}

/// How many candidates `limit` hits after `offset` take.
fn check_depth(limit: usize, offset: usize) -> Result<usize, Error> {
    let depth = limit.saturating_add(offset);
    if depth > limits::MAX_SEARCH_DEPTH {
        let most = limits::MAX_SEARCH_DEPTH;
        return Err(Error::invalid(format!(
            "limit {limit} and offset {offset}: more than {most} together"
        )));
    }
    Ok(depth)
}

pub(crate) fn no_point(id: PointId) -> Error {
    Error::not_found(format!("no point with id {id} found"))
}

/// What the user sees of a rank. Sums that left the range of f32 are shown at its end, since JSON has no infinity.
fn user_score(distance: Distance, rank: f32) -> f32 {
    let raw = if distance.higher_is_better() { rank } else { -rank };
    distance.score_from_raw(raw).clamp(f32::MIN, f32::MAX)
}

fn is_within(distance: Distance, score: f32, threshold: f32) -> bool {
    if distance.higher_is_better() {
        score >= threshold
    } else {
        score <= threshold
    }
}
