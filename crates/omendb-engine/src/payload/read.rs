//! Reading an encoded payload in place.

use std::fmt;

use crate::payload::Value;
use crate::payload::encode::{FALSE, FLOAT, INT, LIST, NULL, OBJECT, STRING, TRUE, UINT};
use crate::{Error, limits};

/// One value of a payload, borrowed from its bytes.
#[derive(Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction that fits 64 signed bits.
    Int(i64),
    /// A number without fraction above `i64::MAX`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(&'a str),
    /// A list: iterate over it.
    List(List<'a>),
    /// An object: iterate over its fields.
    Object(Fields<'a>),
}

impl ValueRef<'_> {
    /// The value as a tree of its own.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Float(value) => Value::Float(value),
            Self::String(value) => Value::String(value.to_owned()),
            Self::List(list) => Value::List(list.map(Self::to_value).collect()),
            Self::Object(fields) => Value::Object(
                fields
                    .map(|(key, value)| (key.to_owned(), value.to_value()))
                    .collect(),
            ),
        }
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_value().fmt(f)
    }
}

/// The fields of an object, in the order they were written.
#[derive(Clone, Copy, PartialEq)]
pub struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The value of `key`, if the object has it. The values before it are stepped over, not read.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        let mut cursor = Cursor { bytes: self.bytes };
        loop {
            if cursor.bytes_with_length().ok()? == key.as_bytes() {
                return cursor.value().ok();
            }
            cursor.skip_value().ok()?;
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut cursor = Cursor { bytes: self.bytes };
        // Bytes are checked when they enter the process, so an error here ends an iteration that nobody can see.
        let key = cursor.string().ok()?;
        let value = cursor.value().ok()?;
        self.bytes = cursor.bytes;
        Some((key, value))
    }
}

/// The values of a list.
#[derive(Clone, Copy, PartialEq)]
pub struct List<'a> {
    bytes: &'a [u8],
}

impl<'a> List<'a> {
    pub(super) fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for List<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        let mut cursor = Cursor { bytes: self.bytes };
        let value = cursor.value().ok()?;
        self.bytes = cursor.bytes;
        Some(value)
    }
}

/// Checks a payload that came from disk: encoding, UTF-8 and depth, to the last byte.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) at the first thing out of place.
pub(crate) fn check_payload(bytes: &[u8]) -> Result<(), Error> {
    check_fields(bytes, 1)
}

fn check_fields(bytes: &[u8], depth: usize) -> Result<(), Error> {
    let mut cursor = Cursor { bytes };
    while !cursor.bytes.is_empty() {
        cursor.string()?;
        check_value(cursor.value()?, depth)?;
    }
    Ok(())
}

fn check_value(value: ValueRef<'_>, depth: usize) -> Result<(), Error> {
    if depth > limits::MAX_PAYLOAD_DEPTH {
        return Err(Error::corrupt("payload nested too deeply"));
    }
    match value {
        ValueRef::Object(fields) => check_fields(fields.bytes, depth + 1),
        ValueRef::List(list) => {
            let mut cursor = Cursor { bytes: list.bytes };
            while !cursor.bytes.is_empty() {
                check_value(cursor.value()?, depth + 1)?;
            }
            Ok(())
        }
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::String(_) => Ok(()),
    }
}

fn unknown_kind(tag: u8) -> Error {
    Error::corrupt(format!("payload value of unknown kind {tag}"))
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn value(&mut self) -> Result<ValueRef<'a>, Error> {
        let tag = self.take(1)?[0];
        Ok(match tag {
            NULL => ValueRef::Null,
            FALSE => ValueRef::Bool(false),
            TRUE => ValueRef::Bool(true),
            INT => {
                let zigzag = self.varint()?;
                ValueRef::Int((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
            }
            UINT => ValueRef::Uint(self.varint()?),
            FLOAT => ValueRef::Float(f64::from_le_bytes(self.array()?)),
            STRING => ValueRef::String(self.string()?),
            LIST => ValueRef::List(List {
                bytes: self.container()?,
            }),
            OBJECT => ValueRef::Object(Fields {
                bytes: self.container()?,
            }),
            _ => return Err(unknown_kind(tag)),
        })
    }

    fn container(&mut self) -> Result<&'a [u8], Error> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }

    fn skip_value(&mut self) -> Result<(), Error> {
        match self.take(1)?[0] {
            NULL | FALSE | TRUE => Ok(()),
            INT | UINT => self.varint().map(drop),
            FLOAT => self.take(size_of::<f64>()).map(drop),
            STRING => self.bytes_with_length().map(drop),
            LIST | OBJECT => self.container().map(drop),
            other => Err(unknown_kind(other)),
        }
    }

    fn bytes_with_length(&mut self) -> Result<&'a [u8], Error> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn string(&mut self) -> Result<&'a str, Error> {
        let bytes = self.bytes_with_length()?;
        std::str::from_utf8(bytes).map_err(|_| Error::corrupt("payload string that is not UTF-8"))
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::corrupt("payload number of more than 64 bits"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or_else(|| Error::corrupt("payload cut short"))?;
        self.bytes = rest;
        Ok(*bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or_else(|| Error::corrupt("payload cut short"))?;
        self.bytes = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, PayloadEncoder};

    fn object(fields: &[(&str, Value)]) -> Value {
        Value::Object(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    /// One value of every kind, at its extremes.
    fn all_kinds() -> Vec<(&'static str, Value)> {
        vec![
            ("null", Value::Null),
            ("bools", Value::List(vec![Value::Bool(true), Value::Bool(false)])),
            (
                "ints",
                Value::List(
                    [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN]
                        .map(Value::Int)
                        .to_vec(),
                ),
            ),
            ("uint", Value::Uint(u64::MAX)),
            ("float", Value::Float(-0.1)),
            ("string", Value::String("Grüße \u{0}\u{1F980}".to_owned())),
            ("", Value::String(String::new())),
            (
                "nested",
                object(&[("list", Value::List(vec![object(&[]), Value::List(vec![])]))]),
            ),
        ]
    }

    #[test]
    fn every_kind_of_value_is_read_back() {
        let fields = all_kinds();
        let payload = Payload::from_fields(&fields).unwrap();
        let read: Vec<_> = payload
            .fields()
            .map(|(key, value)| (key, value.to_value()))
            .collect();
        assert_eq!(read, fields);
        assert_eq!(payload.fields().get("uint"), Some(ValueRef::Uint(u64::MAX)));
        assert_eq!(payload.fields().get("absent"), None);
        check_payload(payload.as_bytes()).unwrap();
    }

    #[test]
    fn a_payload_cut_anywhere_or_damaged_is_refused_or_reads_as_something_valid() {
        let payload = Payload::from_fields(&all_kinds()).unwrap();
        let bytes = payload.as_bytes();
        let boundaries = {
            let mut fields = payload.fields();
            let mut boundaries = vec![0];
            while fields.next().is_some() {
                boundaries.push(bytes.len() - fields.as_bytes().len());
            }
            boundaries
        };
        for cut in 0..bytes.len() {
            assert_eq!(
                check_payload(&bytes[..cut]).is_ok(),
                boundaries.contains(&cut),
                "cut at {cut}"
            );
        }
        for position in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = bytes.to_vec();
                damaged[position] ^= flip;
                if check_payload(&damaged).is_ok() {
                    let _ = format!("{:?}", Payload::from_bytes(damaged));
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_a_name() {
        let refusal = |fields: &[(&str, Value)]| Payload::from_fields(fields).unwrap_err().to_string();
        let one = Value::Int(1);
        assert_eq!(
            refusal(&[("a", one.clone()), ("b", one.clone()), ("a", one.clone())]),
            "payload key \"a\" appears twice in one object"
        );
        assert_eq!(
            refusal(&[("o", object(&[("x", one.clone()), ("x", one.clone())]))]),
            "payload key \"x\" appears twice in one object"
        );
        let many: Vec<_> = (0..40).map(|n| (format!("k{}", n % 39), one.clone())).collect();
        assert_eq!(
            Payload::from_fields(&many).unwrap_err().to_string(),
            "payload key \"k0\" appears twice in one object"
        );
        // The same key in an outer and an inner object is fine, before and after.
        Payload::from_fields(&[
            ("a", object(&[("a", one.clone()), ("b", one.clone())])),
            ("b", one),
        ])
        .unwrap();
        let large = "x".repeat(limits::MAX_PAYLOAD_BYTES);
        assert_eq!(
            refusal(&[("a", Value::String(large))]),
            "payload of more than 8388608 bytes"
        );
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
        let deepest = limits::MAX_PAYLOAD_DEPTH - 1;
        let payload = Payload::from_fields(&[("a", nested(deepest))]).unwrap();
        check_payload(payload.as_bytes()).unwrap();
        let refusal = Payload::from_fields(&[("a", nested(deepest + 1))]).unwrap_err();
        assert_eq!(refusal.to_string(), "payload nested deeper than 64 levels");
    }

    #[test]
    fn an_encoder_used_wrongly_says_so() {
        let mut encoder = PayloadEncoder::new();
        assert!(encoder.null().is_err(), "a value without a key");
        assert!(encoder.end().is_err(), "nothing is open");
        encoder.key("a").unwrap();
        assert!(encoder.key("b").is_err(), "two keys");
        encoder.begin_list().unwrap();
        assert!(encoder.key("c").is_err(), "a key in a list");
        assert!(encoder.finish().is_err(), "a list is open");
    }
}
