//! The `match` of a condition in JSON.

use std::collections::HashSet;
use std::fmt;

use omendb_engine::filter::{Match, MatchSet};
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// A match as a condition carries it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "MatchBody")]
pub(super) struct MatchJson(pub(super) Match);

/// The fields of every form, of which one is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchBody {
    value: Option<MatchValue>,
    any: Option<MatchValues>,
    except: Option<MatchValues>,
    text: Option<String>,
    text_any: Option<String>,
    phrase: Option<String>,
    prefix: Option<String>,
}

impl TryFrom<MatchBody> for MatchJson {
    type Error = &'static str;

    fn try_from(body: MatchBody) -> Result<Self, &'static str> {
        let MatchBody {
            value,
            any,
            except,
            text,
            text_any,
            phrase,
            prefix,
        } = body;
        let forms = [
            value.map(|MatchValue(wanted)| wanted),
            any.map(|MatchValues(values)| Match::Any(values)),
            except.map(|MatchValues(values)| Match::Except(values)),
            text.map(|text| Match::text(&text)),
            text_any.map(|text| Match::text_any(&text)),
            phrase.map(|text| Match::phrase(&text)),
            prefix.map(Match::Prefix),
        ];
        let mut forms = forms.into_iter().flatten();
        match (forms.next(), forms.next()) {
            (Some(only), None) => Ok(Self(only)),
            (Some(_), Some(_)) => Err("more than one form of match"),
            (None, _) => Err("none of `value`, `any`, `except`, `text`, `text_any`, `phrase`, `prefix`"),
        }
    }
}

/// One value: a string, an integer of 64 bits or a boolean.
#[derive(Debug)]
struct MatchValue(Match);

impl<'de> Deserialize<'de> for MatchValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl Visitor<'_> for ValueVisitor {
            type Value = MatchValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string, a signed 64-bit integer or a boolean")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<MatchValue, E> {
                Ok(MatchValue(Match::Bool(value)))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<MatchValue, E> {
                Ok(MatchValue(Match::Integer(value)))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<MatchValue, E> {
                let signed = i64::try_from(value);
                let signed = signed.map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))?;
                self.visit_i64(signed)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MatchValue, E> {
                Ok(MatchValue(Match::Keyword(text.to_owned())))
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Values that are all strings or all integers.
#[derive(Debug)]
struct MatchValues(MatchSet);

impl<'de> Deserialize<'de> for MatchValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValuesVisitor;
        impl<'de> Visitor<'de> for ValuesVisitor {
            type Value = MatchValues;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of strings or a list of signed 64-bit integers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<MatchValues, A::Error> {
                let (mut keywords, mut integers) = (HashSet::new(), HashSet::new());
                while let Some(MatchValue(value)) = list.next_element()? {
                    match value {
                        Match::Keyword(keyword) => drop(keywords.insert(keyword)),
                        Match::Integer(integer) => drop(integers.insert(integer)),
                        Match::Bool(_)
                        | Match::Any(_)
                        | Match::Except(_)
                        | Match::Text(_)
                        | Match::TextAny(_)
                        | Match::Phrase(_)
                        | Match::Prefix(_) => {
                            return Err(Error::custom("a boolean where strings or integers are listed"));
                        }
                    }
                    if !keywords.is_empty() && !integers.is_empty() {
                        return Err(Error::custom("a string and an integer in one list"));
                    }
                }
                Ok(MatchValues(if integers.is_empty() {
                    MatchSet::Keywords(keywords)
                } else {
                    MatchSet::Integers(integers)
                }))
            }
        }
        deserializer.deserialize_seq(ValuesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Match, &str>) {
        match (serde_json::from_str::<MatchJson>(json), expected) {
            (Ok(MatchJson(wanted)), Ok(expected)) => assert_eq!(wanted, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn every_form_is_read() {
        check(r#"{"value":"x"}"#, Ok(Match::Keyword("x".to_owned())));
        check(r#"{"value":-7}"#, Ok(Match::Integer(-7)));
        check(r#"{"value":false,"text":null}"#, Ok(Match::Bool(false)));
        check(
            r#"{"any":[1,2]}"#,
            Ok(Match::Any(MatchSet::Integers(HashSet::from([1, 2])))),
        );
        check(
            r#"{"any":[]}"#,
            Ok(Match::Any(MatchSet::Keywords(HashSet::new()))),
        );
        let keywords = HashSet::from(["a".to_owned()]);
        check(
            r#"{"except":["a","a"]}"#,
            Ok(Match::Except(MatchSet::Keywords(keywords))),
        );
        check(r#"{"text":"A b"}"#, Ok(Match::text("A b")));
        check(r#"{"text_any":"a b"}"#, Ok(Match::text_any("a b")));
        check(r#"{"phrase":"a b"}"#, Ok(Match::phrase("a b")));
        check(r#"{"prefix":"ab"}"#, Ok(Match::Prefix("ab".to_owned())));
    }

    #[test]
    fn what_is_no_match_is_refused() {
        check(r#"{"value":1.5}"#, Err("floating point `1.5`"));
        check(r#"{"value":9223372036854775808}"#, Err("`9223372036854775808`"));
        check(r#"{"value":["a"]}"#, Err("invalid type: sequence"));
        check(r#"{"any":"a"}"#, Err("invalid type: string \"a\""));
        check(r#"{"any":["a",1]}"#, Err("a string and an integer in one list"));
        check(r#"{"any":[true]}"#, Err("a boolean where"));
        check(r#"{"value":1,"text":"a"}"#, Err("more than one form of match"));
        check("{}", Err("none of `value`"));
        check(r#"{"keyword":"a"}"#, Err("unknown field `keyword`"));
    }
}
