//! What identifies a point: an unsigned number or a UUID, ordered numbers first.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A point's identity within its collection. Ordered as scrolls return them: numbers, then UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointId {
    /// An unsigned 64-bit number.
    Number(u64),
    /// A UUID.
    Uuid(Uuid),
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl From<u64> for PointId {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Uuid> for PointId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

/// 128 bits, ordered as their text is. Kept as two words so that an id aligns to 8 bytes and takes 24, not 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid {
    high: u64,
    low: u64,
}

impl Uuid {
    /// The UUID of these 128 bits.
    pub fn from_u128(bits: u128) -> Self {
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
        }
    }

    /// Its 128 bits.
    pub fn as_u128(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

/// Hyphenated and lower case, as in RFC 9562.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { high, low } = self;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// Reads the hyphenated form, 32 digits without hyphens, and either in braces or after `urn:uuid:`, in any case.
impl FromStr for Uuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text)
            .map(Self::from_u128)
            .ok_or_else(|| Error::invalid(format!("{text:?} is not a UUID")))
    }
}

/// Where the hyphens of the 36-character form are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

fn parse(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    let bytes = bytes.strip_prefix(b"urn:uuid:").unwrap_or(bytes);
    let bytes = bytes
        .strip_prefix(b"{")
        .and_then(|rest| rest.strip_suffix(b"}"))
        .unwrap_or(bytes);
    let is_hyphenated = match bytes.len() {
        32 => false,
        36 => true,
        _ => return None,
    };
    let mut bits = 0u128;
    for (position, &byte) in bytes.iter().enumerate() {
        if is_hyphenated && HYPHENS.contains(&position) {
            if byte != b'-' {
                return None;
            }
        } else {
            bits = bits << 4 | u128::from(char::from(byte).to_digit(16)?);
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u128>) {
        assert_eq!(text.parse::<Uuid>().ok().map(Uuid::as_u128), expected, "{text:?}");
    }

    #[test]
    fn uuids_are_read_in_their_usual_forms() {
        let bits = 0x936d_a01f_9abd_4d9d_80c7_02af_85c8_22a8;
        check("936da01f-9abd-4d9d-80c7-02af85c822a8", Some(bits));
        check("936DA01F9ABD4D9D80C702AF85C822A8", Some(bits));
        check("urn:uuid:936da01f-9abd-4d9d-80c7-02af85c822a8", Some(bits));
        check("{936da01f-9abd-4d9d-80c7-02af85c822a8}", Some(bits));
        check("936da01f-9abd-4d9d-80c7-02af85c822a", None);
        check("936da01f-9abd-4d9d-80c7-02af85c822ag", None);
        check("936da01f-9abd-4d9d-80c7002af85c822a8", None);
        check("936da01f9abd-4d9d-80c7-02af85c822a8-", None);
        check("é36da01f-9abd-4d9d-80c7-02af85c822a", None);
        check("", None);
    }

    #[test]
    fn text_leads_back_to_the_uuid() {
        for bits in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            check(&Uuid::from_u128(bits).to_string(), Some(bits));
        }
    }

    #[test]
    fn numbers_come_before_uuids() {
        let uuid = |bits| PointId::from(Uuid::from_u128(bits));
        let ordered = [
            PointId::from(0),
            PointId::from(u64::MAX),
            uuid(0),
            uuid(1),
            uuid(1 << 64),
            uuid(u128::MAX),
        ];
        assert!(ordered.is_sorted());
        assert_eq!(size_of::<PointId>(), 24);
    }
}
