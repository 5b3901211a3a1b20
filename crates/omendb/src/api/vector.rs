//! One vector in JSON: a list of numbers, or the indices and values of a sparse one.

use std::fmt;

use omendb_engine::{SparseVector, Vector};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Room for the first components of a vector; it doubles from there, and the engine copies rows out anyway.
const FIRST_COMPONENTS: usize = 256;

/// A dense vector whose components are finite 32-bit numbers, or a sparse one whose terms the engine has yet to check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VectorBody(pub(crate) Vector);

/// A dense vector whose components are finite 32-bit numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct DenseVector(pub(crate) Vec<f32>);

/// One vector of an answer.
pub(crate) struct VectorJson<'a>(pub(crate) &'a Vector);

impl Serialize for VectorJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Vector::Dense(vector) => serializer.collect_seq(vector),
            Vector::Sparse(SparseVector { indices, values }) => {
                let mut fields = serializer.serialize_struct("SparseVector", 2)?;
                fields.serialize_field("indices", indices)?;
                fields.serialize_field("values", values)?;
                fields.end()
            }
        }
    }
}

/// One component, or another number of that size. A type of its own so that an error stands at its path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Component(pub(crate) f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ComponentVisitor;
        impl Visitor<'_> for ComponentVisitor {
            type Value = Component;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a finite 32-bit number (no multi- or text vectors)")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Component, E> {
                // serde_json refuses what overflows 32 bits itself; another parser need not.
                let component = value as f32;
                if component.is_finite() {
                    Ok(Component(component))
                } else {
                    Err(E::invalid_value(Unexpected::Float(value), &self))
                }
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }
        }
        deserializer.deserialize_f32(ComponentVisitor)
    }
}

/// Reads the rest of a list of components.
pub(crate) fn components<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Vec<f32>, A::Error> {
    let mut vector = Vec::with_capacity(FIRST_COMPONENTS);
    while let Some(Component(component)) = list.next_element()? {
        vector.push(component);
    }
    Ok(vector)
}

impl<'de> Deserialize<'de> for DenseVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DenseVisitor;
        impl<'de> Visitor<'de> for DenseVisitor {
            type Value = DenseVector;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a list of numbers (a sparse vector has a name, and there are no text vectors)",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<DenseVector, A::Error> {
                Ok(DenseVector(components(list)?))
            }
        }
        deserializer.deserialize_seq(DenseVisitor)
    }
}

/// A sparse vector as sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SparseBody {
    indices: Vec<u32>,
    values: Vec<Component>,
}

/// Reads the rest of an object that is a sparse vector.
pub(crate) fn sparse<'de, A: MapAccess<'de>>(map: A) -> Result<SparseVector, A::Error> {
    let SparseBody { indices, values } = SparseBody::deserialize(MapAccessDeserializer::new(map))?;
    let values = values.into_iter().map(|Component(value)| value).collect();
    Ok(SparseVector { indices, values })
}

/// The fields of a sparse vector in an object that may be something else.
#[derive(Default)]
pub(crate) struct SparseFields {
    indices: Option<Vec<u32>>,
    values: Option<Vec<Component>>,
}

impl SparseFields {
    /// Reads the value of `field` if that is one of a sparse vector.
    pub(crate) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        field: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match field {
            "indices" if self.indices.is_none() => self.indices = Some(map.next_value()?),
            "values" if self.values.is_none() => self.values = Some(map.next_value()?),
            "indices" => return Err(Error::duplicate_field("indices")),
            "values" => return Err(Error::duplicate_field("values")),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The vector, if there was one.
    pub(crate) fn into_vector<E: Error>(self) -> Result<Option<SparseVector>, E> {
        let (indices, values) = match (self.indices, self.values) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(E::missing_field("values")),
            (None, Some(_)) => return Err(E::missing_field("indices")),
            (Some(indices), Some(values)) => (indices, values),
        };
        let values = values.into_iter().map(|Component(value)| value).collect();
        Ok(Some(SparseVector { indices, values }))
    }
}

impl<'de> Deserialize<'de> for VectorBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VectorVisitor;
        impl<'de> Visitor<'de> for VectorVisitor {
            type Value = VectorBody;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of numbers, or an object of `indices` and `values`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<VectorBody, A::Error> {
                Ok(VectorBody(Vector::Dense(components(list)?)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VectorBody, A::Error> {
                Ok(VectorBody(Vector::Sparse(sparse(map)?)))
            }
        }
        deserializer.deserialize_any(VectorVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&str, &str>) {
        match (serde_json::from_str::<VectorBody>(json), expected) {
            (Ok(VectorBody(vector)), Ok(expected)) => {
                let back = serde_json::to_string(&VectorJson(&vector)).expect("vectors are JSON");
                assert_eq!(back, expected, "{json}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn dense_and_sparse_vectors_are_read_and_written() {
        check("[0.5, 1, -2]", Ok("[0.5,1.0,-2.0]"));
        check("[]", Ok("[]"));
        check(
            r#"{"values":[1,0.5],"indices":[4294967295,0]}"#,
            Ok(r#"{"indices":[4294967295,0],"values":[1.0,0.5]}"#),
        );
        check(
            r#"{"indices":[],"values":[]}"#,
            Ok(r#"{"indices":[],"values":[]}"#),
        );
    }

    #[test]
    fn what_is_neither_is_refused_with_its_value() {
        check("[1e39]", Err("out of range"));
        check("[null]", Err("null"));
        check("[[1]]", Err("multi-"));
        check(r#"{"indices":[-1],"values":[1]}"#, Err("`-1`, expected u32"));
        check(r#"{"indices":[4294967296],"values":[1]}"#, Err("4294967296"));
        check(r#"{"indices":[1.5],"values":[1]}"#, Err("1.5"));
        check(r#"{"indices":[1],"values":[1e39]}"#, Err("out of range"));
        check(r#"{"indices":[1]}"#, Err("missing field `values`"));
        check(r#"{"text":"cat","model":"m"}"#, Err("unknown field `text`"));
        check("7", Err("`7`"));
    }

    #[test]
    fn components_are_rounded_once() {
        // Just above the midpoint of two neighbours of 1: rounding to 64 bits first would round it down.
        check("[1.00000005960464477626]", Ok("[1.0000001]"));
    }
}
