//! `POST /query`: our own short form of a search.

use std::sync::Arc;

use omendb_engine::config::UNNAMED;
use omendb_engine::{Hit, SearchRequest, Vector, Worker, limits};
use serde::{Deserialize, Serialize};

use super::filter::FilterJson;
use super::ids::Id;
use super::in_slot::in_slot;
use super::params::read_explain;
use super::payload::PayloadJson;
use super::search::DEFAULT_LIMIT;
use super::selectors::{WithPayload, payload_selector};
use super::vector::VectorBody;
use super::{aliases, envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::explanation::Explanation;
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryBody {
    /// The collection.
    db_id: String,
    vector: VectorBody,
    k: Option<usize>,
    ef: Option<usize>,
    #[serde(default)]
    explain: bool,
    /// Which vector of a collection that has several.
    using: Option<String>,
    with_payload: Option<WithPayload>,
    filter: Option<FilterJson>,
}

/// The answer.
#[derive(Serialize)]
struct QueryAnswer<'a, H: ?Sized> {
    hits: &'a H,
    time_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

impl<'a, H: ?Sized> QueryAnswer<'a, H> {
    fn new(hits: &'a H, tally: &Tally) -> Self {
        Self {
            hits,
            time_ms: tally.elapsed().as_secs_f64() * 1e3,
            explain: tally.explanation(),
        }
    }
}

#[derive(Serialize)]
struct HitJson<'a> {
    id: Id,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadJson<'a>>,
}

impl<'a> From<&'a Hit> for HitJson<'a> {
    fn from(hit: &'a Hit) -> Self {
        let Hit {
            id,
            score,
            payload,
            vectors: _,
            order_value: _,
        } = hit;
        Self {
            id: Id(*id),
            score: *score,
            payload: payload.as_ref().map(PayloadJson),
        }
    }
}

/// `POST /query`: the `k` points of `db_id` nearest to `vector`.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body, 403 when the credential does not reach the collection.
pub async fn query(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    read_explain(call)?;
    let body = call.read_body().await?;
    let (engine, caller) = (Arc::clone(&app.engine), call.caller.clone());
    let work = move |worker: &mut Worker, tally: &mut Tally| {
        let Question {
            db_id,
            request,
            explain,
        } = question(&body)?;
        let db_id = aliases::reached(&engine, &caller, db_id)?;
        if explain {
            tally.explain();
        }
        let collection = engine.collection(&db_id)?;
        tally.db_id = Some(db_id);
        tally.lap(Stage::Parse);
        let response = worker.search_admitted(tally.admission(), &collection, &request)?;
        tally.searched(&response.stats);
        tally.count_matches(&collection, request.filter.as_deref())?;
        let hits: Vec<_> = response.hits.iter().map(HitJson::from).collect();
        let reply = if tally.is_explained() {
            let hits = envelope::serialised(&hits, tally)?;
            Reply::json(&QueryAnswer::new(&hits, tally))
        } else {
            Reply::json(&QueryAnswer::new(&hits, tally))
        };
        tally.lap(Stage::Serialise);
        reply
    };
    in_slot(app, call, work).await?
}

/// What a body asks for.
#[derive(Debug)]
struct Question {
    db_id: String,
    request: SearchRequest,
    explain: bool,
}

fn question(bytes: &[u8]) -> Result<Question, ApiError> {
    let QueryBody {
        db_id,
        vector: VectorBody(mut vector),
        k,
        ef,
        explain,
        using,
        with_payload,
        filter,
    } = parse::body(bytes)?;
    match &mut vector {
        Vector::Dense(vector) if vector.is_empty() => {
            return Err(ApiError::bad_request("vector: empty vector `[]`"));
        }
        Vector::Dense(_) => {}
        Vector::Sparse(vector) => vector
            .sort()
            .map_err(|error| ApiError::unprocessable(format!("vector.{error}")))?,
    }
    let k = parse::at_least_one("k", k.unwrap_or(DEFAULT_LIMIT))?;
    if k > limits::MAX_SEARCH_DEPTH {
        let most = limits::MAX_SEARCH_DEPTH;
        return Err(ApiError::unprocessable(format!("k: {k} is more than {most}")));
    }
    let request = SearchRequest {
        using: using.unwrap_or_else(|| UNNAMED.to_owned()),
        with_payload: payload_selector(with_payload.unwrap_or(WithPayload::Flag(true)))?,
        ef: ef.map(|ef| parse::at_least_one("ef", ef)).transpose()?,
        filter: filter::filter(filter)?,
        ..SearchRequest::nearest(vector, k)
    };
    Ok(Question {
        db_id,
        request,
        explain,
    })
}

#[cfg(test)]
mod tests {
    use omendb_engine::PayloadSelector;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<(&str, SearchRequest, bool), (u16, &str)>) {
        match (question(json.as_bytes()), expected) {
            (
                Ok(Question {
                    db_id,
                    request,
                    explain,
                }),
                Ok(expected),
            ) => {
                assert_eq!((db_id.as_str(), request, explain), expected, "{json}");
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_query_names_collection_vector_and_k() {
        let with_payload = |request| SearchRequest {
            with_payload: PayloadSelector::All,
            ..request
        };
        let plain = with_payload(SearchRequest::nearest(vec![0.5], 10));
        check(
            r#"{"db_id":"main","vector":[0.5]}"#,
            Ok(("main", plain.clone(), false)),
        );
        check(
            r#"{"db_id":"a","vector":[0.5],"k":3,"ef":64,"explain":true,"filter":null,"using":"image"}"#,
            Ok((
                "a",
                SearchRequest {
                    limit: 3,
                    ef: Some(64),
                    using: "image".to_owned(),
                    ..plain
                },
                true,
            )),
        );
    }

    #[test]
    fn wrong_queries_are_refused_with_field_and_value() {
        let with = |field: &str| format!(r#"{{"db_id":"main","vector":[1],{field}}}"#);
        check(&with(r#""k":-1"#), Err((400, "k: invalid value: integer `-1`")));
        check(&with(r#""k":0"#), Err((422, "k: `0`")));
        check(&with(r#""k":10000001"#), Err((422, "k: 10000001 is more than")));
        check(&with(r#""ef":0"#), Err((422, "ef: `0`")));
        check(
            &with(r#""filter":{"must":[{"key":"a"}]}"#),
            Err((400, "filter.must[0]: a key without a test")),
        );
        check(&with(r#""limit":3"#), Err((400, "unknown field `limit`")));
        check(
            r#"{"db_id":"main","vector":[]}"#,
            Err((400, "vector: empty vector `[]`")),
        );
        check(
            r#"{"db_id":"main","vector":[NaN]}"#,
            Err((400, "vector[0]: expected value")),
        );
        check(
            r#"{"db_id":"main","vector":[null]}"#,
            Err((400, "vector[0]: invalid type: null")),
        );
        check(
            r#"{"db_id":"main","vector":"x"}"#,
            Err((400, "vector: invalid type: string \"x\"")),
        );
        check(
            r#"{"db_id":7,"vector":[1]}"#,
            Err((400, "db_id: invalid type: integer `7`")),
        );
        check(r#"{"vector":[1]}"#, Err((400, "missing field `db_id`")));
        check(r#"{"db_id":"main"}"#, Err((400, "missing field `vector`")));
    }
}
