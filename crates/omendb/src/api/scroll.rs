//! The points of a collection, all or those that pass a filter: page by page in order of ids or of a payload key, or only
//! their number.

use std::sync::Arc;

use omendb_engine::{ScrollPage, SearchStats, Worker};
use serde::{Deserialize, Serialize};

use super::filter::FilterJson;
use super::ids::Id;
use super::in_slot::in_slot;
use super::order_by::OrderByInput;
use super::output::RecordJson;
use super::params::check_read_params;
use super::refused::{Raw, refuse};
use super::search::DEFAULT_LIMIT;
use super::selectors::{WithPayload, WithVector, payload_selector, vector_selector};
use super::{envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScrollBody<'a> {
    offset: Option<Id>,
    limit: Option<usize>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    filter: Option<FilterJson>,
    order_by: Option<OrderByInput>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Serialize)]
struct Page<'a> {
    points: Vec<RecordJson<'a>>,
    next_page_offset: Option<Id>,
}

/// `POST /collections/{collection}/points/scroll`: a page of points in order of ids, with payloads unless told otherwise.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body.
pub async fn scroll(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |_: &mut Worker, tally: &mut Tally| {
        let body: ScrollBody<'_> = parse::optional_body(&body)?;
        refuse(&[("shard_key", body.shard_key)])?;
        let limit = parse::at_least_one("limit", body.limit.unwrap_or(DEFAULT_LIMIT))?;
        let offset = body.offset.map(|Id(id)| id);
        let with_payload = payload_selector(body.with_payload.unwrap_or(WithPayload::Flag(true)))?;
        let with_vector = vector_selector(body.with_vector);
        let filter = filter::filter(body.filter)?;
        let page = ScrollPage {
            offset,
            limit,
            filter: filter.as_deref(),
            with_payload: &with_payload,
            with_vector: &with_vector,
        };
        tally.lap(Stage::Parse);
        let mut stats = SearchStats::default();
        if let Some(OrderByInput(order_by)) = body.order_by {
            let records = collection.scroll_ordered(&order_by, &page, &mut stats)?;
            tally.searched(&stats);
            tally.count_matches(&collection, page.filter)?;
            let points = records.iter().map(RecordJson::ordered).collect();
            let page = Page {
                points,
                next_page_offset: None,
            };
            return envelope::answer(&page, tally);
        }
        let (records, next) = collection.scroll_page(&page, &mut stats)?;
        tally.searched(&stats);
        tally.count_matches(&collection, page.filter)?;
        let page = Page {
            points: records.iter().map(RecordJson::from).collect(),
            next_page_offset: next.map(Id),
        };
        envelope::answer(&page, tally)
    };
    in_slot(app, call, work).await?
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountBody<'a> {
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
    /// Every count is exact here.
    #[serde(rename = "exact")]
    _exact: Option<bool>,
}

#[derive(Serialize)]
struct CountResult {
    count: u64,
}

/// `POST /collections/{collection}/points/count`: how many points there are, or pass a filter.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body.
pub async fn count(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |_: &mut Worker, tally: &mut Tally| {
        let body: CountBody<'_> = parse::optional_body(&body)?;
        refuse(&[("shard_key", body.shard_key)])?;
        let filter = filter::filter(body.filter)?.unwrap_or_default();
        tally.lap(Stage::Parse);
        let mut stats = SearchStats::default();
        let count = collection.count_passing(&filter, &mut stats)?;
        tally.searched(&stats);
        tally.work.matched = Some(count);
        envelope::answer(&CountResult { count }, tally)
    };
    in_slot(app, call, work).await?
}
