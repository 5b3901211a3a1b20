//! Formulas in JSON: numbers, names of values, conditions, and objects named by what they do with others.

use std::fmt;

use omendb_engine::filter::{Datetime, GeoPoint};
use omendb_engine::{Decay, DecayKind, Expression, Filter, PayloadVariable};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::condition::{ConditionJson, GeoPointJson};

/// An [`Expression`] as JSON has it.
#[derive(Debug)]
pub(super) struct ExpressionInput(pub(super) Expression);

/// As in the dialect.
const DEFAULT_SCALE: f64 = 1.0;
/// As in the dialect.
const DEFAULT_MIDPOINT: f64 = 0.5;
/// What the names of scores begin with.
const SCORE: &str = "$score";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DivBody {
    left: ExpressionInput,
    right: ExpressionInput,
    by_zero_default: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PowBody {
    base: ExpressionInput,
    exponent: ExpressionInput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeoDistanceBody {
    origin: GeoPointJson,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecayBody {
    x: ExpressionInput,
    target: Option<ExpressionInput>,
    scale: Option<f64>,
    midpoint: Option<f64>,
}

impl DecayBody {
    fn decay<E: Error>(self, kind: DecayKind) -> Result<Expression, E> {
        let Self {
            x,
            target,
            scale,
            midpoint,
        } = self;
        let scale = scale.unwrap_or(DEFAULT_SCALE);
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(E::custom(format_args!("scale: `{scale}` is not above 0")));
        }
        let midpoint = midpoint.unwrap_or(DEFAULT_MIDPOINT);
        if !(midpoint > 0.0 && midpoint < 1.0) {
            return Err(E::custom(format_args!(
                "midpoint: `{midpoint}` is not between 0 and 1"
            )));
        }
        Ok(Expression::Decay(Box::new(Decay {
            kind,
            x: x.0,
            target: target.map_or(Expression::Constant(0.0), |target| target.0),
            scale,
            midpoint,
        })))
    }
}

fn payload_variable<E: Error>(name: &str) -> Result<PayloadVariable, E> {
    Ok(PayloadVariable {
        name: name.to_owned(),
        path: name.parse().map_err(E::custom)?,
    })
}

/// `$score`, `$score[2]`, or a payload key.
fn variable<E: Error>(name: &str) -> Result<Expression, E> {
    let Some(place) = name.strip_prefix(SCORE) else {
        return payload_variable(name).map(Expression::Number);
    };
    let place = if place.is_empty() {
        Some(0)
    } else {
        let inside = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.and_then(|digits| digits.parse().ok())
    };
    let place =
        place.ok_or_else(|| E::custom(format_args!("`{name}` is no score: `$score` or `$score[0]`")))?;
    Ok(Expression::Score(place))
}

impl<'de> Deserialize<'de> for ExpressionInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExpressionVisitor;
        impl<'de> Visitor<'de> for ExpressionVisitor {
            type Value = ExpressionInput;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a number, a payload key, `$score`, a condition or an object with an operation",
                )
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<ExpressionInput, E> {
                self.visit_f64(value as f64)
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<ExpressionInput, E> {
                self.visit_f64(value as f64)
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<ExpressionInput, E> {
                Ok(ExpressionInput(Expression::Constant(value)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ExpressionInput, E> {
                variable(name).map(ExpressionInput)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExpressionInput, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Ok(ExpressionInput(Expression::Condition(Filter::default())));
                };
                match operation(&key, &mut map)? {
                    None => condition(key, map).map(ExpressionInput),
                    Some(expression) => match map.next_key::<String>()? {
                        None => Ok(ExpressionInput(expression)),
                        Some(other) => Err(A::Error::custom(format_args!("`{other}` beside `{key}`"))),
                    },
                }
            }
        }
        deserializer.deserialize_any(ExpressionVisitor)
    }
}

/// The operation of that name on what comes next; `None` if there is none, and nothing was read.
fn operation<'de, A: MapAccess<'de>>(key: &str, map: &mut A) -> Result<Option<Expression>, A::Error> {
    let list = |inputs: Vec<ExpressionInput>| inputs.into_iter().map(|input| input.0).collect();
    let mut inner = |wrap: fn(Box<Expression>) -> Expression| -> Result<Expression, A::Error> {
        let ExpressionInput(inner) = map.next_value()?;
        Ok(wrap(Box::new(inner)))
    };
    Ok(Some(match key {
        "neg" => inner(Expression::Neg)?,
        "abs" => inner(Expression::Abs)?,
        "sqrt" => inner(Expression::Sqrt)?,
        "exp" => inner(Expression::Exp)?,
        "log10" => inner(Expression::Log10)?,
        "ln" => inner(Expression::Ln)?,
        "mult" => Expression::Mult(list(map.next_value()?)),
        "sum" => Expression::Sum(list(map.next_value()?)),
        "div" => {
            let DivBody {
                left,
                right,
                by_zero_default,
            } = map.next_value()?;
            Expression::Div(Box::new(left.0), Box::new(right.0), by_zero_default)
        }
        "pow" => {
            let PowBody { base, exponent } = map.next_value()?;
            Expression::Pow(Box::new(base.0), Box::new(exponent.0))
        }
        "geo_distance" => {
            let GeoDistanceBody {
                origin: GeoPointJson(origin),
                to,
            } = map.next_value()?;
            let origin: GeoPoint = origin;
            Expression::GeoDistance(origin, payload_variable(&to)?)
        }
        "datetime" => {
            let text: String = map.next_value()?;
            Expression::Datetime(text.parse::<Datetime>().map_err(A::Error::custom)?)
        }
        "datetime_key" => Expression::DatetimeKey(payload_variable(&map.next_value::<String>()?)?),
        "lin_decay" => map.next_value::<DecayBody>()?.decay(DecayKind::Linear)?,
        "exp_decay" => map.next_value::<DecayBody>()?.decay(DecayKind::Exponential)?,
        "gauss_decay" => map.next_value::<DecayBody>()?.decay(DecayKind::Gaussian)?,
        _ => return Ok(None),
    }))
}

/// A condition, whose first key was read already.
fn condition<'de, A: MapAccess<'de>>(key: String, map: A) -> Result<Expression, A::Error> {
    let rest = AfterKey { key: Some(key), map };
    let ConditionJson(condition) =
        ConditionJson::deserialize(serde::de::value::MapAccessDeserializer::new(rest))?;
    Ok(Expression::Condition(Filter::of(condition)))
}

/// An object with a key put back at its head.
struct AfterKey<A> {
    key: Option<String>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for AfterKey<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.key.take() {
            Some(key) => seed.deserialize(StrDeserializer::new(&key)).map(Some),
            None => self.map.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use omendb_engine::Condition;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Expression, &str>) {
        match (serde_json::from_str::<ExpressionInput>(json), expected) {
            (Ok(ExpressionInput(expression)), Ok(expected)) => assert_eq!(expression, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    fn key(name: &str) -> PayloadVariable {
        PayloadVariable {
            name: name.to_owned(),
            path: name.parse().expect("a path"),
        }
    }

    #[test]
    fn expressions_are_read() {
        let constant = |value| Expression::Constant(value);
        check("2", Ok(constant(2.0)));
        check("-0.5", Ok(constant(-0.5)));
        check(r#""a.b""#, Ok(Expression::Number(key("a.b"))));
        check(r#""$score""#, Ok(Expression::Score(0)));
        check(r#""$score[3]""#, Ok(Expression::Score(3)));
        check(
            r#"{"sum":[1,{"neg":"n"}]}"#,
            Ok(Expression::Sum(vec![
                constant(1.0),
                Expression::Neg(Box::new(Expression::Number(key("n")))),
            ])),
        );
        check(
            r#"{"div":{"left":1,"right":2,"by_zero_default":3}}"#,
            Ok(Expression::Div(
                Box::new(constant(1.0)),
                Box::new(constant(2.0)),
                Some(3.0),
            )),
        );
        check(
            r#"{"geo_distance":{"origin":{"lon":1,"lat":2},"to":"place"}}"#,
            Ok(Expression::GeoDistance(
                GeoPoint { lon: 1.0, lat: 2.0 },
                key("place"),
            )),
        );
        check(
            r#"{"exp_decay":{"x":"n","scale":2}}"#,
            Ok(Expression::Decay(Box::new(Decay {
                kind: DecayKind::Exponential,
                x: Expression::Number(key("n")),
                target: constant(0.0),
                scale: 2.0,
                midpoint: 0.5,
            }))),
        );
        let has_id = Condition::HasId([1.into()].into());
        check(r#"{"has_id":[1]}"#, Ok(Expression::Condition(Filter::of(has_id))));
        let json = r#"{"key":"a","match":{"value":1}}"#;
        let condition: ConditionJson = serde_json::from_str(json).expect("a condition");
        check(json, Ok(Expression::Condition(Filter::of(condition.0))));
    }

    #[test]
    fn wrong_expressions_are_refused_by_name() {
        check("true", Err("expected a number, a payload key"));
        check(r#""$score[x]""#, Err("`$score[x]` is no score"));
        check(r#""$scores""#, Err("`$scores` is no score"));
        check(r#""a..b""#, Err("payload path"));
        check(r#"{"abs":1,"neg":1}"#, Err("`neg` beside `abs`"));
        check(r#"{"cbrt":1}"#, Err("unknown field `cbrt`"));
        check(r#"{"pow":{"base":1}}"#, Err("missing field `exponent`"));
        check(r#"{"datetime":"soon"}"#, Err("\"soon\" is not a date"));
        check(
            r#"{"lin_decay":{"x":1,"scale":0}}"#,
            Err("scale: `0` is not above 0"),
        );
        check(r#"{"lin_decay":{"x":1,"midpoint":1}}"#, Err("midpoint: `1`"));
    }
}
