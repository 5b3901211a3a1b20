//! Payloads between JSON and the engine's encoding, both ways without a tree in between.
//!
//! Numbers keep what they are: integers of 64 bits, signed or not, stay integers, and every other number is the `f64`
//! nearest to its text. An object with a key twice is refused.

use std::fmt;

use omendb_engine::{Payload, PayloadEncoder, ValueRef};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A payload as a body carries it: a JSON object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PayloadBody(pub(crate) Payload);

impl<'de> Deserialize<'de> for PayloadBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;
        impl<'de> Visitor<'de> for PayloadVisitor {
            type Value = PayloadBody;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a payload (a JSON object)")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PayloadBody, A::Error> {
                let mut encoder = PayloadEncoder::new();
                encode_fields(map, &mut encoder)?;
                encoder.finish().map(PayloadBody).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_map(PayloadVisitor)
    }
}

/// Writes the fields of the object that is open in `encoder`.
fn encode_fields<'de, A: MapAccess<'de>>(mut map: A, encoder: &mut PayloadEncoder) -> Result<(), A::Error> {
    while map.next_key_seed(KeySeed(encoder))?.is_some() {
        map.next_value_seed(ValueSeed(encoder))?;
    }
    Ok(())
}

/// Writes one key.
struct KeySeed<'e>(&'e mut PayloadEncoder);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a payload key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.0.key(key).map_err(E::custom)
    }
}

/// Writes one value, whatever it is.
struct ValueSeed<'e>(&'e mut PayloadEncoder);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.null().map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.bool(value).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.int(value).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.uint(value).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.float(value).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.string(value).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.begin_list().map_err(A::Error::custom)?;
        while list.next_element_seed(ValueSeed(self.0))?.is_some() {}
        self.0.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.begin_object().map_err(A::Error::custom)?;
        encode_fields(map, self.0)?;
        self.0.end().map_err(A::Error::custom)
    }
}

/// A payload as an answer carries it.
pub(crate) struct PayloadJson<'a>(pub(crate) &'a Payload);

impl Serialize for PayloadJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_fields(self.0.fields(), serializer)
    }
}

/// One value of a payload.
struct ValueJson<'a>(ValueRef<'a>);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ValueRef::Null => serializer.serialize_unit(),
            ValueRef::Bool(value) => serializer.serialize_bool(value),
            ValueRef::Int(value) => serializer.serialize_i64(value),
            ValueRef::Uint(value) => serializer.serialize_u64(value),
            ValueRef::Float(value) => serializer.serialize_f64(value),
            ValueRef::String(value) => serializer.serialize_str(value),
            ValueRef::List(list) => serializer.collect_seq(list.map(ValueJson)),
            ValueRef::Object(fields) => serialize_fields(fields, serializer),
        }
    }
}

fn serialize_fields<'a, S, F>(fields: F, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    F: Iterator<Item = (&'a str, ValueRef<'a>)>,
{
    let mut map = serializer.serialize_map(None)?;
    for (key, value) in fields {
        map.serialize_entry(key, &ValueJson(value))?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&str, &str>) {
        match (serde_json::from_str::<PayloadBody>(json), expected) {
            (Ok(PayloadBody(payload)), Ok(expected)) => {
                let back = serde_json::to_string(&PayloadJson(&payload)).expect("a payload is JSON");
                assert_eq!(back, expected, "{json}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    /// The same text comes back.
    #[track_caller]
    fn check_same(json: &str) {
        check(json, Ok(json));
    }

    #[test]
    fn payloads_come_back_as_they_were() {
        check_same("{}");
        check_same(r#"{"z":1,"a":{"b":[null,true,false,[],{}]},"":"empty key"}"#);
        check_same(r#"{"text":"tab\t, quote \", umlaut ü, rocket 🚀"}"#);
        check(r#"{ "escaped\u0041" : "\u00fc\/" }"#, Ok(r#"{"escapedA":"ü/"}"#));
    }

    #[test]
    fn numbers_keep_their_value() {
        check_same(r#"{"n":[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615]}"#);
        check_same(r#"{"n":[0.1,1.0,-0.0,5e-324,1.7976931348623157e+308,0.30000000000000004]}"#);
        // Seventeen digits that a parser without correct rounding reads one unit too high.
        check_same(r#"{"n":51.24817837550540}"#.replace("540}", "54}").as_str());
        check(
            r#"{"n":18446744073709551616}"#,
            Ok(r#"{"n":1.8446744073709552e+19}"#),
        );
    }

    #[test]
    fn what_is_not_a_payload_is_refused() {
        check("[1]", Err("expected a payload"));
        check(r#""text""#, Err("expected a payload"));
        check(r#"{"a":1,"a":2}"#, Err("\"a\" appears twice"));
        check(r#"{"a":1e999}"#, Err("out of range"));
        check(
            &format!(r#"{{"a":{}{}}}"#, "[".repeat(70), "]".repeat(70)),
            Err("nested deeper than 64"),
        );
    }
}
