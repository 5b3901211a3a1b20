//! `with_payload` and `with_vector`: what of a point goes into the answer.

use std::fmt;

use omendb_engine::{PayloadPath, PayloadSelector, VectorSelector};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::ApiError;

/// `with_payload`: everything or nothing, or by paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WithPayload {
    /// `true` or `false`.
    Flag(bool),
    /// `["a.b"]` or `{"include": ["a.b"]}`: these paths only.
    Include(Vec<String>),
    /// `{"exclude": ["a.b"]}`: everything but these paths.
    Exclude(Vec<String>),
}

/// `with_vector`: all of a point's vectors, none, or some by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WithVector {
    /// `true` or `false`.
    Flag(bool),
    /// `["image"]`.
    Names(Vec<String>),
}

/// What the engine is asked for.
///
/// # Errors
/// 400 with a path that cannot be read.
pub(crate) fn payload_selector(selector: WithPayload) -> Result<PayloadSelector, ApiError> {
    Ok(match selector {
        WithPayload::Flag(false) => PayloadSelector::None,
        WithPayload::Flag(true) => PayloadSelector::All,
        WithPayload::Include(paths) => PayloadSelector::Include(payload_paths(&paths)?),
        WithPayload::Exclude(paths) => PayloadSelector::Exclude(payload_paths(&paths)?),
    })
}

fn payload_paths(paths: &[String]) -> Result<Vec<PayloadPath>, ApiError> {
    let parse = |path: &String| {
        path.parse()
            .map_err(|error| ApiError::bad_request(format!("with_payload: {error}")))
    };
    paths.iter().map(parse).collect()
}

/// What the engine is asked for; vectors are left out unless asked for.
pub(crate) fn vector_selector(selector: Option<WithVector>) -> VectorSelector {
    match selector {
        None | Some(WithVector::Flag(false)) => VectorSelector::None,
        Some(WithVector::Flag(true)) => VectorSelector::All,
        Some(WithVector::Names(names)) => VectorSelector::Named(names),
    }
}

/// The rest of a list of strings.
fn strings<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Vec<String>, A::Error> {
    let mut strings = Vec::new();
    while let Some(string) = list.next_element()? {
        strings.push(string);
    }
    Ok(strings)
}

impl<'de> Deserialize<'de> for WithPayload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;
        impl<'de> Visitor<'de> for PayloadVisitor {
            type Value = WithPayload;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a boolean, a list of payload paths, `{\"include\": [..]}` or `{\"exclude\": [..]}`",
                )
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<WithPayload, E> {
                Ok(WithPayload::Flag(flag))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<WithPayload, A::Error> {
                strings(list).map(WithPayload::Include)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WithPayload, A::Error> {
                let Some(first) = map.next_key::<String>()? else {
                    return Err(Error::custom("neither `include` nor `exclude` is given"));
                };
                let selector = match first.as_str() {
                    "include" => WithPayload::Include(map.next_value()?),
                    "exclude" => WithPayload::Exclude(map.next_value()?),
                    _ => return Err(Error::unknown_field(&first, &["include", "exclude"])),
                };
                match map.next_key::<String>()? {
                    None => Ok(selector),
                    Some(second) => Err(Error::custom(format_args!(
                        "`{second}` beside `{first}`: only one of them"
                    ))),
                }
            }
        }
        deserializer.deserialize_any(PayloadVisitor)
    }
}

impl<'de> Deserialize<'de> for WithVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VectorVisitor;
        impl<'de> Visitor<'de> for VectorVisitor {
            type Value = WithVector;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a boolean or a list of vector names")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<WithVector, E> {
                Ok(WithVector::Flag(flag))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<WithVector, A::Error> {
                strings(list).map(WithVector::Names)
            }
        }
        deserializer.deserialize_any(VectorVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T>(json: &str, expected: Result<T, &str>)
    where
        T: for<'de> Deserialize<'de> + PartialEq + fmt::Debug,
    {
        match (serde_json::from_str::<T>(json), expected) {
            (Ok(selector), Ok(expected)) => assert_eq!(selector, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|&path| path.to_owned()).collect()
    }

    #[test]
    fn payload_selectors_come_in_four_forms() {
        check("true", Ok(WithPayload::Flag(true)));
        check(r#"["a","b.c"]"#, Ok(WithPayload::Include(paths(&["a", "b.c"]))));
        check(r#"{"include":["a"]}"#, Ok(WithPayload::Include(paths(&["a"]))));
        check(r#"{"exclude":["a"]}"#, Ok(WithPayload::Exclude(paths(&["a"]))));
        check::<WithPayload>(
            r#"{"include":["a"],"exclude":["b"]}"#,
            Err("`exclude` beside `include`"),
        );
        check::<WithPayload>(r#"{"only":["a"]}"#, Err("unknown field `only`"));
        check::<WithPayload>("{}", Err("neither `include` nor `exclude`"));
        check::<WithPayload>("1", Err("`1`, expected a boolean"));
        check::<WithPayload>("[1]", Err("`1`, expected a string"));
    }

    #[test]
    fn vector_selectors_come_in_two_forms() {
        check("false", Ok(WithVector::Flag(false)));
        check(r#"["image"]"#, Ok(WithVector::Names(paths(&["image"]))));
        check::<WithVector>(r#""image""#, Err("\"image\", expected a boolean"));
    }
}
