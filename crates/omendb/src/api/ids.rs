//! Point ids in JSON and in paths: an unsigned number or a UUID in a string.

use std::fmt;

use omendb_engine::{PointId, Uuid};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::http::ApiError;

/// A [`PointId`] as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) PointId);

/// What an id may be, as error messages say it.
const EXPECTED: &str = "a point id (an unsigned 64-bit integer or a UUID)";

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(EXPECTED)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(PointId::Number(number)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
                match text.parse::<Uuid>() {
                    Ok(uuid) => Ok(Id(PointId::Uuid(uuid))),
                    Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PointId::Number(number) => serializer.serialize_u64(number),
            PointId::Uuid(uuid) => serializer.collect_str(&uuid),
        }
    }
}

/// Ids as the engine takes them.
pub(crate) fn point_ids(ids: Vec<Id>) -> Vec<PointId> {
    ids.into_iter().map(|Id(id)| id).collect()
}

/// The id in a path, where a number has no quotes.
///
/// # Errors
/// 400 with the text, as the dialect has it.
pub(crate) fn from_path(text: &str) -> Result<PointId, ApiError> {
    let number = text.parse::<u64>().map(PointId::Number);
    number
        .or_else(|_| text.parse::<Uuid>().map(PointId::Uuid))
        .map_err(|_| ApiError::bad_request(format!("id: `{text}` is not {EXPECTED}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "936da01f-9abd-4d9d-80c7-02af85c822a8";

    #[track_caller]
    fn check(json: &str, expected: Result<&str, &str>) {
        match (serde_json::from_str::<Id>(json), expected) {
            (Ok(id), Ok(text)) => {
                assert_eq!(serde_json::to_string(&id).expect("an id is JSON"), text, "{json}")
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn ids_are_numbers_or_uuids() {
        check("0", Ok("0"));
        check("18446744073709551615", Ok("18446744073709551615"));
        check(&format!("\"{UUID}\""), Ok(&format!("\"{UUID}\"")));
        check("\"936DA01F9ABD4D9D80C702AF85C822A8\"", Ok(&format!("\"{UUID}\"")));
        check("-1", Err("`-1`, expected a point id"));
        check("1.0", Err("`1.0`, expected a point id"));
        check("18446744073709551616", Err("expected a point id"));
        check("\"abc\"", Err("\"abc\", expected a point id"));
        check("\"7\"", Err("\"7\", expected a point id"));
        check("null", Err("null, expected a point id"));
        check("[1]", Err("expected a point id"));
    }

    #[test]
    fn ids_in_paths_are_the_same_without_quotes() {
        assert_eq!(from_path("7").ok(), Some(PointId::Number(7)));
        assert_eq!(
            from_path(UUID).ok().map(|id| id.to_string()).as_deref(),
            Some(UUID)
        );
        for wrong in ["", "-1", "7.0", "abc", "18446744073709551616"] {
            let error = from_path(wrong).expect_err("not an id");
            assert!(
                error.message().contains(&format!("`{wrong}`")),
                "{}",
                error.message()
            );
        }
    }
}
