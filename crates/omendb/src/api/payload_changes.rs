//! Payloads of points that exist: set, overwrite, delete keys, clear.

use std::sync::Arc;

use omendb_engine::{Operation, PayloadChange, WriteBatch};
use serde::Deserialize;

use super::filter::{FilterJson, PathJson, point_selector};
use super::ids::Id;
use super::parse;
use super::payload::PayloadBody;
use super::points::write;
use super::refused::{Raw, refuse};
use crate::http::{ApiError, App, Call, Reply};

/// `POST /collections/{collection}/points/payload`: sets fields, at `key` where one is given.
///
/// # Errors
/// 404 without the collection or a point of `points`; 400 and 422 for a wrong body, or a payload that becomes too large;
/// 503 when full or not writable; 507 when the disk is full. Nothing of a refused body is written.
pub async fn set(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_set).await
}

/// `PUT /collections/{collection}/points/payload`: replaces payloads, or what is at `key` where one is given.
///
/// # Errors
/// As for [`set`].
pub async fn overwrite(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_overwrite).await
}

/// `POST /collections/{collection}/points/payload/delete`: removes what `keys` lead to.
///
/// # Errors
/// As for [`set`].
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_delete).await
}

/// `POST /collections/{collection}/points/payload/clear`: removes all fields.
///
/// # Errors
/// As for [`set`].
pub async fn clear(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_clear).await
}

/// Of fields to set, and of a payload that replaces another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetBody<'a> {
    payload: PayloadBody,
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
    key: Option<PathJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody<'a> {
    keys: Vec<PathJson>,
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearBody<'a> {
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

pub(super) fn parse_set(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let SetBody {
        payload: PayloadBody(fields),
        points,
        filter,
        key,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let at = key.map(|PathJson(path)| path);
    batch(PayloadChange::Set { at, fields }, points, filter)
}

pub(super) fn parse_overwrite(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let SetBody {
        payload: PayloadBody(payload),
        points,
        filter,
        key,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let at = key.map(|PathJson(path)| path);
    batch(PayloadChange::Overwrite { at, payload }, points, filter)
}

pub(super) fn parse_delete(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let DeleteBody {
        keys,
        points,
        filter,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let paths = keys.into_iter().map(|PathJson(path)| path).collect();
    batch(PayloadChange::Delete(paths), points, filter)
}

pub(super) fn parse_clear(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let ClearBody {
        points,
        filter,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    batch(PayloadChange::Clear, points, filter)
}

fn batch(
    change: PayloadChange,
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
) -> Result<WriteBatch, ApiError> {
    let selector = point_selector(points, filter)?;
    Ok(WriteBatch {
        operations: vec![Operation::Payload(change, selector)],
    })
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Filter, Payload, PointSelector, Value};

    use super::*;

    #[track_caller]
    fn check(
        parse: fn(&[u8]) -> Result<WriteBatch, ApiError>,
        json: &str,
        expected: Result<(PayloadChange, PointSelector), (u16, &str)>,
    ) {
        match (parse(json.as_bytes()), expected) {
            (Ok(batch), Ok((change, selector))) => {
                assert_eq!(batch.operations, [Operation::Payload(change, selector)], "{json}");
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn changes_name_points_or_a_filter() {
        let fields = || Payload::from_fields(&[("a", Value::Int(1))]).expect("a payload");
        let points = || PointSelector::Ids(vec![7.into()]);
        let path = |text: &str| text.parse().expect("a path");
        let set = |at| PayloadChange::Set { at, fields: fields() };
        let overwrite = |at| PayloadChange::Overwrite {
            at,
            payload: fields(),
        };
        check(
            parse_set,
            r#"{"payload":{"a":1},"points":[7]}"#,
            Ok((set(None), points())),
        );
        check(
            parse_set,
            r#"{"payload":{"a":1},"filter":{},"key":"x.y","shard_key":null}"#,
            Ok((set(Some(path("x.y"))), PointSelector::Filter(Filter::default()))),
        );
        check(
            parse_overwrite,
            r#"{"payload":{"a":1},"points":[7],"key":null}"#,
            Ok((overwrite(None), points())),
        );
        check(
            parse_overwrite,
            r#"{"payload":{"a":1},"points":[7],"key":"x[0]"}"#,
            Ok((overwrite(Some(path("x[0]"))), points())),
        );
        check(
            parse_delete,
            r#"{"keys":["a","b[].c"],"points":[7]}"#,
            Ok((PayloadChange::Delete(vec![path("a"), path("b[].c")]), points())),
        );
        check(
            parse_clear,
            r#"{"points":[7]}"#,
            Ok((PayloadChange::Clear, points())),
        );
    }

    #[test]
    fn wrong_changes_are_refused() {
        check(
            parse_set,
            r#"{"payload":{}}"#,
            Err((400, "missing field `points`")),
        );
        check(
            parse_set,
            r#"{"points":[1]}"#,
            Err((400, "missing field `payload`")),
        );
        check(
            parse_set,
            r#"{"payload":{},"points":[1],"filter":{}}"#,
            Err((400, "`points` beside `filter`")),
        );
        check(
            parse_set,
            r#"{"payload":{},"points":[1],"key":"a..b"}"#,
            Err((400, "key: payload path \"a..b\"")),
        );
        check(
            parse_overwrite,
            r#"{"payload":{},"points":[1],"key":"a."}"#,
            Err((400, "key: payload path \"a.\"")),
        );
        check(
            parse_delete,
            r#"{"points":[1]}"#,
            Err((400, "missing field `keys`")),
        );
        check(
            parse_clear,
            r#"{"points":[1],"shard_key":"a"}"#,
            Err((422, "shard_key")),
        );
    }
}
