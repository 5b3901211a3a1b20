//! A search: what is asked, what is answered, what it took.

mod among;
mod by_examples;
mod cost;
mod coverage;
mod diverse;
mod expression;
mod facet;
mod feedback;
mod filtered;
mod find;
mod fusion;
mod groups;
mod idf;
mod lookup;
mod matrix;
mod nearest;
mod objective;
mod order;
mod outlook;
mod passing;
mod points;
mod request;
mod rescore;
mod rescoring;
mod scan;
mod screen;
mod sparse;
mod sparse_scan;
mod top_k;
mod unranked;

use omendb_distance::Kernels;
use omendb_metrics::Clock;

pub use expression::{Decay, DecayKind, Expression, FormulaQuery, PayloadVariable};
pub use facet::{FacetHit, FacetRequest, FacetResponse, FacetValue};
pub use feedback::{Feedback, FeedbackStrategy};
pub(crate) use find::Subject;
pub use groups::{Group, GroupKey, GroupRequest, GroupResponse};
pub use matrix::{MatrixRequest, MatrixResponse};
pub use order::{Direction, OrderBy, OrderValue};
pub(crate) use order::{Place, Places};
pub(crate) use passing::for_each_passing;
pub use request::{
    ContextPair, Diverse, Example, Fusion, Hit, Prefetch, Query, Recommend, SearchRequest, SearchResponse,
    Strategy,
};
pub(crate) use screen::Screen;

use coverage::Coverage;
use find::{Found, Level, check_prefetches};

use crate::chance::Chance;
use crate::filter::Filter;
use crate::graph::Walk;
use crate::projection::Projection;
use crate::state::State;
use crate::{Error, PointId, Record, SearchStats, limits};

/// What a worker needs to search, kept between searches.
#[derive(Debug)]
pub(crate) struct Searcher {
    pub(crate) kernels: &'static Kernels,
    pub(crate) clock: Clock,
    /// The vector of the newest search, as it was compared.
    last: Vec<f32>,
    /// Whether a prefetch has found as many points as it passes on, so that there may be more.
    is_cut: bool,
    scores: Vec<f32>,
    dots: Vec<i32>,
    chance: Chance,
    walk: Walk,
    coverage: Coverage,
    /// Of the slots of one region, for each sparse vector of a query.
    sparse_scores: Vec<f32>,
}

impl Searcher {
    pub(crate) fn new(kernels: &'static Kernels, clock: Clock, seed: u64) -> Self {
        Self {
            kernels,
            clock,
            last: Vec::new(),
            is_cut: false,
            scores: Vec::new(),
            dots: Vec::new(),
            chance: Chance::new(seed),
            walk: Walk::default(),
            coverage: Coverage::default(),
            sparse_scores: Vec::new(),
        }
    }

    /// Searches one version of a collection.
    pub(crate) fn search(
        &mut self,
        subject: Subject<'_>,
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let mut begun = self.clock.now();
        let Subject {
            state,
            indexes: _,
            graphs: _,
            sparse: _,
        } = subject;
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
            exact,
            ef,
            idf_corpus,
            filter,
            prefetch,
        } = request;
        // A sample has no order in which points could be passed over.
        let offset = if matches!(query, Query::Sample) {
            0
        } else {
            *offset
        };
        let depth = check_depth(*limit, offset)?;
        check_ef(*ef)?;
        filter.as_deref().map_or(Ok(()), Filter::check)?;
        idf_corpus.as_deref().map_or(Ok(()), Filter::check)?;
        check_prefetches(query, prefetch)?;
        let projection = Projection::new(&state.layout, with_payload, with_vector)?;
        let level = Level {
            using,
            query,
            depth,
            exact: *exact,
            ef: *ef,
            idf_corpus: idf_corpus.as_deref(),
            score_threshold: *score_threshold,
            filter: filter.clone(),
            prefetch,
        };
        let found = self.find(subject, &level, &mut begun, &mut stats)?;
        let found = found.into_iter().skip(offset);
        let hits = found.filter_map(|found| hit(&projection, state, found).transpose());
        let hits = hits.collect::<Result<Vec<_>, _>>()?;
        stats.hits += hits.len() as u64;
        stats.gather_ns += self.clock.now().nanos_since(begun);
        Ok(SearchResponse { hits, stats })
    }

    /// The vector of the newest search, as it was compared.
    pub(crate) fn last_query(&self) -> &[f32] {
        &self.last
    }
}

/// A found point as a hit.
fn hit(projection: &Projection<'_>, state: &State, found: Found) -> Result<Option<Hit>, Error> {
    let record = projection.record(state, found.slot)?;
    Ok(record.map(|Record { id, payload, vectors }| Hit {
        id,
        score: found.score,
        payload,
        vectors,
        order_value: found.order_value,
    }))
}

/// Refuses more candidates than a search through a graph may keep.
fn check_ef(ef: Option<usize>) -> Result<(), Error> {
    match ef {
        Some(ef) if ef > limits::MAX_EF => {
            let most = limits::MAX_EF;
            Err(Error::invalid(format!("ef: {ef} candidates, more than {most}")))
        }
        Some(_) | None => Ok(()),
    }
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
