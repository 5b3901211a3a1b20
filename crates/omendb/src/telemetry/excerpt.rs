//! What a request asked for, without what its data says: the shape of the body, and the values that decide how it is
//! answered. Vectors, ids, values to match and payloads are only named by their kind.

use omendb_metrics::looks_secret;
use serde_json::{Map, Value, json};

/// Longest body that is looked into, bytes.
pub(crate) const LONGEST_BODY: usize = 256 << 10;
/// Values that an excerpt shows in all, and elements of one list.
const MOST_VALUES: usize = 200;
const MOST_ELEMENTS: usize = 8;
/// Longest text that is shown.
const LONGEST_TEXT: usize = 128;

/// Fields whose numbers tell how a request is answered.
const NUMBERS: &[&str] = &[
    "candidates_limit",
    "diversity",
    "ef",
    "group_size",
    "hnsw_ef",
    "k",
    "limit",
    "min_count",
    "offset",
    "sample",
    "score_threshold",
];

/// Fields whose texts are names: of collections, vectors, payload keys and options.
const NAMES: &[&str] = &[
    "collection",
    "db_id",
    "direction",
    "fusion",
    "group_by",
    "has_vector",
    "key",
    "strategy",
    "update_mode",
    "using",
    "with_lookup",
];

/// Fields below which everything, names of fields too, belongs to the user.
const CONTENTS: &[&str] = &["defaults", "metadata", "payload", "payloads"];

/// Fields of the requests themselves.
const FIELDS: &[&str] = &[
    "abs",
    "acorn",
    "any",
    "average_vector",
    "batch",
    "clear_payload",
    "conditions",
    "context",
    "consistency",
    "delete",
    "delete_payload",
    "delete_vectors",
    "discover",
    "div",
    "exact",
    "except",
    "exclude",
    "exp",
    "exp_decay",
    "explain",
    "filter",
    "formula",
    "gauss_decay",
    "geo_bounding_box",
    "geo_distance",
    "geo_polygon",
    "geo_radius",
    "gt",
    "gte",
    "has_id",
    "id",
    "ids",
    "include",
    "indexed_only",
    "indices",
    "is_empty",
    "is_null",
    "keys",
    "lin_decay",
    "ln",
    "log10",
    "lookup_from",
    "lt",
    "lte",
    "match",
    "min_should",
    "mmr",
    "mult",
    "must",
    "must_not",
    "nearest",
    "neg",
    "negative",
    "nested",
    "operations",
    "order_by",
    "overwrite_payload",
    "params",
    "phrase",
    "points",
    "positive",
    "pow",
    "prefetch",
    "prefix",
    "quantization",
    "query",
    "range",
    "recommend",
    "rrf",
    "searches",
    "set_payload",
    "should",
    "sqrt",
    "start_from",
    "sum",
    "target",
    "text",
    "text_any",
    "update_filter",
    "update_vectors",
    "upsert",
    "value",
    "values",
    "values_count",
    "vector",
    "vectors",
    "weights",
    "with_payload",
    "with_vector",
    "with_vectors",
];

/// The excerpt of a body; null for what is too long to look into or no JSON.
pub(crate) fn excerpt(body: &[u8]) -> Value {
    let parsed = (body.len() <= LONGEST_BODY).then(|| serde_json::from_slice(body));
    match parsed {
        Some(Ok(value)) => shown(&value, "", &mut MOST_VALUES.clone()),
        Some(Err(_)) | None => Value::Null,
    }
}

/// What is shown of a value of a field, of at most `left` values more.
fn shown(value: &Value, field: &str, left: &mut usize) -> Value {
    let Some(fewer) = left.checked_sub(1) else {
        return json!("...");
    };
    *left = fewer;
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) if NUMBERS.contains(&field) => value.clone(),
        Value::Number(_) => json!("number"),
        Value::String(text) if NAMES.contains(&field) && is_showable(text) => value.clone(),
        Value::String(_) => json!("text"),
        Value::Array(values) if values.iter().all(Value::is_number) => {
            json!(format!("{} numbers", values.len()))
        }
        Value::Array(values) => {
            let first = values.iter().take(MOST_ELEMENTS);
            let mut list: Vec<_> = first.map(|value| shown(value, field, left)).collect();
            if values.len() > list.len() {
                list.push(json!(format!("{} more", values.len() - list.len())));
            }
            Value::Array(list)
        }
        Value::Object(fields) if CONTENTS.contains(&field) => json!(format!("{} fields", fields.len())),
        Value::Object(fields) => {
            let known = fields.iter().filter(|(name, _)| is_known(name));
            let mut object: Map<String, Value> = known
                .map(|(name, value)| (name.clone(), shown(value, name, left)))
                .collect();
            if fields.len() > object.len() {
                let others = fields.len() - object.len();
                object.insert("...".to_owned(), json!(format!("{others} other fields")));
            }
            Value::Object(object)
        }
    }
}

fn is_known(field: &str) -> bool {
    [FIELDS, NAMES, NUMBERS, CONTENTS]
        .iter()
        .any(|names| names.contains(&field))
}

fn is_showable(text: &str) -> bool {
    text.len() <= LONGEST_TEXT && !looks_secret(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_the_answer_is_shown_and_what_the_data_says_is_not() {
        let check = |body: &str, expected: Value| assert_eq!(excerpt(body.as_bytes()), expected, "{body}");
        check(
            r#"{"query":[0.1,0.2,0.3],"limit":5,"using":"text","with_payload":true,
                "filter":{"must":[{"key":"section","match":{"value":"libs"}},{"key":"size","range":{"gte":1000}}]}}"#,
            json!({"query": "3 numbers", "limit": 5, "using": "text", "with_payload": true, "filter": {"must": [
                {"key": "section", "match": {"value": "text"}}, {"key": "size", "range": {"gte": "number"}}]}}),
        );
        check(
            r#"{"points":[{"id":7,"vector":{"a":[1]},"payload":{"password":"hunter2"}}]}"#,
            json!({"points": [{"id": "number", "vector": {"...": "1 other fields"}, "payload": "1 fields"}]}),
        );
        check(
            r#"{"query":{"recommend":{"positive":[1,"6f1e8a52-9f0b-4c4e-8d4e-2f8a3c1b7d90"]}}}"#,
            json!({"query": {"recommend": {"positive": ["number", "text"]}}}),
        );
        check(
            r#"{"db_id":"ghp_16C7e42F292c6912E7710c838347Ae178B4a","k":3,"hunter2":1}"#,
            json!({"db_id": "text", "k": 3, "...": "1 other fields"}),
        );
        check("{", Value::Null);
        check("", Value::Null);
    }

    #[test]
    fn an_excerpt_is_short_whatever_was_asked() {
        let search = r#"{"query":[1,2],"filter":{"must":[{"key":"a","match":{"value":1}}]}}"#;
        let body = format!(r#"{{"searches":[{}]}}"#, vec![search; 500].join(","));
        let shown = excerpt(body.as_bytes());
        assert_eq!(
            shown["searches"].as_array().map(Vec::len),
            Some(MOST_ELEMENTS + 1)
        );
        assert_eq!(shown["searches"][MOST_ELEMENTS], "492 more");
        let mut deep = json!("hunter2");
        for _ in 0..60 {
            deep = json!({"must": [deep, 1, "a"]});
        }
        let shown = excerpt(deep.to_string().as_bytes()).to_string();
        assert!(shown.len() < 8_000 && !shown.contains("hunter2"), "{shown}");
        assert_eq!(excerpt(&vec![b' '; LONGEST_BODY + 1]), Value::Null);
    }
}
