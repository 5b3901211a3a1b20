//! The body of an upsert: a list of points, or the same in columns.

use omendb_engine::{Operation, Payload, Point, PointId, UpdateMode, UpsertRule, Vector, Vectors};
use serde::Deserialize;

use super::filter::{FilterJson, checked};
use super::ids::Id;
use super::parse;
use super::payload::PayloadBody;
use super::refused::{Raw, refuse};
use super::vectors::{VectorColumns, VectorsBody};
use crate::http::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpsertBody<'a> {
    points: Option<Vec<PointBody>>,
    batch: Option<BatchBody>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
    update_filter: Option<FilterJson>,
    update_mode: Option<ModeBody>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeBody {
    Upsert,
    InsertOnly,
    UpdateOnly,
}

impl From<ModeBody> for UpdateMode {
    fn from(body: ModeBody) -> Self {
        match body {
            ModeBody::Upsert => Self::Upsert,
            ModeBody::InsertOnly => Self::InsertOnly,
            ModeBody::UpdateOnly => Self::UpdateOnly,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointBody {
    id: Id,
    vector: VectorsBody,
    payload: Option<PayloadBody>,
}

/// Points in columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    ids: Vec<Id>,
    vectors: VectorColumns,
    payloads: Option<Vec<Option<PayloadBody>>>,
}

/// Reads the body of an upsert.
///
/// # Errors
/// 400 for a malformed body, 422 for columns of different lengths, an empty vector or an unsupported field.
pub(crate) fn operation(bytes: &[u8]) -> Result<Operation, ApiError> {
    let UpsertBody {
        points,
        batch,
        shard_key,
        update_filter,
        update_mode,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let filter = update_filter
        .map(|FilterJson(filter)| checked(filter))
        .transpose()?;
    let mode = update_mode.map_or(UpdateMode::Upsert, UpdateMode::from);
    let mut points: Vec<Point> = match (points, batch) {
        (Some(points), None) => points.into_iter().map(Point::from).collect(),
        (None, Some(batch)) => batch.into_points()?,
        (None, None) => return Err(ApiError::bad_request("missing field `points` (or `batch`)")),
        (Some(_), Some(_)) => return Err(ApiError::bad_request("`points` beside `batch`: only one of them")),
    };
    if points.is_empty() {
        return Err(ApiError::bad_request("points: the list is empty"));
    }
    for (position, point) in points.iter_mut().enumerate() {
        check_vectors(position, point.id, &mut point.vectors)?;
    }
    Ok(match (mode, filter) {
        (UpdateMode::Upsert, None) => Operation::Upsert(points),
        (mode, filter) => Operation::UpsertByRule(points, UpsertRule { mode, filter }),
    })
}

/// Refuses what the dialect does before it looks at the collection.
pub(super) fn check_vectors(position: usize, id: PointId, vectors: &mut Vectors) -> Result<(), ApiError> {
    let empty = || {
        let message = format!("points[{position}].vector: empty vector `[]` of point {id}");
        Err(ApiError::unprocessable(message))
    };
    let vectors = match vectors {
        // Where a collection has no vectors, an empty list is none; only the engine can tell.
        Vectors::Unnamed(_) => return Ok(()),
        Vectors::Named(vectors) => vectors,
    };
    for (name, vector) in vectors {
        match vector {
            Vector::Dense(vector) if vector.is_empty() => return empty(),
            Vector::Dense(_) => {}
            Vector::Sparse(vector) => vector.sort().map_err(|error| {
                ApiError::unprocessable(format!("points[{position}].vector.{name}.{error} (point {id})"))
            })?,
        }
    }
    Ok(())
}

impl From<PointBody> for Point {
    fn from(body: PointBody) -> Self {
        let PointBody {
            id: Id(id),
            vector: VectorsBody(vectors),
            payload,
        } = body;
        Self {
            id,
            vectors,
            payload: payload_or_empty(payload),
        }
    }
}

fn payload_or_empty(payload: Option<PayloadBody>) -> Payload {
    payload.map_or_else(Payload::default, |PayloadBody(payload)| payload)
}

impl BatchBody {
    fn into_points(self) -> Result<Vec<Point>, ApiError> {
        let Self {
            ids,
            vectors,
            payloads,
        } = self;
        let vectors = vectors.into_rows(ids.len())?;
        let payloads = payloads.unwrap_or_else(|| ids.iter().map(|_| None).collect());
        if payloads.len() != ids.len() {
            return Err(unequal("payloads", payloads.len(), ids.len()));
        }
        let rows = ids.into_iter().zip(vectors).zip(payloads);
        Ok(rows
            .map(|((Id(id), vectors), payload)| Point {
                id,
                vectors,
                payload: payload_or_empty(payload),
            })
            .collect())
    }
}

/// The error for a column of another length than `ids`.
pub(crate) fn unequal(column: &str, length: usize, ids: usize) -> ApiError {
    ApiError::unprocessable(format!("batch.{column}: {length} of them for {ids} ids"))
}

#[cfg(test)]
mod tests {
    use omendb_engine::Filter;

    use super::*;
    use crate::api::payload::PayloadJson;
    use crate::api::vectors::VectorsJson;

    /// Every point as `id vectors payload`.
    fn lines(points: &[Point]) -> Vec<String> {
        let json = |point: &Point| {
            let vectors = serde_json::to_string(&VectorsJson(&point.vectors)).expect("vectors are JSON");
            let payload = serde_json::to_string(&PayloadJson(&point.payload)).expect("a payload is JSON");
            format!("{} {vectors} {payload}", point.id)
        };
        points.iter().map(json).collect()
    }

    #[track_caller]
    fn check(json: &str, expected: Result<&[&str], (u16, &str)>) {
        match (operation(json.as_bytes()), expected) {
            (Ok(Operation::Upsert(points)), Ok(expected)) => assert_eq!(lines(&points), expected, "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn points_come_as_a_list_or_in_columns() {
        check(
            r#"{"points":[{"id":1,"vector":[1,2],"payload":{"a":1}},{"id":2,"vector":{"x":[3]},"payload":null}]}"#,
            Ok(&[r#"1 [1.0,2.0] {"a":1}"#, r#"2 {"x":[3.0]} {}"#]),
        );
        check(
            r#"{"batch":{"ids":[1,2],"vectors":[[1],[2]],"payloads":[{"a":1},null]}}"#,
            Ok(&[r#"1 [1.0] {"a":1}"#, "2 [2.0] {}"]),
        );
        check(
            r#"{"batch":{"ids":[1,2],"vectors":{"x":[[1],[2]],"y":[[3],[4]]}}}"#,
            Ok(&[r#"1 {"x":[1.0],"y":[3.0]} {}"#, r#"2 {"x":[2.0],"y":[4.0]} {}"#]),
        );
        let terms = r#"{"indices":[7,3],"values":[1,2]}"#;
        check(
            &format!(r#"{{"points":[{{"id":1,"vector":{{"x":[3],"y":{terms}}}}}]}}"#),
            Ok(&[r#"1 {"x":[3.0],"y":{"indices":[3,7],"values":[2.0,1.0]}} {}"#]),
        );
        check(
            &format!(r#"{{"batch":{{"ids":[1,2],"vectors":{{"y":[{terms},{terms}]}}}}}}"#),
            Ok(&[
                r#"1 {"y":{"indices":[3,7],"values":[2.0,1.0]}} {}"#,
                r#"2 {"y":{"indices":[3,7],"values":[2.0,1.0]}} {}"#,
            ]),
        );
        check(
            r#"{"points":[{"id":1,"vector":{}}],"update_mode":"upsert","shard_key":null}"#,
            Ok(&["1 {} {}"]),
        );
    }

    #[test]
    fn wrong_points_are_refused_with_path_and_value() {
        let point = |fields: &str| format!(r#"{{"points":[{{"id":1,"vector":[1]}},{{{fields}}}]}}"#);
        check(
            &point(r#""id":-1,"vector":[1]"#),
            Err((400, "points[1].id: invalid type: integer `-1`")),
        );
        check(
            &point(r#""id":"x","vector":[1]"#),
            Err((400, "points[1].id: invalid value: string \"x\"")),
        );
        check(
            &point(r#""id":1,"vector":{"a":[]}"#),
            Err((422, "points[1].vector")),
        );
        let sparse = |terms: &str| point(&format!(r#""id":7,"vector":{{"a":{{{terms}}}}}"#));
        check(
            &sparse(r#""indices":[1,2],"values":[1]"#),
            Err((
                422,
                "points[1].vector.a.values: 1 of them for 2 indices (point 7)",
            )),
        );
        check(
            &sparse(r#""indices":[2,1,2],"values":[1,1,1]"#),
            Err((422, "points[1].vector.a.indices: 2 is given twice")),
        );
        check(
            &sparse(r#""indices":[-1],"values":[1]"#),
            Err((400, "points[1].vector.a.indices[0]: invalid value: integer `-1`")),
        );
        check(
            &point(r#""id":1,"vector":[1,1e39]"#),
            Err((400, "points[1].vector[1]: number out of range")),
        );
        check(
            &point(r#""id":1,"vector":[1,NaN]"#),
            Err((400, "points[1].vector[1]: expected value")),
        );
        check(
            &point(r#""id":1,"vector":[1],"payload":7"#),
            Err((400, "points[1].payload: invalid type: integer `7`")),
        );
        check(
            &point(r#""id":1,"vectors":[1]"#),
            Err((400, "unknown field `vectors`")),
        );
        check(
            &point(r#""id":1"#),
            Err((400, "points[1]: missing field `vector`")),
        );
        check(r#"{"points":[]}"#, Err((400, "points: the list is empty")));
        check("{}", Err((400, "missing field `points`")));
    }

    #[test]
    fn columns_have_one_length() {
        let batch = |columns: &str| format!(r#"{{"batch":{{"ids":[1,2],{columns}}}}}"#);
        check(
            &batch(r#""vectors":[[1]]"#),
            Err((422, "batch.vectors: 1 of them for 2 ids")),
        );
        check(
            &batch(r#""vectors":{"x":[[1],[2],[3]]}"#),
            Err((422, "batch.vectors.x: 3 of them for 2 ids")),
        );
        check(
            &batch(r#""vectors":[[1],[2]],"payloads":[{}]"#),
            Err((422, "batch.payloads: 1 of them for 2 ids")),
        );
    }

    #[test]
    fn what_would_change_the_outcome_is_refused() {
        let with = |field: &str| format!(r#"{{"points":[{{"id":1,"vector":[1]}}],{field}}}"#);
        check(
            &with(r#""update_mode":"replace""#),
            Err((400, "update_mode: unknown variant `replace`")),
        );
        check(
            &with(r#""update_filter":{"mus":[]}"#),
            Err((400, "unknown field `mus`")),
        );
        check(&with(r#""shard_key":"a""#), Err((422, "shard_key: `\"a\"`")));
        check(
            &with(r#""batch":{"ids":[],"vectors":[]}"#),
            Err((400, "`points` beside `batch`")),
        );
    }

    #[test]
    fn a_rule_says_which_points_an_upsert_is_for() {
        let read = |rule: &str| {
            let body = format!(r#"{{"points":[{{"id":1,"vector":[1]}}]{rule}}}"#);
            match operation(body.as_bytes()) {
                Ok(Operation::UpsertByRule(_, rule)) => Some(rule),
                Ok(Operation::Upsert(_)) => None,
                outcome => panic!("{outcome:?}"),
            }
        };
        let rule = |mode, filter| Some(UpsertRule { mode, filter });
        assert_eq!(read(r#","update_mode":"upsert","update_filter":null"#), None);
        assert_eq!(
            read(r#","update_mode":"insert_only""#),
            rule(UpdateMode::InsertOnly, None)
        );
        assert_eq!(
            read(r#","update_mode":"update_only","update_filter":{}"#),
            rule(UpdateMode::UpdateOnly, Some(Filter::default()))
        );
        assert_eq!(
            read(r#","update_filter":{}"#),
            rule(UpdateMode::Upsert, Some(Filter::default()))
        );
    }
}
