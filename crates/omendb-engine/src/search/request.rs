//! The question and the answer.

use std::sync::Arc;

use crate::filter::Filter;
use crate::search::expression::FormulaQuery;
use crate::search::feedback::Feedback;
use crate::search::order::{OrderBy, OrderValue};
use crate::{Payload, PayloadSelector, PointId, SearchStats, Vector, VectorSelector, Vectors};

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
    /// Asks for an exact search even where a graph would answer.
    pub exact: bool,
    /// How many candidates a search through a graph keeps: more find more of the nearest points and take longer.
    /// [`DEFAULT_EF`](crate::limits::DEFAULT_EF) unless given, and never fewer than hits are wanted.
    pub ef: Option<usize>,
    /// Counts the inverse document frequency of sparse terms over the points that pass this and have the vector, instead
    /// of over all points.
    pub idf_corpus: Option<Arc<Filter>>,
    /// Only points that pass this are hits.
    pub filter: Option<Arc<Filter>>,
    /// Searches whose hits the query ranks anew; without any it ranks the whole collection. The filter holds for them
    /// too.
    pub prefetch: Vec<Prefetch>,
}

/// A search in front of another, whose hits are all that the other sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefetch {
    /// The vector to compare.
    pub using: String,
    /// What to look for.
    pub query: Query,
    /// Most hits to pass on.
    pub limit: usize,
    /// As for [`SearchRequest::score_threshold`].
    pub score_threshold: Option<f32>,
    /// As for [`SearchRequest::exact`].
    pub exact: bool,
    /// As for [`SearchRequest::ef`].
    pub ef: Option<usize>,
    /// As for [`SearchRequest::idf_corpus`].
    pub idf_corpus: Option<Arc<Filter>>,
    /// Only points that pass this are passed on.
    pub filter: Option<Arc<Filter>>,
    /// Searches in front of this one.
    pub prefetch: Vec<Self>,
}

impl SearchRequest {
    /// The `limit` points nearest to `vector` by the unnamed vector: ids and scores only.
    pub fn nearest(vector: impl Into<Vector>, limit: usize) -> Self {
        Self {
            using: crate::config::UNNAMED.to_owned(),
            query: Query::Nearest(vector.into()),
            limit,
            offset: 0,
            score_threshold: None,
            with_payload: PayloadSelector::None,
            with_vector: VectorSelector::None,
            exact: false,
            ef: None,
            idf_corpus: None,
            filter: None,
            prefetch: Vec::new(),
        }
    }

    /// Whether it asks for the points nearest to one vector in the whole collection, and for nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        self.prefetch.is_empty() && matches!(self.query, Query::Nearest(_) | Query::NearestTo(_))
    }
}

/// What a search looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// The points nearest to this vector.
    Nearest(Vector),
    /// The points nearest to this point, which is not among them.
    NearestTo(PointId),
    /// Points near to an example, and unlike one another.
    Diverse(Diverse),
    /// Points like some examples and unlike others.
    Recommend(Recommend),
    /// Points near to the target on the positive side of as many pairs as possible.
    Discover(Example, Vec<ContextPair>),
    /// Points on the positive sides of the pairs.
    Context(Vec<ContextPair>),
    /// Points near to a target, moved by how relevant others were found.
    Feedback(Feedback),
    /// What several prefetches found, made one list.
    Fusion(Fusion),
    /// What prefetches found, with the scores that a formula gives.
    Formula(FormulaQuery),
    /// Every point, in order of ids, with score 1.
    Listed,
    /// Points in order of the values of a payload key, with score 1.
    OrderBy(OrderBy),
    /// Points drawn by chance, with score 1.
    Sample,
}

/// A vector, or the vector of a stored point, which then is no hit.
#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    /// This one.
    Vector(Vector),
    /// Those of this point.
    Point(PointId),
}

/// Hits chosen one after the other by maximal marginal relevance: near to an example, far from those chosen before.
///
/// Carbonell and Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998.
#[derive(Clone, Debug, PartialEq)]
pub struct Diverse {
    /// What hits are near to.
    pub near: Example,
    /// From 0, which is the nearest alone, to 1, which is unlike one another alone.
    pub diversity: f32,
    /// How many of the nearest points are chosen from; as many as hits are wanted unless given.
    pub candidates: Option<usize>,
}

/// Examples of what is wanted and what is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommend {
    /// Hits are like these.
    pub positive: Vec<Example>,
    /// Hits are unlike these.
    pub negative: Vec<Example>,
    /// How examples make a score.
    pub strategy: Strategy,
}

/// How examples make a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The comparison with twice the mean of the positive less the mean of the negative examples.
    #[default]
    AverageVector,
    /// The comparison with the best example, negated if that is a negative one, between -1 and 1.
    BestScore,
    /// The sum of the comparisons with positive less that with negative examples.
    SumScores,
}

/// An example of what is wanted beside one of what is not.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextPair {
    /// Hits are nearer to this.
    pub positive: Example,
    /// Hits are farther from this.
    pub negative: Example,
}

/// How several lists of hits become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Fusion {
    /// Reciprocal ranks, added: `1 / ((place + 1) / weight + k - 1)`, places counted from 0.
    ///
    /// After Cormack, Clarke and Buettcher, "Reciprocal rank fusion", SIGIR 2009.
    ReciprocalRank {
        /// How little the first places stand out.
        k: usize,
        /// One per prefetch, or none for 1 each.
        weights: Vec<f32>,
    },
    /// Scores of each list, moved and scaled so that three standard deviations about their mean become 0 to 1, added.
    ScoreDistribution,
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
    /// The value that it is in order of, where [`Query::OrderBy`] asked for an order.
    pub order_value: Option<OrderValue>,
}
