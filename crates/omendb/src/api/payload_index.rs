//! Payload indexes: created and deleted by key, described with the collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{IndexInfo, IndexKind, Operation, WriteBatch};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::parse;
use super::points::write;
use super::refused::{Raw, refusal};
use crate::http::{ApiError, App, Call, Reply};

/// `PUT /collections/{collection}/index`: keeps an index of a key's values, built in the background.
///
/// # Errors
/// 404 without the collection; 400 and 422 for a wrong body or an option that would change answers; 503 and 507 as for
/// every write.
pub async fn create(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    write(app, call, creation).await
}

/// `DELETE /collections/{collection}/index/{field}`: keeps no index of a key; one that has none is passed over.
///
/// # Errors
/// As for [`create`].
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let key = call
        .params
        .get("field")
        .ok_or_else(|| ApiError::internal("route has no {field}"))?
        .to_owned();
    let deletion = move |_: &[u8]| Ok(batch(Operation::DropIndex(key)));
    write(app, call, deletion).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody<'a> {
    field_name: String,
    #[serde(borrow, default, alias = "field_type")]
    field_schema: Raw<'a>,
}

/// Options of an index that change neither answers nor, here, anything else.
const INERT: &[&str] = &[
    "type",
    "is_tenant",
    "is_principal",
    "on_disk",
    "memory",
    "enable_hnsw",
    "lookup",
    "range",
    "prefix",
    "phrase_matching",
];

fn creation(bytes: &[u8]) -> Result<WriteBatch, ApiError> {
    let CreateBody {
        field_name,
        field_schema,
    } = parse::body(bytes)?;
    let schema = field_schema.ok_or_else(|| ApiError::bad_request("missing field `field_schema`"))?;
    let kind = kind(schema)?;
    Ok(batch(Operation::CreateIndex(field_name, kind)))
}

fn batch(operation: Operation) -> WriteBatch {
    WriteBatch {
        operations: vec![operation],
    }
}

/// A kind by name, or an object of options with it as `type`.
fn kind(schema: &RawValue) -> Result<IndexKind, ApiError> {
    if !schema.get().starts_with('{') {
        return named(&parse::field::<String>("field_schema", schema)?);
    }
    let options: BTreeMap<String, &RawValue> = parse::field("field_schema", schema)?;
    for (name, value) in &options {
        let is_default = matches!(
            (name.as_str(), value.get()),
            (_, "null") | ("tokenizer", "\"word\"") | ("lowercase", "true") | ("ascii_folding", "false")
        );
        if !is_default && !INERT.contains(&name.as_str()) {
            return Err(refusal(&format!("field_schema.{name}"), value.get()));
        }
    }
    let kind = options
        .get("type")
        .ok_or_else(|| ApiError::bad_request("field_schema: missing field `type`"))?;
    named(&parse::field::<String>("field_schema.type", kind)?)
}

fn named(name: &str) -> Result<IndexKind, ApiError> {
    let kind = IndexKind::ALL.into_iter().find(|kind| kind.name() == name);
    kind.ok_or_else(|| {
        let known: Vec<_> = IndexKind::ALL.iter().map(|kind| kind.name()).collect();
        ApiError::bad_request(format!(
            "field_schema: `{name}` is not one of {}",
            known.join(", ")
        ))
    })
}

/// The `payload_schema` of a collection.
pub(crate) fn describe(indexes: &[IndexInfo]) -> serde_json::Value {
    let entry = |IndexInfo { key, kind, points }: &IndexInfo| {
        (key.clone(), json!({"data_type": kind.name(), "points": points}))
    };
    serde_json::Value::Object(indexes.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<(&str, IndexKind), (u16, &str)>) {
        match (creation(json.as_bytes()), expected) {
            (Ok(batch), Ok((key, kind))) => {
                assert_eq!(
                    batch.operations,
                    [Operation::CreateIndex(key.to_owned(), kind)],
                    "{json}"
                );
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_kind_comes_as_a_name_or_with_options() {
        check(
            r#"{"field_name":"a[].b","field_schema":"keyword"}"#,
            Ok(("a[].b", IndexKind::Keyword)),
        );
        check(
            r#"{"field_name":"a","field_schema":{"type":"integer","lookup":true,"range":false,"is_tenant":null}}"#,
            Ok(("a", IndexKind::Integer)),
        );
        check(
            r#"{"field_name":"a","field_schema":{"type":"text","tokenizer":"word","lowercase":true}}"#,
            Ok(("a", IndexKind::Text)),
        );
    }

    #[test]
    fn what_would_change_answers_is_refused() {
        let schema = |schema: &str| format!(r#"{{"field_name":"a","field_schema":{schema}}}"#);
        check(
            r#"{"field_name":"a"}"#,
            Err((400, "missing field `field_schema`")),
        );
        check(
            r#"{"field_schema":"bool"}"#,
            Err((400, "missing field `field_name`")),
        );
        check(
            &schema(r#""string""#),
            Err((400, "`string` is not one of keyword, integer")),
        );
        check(
            &schema("7"),
            Err((400, "field_schema: invalid type: integer `7`")),
        );
        check(&schema("{}"), Err((400, "field_schema: missing field `type`")));
        check(
            &schema(r#"{"type":"text","tokenizer":"prefix"}"#),
            Err((422, "field_schema.tokenizer: `\"prefix\"`")),
        );
        check(
            &schema(r#"{"type":"text","min_token_len":2}"#),
            Err((422, "field_schema.min_token_len")),
        );
    }
}
