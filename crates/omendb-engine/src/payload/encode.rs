//! Writing a payload, field by field, as a parser delivers it.

use crate::payload::{Payload, Value, ValueRef};
use crate::{Error, ErrorKind, limits};

pub(super) const NULL: u8 = 0;
pub(super) const FALSE: u8 = 1;
pub(super) const TRUE: u8 = 2;
pub(super) const INT: u8 = 3;
pub(super) const UINT: u8 = 4;
pub(super) const FLOAT: u8 = 5;
pub(super) const STRING: u8 = 6;
pub(super) const LIST: u8 = 7;
pub(super) const OBJECT: u8 = 8;

/// Bytes of the length in front of a container's content.
const LENGTH_BYTES: usize = 4;
/// Up to so many fields an object's keys are compared each with each; above, they are sorted.
const FEW_FIELDS: usize = 16;

/// Encodes one payload. The top-level object is open from the start: write [`key`](Self::key) and a value in turn,
/// then [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct PayloadEncoder {
    bytes: Vec<u8>,
    /// The containers that are open inside the top-level object, outermost first.
    open: Vec<Container>,
    /// Where the keys of all open objects are in `bytes`, those of the innermost last.
    keys: Vec<(u32, u32)>,
    /// How many of `keys` belong to outer objects.
    first_key: usize,
    has_key: bool,
}

#[derive(Debug)]
struct Container {
    is_object: bool,
    content_start: usize,
    outer_first_key: usize,
}

impl PayloadEncoder {
    /// An encoder of an empty payload.
    pub fn new() -> Self {
        Self::default()
    }

    /// The key of the value that follows.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if no object is open here or a key was given already; also when too large.
    pub fn key(&mut self, key: &str) -> Result<(), Error> {
        if self.has_key || !self.is_in_object() {
            return Err(misuse("a key where a value belongs"));
        }
        put_varint(&mut self.bytes, key.len() as u64);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        self.check_size()?;
        self.keys.push((start as u32, self.bytes.len() as u32));
        self.has_key = true;
        Ok(())
    }

    /// `null`.
    ///
    /// # Errors
    /// As for every value: [`ErrorKind::Internal`] without a key before it in an object, [`ErrorKind::Invalid`] when
    /// the payload becomes too large.
    pub fn null(&mut self) -> Result<(), Error> {
        self.tag(NULL)
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// As for [`null`](Self::null).
    pub fn bool(&mut self, value: bool) -> Result<(), Error> {
        self.tag(if value { TRUE } else { FALSE })
    }

    /// An integer.
    ///
    /// # Errors
    /// As for [`null`](Self::null).
    pub fn int(&mut self, value: i64) -> Result<(), Error> {
        self.tag(INT)?;
        put_varint(&mut self.bytes, ((value << 1) ^ (value >> 63)) as u64);
        self.check_size()
    }

    /// An unsigned integer; encoded as [`int`](Self::int) where it fits, so that equal numbers have equal bytes.
    ///
    /// # Errors
    /// As for [`null`](Self::null).
    pub fn uint(&mut self, value: u64) -> Result<(), Error> {
        if let Ok(signed) = i64::try_from(value) {
            return self.int(signed);
        }
        self.tag(UINT)?;
        put_varint(&mut self.bytes, value);
        self.check_size()
    }

    /// A number with a fraction, or beyond 64 bits.
    ///
    /// # Errors
    /// As for [`null`](Self::null).
    pub fn float(&mut self, value: f64) -> Result<(), Error> {
        self.tag(FLOAT)?;
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self.check_size()
    }

    /// A string.
    ///
    /// # Errors
    /// As for [`null`](Self::null).
    pub fn string(&mut self, value: &str) -> Result<(), Error> {
        self.tag(STRING)?;
        put_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value.as_bytes());
        self.check_size()
    }

    /// Opens a list: values follow, then [`end`](Self::end).
    ///
    /// # Errors
    /// As for [`null`](Self::null), and [`ErrorKind::Invalid`] when nested too deeply.
    pub fn begin_list(&mut self) -> Result<(), Error> {
        self.begin(LIST, false)
    }

    /// Opens an object: keys and values follow in turn, then [`end`](Self::end).
    ///
    /// # Errors
    /// As for [`begin_list`](Self::begin_list).
    pub fn begin_object(&mut self) -> Result<(), Error> {
        self.begin(OBJECT, true)
    }

    /// Closes the innermost list or object.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if a key appears twice in the object; [`ErrorKind::Internal`] if none is open or a key
    /// has no value.
    pub fn end(&mut self) -> Result<(), Error> {
        if self.has_key {
            return Err(misuse("a key without a value"));
        }
        let Some(Container {
            is_object,
            content_start,
            outer_first_key,
        }) = self.open.pop()
        else {
            return Err(misuse("no list or object is open"));
        };
        let length = (self.bytes.len() - content_start) as u32;
        self.bytes[content_start - LENGTH_BYTES..content_start].copy_from_slice(&length.to_le_bytes());
        if is_object {
            self.check_keys()?;
            self.keys.truncate(self.first_key);
        }
        self.first_key = outer_first_key;
        Ok(())
    }

    /// A whole tree.
    ///
    /// # Errors
    /// As for the parts.
    pub fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Int(value) => self.int(*value),
            Value::Uint(value) => self.uint(*value),
            Value::Float(value) => self.float(*value),
            Value::String(value) => self.string(value),
            Value::List(values) => {
                self.begin_list()?;
                values.iter().try_for_each(|value| self.value(value))?;
                self.end()
            }
            Value::Object(fields) => {
                self.begin_object()?;
                for (key, value) in fields {
                    self.key(key)?;
                    self.value(value)?;
                }
                self.end()
            }
        }
    }

    /// A value that is encoded already, copied whole.
    pub(super) fn copy(&mut self, value: ValueRef<'_>) -> Result<(), Error> {
        let (tag, content) = match value {
            ValueRef::Null => return self.null(),
            ValueRef::Bool(value) => return self.bool(value),
            ValueRef::Int(value) => return self.int(value),
            ValueRef::Uint(value) => return self.uint(value),
            ValueRef::Float(value) => return self.float(value),
            ValueRef::String(value) => return self.string(value),
            ValueRef::List(list) => (LIST, list.as_bytes()),
            ValueRef::Object(fields) => (OBJECT, fields.as_bytes()),
        };
        self.tag(tag)?;
        self.bytes
            .extend_from_slice(&(content.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(content);
        self.check_size()
    }

    /// The payload.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if a top-level key appears twice; [`ErrorKind::Internal`] if something is still open.
    pub fn finish(self) -> Result<Payload, Error> {
        if self.has_key || !self.open.is_empty() {
            return Err(misuse("something is still open"));
        }
        self.check_keys()?;
        Ok(Payload::from_bytes(self.bytes))
    }

    fn is_in_object(&self) -> bool {
        self.open.last().is_none_or(|container| container.is_object)
    }

    fn tag(&mut self, tag: u8) -> Result<(), Error> {
        if self.is_in_object() && !self.has_key {
            return Err(misuse("a value without a key"));
        }
        self.has_key = false;
        self.bytes.push(tag);
        self.check_size()
    }

    fn begin(&mut self, tag: u8, is_object: bool) -> Result<(), Error> {
        // The top-level object is the first level.
        if self.open.len() + 1 >= limits::MAX_PAYLOAD_DEPTH {
            let most = limits::MAX_PAYLOAD_DEPTH;
            return Err(Error::invalid(format!(
                "payload nested deeper than {most} levels"
            )));
        }
        self.tag(tag)?;
        self.bytes.extend_from_slice(&[0; LENGTH_BYTES]);
        let content_start = self.bytes.len();
        self.open.push(Container {
            is_object,
            content_start,
            outer_first_key: self.first_key,
        });
        self.first_key = self.keys.len();
        Ok(())
    }

    fn check_size(&self) -> Result<(), Error> {
        if self.bytes.len() > limits::MAX_PAYLOAD_BYTES {
            let most = limits::MAX_PAYLOAD_BYTES;
            return Err(Error::invalid(format!("payload of more than {most} bytes")));
        }
        Ok(())
    }

    /// Refuses an object with a key that appears twice: which of the values counts would depend on the reader.
    fn check_keys(&self) -> Result<(), Error> {
        let keys = &self.keys[self.first_key..];
        let key = |&(start, end): &(u32, u32)| &self.bytes[start as usize..end as usize];
        let twice = if keys.len() <= FEW_FIELDS {
            let is_repeated = |(position, one)| keys[..position].iter().any(|other| key(other) == key(one));
            keys.iter()
                .enumerate()
                .find(|&entry| is_repeated(entry))
                .map(|(_, one)| key(one))
        } else {
            let mut sorted: Vec<&[u8]> = keys.iter().map(key).collect();
            sorted.sort_unstable();
            sorted
                .windows(2)
                .find(|pair| pair[0] == pair[1])
                .map(|pair| pair[0])
        };
        match twice {
            Some(key) => {
                let key = String::from_utf8_lossy(key);
                Err(Error::invalid(format!(
                    "payload key {key:?} appears twice in one object"
                )))
            }
            None => Ok(()),
        }
    }
}

/// LEB128: seven bits a byte, the lowest first.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn misuse(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("payload encoder: {what}"))
}
