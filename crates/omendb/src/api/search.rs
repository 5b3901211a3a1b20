//! The dialect's query, alone or in a batch: points ranked by vectors and examples, or listed when nothing is asked for,
//! in the whole collection or among what prefetches found.

use std::sync::Arc;

use omendb_engine::config::UNNAMED;
use omendb_engine::{
    ContextPair, Diverse, Example, Filter, Fusion, Prefetch, Query, SearchRequest, SearchResponse, Vector,
    Worker,
};
use serde::{Deserialize, Serialize};

use super::filter::FilterJson;
use super::in_slot::in_slot;
use super::lookup::{LookUp, LookupFrom, Lookups};
use super::one_or_many::OneOrMany;
use super::output::ScoredJson;
use super::params::check_read_params;
use super::query_input::QueryInput;
use super::refused::{Raw, refuse};
use super::selectors::{WithPayload, WithVector, payload_selector, vector_selector};
use super::vector::Component;
use super::{envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// Points returned when no limit is given, as in the dialect.
pub(crate) const DEFAULT_LIMIT: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryBody<'a> {
    pub(super) query: Option<QueryInput>,
    pub(super) using: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) offset: Option<usize>,
    pub(super) score_threshold: Option<Component>,
    pub(super) with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    pub(super) with_vector: Option<WithVector>,
    pub(super) params: Option<SearchParams>,
    pub(super) filter: Option<FilterJson>,
    #[serde(borrow, default)]
    pub(super) prefetch: OneOrMany<PrefetchBody<'a>>,
    #[serde(borrow, default)]
    pub(super) lookup_from: Option<LookupFrom<'a>>,
    #[serde(borrow, default)]
    pub(super) shard_key: Raw<'a>,
}

/// A search in front of another. Bodies are nested at most 128 levels deep, and so are these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrefetchBody<'a> {
    query: Option<QueryInput>,
    using: Option<String>,
    limit: Option<usize>,
    score_threshold: Option<Component>,
    params: Option<SearchParams>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    prefetch: OneOrMany<Self>,
    #[serde(borrow, default)]
    lookup_from: Option<LookupFrom<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    searches: Vec<QueryBody<'a>>,
}

/// How a search is run. `quantization` and `acorn` tune what does not exist here and have no effect on exact results;
/// `indexed_only` allows points to be left out, and none are.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    hnsw_ef: Option<usize>,
    exact: Option<bool>,
    quantization: Option<QuantizationParams>,
    acorn: Option<AcornParams>,
    #[serde(rename = "indexed_only")]
    _indexed_only: Option<bool>,
    idf: Option<IdfScope>,
}

/// The points that the inverse document frequency of sparse terms is counted over: all, or those that pass a filter.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum IdfScope {
    Global,
    Corpus(FilterJson),
}

/// What [`SearchParams`] ask for.
struct Effort {
    exact: bool,
    ef: Option<usize>,
    idf_corpus: Option<Arc<Filter>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantizationParams {
    #[serde(rename = "ignore")]
    _ignore: Option<bool>,
    #[serde(rename = "rescore")]
    _rescore: Option<bool>,
    oversampling: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcornParams {
    #[serde(rename = "enable")]
    _enable: Option<bool>,
    max_selectivity: Option<f64>,
}

#[derive(Serialize)]
struct QueryResult<'a> {
    points: Vec<ScoredJson<'a>>,
}

/// `POST /collections/{collection}/points/query`.
///
/// # Errors
/// 404 without the collection or the point to search near, 400 and 422 for a wrong body.
pub async fn query(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let (engine, caller) = (Arc::clone(&app.engine), call.caller.clone());
    let work = move |worker: &mut Worker, tally: &mut Tally| {
        let lookups = Lookups {
            engine: &engine,
            caller: &caller,
            collection: collection.name(),
        };
        let request = search_request(parse::body(&body)?, &|from, using, asked| {
            lookups.look_up(from, using, asked)
        })?;
        tally.lap(Stage::Parse);
        let response = worker.search_admitted(tally.admission(), &collection, &request)?;
        tally.searched(&response.stats);
        tally.count_matches(&collection, request.filter.as_deref())?;
        envelope::answer(&QueryResult::from(&response), tally)
    };
    in_slot(app, call, work).await?
}

/// `POST /collections/{collection}/points/query/batch`: several queries on one snapshot of the collection.
///
/// # Errors
/// As for [`query`], when one of them is wrong.
pub async fn query_batch(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let (engine, caller) = (Arc::clone(&app.engine), call.caller.clone());
    let work = move |worker: &mut Worker, tally: &mut Tally| {
        let lookups = Lookups {
            engine: &engine,
            caller: &caller,
            collection: collection.name(),
        };
        let requests = batch(&body, &|from, using, asked| lookups.look_up(from, using, asked))?;
        tally.lap(Stage::Parse);
        let responses = worker.search_batch(tally.admission().origin, &collection, &requests)?;
        tally.searched_each(responses.iter().map(|response| &response.stats));
        let results: Vec<_> = responses.iter().map(QueryResult::from).collect();
        envelope::answer(&results, tally)
    };
    in_slot(app, call, work).await?
}

/// Reads the body of a batch.
fn batch(bytes: &[u8], look_up: &LookUp<'_>) -> Result<Vec<SearchRequest>, ApiError> {
    let BatchBody { searches } = parse::body(bytes)?;
    let request = |(number, search)| {
        search_request(search, look_up)
            .map_err(|error| ApiError::new(error.status(), format!("searches[{number}].{}", error.message())))
    };
    searches.into_iter().enumerate().map(request).collect()
}

impl<'a> From<&'a SearchResponse> for QueryResult<'a> {
    fn from(response: &'a SearchResponse) -> Self {
        let version = response.stats.sequence;
        let hits = response.hits.iter();
        Self {
            points: hits.map(|hit| ScoredJson::hit(hit, version)).collect(),
        }
    }
}

/// Checks the body of a query.
pub(super) fn search_request(body: QueryBody<'_>, look_up: &LookUp<'_>) -> Result<SearchRequest, ApiError> {
    refuse(&[("shard_key", body.shard_key)])?;
    let Effort {
        exact,
        ef,
        idf_corpus,
    } = search_params(body.params)?;
    let limit = parse::at_least_one("limit", body.limit.unwrap_or(DEFAULT_LIMIT))?;
    let using = body.using.unwrap_or_else(|| UNNAMED.to_owned());
    let mut asked = (checked_query(body.query)?, filter::filter(body.filter)?);
    if let Some(from) = body.lookup_from {
        asked = look_up(from, &using, asked)?;
    }
    let (query, filter) = asked;
    Ok(SearchRequest {
        using,
        query,
        limit,
        offset: body.offset.unwrap_or(0),
        score_threshold: body.score_threshold.map(|Component(score)| score),
        with_payload: payload_selector(body.with_payload.unwrap_or(WithPayload::Flag(false)))?,
        with_vector: vector_selector(body.with_vector),
        exact,
        ef,
        idf_corpus,
        filter,
        prefetch: prefetches(body.prefetch, look_up)?,
    })
}

fn prefetches(
    OneOrMany(bodies): OneOrMany<PrefetchBody<'_>>,
    look_up: &LookUp<'_>,
) -> Result<Vec<Prefetch>, ApiError> {
    bodies.into_iter().map(|body| prefetch(body, look_up)).collect()
}

fn prefetch(body: PrefetchBody<'_>, look_up: &LookUp<'_>) -> Result<Prefetch, ApiError> {
    let Effort {
        exact,
        ef,
        idf_corpus,
    } = search_params(body.params)?;
    let using = body.using.unwrap_or_else(|| UNNAMED.to_owned());
    let mut asked = (checked_query(body.query)?, filter::filter(body.filter)?);
    if let Some(from) = body.lookup_from {
        asked = look_up(from, &using, asked)?;
    }
    let (query, filter) = asked;
    Ok(Prefetch {
        using,
        query,
        limit: parse::at_least_one("prefetch.limit", body.limit.unwrap_or(DEFAULT_LIMIT))?,
        score_threshold: body.score_threshold.map(|Component(score)| score),
        exact,
        ef,
        idf_corpus,
        filter,
        prefetch: prefetches(body.prefetch, look_up)?,
    })
}

/// How the search is to be run.
fn search_params(params: Option<SearchParams>) -> Result<Effort, ApiError> {
    let params = params.unwrap_or_default();
    let oversampling = params
        .quantization
        .and_then(|quantization| quantization.oversampling);
    parse::within(
        "params.quantization.oversampling",
        oversampling,
        (1.0.., "at least 1"),
    )?;
    let selectivity = params.acorn.and_then(|acorn| acorn.max_selectivity);
    parse::within(
        "params.acorn.max_selectivity",
        selectivity,
        (0.0..=1.0, "from 0 to 1"),
    )?;
    let ef = params
        .hnsw_ef
        .map(|ef| parse::at_least_one("params.hnsw_ef", ef))
        .transpose()?;
    let corpus = match params.idf {
        None | Some(IdfScope::Global) => None,
        Some(IdfScope::Corpus(corpus)) => Some(corpus),
    };
    Ok(Effort {
        exact: params.exact.unwrap_or(false),
        ef,
        idf_corpus: filter::filter(corpus)?,
    })
}

/// What is asked for; points are listed when nothing is.
fn checked_query(input: Option<QueryInput>) -> Result<Query, ApiError> {
    let Some(QueryInput(mut query)) = input else {
        return Ok(Query::Listed);
    };
    for vector in vectors_of(&mut query) {
        if let Vector::Sparse(vector) = vector {
            vector
                .sort()
                .map_err(|error| ApiError::unprocessable(format!("query: {error}")))?;
        }
    }
    match &query {
        Query::Nearest(Vector::Dense(vector)) if vector.is_empty() => {
            return Err(ApiError::bad_request("query: empty vector `[]`"));
        }
        Query::Diverse(Diverse { diversity, .. }) if !(0.0..=1.0).contains(diversity) => {
            return Err(ApiError::unprocessable(format!(
                "query.mmr.diversity: `{diversity}` is not from 0 to 1"
            )));
        }
        Query::Fusion(Fusion::ReciprocalRank { k, .. }) => {
            parse::at_least_one("query.rrf.k", *k)?;
        }
        Query::Nearest(_)
        | Query::NearestTo(_)
        | Query::Diverse(_)
        | Query::Recommend(_)
        | Query::Discover(..)
        | Query::Context(_)
        | Query::Feedback(_)
        | Query::Fusion(_)
        | Query::Formula(_)
        | Query::Listed
        | Query::OrderBy(_)
        | Query::Sample => {}
    }
    Ok(query)
}

/// The vectors that a query brings.
fn vectors_of(query: &mut Query) -> Vec<&mut Vector> {
    let examples = match query {
        Query::Nearest(vector) => return vec![vector],
        Query::Diverse(diverse) => vec![&mut diverse.near],
        Query::Recommend(recommend) => {
            let examples = recommend.positive.iter_mut().chain(&mut recommend.negative);
            examples.collect()
        }
        Query::Discover(target, context) => [target].into_iter().chain(examples_of(context)).collect(),
        Query::Context(context) => examples_of(context).collect(),
        Query::Feedback(feedback) => {
            let examples = feedback.examples.iter_mut().map(|(example, _)| example);
            std::iter::once(&mut feedback.target).chain(examples).collect()
        }
        Query::NearestTo(_)
        | Query::Fusion(_)
        | Query::Formula(_)
        | Query::Listed
        | Query::OrderBy(_)
        | Query::Sample => Vec::new(),
    };
    examples.into_iter().filter_map(vector_of).collect()
}

fn examples_of(pairs: &mut [ContextPair]) -> impl Iterator<Item = &mut Example> {
    pairs
        .iter_mut()
        .flat_map(|pair| [&mut pair.positive, &mut pair.negative])
}

fn vector_of(example: &mut Example) -> Option<&mut Vector> {
    match example {
        Example::Vector(vector) => Some(vector),
        Example::Point(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Condition, PayloadSelector, PointId, VectorSelector};

    use super::*;
    use crate::api::lookup::Asked;

    /// Looks up in no collection at all.
    fn nowhere(_: LookupFrom<'_>, using: &str, _: Asked) -> Result<Asked, ApiError> {
        Err(ApiError::not_found(format!("looked up for {using:?}")))
    }

    #[track_caller]
    fn check(json: &str, expected: Result<SearchRequest, (u16, &str)>) {
        match (
            parse::body(json.as_bytes()).and_then(|body| search_request(body, &nowhere)),
            expected,
        ) {
            (Ok(request), Ok(expected)) => assert_eq!(request, expected, "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_query_becomes_a_search() {
        let nearest = SearchRequest::nearest(vec![1.0], DEFAULT_LIMIT);
        check(r#"{"query":[1]}"#, Ok(nearest.clone()));
        check(
            r#"{"query":{"nearest":3},"using":"image","limit":5,"offset":2,"score_threshold":0.5,"with_payload":true,
                "with_vectors":["image"],"params":{"hnsw_ef":64,"exact":true,"quantization":{"ignore":true}}}"#,
            Ok(SearchRequest {
                using: "image".to_owned(),
                query: Query::NearestTo(PointId::Number(3)),
                offset: 2,
                score_threshold: Some(0.5),
                with_payload: PayloadSelector::All,
                with_vector: VectorSelector::Named(vec!["image".to_owned()]),
                exact: true,
                ef: Some(64),
                ..SearchRequest::nearest(Vec::new(), 5)
            }),
        );
        // Clients write their defaults.
        let defaults = r#"{"query":[1],"filter":null,"prefetch":[],"params":{"indexed_only":false,"acorn":null,"idf":"global"}}"#;
        check(defaults, Ok(nearest.clone()));
        let corpus = Filter::of(Condition::HasId([1.into()].into()));
        check(
            r#"{"query":[1],"params":{"idf":{"corpus":{"must":{"has_id":[1]}}}}}"#,
            Ok(SearchRequest {
                idf_corpus: Some(Arc::new(corpus)),
                ..nearest
            }),
        );
    }

    #[test]
    fn without_a_query_points_are_listed() {
        let listed = SearchRequest {
            query: Query::Listed,
            offset: 1,
            ..SearchRequest::nearest(Vec::new(), 3)
        };
        check(r#"{"limit":3,"offset":1}"#, Ok(listed));
    }

    #[test]
    fn prefetches_stand_in_front_of_a_query() {
        let inner = |query, limit| Prefetch {
            exact: false,
            ef: None,
            idf_corpus: None,
            using: UNNAMED.to_owned(),
            query,
            limit,
            score_threshold: None,
            filter: None,
            prefetch: Vec::new(),
        };
        let nearest = Query::Nearest(vec![1.0].into());
        let one = |prefetch| SearchRequest {
            prefetch: vec![prefetch],
            ..SearchRequest::nearest(vec![1.0], DEFAULT_LIMIT)
        };
        check(
            r#"{"query":[1],"prefetch":{"query":[1],"limit":3}}"#,
            Ok(one(inner(nearest.clone(), 3))),
        );
        let exact = Prefetch {
            exact: true,
            ef: Some(64),
            ..inner(nearest.clone(), DEFAULT_LIMIT)
        };
        let nested = Prefetch {
            score_threshold: Some(0.5),
            prefetch: vec![inner(Query::Listed, 7), exact],
            ..inner(nearest, 4)
        };
        check(
            r#"{"query":[1],"prefetch":[{"query":[1],"limit":4,"score_threshold":0.5,
                "prefetch":[{"limit":7},{"query":[1],"params":{"exact":true,"hnsw_ef":64}}]}]}"#,
            Ok(one(nested)),
        );
    }

    #[test]
    fn a_batch_says_which_search_is_wrong() {
        let error = |json: &str| {
            batch(json.as_bytes(), &nowhere)
                .expect_err("wrong")
                .message()
                .to_owned()
        };
        let both = batch(br#"{"searches":[{"query":[1]},{}]}"#, &nowhere).map(|searches| searches.len());
        assert_eq!(both.ok(), Some(2));
        assert!(error(r#"{"searches":[{},{"limit":0}]}"#).starts_with("searches[1].limit: `0`"));
        assert!(error(r#"{"searches":[{"limit":"x"}]}"#).contains("searches[0].limit: invalid type"));
        assert!(error("{}").contains("missing field `searches`"));
    }

    #[test]
    fn wrong_sparse_vectors_are_refused_wherever_they_stand() {
        check(
            r#"{"query":{"indices":[1,2],"values":[1]}}"#,
            Err((422, "query: values: 1 of them for 2 indices")),
        );
        check(
            r#"{"query":{"discover":{"target":1,"context":[{"positive":2,"negative":{"indices":[3,3],"values":[1,2]}}]}}}"#,
            Err((422, "query: indices: 3 is given twice")),
        );
    }

    #[test]
    fn wrong_and_unsupported_queries_are_refused_by_name() {
        let with = |field: &str| format!(r#"{{"query":[1],{field}}}"#);
        check(
            &with(r#""limit":-1"#),
            Err((400, "limit: invalid value: integer `-1`")),
        );
        check(&with(r#""limit":0"#), Err((422, "limit: `0`")));
        check(
            &with(r#""limit":1e3"#),
            Err((400, "limit: invalid type: floating point `1000.0`")),
        );
        check(&with(r#""offset":-1"#), Err((400, "offset")));
        check(
            &with(r#""score_threshold":1e60"#),
            Err((400, "score_threshold: number out of range")),
        );
        check(
            &with(r#""score_threshold":"high""#),
            Err((400, "score_threshold: invalid type: string \"high\"")),
        );
        check(
            &with(r#""params":{"quantization":{"oversampling":0.5}}"#),
            Err((422, "params.quantization.oversampling: `0.5` is not at least 1")),
        );
        check(
            &with(r#""params":{"acorn":{"max_selectivity":1.5}}"#),
            Err((422, "params.acorn.max_selectivity: `1.5` is not from 0 to 1")),
        );
        check(
            &with(r#""params":{"hnsw_ef":0}"#),
            Err((422, "params.hnsw_ef: `0`")),
        );
        check(
            &with(r#""params":{"idf":"local"}"#),
            Err((400, "params.idf: unknown variant `local`")),
        );
        check(
            &with(r#""params":{"idf":{"corpus":{"must":[{"key":"a"}]}}}"#),
            Err((400, "params.idf.corpus.must[0]: a key without a test")),
        );
        check(
            &with(r#""params":{"ef":1}"#),
            Err((400, "params.ef: unknown field `ef`")),
        );
        check(
            &with(r#""filter":{"must":[{"key":"a"}]}"#),
            Err((400, "filter.must[0]: a key without a test")),
        );
        check(
            &with(r#""prefetch":{"limit":0}"#),
            Err((422, "prefetch.limit: `0`")),
        );
        check(
            &with(r#""prefetch":[{"lookup_from":{"collection":"b"}}]"#),
            Err((404, "looked up for \"\"")),
        );
        check(
            &with(r#""using":"a","lookup_from":{"collection":"b"}"#),
            Err((404, "looked up for \"a\"")),
        );
        check(
            &with(r#""lookup_from":{"vector":"b"}"#),
            Err((400, "lookup_from: missing field `collection`")),
        );
        check(&with(r#""with_payload":["a..b"]"#), Err((400, "a..b")));
        check(&with(r#""k":3"#), Err((400, "unknown field `k`")));
    }

    #[test]
    fn wrong_kinds_of_query_are_refused_by_name() {
        check(
            r#"{"query":[1,"x"]}"#,
            Err((400, "query[1]: invalid type: string \"x\"")),
        );
        check(
            r#"{"query":{"nearest":[]}}"#,
            Err((400, "query: empty vector `[]`")),
        );
        check(
            r#"{"query":{"nearest":[1],"mmr":{"diversity":1.5}}}"#,
            Err((422, "query.mmr.diversity: `1.5`")),
        );
        check(r#"{"query":{"rrf":{"k":0}}}"#, Err((422, "query.rrf.k: `0`")));
        check(r#"{"query":{"text":1}}"#, Err((400, "query: `text`")));
    }
}
