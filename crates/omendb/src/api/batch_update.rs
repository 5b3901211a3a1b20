//! Several writes in one body, which take effect together or not at all.

use std::sync::Arc;

use omendb_engine::WriteBatch;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::refused::Raw;
use super::{envelope, parse, payload_changes, points, vector_changes};
use crate::http::{ApiError, App, Call, Reply};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    operations: Vec<OperationBody<'a>>,
}

/// One write: the field that is given says which, and holds what its route would be sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationBody<'a> {
    #[serde(borrow, default)]
    upsert: Raw<'a>,
    #[serde(borrow, default)]
    delete: Raw<'a>,
    #[serde(borrow, default)]
    set_payload: Raw<'a>,
    #[serde(borrow, default)]
    overwrite_payload: Raw<'a>,
    #[serde(borrow, default)]
    delete_payload: Raw<'a>,
    #[serde(borrow, default)]
    clear_payload: Raw<'a>,
    #[serde(borrow, default)]
    update_vectors: Raw<'a>,
    #[serde(borrow, default)]
    delete_vectors: Raw<'a>,
}

/// `POST /collections/{collection}/points/batch`: several writes, answered in order.
///
/// # Errors
/// As for [`points::upsert`], when one of them is wrong.
pub async fn update(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let (result, operations) = points::written(app, call, operations).await?;
    envelope::answer(&vec![result; operations], &mut call.tally)
}

fn operations(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let BatchBody { operations } = parse::body(bytes)?;
    let mut batch = WriteBatch::default();
    for (number, body) in operations.into_iter().enumerate() {
        let read = operation(&body);
        let at = |error: ApiError| {
            ApiError::new(
                error.status(),
                format!("operations[{number}]: {}", error.message()),
            )
        };
        batch.operations.extend(read.map_err(at)?.operations);
    }
    Ok(batch)
}

type Read = fn(&[u8]) -> Result<WriteBatch, ApiError>;

fn operation(body: &OperationBody<'_>) -> Result<WriteBatch, ApiError> {
    let kinds: [(Raw<'_>, Read); 8] = [
        (body.upsert, points::parse_upsert),
        (body.delete, points::parse_delete),
        (body.set_payload, payload_changes::parse_set),
        (body.overwrite_payload, payload_changes::parse_overwrite),
        (body.delete_payload, payload_changes::parse_delete),
        (body.clear_payload, payload_changes::parse_clear),
        (body.update_vectors, vector_changes::parse_update),
        (body.delete_vectors, vector_changes::parse_delete),
    ];
    let mut given = kinds
        .iter()
        .filter_map(|(value, read)| Some((value.map(RawValue::get)?, read)));
    match (given.next(), given.next()) {
        (Some((value, read)), None) => read(value.as_bytes()),
        (None, _) => Err(ApiError::bad_request("no operation is given")),
        (Some(_), Some(_)) => Err(ApiError::bad_request("more than one operation is given")),
    }
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Operation, PointSelector};

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&[Operation], (u16, &str)>) {
        match (operations(json.as_bytes()), expected) {
            (Ok(batch), Ok(expected)) => assert_eq!(batch.operations, expected, "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn operations_are_read_in_order() {
        let delete = |id: u64| Operation::Delete(vec![id.into()]);
        check(
            r#"{"operations":[{"delete":{"points":[1]}},{"delete":{"points":[2]}}]}"#,
            Ok(&[delete(1), delete(2)]),
        );
        check(r#"{"operations":[]}"#, Ok(&[]));
        let names = vec!["a".to_owned()];
        check(
            r#"{"operations":[{"delete_vectors":{"vector":["a"],"points":[1]}}]}"#,
            Ok(&[Operation::DeleteVectors(
                names,
                PointSelector::Ids(vec![1.into()]),
            )]),
        );
    }

    #[test]
    fn what_is_no_operation_is_refused_with_its_place() {
        check(
            r#"{"operations":[{"delete":{"points":[1]}},{}]}"#,
            Err((400, "operations[1]: no operation")),
        );
        check(
            r#"{"operations":[{"delete":{"points":[1]},"clear_payload":{"points":[1]}}]}"#,
            Err((400, "operations[0]: more than one")),
        );
        check(
            r#"{"operations":[{"update_vectors":{"points":[]}}]}"#,
            Err((422, "operations[0]: points: the list is empty")),
        );
        check(
            r#"{"operations":[{"drop":{}}]}"#,
            Err((400, "unknown field `drop`")),
        );
    }
}
