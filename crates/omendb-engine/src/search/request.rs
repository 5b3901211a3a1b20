//! The question and the answer.

use std::sync::Arc;

use crate::filter::Filter;
use crate::{Payload, PayloadSelector, PointId, SearchStats, VectorSelector, Vectors};

/// A search of one collection.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// The vector to compare; [`UNNAMED`](crate::config::UNNAMED) where the collection has only that.
    pub using: String,
    /// What to look for.
    pub query: Query,
    /// Most hits to return; zero is valid and returns none.
    pub limit: usize,
    /// Best hits to pass over first.
    pub offset: usize,
    /// The worst score to return, itself included: a lower bound where higher scores are better, else an upper one.
    pub score_threshold: Option<f32>,
    /// Which part of each hit's payload to return.
    pub with_payload: PayloadSelector,
    /// Which of each hit's vectors to return.
    pub with_vector: VectorSelector,
    /// Asks for an exact search even where an index would answer. Every search is exact so far.
    pub exact: bool,
    /// How many candidates a graph search keeps; without effect on an exact search.
    pub ef: Option<usize>,
    /// Only points that pass this are hits.
    pub filter: Option<Arc<Filter>>,
}

impl SearchRequest {
    /// The `limit` points nearest to `vector` by the unnamed vector: ids and scores only.
    pub fn nearest(vector: Vec<f32>, limit: usize) -> Self {
        Self {
            using: crate::config::UNNAMED.to_owned(),
            query: Query::Nearest(vector),
            limit,
            offset: 0,
            score_threshold: None,
            with_payload: PayloadSelector::None,
            with_vector: VectorSelector::None,
            exact: false,
            ef: None,
            filter: None,
        }
    }
}

/// What a search looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The points nearest to this vector.
    Nearest(Vec<f32>),
    /// The points nearest to this point, which is not among them.
    NearestTo(PointId),
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchResponse {
    /// Best first; equal scores in order of ids.
    pub hits: Vec<Hit>,
    /// What it took.
    pub stats: SearchStats,
}

/// One point found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its identity.
    pub id: PointId,
    /// The comparison with the query in the user's terms: cosine, dot product or distance.
    pub score: f32,
    /// Its payload, as selected; `None` when not asked for.
    pub payload: Option<Payload>,
    /// Its vectors, as selected; `None` when not asked for.
    pub vectors: Option<Vectors>,
}
