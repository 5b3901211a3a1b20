//! The dialect's facets: how many points have each value of a payload key.

use std::sync::Arc;

use omendb_engine::{FacetHit, FacetRequest, FacetValue, Worker};
use serde::{Deserialize, Serialize, Serializer};

use super::filter::{FilterJson, PathJson};
use super::in_slot::in_slot;
use super::params::check_read_params;
use super::refused::{Raw, refuse};
use super::search::DEFAULT_LIMIT;
use super::{envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FacetBody<'a> {
    key: PathJson,
    limit: Option<usize>,
    filter: Option<FilterJson>,
    /// Every count is exact here.
    #[serde(rename = "exact")]
    _exact: Option<bool>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Serialize)]
struct FacetResult<'a> {
    hits: Vec<FacetHitJson<'a>>,
}

#[derive(Serialize)]
struct FacetHitJson<'a> {
    value: FacetValueJson<'a>,
    count: u64,
}

impl<'a> From<&'a FacetHit> for FacetHitJson<'a> {
    fn from(FacetHit { value, count }: &'a FacetHit) -> Self {
        Self {
            value: FacetValueJson(value),
            count: *count,
        }
    }
}

struct FacetValueJson<'a>(&'a FacetValue);

impl Serialize for FacetValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FacetValue::Bool(value) => serializer.serialize_bool(*value),
            FacetValue::Int(value) => serializer.serialize_i64(*value),
            FacetValue::Keyword(text) => serializer.serialize_str(text),
            FacetValue::Uuid(uuid) => serializer.collect_str(uuid),
        }
    }
}

/// `POST /collections/{collection}/facet`.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body or a key without an index.
pub async fn facet(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |worker: &mut Worker, tally: &mut Tally| {
        let request = question(&body)?;
        tally.lap(Stage::Parse);
        let response = worker.facet(tally.admission(), &collection, &request)?;
        tally.searched(&response.stats);
        tally.count_matches(&collection, request.filter.as_deref())?;
        let result = FacetResult {
            hits: response.hits.iter().map(FacetHitJson::from).collect(),
        };
        envelope::answer(&result, tally)
    };
    in_slot(app, call, work).await?
}

fn question(bytes: &[u8]) -> Result<FacetRequest, ApiError> {
    let body: FacetBody<'_> = parse::body(bytes)?;
    refuse(&[("shard_key", body.shard_key)])?;
    Ok(FacetRequest {
        key: body.key.0,
        limit: parse::at_least_one("limit", body.limit.unwrap_or(DEFAULT_LIMIT))?,
        filter: filter::filter(body.filter)?,
    })
}
