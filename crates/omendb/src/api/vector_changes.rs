//! Changes of vectors of points that exist: replaced, or taken away.

use std::sync::Arc;

use omendb_engine::{Operation, PointVectors, Vectors, WriteBatch};
use serde::Deserialize;

use super::filter::{FilterJson, checked, point_selector};
use super::ids::Id;
use super::parse;
use super::points::write;
use super::refused::{Raw, refuse};
use super::upsert::check_vectors;
use super::vectors::VectorsBody;
use crate::http::{ApiError, App, Call, Reply};

/// `PUT /collections/{collection}/points/vectors`: replaces vectors of points, whose payload and other vectors stay.
///
/// # Errors
/// 404 without the collection or a point; 400 and 422 for a wrong body or vectors that do not fit the collection; 503
/// when full or not writable; 507 when the disk is full. Nothing of a refused body is written.
pub async fn update(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_update).await
}

/// `POST /collections/{collection}/points/vectors/delete`: takes vectors from points, by ids or filter.
///
/// # Errors
/// As for [`update`], but ids without a point are passed over.
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, parse_delete).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody<'a> {
    points: Vec<PointBody>,
    update_filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PointBody {
    id: Id,
    vector: VectorsBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteBody<'a> {
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
    vector: Vec<String>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

pub(super) fn parse_update(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let UpdateBody {
        points,
        update_filter,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let filter = update_filter
        .map(|FilterJson(filter)| checked(filter))
        .transpose()?;
    let mut changes = Vec::with_capacity(points.len());
    for (position, body) in points.into_iter().enumerate() {
        let PointBody {
            id: Id(id),
            vector: VectorsBody(mut vectors),
        } = body;
        let is_empty = match &vectors {
            Vectors::Unnamed(vector) => vector.is_empty(),
            Vectors::Named(vectors) => vectors.is_empty(),
        };
        if is_empty {
            return Err(ApiError::unprocessable(format!(
                "points[{position}].vector: no vector to update point {id} with"
            )));
        }
        check_vectors(position, id, &mut vectors)?;
        changes.push(PointVectors { id, vectors });
    }
    batch(Operation::UpdateVectors(at_least_one("points", changes)?, filter))
}

pub(super) fn parse_delete(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let DeleteBody {
        points,
        filter,
        vector,
        shard_key,
    } = parse::body(bytes)?;
    refuse(&[("shard_key", shard_key)])?;
    let selector = point_selector(points, filter)?;
    batch(Operation::DeleteVectors(
        at_least_one("vector", vector)?,
        selector,
    ))
}

fn at_least_one<T>(field: &str, list: Vec<T>) -> Result<Vec<T>, ApiError> {
    if list.is_empty() {
        return Err(ApiError::unprocessable(format!("{field}: the list is empty")));
    }
    Ok(list)
}

fn batch(operation: Operation) -> Result<WriteBatch, ApiError> {
    Ok(WriteBatch {
        operations: vec![operation],
    })
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Filter, PointSelector};

    use super::*;

    #[track_caller]
    fn check(
        parse: fn(&[u8]) -> Result<WriteBatch, ApiError>,
        json: &str,
        expected: Result<Operation, (u16, &str)>,
    ) {
        match (parse(json.as_bytes()), expected) {
            (Ok(batch), Ok(expected)) => assert_eq!(batch.operations, [expected], "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn vectors_are_replaced_by_id() {
        let change = |id: u64, vectors| PointVectors {
            id: id.into(),
            vectors,
        };
        let named = Vectors::Named(vec![("a".to_owned(), vec![2.0].into())]);
        check(
            parse_update,
            r#"{"points":[{"id":1,"vector":[1]},{"id":2,"vector":{"a":[2]}}]}"#,
            Ok(Operation::UpdateVectors(
                vec![change(1, Vectors::Unnamed(vec![1.0])), change(2, named)],
                None,
            )),
        );
        check(
            parse_update,
            r#"{"points":[{"id":1,"vector":[1]}],"update_filter":{},"shard_key":null}"#,
            Ok(Operation::UpdateVectors(
                vec![change(1, Vectors::Unnamed(vec![1.0]))],
                Some(Filter::default()),
            )),
        );
        check(
            parse_update,
            r#"{"points":[]}"#,
            Err((422, "points: the list is empty")),
        );
        check(
            parse_update,
            r#"{"points":[{"id":1,"vector":[1],"payload":{}}]}"#,
            Err((400, "points[0].payload: unknown field `payload`")),
        );
        check(
            parse_update,
            r#"{"points":[{"id":1,"vector":{"a":[]}}]}"#,
            Err((422, "points[0].vector: empty vector `[]` of point 1")),
        );
        for nothing in ["[]", "{}"] {
            check(
                parse_update,
                &format!(r#"{{"points":[{{"id":1,"vector":{nothing}}}]}}"#),
                Err((422, "points[0].vector: no vector to update point 1 with")),
            );
        }
    }

    #[test]
    fn vectors_are_taken_by_name_from_ids_or_what_passes() {
        let names = || vec!["a".to_owned(), String::new()];
        check(
            parse_delete,
            r#"{"vector":["a",""],"points":[1]}"#,
            Ok(Operation::DeleteVectors(
                names(),
                PointSelector::Ids(vec![1.into()]),
            )),
        );
        check(
            parse_delete,
            r#"{"vector":["a",""],"filter":{}}"#,
            Ok(Operation::DeleteVectors(
                names(),
                PointSelector::Filter(Filter::default()),
            )),
        );
        check(
            parse_delete,
            r#"{"vector":[],"points":[1]}"#,
            Err((422, "vector: the list is empty")),
        );
        check(
            parse_delete,
            r#"{"vector":["a"]}"#,
            Err((400, "missing field `points`")),
        );
        check(
            parse_delete,
            r#"{"points":[1]}"#,
            Err((400, "missing field `vector`")),
        );
    }
}
