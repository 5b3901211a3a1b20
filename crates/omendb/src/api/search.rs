//! The dialect's query: the points nearest to a vector or to a point, or a listing when nothing is asked for.

use std::sync::Arc;

use omendb_engine::config::UNNAMED;
use omendb_engine::{
    Collection, Filter, PayloadSelector, Query, Record, ScrollPage, SearchRequest, VectorSelector, Worker,
};
use serde::{Deserialize, Serialize};

use super::filter::FilterJson;
use super::output::ScoredJson;
use super::params::check_read_params;
use super::query_input::QueryInput;
use super::refused::{Raw, refuse};
use super::selectors::{WithPayload, WithVector, payload_selector, vector_selector};
use super::vectors::Component;
use super::{envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};

/// Points returned when no limit is given, as in the dialect.
pub(crate) const DEFAULT_LIMIT: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryBody<'a> {
    query: Option<QueryInput>,
    using: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
    score_threshold: Option<Component>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    #[serde(borrow, default)]
    params: Option<SearchParams<'a>>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    prefetch: Raw<'a>,
    #[serde(borrow, default)]
    lookup_from: Raw<'a>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

/// How a search is run. `quantization` and `acorn` tune what does not exist here and have no effect on exact results.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct SearchParams<'a> {
    hnsw_ef: Option<usize>,
    exact: Option<bool>,
    #[serde(rename = "quantization")]
    _quantization: Option<QuantizationParams>,
    #[serde(rename = "acorn")]
    _acorn: Option<AcornParams>,
    #[serde(borrow, default)]
    indexed_only: Raw<'a>,
    #[serde(borrow, default)]
    idf: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuantizationParams {
    #[serde(rename = "ignore")]
    _ignore: Option<bool>,
    #[serde(rename = "rescore")]
    _rescore: Option<bool>,
    #[serde(rename = "oversampling")]
    _oversampling: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcornParams {
    #[serde(rename = "enable")]
    _enable: Option<bool>,
    #[serde(rename = "max_selectivity")]
    _max_selectivity: Option<f64>,
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
    let started = app.clock.now();
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let clock = app.clock.clone();
    let work = move |worker: &mut Worker| match question(&body)? {
        Question::Search(request) => {
            let response = worker.search(&collection, &request)?;
            let version = response.stats.sequence;
            let points = response
                .hits
                .iter()
                .map(|hit| ScoredJson::hit(hit, version))
                .collect();
            envelope::ok(&QueryResult { points }, clock.now().since(started))
        }
        Question::List(request) => {
            let version = collection.info().sequence;
            let records = list(&collection, &request)?;
            let points = records
                .iter()
                .map(|record| ScoredJson::listed(record, version))
                .collect();
            envelope::ok(&QueryResult { points }, clock.now().since(started))
        }
    };
    app.slots.run(work).await?
}

/// What a body asks for.
#[derive(Debug)]
enum Question {
    /// The nearest points.
    Search(SearchRequest),
    /// No query at all: points in order of ids.
    List(Listing),
}

/// A page of points in order of ids.
#[derive(Debug)]
struct Listing {
    offset: usize,
    limit: usize,
    filter: Option<Arc<Filter>>,
    with_payload: PayloadSelector,
    with_vector: VectorSelector,
}

/// Reads the body of a query.
fn question(bytes: &[u8]) -> Result<Question, ApiError> {
    let body: QueryBody<'_> = parse::body(bytes)?;
    let params = body.params.unwrap_or_default();
    refuse(&[
        ("prefetch", body.prefetch),
        ("lookup_from", body.lookup_from),
        ("shard_key", body.shard_key),
        ("params.indexed_only", params.indexed_only),
        ("params.idf", params.idf),
    ])?;
    let ef = params
        .hnsw_ef
        .map(|ef| parse::at_least_one("params.hnsw_ef", ef))
        .transpose()?;
    let limit = parse::at_least_one("limit", body.limit.unwrap_or(DEFAULT_LIMIT))?;
    let offset = body.offset.unwrap_or(0);
    let with_payload = payload_selector(body.with_payload.unwrap_or(WithPayload::Flag(false)))?;
    let with_vector = vector_selector(body.with_vector);
    let filter = filter::filter(body.filter)?;
    let Some(QueryInput(query)) = body.query else {
        return Ok(Question::List(Listing {
            offset,
            limit,
            filter,
            with_payload,
            with_vector,
        }));
    };
    if query == Query::Nearest(Vec::new()) {
        return Err(ApiError::bad_request("query: empty vector `[]`"));
    }
    Ok(Question::Search(SearchRequest {
        using: body.using.unwrap_or_else(|| UNNAMED.to_owned()),
        query,
        offset,
        score_threshold: body.score_threshold.map(|Component(score)| score),
        with_payload,
        with_vector,
        exact: params.exact.unwrap_or(false),
        ef,
        filter,
        ..SearchRequest::nearest(Vec::new(), limit)
    }))
}

/// The listed points: a scroll that passes over the first `offset`.
fn list(collection: &Collection, listing: &Listing) -> Result<Vec<Record>, ApiError> {
    let Listing {
        offset,
        limit,
        filter,
        with_payload,
        with_vector,
    } = listing;
    let skipped = ScrollPage {
        offset: None,
        limit: *offset,
        filter: filter.as_deref(),
        with_payload: &PayloadSelector::None,
        with_vector: &VectorSelector::None,
    };
    let first = match offset {
        0 => None,
        _ => match collection.scroll_page(&skipped)? {
            (_, Some(first)) => Some(first),
            (_, None) => return Ok(Vec::new()),
        },
    };
    let page = ScrollPage {
        offset: first,
        limit: *limit,
        with_payload,
        with_vector,
        ..skipped
    };
    Ok(collection.scroll_page(&page)?.0)
}

#[cfg(test)]
mod tests {
    use omendb_engine::PointId;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<SearchRequest, (u16, &str)>) {
        match (question(json.as_bytes()), expected) {
            (Ok(Question::Search(request)), Ok(expected)) => assert_eq!(request, expected, "{json}"),
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
        let defaults =
            r#"{"query":[1],"filter":null,"prefetch":[],"params":{"indexed_only":false,"acorn":null}}"#;
        check(defaults, Ok(nearest));
    }

    #[test]
    fn without_a_query_points_are_listed() {
        let listing = question(br#"{"limit":3,"offset":1}"#);
        assert!(
            matches!(
                listing,
                Ok(Question::List(Listing {
                    offset: 1,
                    limit: 3,
                    ..
                }))
            ),
            "{listing:?}"
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
            &with(r#""params":{"hnsw_ef":0}"#),
            Err((422, "params.hnsw_ef: `0`")),
        );
        check(
            &with(r#""params":{"indexed_only":true}"#),
            Err((422, "params.indexed_only: `true`")),
        );
        check(
            &with(r#""params":{"ef":1}"#),
            Err((400, "params.ef: unknown field `ef`")),
        );
        check(
            &with(r#""filter":{"must":[{"key":"a"}]}"#),
            Err((400, "filter.must[0]: a key without a test")),
        );
        check(&with(r#""prefetch":{"limit":3}"#), Err((422, "prefetch")));
        check(
            &with(r#""lookup_from":{"collection":"b"}"#),
            Err((422, "lookup_from")),
        );
        check(&with(r#""with_payload":["a..b"]"#), Err((400, "a..b")));
        check(&with(r#""k":3"#), Err((400, "unknown field `k`")));
        check(
            r#"{"query":[1,"x"]}"#,
            Err((400, "query[1]: invalid type: string \"x\"")),
        );
        check(
            r#"{"query":{"nearest":[]}}"#,
            Err((400, "query: empty vector `[]`")),
        );
        check(r#"{"query":{"fusion":"rrf"}}"#, Err((400, "query: `fusion`")));
    }
}
