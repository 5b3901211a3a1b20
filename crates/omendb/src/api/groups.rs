//! The dialect's query in groups: the best few hits of each value of a payload key, perhaps with the point that the value
//! is the id of in another collection.

use std::collections::HashMap;
use std::sync::Arc;

use omendb_engine::{
    Collection, Group, GroupKey, GroupRequest, GroupResponse, PayloadSelector, PointId, Record,
    VectorSelector, Worker,
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::filter::FilterJson;
use super::in_slot::in_slot;
use super::lookup::{LookUp, LookupFrom, Lookups};
use super::one_or_many::OneOrMany;
use super::output::{RecordJson, ScoredJson};
use super::params::check_read_params;
use super::query_input::QueryInput;
use super::refused::Raw;
use super::search::{PrefetchBody, QueryBody, SearchParams, search_request};
use super::selectors::{WithPayload, WithVector, payload_selector, vector_selector};
use super::vector::Component;
use super::{aliases, envelope, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// Hits of a group when no size is given, as in the dialect.
const DEFAULT_GROUP_SIZE: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupsBody<'a> {
    group_by: String,
    group_size: Option<usize>,
    /// Of groups.
    limit: Option<usize>,
    #[serde(borrow, default)]
    with_lookup: Raw<'a>,
    query: Option<QueryInput>,
    using: Option<String>,
    score_threshold: Option<Component>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    params: Option<SearchParams>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    prefetch: OneOrMany<PrefetchBody<'a>>,
    #[serde(borrow, default)]
    lookup_from: Option<LookupFrom<'a>>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

/// Where the points are that groups are named after; a string is its collection alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupBody {
    collection: String,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vector")]
    with_vectors: Option<WithVector>,
}

/// What is looked up for each group.
struct Lookup {
    collection: String,
    with_payload: PayloadSelector,
    with_vector: VectorSelector,
}

#[derive(Serialize)]
struct GroupsResult<'a> {
    groups: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    hits: Vec<ScoredJson<'a>>,
    id: GroupId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lookup: Option<RecordJson<'a>>,
}

struct GroupId<'a>(&'a GroupKey);

impl Serialize for GroupId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            GroupKey::Int(number) => serializer.serialize_i64(*number),
            GroupKey::Uint(number) => serializer.serialize_u64(*number),
            GroupKey::String(text) => serializer.serialize_str(text),
        }
    }
}

/// `POST /collections/{collection}/points/query/groups`.
///
/// # Errors
/// As for a query, also of the collection to look groups up in; 403 when the credential does not reach that.
pub async fn query_groups(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
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
        let (request, lookup) = question(&body, &|from, using, asked| lookups.look_up(from, using, asked))?;
        let place = lookup.as_ref().map(|lookup| {
            let name = aliases::reached(&engine, &caller, lookup.collection.clone())?;
            Ok::<_, ApiError>(engine.collection(&name)?)
        });
        let place = place.transpose()?;
        tally.lap(Stage::Parse);
        let response = worker.search_groups(tally.admission(), &collection, &request)?;
        tally.searched(&response.stats);
        tally.count_matches(&collection, request.search.filter.as_deref())?;
        let found = match (&place, &lookup) {
            (Some(place), Some(lookup)) => look_up(&response, place, lookup)?,
            (_, _) => HashMap::new(),
        };
        tally.lap(Stage::Fetch);
        envelope::answer(&groups(&response, &found), tally)
    };
    in_slot(app, call, work).await?
}

/// Reads the body: the search, and what is looked up.
fn question(bytes: &[u8], look_up: &LookUp<'_>) -> Result<(GroupRequest, Option<Lookup>), ApiError> {
    let body: GroupsBody<'_> = parse::body(bytes)?;
    let group_by = body
        .group_by
        .parse()
        .map_err(|error| ApiError::bad_request(format!("group_by: {error}")))?;
    let group_size = parse::at_least_one("group_size", body.group_size.unwrap_or(DEFAULT_GROUP_SIZE))?;
    let lookup = body.with_lookup.map(lookup).transpose()?;
    let search = QueryBody {
        query: body.query,
        using: body.using,
        limit: body.limit,
        offset: None,
        score_threshold: body.score_threshold,
        with_payload: body.with_payload,
        with_vector: body.with_vector,
        params: body.params,
        filter: body.filter,
        prefetch: body.prefetch,
        lookup_from: body.lookup_from,
        shard_key: body.shard_key,
    };
    let request = GroupRequest {
        search: search_request(search, look_up)?,
        group_by,
        group_size,
    };
    Ok((request, lookup))
}

/// Payloads are looked up unless told otherwise, as in the dialect.
fn lookup(raw: &RawValue) -> Result<Lookup, ApiError> {
    let body = if raw.get().starts_with('{') {
        parse::field("with_lookup", raw)?
    } else {
        LookupBody {
            collection: parse::field("with_lookup", raw)?,
            with_payload: None,
            with_vectors: None,
        }
    };
    Ok(Lookup {
        collection: body.collection,
        with_payload: payload_selector(body.with_payload.unwrap_or(WithPayload::Flag(true)))?,
        with_vector: vector_selector(body.with_vectors),
    })
}

/// The points that groups are named after, by id.
fn look_up(
    response: &GroupResponse,
    place: &Collection,
    lookup: &Lookup,
) -> Result<HashMap<PointId, Record>, ApiError> {
    let ids: Vec<_> = response
        .groups
        .iter()
        .filter_map(|group| group.key.point_id())
        .collect();
    let records = place.retrieve(&ids, &lookup.with_payload, &lookup.with_vector)?;
    Ok(records.into_iter().map(|record| (record.id, record)).collect())
}

fn groups<'a>(response: &'a GroupResponse, found: &'a HashMap<PointId, Record>) -> GroupsResult<'a> {
    let version = response.stats.sequence;
    let group = |Group { key, hits }: &'a Group| GroupJson {
        hits: hits.iter().map(|hit| ScoredJson::hit(hit, version)).collect(),
        id: GroupId(key),
        lookup: key.point_id().and_then(|id| found.get(&id)).map(RecordJson::from),
    };
    GroupsResult {
        groups: response.groups.iter().map(group).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<(usize, usize, Option<&str>), (u16, &str)>) {
        let unused: &LookUp<'_> = &|_, _, asked| Ok(asked);
        match (question(json.as_bytes(), unused), expected) {
            (Ok((request, lookup)), Ok(expected)) => {
                let lookup = lookup.as_ref().map(|lookup| lookup.collection.as_str());
                assert_eq!(
                    (request.search.limit, request.group_size, lookup),
                    expected,
                    "{json}"
                );
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {:?}, expected {expected:?}", outcome.is_ok()),
        }
    }

    #[test]
    fn groups_have_a_key_a_size_and_perhaps_a_lookup() {
        check(r#"{"group_by":"a"}"#, Ok((10, 3, None)));
        check(
            r#"{"group_by":"a.b","group_size":1,"limit":2,"with_lookup":"other"}"#,
            Ok((2, 1, Some("other"))),
        );
        check(
            r#"{"group_by":"a","with_lookup":{"collection":"other","with_payload":["b"],"with_vectors":true}}"#,
            Ok((10, 3, Some("other"))),
        );
    }

    #[test]
    fn wrong_groups_are_refused_by_name() {
        let with = |field: &str| format!(r#"{{"group_by":"a",{field}}}"#);
        check("{}", Err((400, "missing field `group_by`")));
        check(r#"{"group_by":"a..b"}"#, Err((400, "group_by: payload path")));
        check(&with(r#""group_size":0"#), Err((422, "group_size: `0`")));
        check(&with(r#""limit":0"#), Err((422, "limit: `0`")));
        check(&with(r#""offset":1"#), Err((400, "unknown field `offset`")));
        check(
            &with(r#""with_lookup":7"#),
            Err((400, "with_lookup: invalid type")),
        );
        check(
            &with(r#""with_lookup":{"collection":"b","using":"c"}"#),
            Err((400, "with_lookup.using: unknown field `using`")),
        );
    }
}
