//! The vectors of a point in JSON: one unnamed list of numbers, or an object of named vectors.

use std::collections::BTreeMap;
use std::fmt;

use omendb_engine::{Vector, Vectors};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::upsert::unequal;
use super::vector::{DenseVector, VectorBody, VectorJson, components};
use crate::http::ApiError;

/// The `vector` of a point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VectorsBody(pub(crate) Vectors);

/// The `vector` of an answer.
pub(crate) struct VectorsJson<'a>(pub(crate) &'a Vectors);

impl Serialize for VectorsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Vectors::Unnamed(vector) => serializer.collect_seq(vector),
            Vectors::Named(vectors) => {
                serializer.collect_map(vectors.iter().map(|(name, vector)| (name, VectorJson(vector))))
            }
        }
    }
}

/// The vectors of an object. A single empty name stands for the unnamed vector: LangChain writes `{"": [..]}`.
fn named(mut vectors: Vec<(String, Vector)>) -> Vectors {
    match vectors.as_mut_slice() {
        [(name, Vector::Dense(vector))] if name.is_empty() => Vectors::Unnamed(std::mem::take(vector)),
        _ => Vectors::Named(vectors),
    }
}

fn given_twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("vector name `{name}` is given twice"))
}

impl<'de> Deserialize<'de> for VectorsBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VectorsVisitor;
        impl<'de> Visitor<'de> for VectorsVisitor {
            type Value = VectorsBody;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of numbers, or an object of named vectors")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<VectorsBody, A::Error> {
                Ok(VectorsBody(Vectors::Unnamed(components(list)?)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorsBody, A::Error> {
                let mut vectors: Vec<(String, Vector)> = Vec::new();
                while let Some((name, VectorBody(vector))) = map.next_entry::<String, VectorBody>()? {
                    if vectors.iter().any(|(earlier, _)| *earlier == name) {
                        return Err(given_twice(&name));
                    }
                    vectors.push((name, vector));
                }
                Ok(VectorsBody(named(vectors)))
            }
        }
        deserializer.deserialize_any(VectorsVisitor)
    }
}

/// The `vectors` of a batch: a list of vectors, or one such list per name.
#[derive(Debug)]
pub(crate) enum VectorColumns {
    /// The unnamed vectors.
    Unnamed(Vec<DenseVector>),
    /// By name.
    Named(BTreeMap<String, Vec<VectorBody>>),
}

impl VectorColumns {
    /// The vectors of each of `rows` points.
    ///
    /// # Errors
    /// 422 naming the column that has another length.
    pub(crate) fn into_rows(self, rows: usize) -> Result<Vec<Vectors>, ApiError> {
        match self {
            Self::Unnamed(column) if column.len() == rows => Ok(column
                .into_iter()
                .map(|DenseVector(vector)| Vectors::Unnamed(vector))
                .collect()),
            Self::Unnamed(column) => Err(unequal("vectors", column.len(), rows)),
            Self::Named(columns) => {
                let mut points: Vec<Vec<(String, Vector)>> = vec![Vec::with_capacity(columns.len()); rows];
                for (name, column) in columns {
                    if column.len() != rows {
                        return Err(unequal(&format!("vectors.{name}"), column.len(), rows));
                    }
                    for (point, VectorBody(vector)) in points.iter_mut().zip(column) {
                        point.push((name.clone(), vector));
                    }
                }
                Ok(points.into_iter().map(named).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for VectorColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnsVisitor;
        impl<'de> Visitor<'de> for ColumnsVisitor {
            type Value = VectorColumns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of vectors, or an object of named lists of vectors")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<VectorColumns, A::Error> {
                let mut column = Vec::new();
                while let Some(vector) = list.next_element()? {
                    column.push(vector);
                }
                Ok(VectorColumns::Unnamed(column))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorColumns, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((name, column)) = map.next_entry::<String, Vec<VectorBody>>()? {
                    if columns.contains_key(&name) {
                        return Err(given_twice(&name));
                    }
                    columns.insert(name, column);
                }
                Ok(VectorColumns::Named(columns))
            }
        }
        deserializer.deserialize_any(ColumnsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&str, &str>) {
        match (serde_json::from_str::<VectorsBody>(json), expected) {
            (Ok(VectorsBody(vectors)), Ok(expected)) => {
                let back = serde_json::to_string(&VectorsJson(&vectors)).expect("vectors are JSON");
                assert_eq!(back, expected, "{json}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn unnamed_and_named_vectors_are_read_and_written() {
        check("[0.5, 1, -2]", Ok("[0.5,1.0,-2.0]"));
        check(r#"{"b":[1],"a":[2,3]}"#, Ok(r#"{"b":[1.0],"a":[2.0,3.0]}"#));
        check("[]", Ok("[]"));
        check("{}", Ok("{}"));
        check(r#"{"":[1,2]}"#, Ok("[1.0,2.0]"));
        check(
            r#"{"words":{"indices":[7,3],"values":[1,0.5]},"":[2]}"#,
            Ok(r#"{"words":{"indices":[7,3],"values":[1.0,0.5]},"":[2.0]}"#),
        );
        check(r#"{"":[1],"a":[2]}"#, Ok(r#"{"":[1.0],"a":[2.0]}"#));
        check(
            "[18446744073709551615, -9223372036854775808]",
            Ok("[1.8446744e+19,-9.223372e+18]"),
        );
    }

    #[test]
    fn what_is_not_a_vector_is_refused_with_its_value() {
        check("[1e39]", Err("out of range"));
        check("[-1e300]", Err("out of range"));
        check("[null]", Err("null"));
        check("[[1]]", Err("multi-"));
        check(r#"{"a":[[1]]}"#, Err("multi-"));
        check(r#"{"text":"cat","model":"m"}"#, Err("\"cat\""));
        check(r#"{"a":[1],"a":[2]}"#, Err("`a` is given twice"));
        check("7", Err("`7`"));
    }
}
