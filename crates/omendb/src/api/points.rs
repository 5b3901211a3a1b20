//! Points: upsert and retrieve by id, delete by id or filter.

use std::sync::Arc;

use hyper::body::Bytes;
use omendb_engine::{
    Collection, Operation, PayloadSelector, PointSelector, VectorSelector, Worker, WriteBatch, WriteOutcome,
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::filter::{FilterJson, point_selector};
use super::ids::{self, Id, point_ids};
use super::in_slot::in_slot;
use super::output::RecordJson;
use super::params::{WriteParams, check_read_params, write_params};
use super::refused::{Raw, refuse};
use super::selectors::{WithPayload, WithVector, payload_selector, vector_selector};
use super::{envelope, parse, upsert};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// `PUT /collections/{collection}/points`: inserts or replaces points.
///
/// # Errors
/// 404 without the collection; 400 and 422 for a wrong body or points that do not fit the collection; 503 when full or
/// not writable; 507 when the disk is full. Nothing of a refused body is written.
pub async fn upsert(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_upsert).await
}

/// `POST /collections/{collection}/points/delete`: deletes points by id, those that do not exist being passed over, or
/// by filter.
///
/// # Errors
/// As for [`upsert`].
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_delete).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody<'a> {
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

/// Reads the body of an upsert.
pub(super) fn parse_upsert(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let operations = vec![upsert::operation(bytes)?];
    Ok(WriteBatch { operations })
}

/// Reads the body of a deletion. An empty filter selects every point.
pub(super) fn parse_delete(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let DeleteBody {
        points,
        filter,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let operation = match point_selector(points, filter)? {
        PointSelector::Ids(ids) => Operation::Delete(ids),
        PointSelector::Filter(filter) => Operation::DeleteMatching(filter),
    };
    Ok(WriteBatch {
        operations: vec![operation],
    })
}

/// What became of a write, as the dialect has it.
#[derive(Clone, Serialize)]
pub(super) struct UpdateResult {
    operation_id: u64,
    status: &'static str,
}

impl UpdateResult {
    /// Of the write with that sequence number, by what was asked of it.
    pub(super) fn of(sequence: u64, WriteParams { wait }: WriteParams) -> Self {
        Self {
            operation_id: sequence,
            status: if wait { "completed" } else { "acknowledged" },
        }
    }
}

/// Parses and submits a write in a slot, then waits without one until it is durable and visible.
pub(super) async fn write(
    app: &Arc<App>,
    call: &mut Call,
    parse: impl FnOnce(&[u8]) -> Result<WriteBatch, ApiError> + Send + 'static,
) -> Result<Reply, ApiError> {
    let (result, _) = written(app, call, parse).await?;
    envelope::answer(&result, &mut call.tally)
}

/// As [`write`], without the envelope; also how many operations the body held.
pub(super) async fn written(
    app: &Arc<App>,
    call: &mut Call,
    parse: impl FnOnce(&[u8]) -> Result<WriteBatch, ApiError> + Send + 'static,
) -> Result<(UpdateResult, usize), ApiError> {
    let params = write_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |_: &mut Worker, tally: &mut Tally| {
        let submitted = submit(&collection, body, parse);
        tally.lap(Stage::Parse);
        submitted
    };
    let (pending, operations) = in_slot(app, call, work).await??;
    let outcome = pending
        .await
        .map_err(|_| ApiError::internal("a write was dropped without an outcome"))?;
    let WriteOutcome { sequence, stats } = outcome?;
    call.tally.written(stats);
    Ok((UpdateResult::of(sequence, params), operations))
}

type Pending = oneshot::Receiver<Result<WriteOutcome, omendb_engine::Error>>;

fn submit(
    collection: &Collection,
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<WriteBatch, ApiError>,
) -> Result<(Pending, usize), ApiError> {
    let batch = parse(&body).inspect_err(|error| {
        if error.is_not_finite() {
            collection.note_not_finite();
        }
    })?;
    drop(body);
    let operations = batch.operations.len();
    let (sender, receiver) = oneshot::channel();
    let done = move |outcome| {
        // A client that went away does not undo its write.
        let _ = sender.send(outcome);
    };
    collection.submit(batch, Box::new(done))?;
    Ok((receiver, operations))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetrieveBody<'a> {
    ids: Vec<Id>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

/// `POST /collections/{collection}/points`: the points of these ids, with payloads unless told otherwise.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body.
pub async fn retrieve(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |_: &mut Worker, tally: &mut Tally| {
        let RetrieveBody {
            ids,
            with_payload,
            with_vector,
            shard_key,
        } = parse::body(&body)?;
        refuse(&[("shard_key", shard_key)])?;
        let with_payload = payload_selector(with_payload.unwrap_or(WithPayload::Flag(true)))?;
        let (ids, with_vector) = (point_ids(ids), vector_selector(with_vector));
        tally.lap(Stage::Parse);
        let records = collection.retrieve(&ids, &with_payload, &with_vector)?;
        tally.lap(Stage::Fetch);
        let points: Vec<_> = records.iter().map(RecordJson::from).collect();
        envelope::answer(&points, tally)
    };
    in_slot(app, call, work).await?
}

/// `GET /collections/{collection}/points/{id}`: one point, whole.
///
/// # Errors
/// 404 without the collection or the point, 400 for what is no id.
pub async fn get(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let id = call
        .params
        .get("id")
        .ok_or_else(|| ApiError::internal("route has no {id}"))?;
    let id = ids::from_path(id)?;
    let work = move |_: &mut Worker, tally: &mut Tally| {
        let records = collection.retrieve(&[id], &PayloadSelector::All, &VectorSelector::All)?;
        tally.lap(Stage::Fetch);
        let record = records
            .first()
            .ok_or_else(|| ApiError::not_found(format!("point with id {id} does not exist")))?;
        envelope::answer(&RecordJson::from(record), tally)
    };
    in_slot(app, call, work).await?
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Condition, Filter};

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Operation, (u16, &str)>) {
        match (parse_delete(json.as_bytes()), expected) {
            (Ok(batch), Ok(expected)) => assert_eq!(batch.operations, [expected], "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn deletions_name_ids_or_a_filter() {
        check(
            r#"{"points":[1,2],"shard_key":null}"#,
            Ok(Operation::Delete(vec![1.into(), 2.into()])),
        );
        check(
            r#"{"filter":{}}"#,
            Ok(Operation::DeleteMatching(Filter::default())),
        );
        let has_vector = Filter::of(Condition::HasVector("v".to_owned()));
        check(
            r#"{"filter":{"must":[{"has_vector":"v"}]}}"#,
            Ok(Operation::DeleteMatching(has_vector)),
        );
        check(
            r#"{"points":[1,"x"]}"#,
            Err((400, "points[1]: invalid value: string \"x\"")),
        );
        check(
            r#"{"points":[1],"filter":{}}"#,
            Err((400, "`points` beside `filter`")),
        );
        check(r#"{"filter":{"mus":[]}}"#, Err((400, "unknown field `mus`")));
        check("{}", Err((400, "missing field `points`")));
    }
}
