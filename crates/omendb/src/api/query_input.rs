//! What a query of the dialect asks for: the neighbours of a vector or of a stored point.

use std::fmt;

use omendb_engine::{PointId, Query, Uuid};
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::vectors::components;

/// `[..]`, an id, or either of them in `{"nearest": ..}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryInput(pub(crate) Query);

/// A vector or an id.
struct VectorInput(Query);

struct VectorInputVisitor;

impl<'de> Visitor<'de> for VectorInputVisitor {
    type Value = VectorInput;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("a list of numbers, a point id (an unsigned integer or a UUID) or `{\"nearest\": ..}`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<VectorInput, A::Error> {
        components(list).map(|vector| VectorInput(Query::Nearest(vector)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<VectorInput, E> {
        Ok(VectorInput(Query::NearestTo(PointId::Number(number))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<VectorInput, E> {
        match text.parse::<Uuid>() {
            Ok(uuid) => Ok(VectorInput(Query::NearestTo(PointId::Uuid(uuid)))),
            Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for VectorInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorInputVisitor)
    }
}

impl<'de> Deserialize<'de> for QueryInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QueryVisitor;
        impl<'de> Visitor<'de> for QueryVisitor {
            type Value = QueryInput;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                VectorInputVisitor.expecting(formatter)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<QueryInput, A::Error> {
                VectorInputVisitor.visit_seq(list).map(QueryInput::from)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<QueryInput, E> {
                VectorInputVisitor.visit_u64(number).map(QueryInput::from)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<QueryInput, E> {
                VectorInputVisitor.visit_str(text).map(QueryInput::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<QueryInput, A::Error> {
                let mut nearest = None;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "nearest" => nearest = Some(map.next_value::<VectorInput>()?),
                        "mmr" if map.next_value::<Option<IgnoredAny>>()?.is_none() => {}
                        _ => return Err(unsupported(&key)),
                    }
                }
                nearest
                    .map(QueryInput::from)
                    .ok_or_else(|| Error::missing_field("nearest"))
            }
        }
        deserializer.deserialize_any(QueryVisitor)
    }
}

impl From<VectorInput> for QueryInput {
    fn from(VectorInput(query): VectorInput) -> Self {
        Self(query)
    }
}

fn unsupported<E: Error>(kind: &str) -> E {
    E::custom(format_args!(
        "`{kind}` queries are not supported by this server, only `nearest`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Query, &str>) {
        match (serde_json::from_str::<QueryInput>(json), expected) {
            (Ok(QueryInput(query)), Ok(expected)) => assert_eq!(query, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn queries_name_a_vector_or_a_point() {
        let uuid = "936da01f-9abd-4d9d-80c7-02af85c822a8";
        let by_uuid = Query::NearestTo(PointId::Uuid(uuid.parse().expect("a UUID")));
        check("[1,2.5]", Ok(Query::Nearest(vec![1.0, 2.5])));
        check("7", Ok(Query::NearestTo(PointId::Number(7))));
        check(&format!("\"{uuid}\""), Ok(by_uuid.clone()));
        check(r#"{"nearest":[1]}"#, Ok(Query::Nearest(vec![1.0])));
        check(&format!(r#"{{"nearest":"{uuid}","mmr":null}}"#), Ok(by_uuid));
    }

    #[test]
    fn other_queries_are_refused_by_name() {
        check(
            r#"{"recommend":{"positive":[1]}}"#,
            Err("`recommend` queries are not supported"),
        );
        check(r#"{"fusion":"rrf"}"#, Err("`fusion`"));
        check(r#"{"nearest":[1],"mmr":{"diversity":0.5}}"#, Err("`mmr`"));
        check(r#"{"text":"cat","model":"m"}"#, Err("`text`"));
        check(
            r#"{"nearest":{"indices":[1],"values":[1]}}"#,
            Err("expected a list of numbers"),
        );
        check("{}", Err("missing field `nearest`"));
        check("-1", Err("`-1`"));
        check("\"cat\"", Err("\"cat\""));
        check("[[1]]", Err("multi-"));
        check("true", Err("`true`"));
    }
}
