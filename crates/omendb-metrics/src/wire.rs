//! Protocol buffers on the wire: variable-length integers, keys of fields, and messages inside messages.
//!
//! A message inside another is preceded by its length, which is known when it has been written. It is written where it
//! stays: room for the length is left by expectation, and the message moves by a byte or two where that was wrong.
//! (Protocol Buffers documentation, "Encoding".)

/// The key of a field that is a variable-length integer.
pub(crate) const fn integer(field: u8) -> u8 {
    field << 3
}

/// The key of a field of eight bytes.
pub(crate) const fn double(field: u8) -> u8 {
    field << 3 | 1
}

/// The key of a field that its length precedes: text, a message, packed numbers.
pub(crate) const fn delimited(field: u8) -> u8 {
    field << 3 | 2
}

/// Bytes that `n` takes as a variable-length integer.
#[inline]
pub(crate) const fn integer_len(n: u64) -> usize {
    // Seven bits to a byte; `| 1` because zero takes a byte too.
    (n | 1).ilog2() as usize / 7 + 1
}

/// Appends `n`, seven bits a byte, the lowest first.
#[inline]
pub(crate) fn push_integer(out: &mut Vec<u8>, n: u64) {
    if n < 0x80 {
        out.push(n as u8);
    } else {
        push_long(out, n);
    }
}

#[inline(never)]
fn push_long(out: &mut Vec<u8>, n: u64) {
    let mut bytes = [0; 10];
    let length = put_integer(&mut bytes, n);
    out.extend_from_slice(&bytes[..length]);
}

/// Writes `n` to the beginning of `out` and returns its length.
#[inline]
pub(crate) fn put_integer(out: &mut [u8], mut n: u64) -> usize {
    let mut at = 0;
    while n >= 0x80 {
        out[at] = n as u8 | 0x80;
        n >>= 7;
        at += 1;
    }
    out[at] = n as u8;
    at + 1
}

/// `n` as an integer that is short where `n` is near zero, on either side.
pub(crate) const fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
}

/// Appends a field that is an integer.
pub(crate) fn push_integer_field(out: &mut Vec<u8>, field: u8, n: u64) {
    out.push(integer(field));
    push_integer(out, n);
}

/// Appends a field of eight bytes.
pub(crate) fn push_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(double(field));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field that is text or bytes.
pub(crate) fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(delimited(field));
    push_integer(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field that is a message of about `expected` bytes.
pub(crate) fn push_message(out: &mut Vec<u8>, field: u8, expected: usize, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(delimited(field));
    push_delimited(out, expected, write);
}

/// Appends the length of a message of about `expected` bytes, and the message.
pub(crate) fn push_delimited(out: &mut Vec<u8>, expected: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let left = integer_len(expected as u64);
    out.resize(start + left, 0);
    write(out);
    let length = out.len() - start - left;
    let needed = integer_len(length as u64);
    if needed != left {
        out.resize(start + left.max(needed) + length, 0);
        out.copy_within(start + left..start + left + length, start + needed);
        out.truncate(start + needed + length);
    }
    put_integer(&mut out[start..], length as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_seven_bits_a_byte() {
        let check = |n: u64, expected: &[u8]| {
            let mut out = Vec::new();
            push_integer(&mut out, n);
            assert_eq!(
                (out.as_slice(), integer_len(n)),
                (expected, expected.len()),
                "{n}"
            );
        };
        check(0, &[0]);
        check(1, &[1]);
        check(127, &[0x7f]);
        check(128, &[0x80, 1]);
        check(300, &[0xac, 2]);
        check(16_383, &[0xff, 0x7f]);
        check(16_384, &[0x80, 0x80, 1]);
        check((1 << 28) - 1, &[0xff, 0xff, 0xff, 0x7f]);
        check(1 << 28, &[0x80, 0x80, 0x80, 0x80, 1]);
        check(
            u64::MAX,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        );
    }

    #[test]
    fn numbers_near_zero_are_short() {
        let check = |n, expected| assert_eq!(zigzag(n), expected, "{n}");
        check(0, 0);
        check(-1, 1);
        check(1, 2);
        check(-2, 3);
        check(i64::MAX, u64::MAX - 1);
        check(i64::MIN, u64::MAX);
    }

    #[test]
    fn a_message_is_preceded_by_its_length_whatever_was_expected() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384] {
            let body: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut expected = vec![7, delimited(3)];
            push_integer(&mut expected, length as u64);
            expected.extend_from_slice(&body);
            for guess in [0, 127, 128, 20_000, 3_000_000] {
                let mut out = vec![7];
                push_message(&mut out, 3, guess, |out| out.extend_from_slice(&body));
                assert_eq!(out, expected, "{length} bytes, {guess} expected");
            }
        }
    }
}
