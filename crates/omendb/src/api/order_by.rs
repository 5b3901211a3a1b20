//! The order that points are asked for in: a payload key, or an object of it with a direction and a value to begin at.

use std::fmt;

use omendb_engine::filter::Datetime;
use omendb_engine::{Direction, OrderBy, OrderValue, PayloadPath};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An [`OrderBy`] as JSON has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OrderByInput(pub(crate) OrderBy);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderByBody {
    key: String,
    direction: Option<DirectionName>,
    start_from: Option<StartFrom>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum DirectionName {
    Asc,
    Desc,
}

/// A number, or a date and time.
struct StartFrom(OrderValue);

impl<'de> Deserialize<'de> for StartFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StartVisitor;
        impl Visitor<'_> for StartVisitor {
            type Value = StartFrom;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number or a date and time of RFC 3339")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<StartFrom, E> {
                Ok(StartFrom(OrderValue::Int(number)))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<StartFrom, E> {
                let value = i64::try_from(number).map(OrderValue::Int);
                Ok(StartFrom(value.unwrap_or(OrderValue::Float(number as f64))))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<StartFrom, E> {
                Ok(StartFrom(OrderValue::Float(number)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StartFrom, E> {
                let moment = Datetime::parse(text);
                let moment = moment.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))?;
                Ok(StartFrom(OrderValue::Int(moment.micros())))
            }
        }
        deserializer.deserialize_any(StartVisitor)
    }
}

impl<'de> Deserialize<'de> for OrderByInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrderVisitor;
        impl<'de> Visitor<'de> for OrderVisitor {
            type Value = OrderByInput;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a payload key or an object with `key`")
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<OrderByInput, E> {
                Ok(OrderByInput(OrderBy {
                    key: key.parse().map_err(E::custom)?,
                    direction: Direction::Ascending,
                    start_from: None,
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OrderByInput, A::Error> {
                let OrderByBody {
                    key,
                    direction,
                    start_from,
                } = OrderByBody::deserialize(MapAccessDeserializer::new(map))?;
                Ok(OrderByInput(OrderBy {
                    key: key.parse::<PayloadPath>().map_err(A::Error::custom)?,
                    direction: match direction {
                        None | Some(DirectionName::Asc) => Direction::Ascending,
                        Some(DirectionName::Desc) => Direction::Descending,
                    },
                    start_from: start_from.map(|StartFrom(value)| value),
                }))
            }
        }
        deserializer.deserialize_any(OrderVisitor)
    }
}

/// A value that a point is in order of, as answers carry it.
pub(crate) struct OrderValueJson(pub(crate) OrderValue);

impl Serialize for OrderValueJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            OrderValue::Int(value) => serializer.serialize_i64(value),
            OrderValue::Float(value) => serializer.serialize_f64(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<OrderBy, &str>) {
        match (serde_json::from_str::<OrderByInput>(json), expected) {
            (Ok(OrderByInput(order_by)), Ok(expected)) => assert_eq!(order_by, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn orders_have_a_key_a_direction_and_a_start() {
        let by = |direction, start_from| OrderBy {
            key: "a.b".parse().expect("a path"),
            direction,
            start_from,
        };
        let (up, down) = (Direction::Ascending, Direction::Descending);
        check(r#""a.b""#, Ok(by(up, None)));
        check(r#"{"key":"a.b"}"#, Ok(by(up, None)));
        check(
            r#"{"key":"a.b","direction":"asc","start_from":null}"#,
            Ok(by(up, None)),
        );
        let start = |value: &str| format!(r#"{{"key":"a.b","direction":"desc","start_from":{value}}}"#);
        check(&start("-7"), Ok(by(down, Some(OrderValue::Int(-7)))));
        check(&start("0.5"), Ok(by(down, Some(OrderValue::Float(0.5)))));
        check(
            &start("18446744073709551615"),
            Ok(by(down, Some(OrderValue::Float(u64::MAX as f64)))),
        );
        check(
            &start(r#""1970-01-01T00:00:01.000002Z""#),
            Ok(by(down, Some(OrderValue::Int(1_000_002)))),
        );
    }

    #[test]
    fn wrong_orders_are_refused_by_name() {
        check("7", Err("expected a payload key"));
        check(r#""a..b""#, Err("payload path"));
        check("{}", Err("missing field `key`"));
        check(r#"{"key":"a","direction":"up"}"#, Err("unknown variant `up`"));
        check(r#"{"key":"a","start_from":"soon"}"#, Err("\"soon\""));
        check(r#"{"key":"a","by":1}"#, Err("unknown field `by`"));
    }
}
