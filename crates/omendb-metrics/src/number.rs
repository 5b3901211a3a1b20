//! Numbers as text: whole ones without the formatting machinery, fractional ones the shortest way that reads back.

use std::fmt::Write as _;

/// Every two-digit number.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Appends a whole number.
#[inline]
pub(crate) fn push_unsigned(out: &mut String, mut n: u64) {
    if n < 10 {
        out.push((b'0' + n as u8) as char);
        return;
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    while n >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
        n /= 100;
    }
    if n > 0 {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends a whole number with its sign.
pub(crate) fn push_signed(out: &mut String, n: i64) {
    if n < 0 {
        out.push('-');
    }
    push_unsigned(out, n.unsigned_abs());
}

/// Appends a float as the text formats want it: shortest digits, an exponent where plain digits would be long.
pub(crate) fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        push_finite(out, value);
    }
}

/// Appends a float as JSON wants it, which knows neither NaN nor infinity.
pub(crate) fn push_json_float(out: &mut String, value: f64) {
    if value.is_finite() {
        push_finite(out, value)
    } else {
        out.push_str("null")
    }
}

fn push_finite(out: &mut String, value: f64) {
    let size = value.abs();
    // Writing to a String cannot fail.
    let _ = if size == 0.0 || (1e-7..1e17).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_std_writes_them() {
        let check = |n: u64| {
            let mut text = String::new();
            push_unsigned(&mut text, n);
            assert_eq!(text, n.to_string());
        };
        (0..=1_100).for_each(check);
        for power in 1..20 {
            let n = 10_u64.pow(power);
            [n - 1, n, n + 1, n / 2, n / 7 * 3].into_iter().for_each(check);
        }
        check(u64::MAX);
        let mut text = String::new();
        push_signed(&mut text, i64::MIN);
        push_signed(&mut text, 0);
        assert_eq!(text, "-92233720368547758080");
    }

    #[test]
    fn floats_read_back_and_stay_short() {
        let check = |value: f64, expected: &str| {
            let mut text = String::new();
            push_float(&mut text, value);
            assert_eq!(text, expected);
            let read: f64 = text.parse().unwrap();
            assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        };
        check(0.0, "0");
        check(-0.0, "-0");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e21, "1e21");
        check(1.5e-9, "1.5e-9");
        check(-123_456_789.25, "-123456789.25");
        check(f64::MAX, "1.7976931348623157e308");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }
}
