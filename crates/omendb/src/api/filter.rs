//! Filters in JSON, as the dialect has them, and the points a body is about: by ids or by filter.

use std::fmt;
use std::sync::Arc;

use omendb_engine::filter::MinShould;
use omendb_engine::{Condition, Filter, PayloadPath, PointSelector};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::condition::ConditionJson;
use super::ids::{Id, point_ids};
use crate::http::ApiError;

/// A filter as a body carries it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "FilterBody")]
pub(crate) struct FilterJson(pub(crate) Filter);

/// The clauses of a filter, which also stand in a condition of their own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilterBody {
    #[serde(default)]
    must: Conditions,
    #[serde(default)]
    should: Conditions,
    #[serde(default)]
    must_not: Conditions,
    min_should: Option<MinShouldJson>,
}

impl From<FilterBody> for FilterJson {
    fn from(body: FilterBody) -> Self {
        let FilterBody {
            must,
            should,
            must_not,
            min_should,
        } = body;
        Self(Filter {
            must: must.0,
            should: should.0,
            must_not: must_not.0,
            min_should: min_should.map(MinShould::from),
        })
    }
}

/// At least `min_count` of `conditions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MinShouldJson {
    conditions: Conditions,
    min_count: usize,
}

impl From<MinShouldJson> for MinShould {
    fn from(body: MinShouldJson) -> Self {
        let MinShouldJson {
            conditions: Conditions(conditions),
            min_count,
        } = body;
        Self {
            conditions,
            min_count,
        }
    }
}

/// Conditions: a list, one alone, or `null` for none.
#[derive(Debug, Default)]
pub(super) struct Conditions(pub(super) Vec<Condition>);

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConditionsVisitor;
        impl<'de> Visitor<'de> for ConditionsVisitor {
            type Value = Conditions;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a condition or a list of conditions")
            }

            fn visit_unit<E: Error>(self) -> Result<Conditions, E> {
                Ok(Conditions::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Conditions, A::Error> {
                let mut conditions = Vec::new();
                while let Some(ConditionJson(condition)) = list.next_element()? {
                    conditions.push(condition);
                }
                Ok(Conditions(conditions))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Conditions, A::Error> {
                let ConditionJson(condition) = ConditionJson::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Conditions(vec![condition]))
            }
        }
        deserializer.deserialize_any(ConditionsVisitor)
    }
}

/// A path to a payload's values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathJson(pub(crate) PayloadPath);

impl<'de> Deserialize<'de> for PathJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

/// The filter a body asks for; `None` where it selects everything.
///
/// # Errors
/// 422 for a filter beyond the limits, naming them.
pub(crate) fn filter(body: Option<FilterJson>) -> Result<Option<Arc<Filter>>, ApiError> {
    let Some(FilterJson(filter)) = body else {
        return Ok(None);
    };
    let filter = checked(filter)?;
    Ok((!filter.is_empty()).then(|| Arc::new(filter)))
}

/// The points that a body is about: those of `points`, or those that pass `filter`.
///
/// # Errors
/// 400 for neither or both of them, 422 for a filter beyond the limits.
pub(crate) fn point_selector(
    points: Option<Vec<Id>>,
    filter: Option<FilterJson>,
) -> Result<PointSelector, ApiError> {
    match (points, filter) {
        (Some(ids), None) => Ok(PointSelector::Ids(point_ids(ids))),
        (None, Some(FilterJson(filter))) => Ok(PointSelector::Filter(checked(filter)?)),
        (None, None) => Err(ApiError::bad_request("missing field `points` (or `filter`)")),
        (Some(_), Some(_)) => Err(ApiError::bad_request(
            "`points` beside `filter`: only one of them",
        )),
    }
}

/// Refuses a filter beyond the engine's limits.
pub(crate) fn checked(filter: Filter) -> Result<Filter, ApiError> {
    match filter.check() {
        Ok(()) => Ok(filter),
        Err(error) => Err(ApiError::unprocessable(error.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Option<Arc<Filter>>, ApiError> {
        filter(super::super::parse::body(json.as_bytes())?)
    }

    #[track_caller]
    fn check(json: &str, expected: Result<Option<Filter>, (u16, &str)>) {
        match (read(json), expected) {
            (Ok(filter), Ok(expected)) => assert_eq!(filter.as_deref(), expected.as_ref(), "{json}"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    fn has(vector: &str) -> Condition {
        Condition::HasVector(vector.to_owned())
    }

    #[test]
    fn clauses_hold_one_condition_or_several() {
        check("null", Ok(None));
        check("{}", Ok(None));
        check(
            r#"{"must":null,"should":[],"must_not":[],"min_should":null}"#,
            Ok(None),
        );
        check(r#"{"must":{"has_vector":"a"}}"#, Ok(Some(Filter::of(has("a")))));
        let all = Filter {
            must: vec![has("a"), has("b")],
            should: vec![has("c")],
            must_not: vec![has("d")],
            min_should: Some(MinShould {
                conditions: vec![has("e")],
                min_count: 1,
            }),
        };
        check(
            r#"{"must":[{"has_vector":"a"},{"has_vector":"b"}],"should":[{"has_vector":"c"}],
                "must_not":{"has_vector":"d"},"min_should":{"conditions":[{"has_vector":"e"}],"min_count":1}}"#,
            Ok(Some(all)),
        );
        check(
            r#"{"must":[{"should":[{"has_vector":"a"}]}]}"#,
            Ok(Some(Filter::of(Condition::Filter(Filter {
                should: vec![has("a")],
                ..Filter::default()
            })))),
        );
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_place() {
        check(r#"{"musst":[]}"#, Err((400, "unknown field `musst`")));
        check(r#"{"must":7}"#, Err((400, "must: invalid type: integer `7`")));
        check(
            r#"{"must":[{"key":1}]}"#,
            Err((400, "must[0].key: invalid type: integer `1`")),
        );
        check(
            r#"{"must":[{"has_vector":"a"},{"should":[{"key":"a..b","match":{"value":1}}]}]}"#,
            Err((400, "must[1].should[0].key: payload path \"a..b\"")),
        );
        check(
            r#"{"min_should":{"conditions":[],"min_count":0}}"#,
            Err((422, "min_should.min_count 0")),
        );
        let deep = |levels: usize| format!("{}{}", r#"{"must":["#.repeat(levels) + "{}", "]}".repeat(levels));
        check(&deep(40), Err((422, "nested deeper than 32")));
        check(&deep(100), Err((400, "recursion limit")));
    }

    #[test]
    fn a_body_is_about_ids_or_about_what_passes() {
        let ids = || Some(vec![Id(7.into())]);
        let any = || Some(FilterJson(Filter::default()));
        let message = |outcome: Result<PointSelector, ApiError>| outcome.unwrap_err().message().to_owned();
        assert_eq!(
            point_selector(ids(), None).ok(),
            Some(PointSelector::Ids(vec![7.into()]))
        );
        assert_eq!(
            point_selector(None, any()).ok(),
            Some(PointSelector::Filter(Filter::default()))
        );
        assert!(message(point_selector(None, None)).contains("missing field `points`"));
        assert!(message(point_selector(ids(), any())).contains("`points` beside `filter`"));
    }
}
