//! Numbers as text: whole ones eight digits at a time, fractional ones the shortest way that reads back.

/// Appends a whole number.
#[inline]
pub(crate) fn push_unsigned(out: &mut Vec<u8>, n: u64) {
    const GROUP: u64 = 100_000_000;
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    if n < GROUP {
        return push_leading(out, eight_digits(n));
    }
    if n < GROUP * GROUP {
        push_leading(out, eight_digits(n / GROUP));
    } else {
        push_leading(out, eight_digits(n / GROUP / GROUP));
        push_all(out, eight_digits(n / GROUP % GROUP));
    }
    push_all(out, eight_digits(n % GROUP));
}

/// The digits of a number below 10^8, one a byte, the first in the lowest byte. Each step splits all parts at once:
/// into halves of four, two and one digits, by multiplications that divide exactly in that range.
#[inline]
fn eight_digits(n: u64) -> u64 {
    let fours = (n / 10_000) | (n % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// Appends digits without leading zeros; of zero, one.
#[inline]
fn push_leading(out: &mut Vec<u8>, digits: u64) {
    let zeros = (digits.trailing_zeros() / 8).min(7);
    out.extend_from_slice(&((digits | ASCII_ZEROS) >> (8 * zeros)).to_le_bytes());
    out.truncate(out.len() - zeros as usize);
}

fn push_all(out: &mut Vec<u8>, digits: u64) {
    out.extend_from_slice(&(digits | ASCII_ZEROS).to_le_bytes());
}

/// Appends a whole number with its sign.
pub(crate) fn push_signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    push_unsigned(out, n.unsigned_abs());
}

/// Appends a float as the text formats want it: shortest digits, an exponent where plain digits would be long.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    let text = match value {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ if value.is_nan() => "NaN",
        _ => return out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Appends a float as JSON wants it, which knows neither NaN nor infinity.
pub(crate) fn push_json_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push_float(out, value)
    } else {
        out.extend_from_slice(b"null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_as_std_writes_them() {
        let check = |n: u64| {
            let mut text = Vec::new();
            push_unsigned(&mut text, n);
            assert_eq!(std::str::from_utf8(&text).unwrap(), n.to_string());
        };
        (0..=1_100).for_each(check);
        for power in 1..20 {
            let n = 10_u64.pow(power);
            [n - 1, n, n + 1, n / 2, n / 7 * 3].into_iter().for_each(check);
        }
        check(u64::MAX);
        let mut text = Vec::new();
        push_signed(&mut text, i64::MIN);
        push_signed(&mut text, 0);
        assert_eq!(text, b"-92233720368547758080");
    }

    #[test]
    fn floats_read_back_and_stay_short() {
        let check = |value: f64, expected: &str| {
            let mut text = Vec::new();
            push_float(&mut text, value);
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(text, expected);
            let read: f64 = text.parse().unwrap();
            assert!(read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan()));
        };
        check(0.0, "0.0");
        check(-0.0, "-0.0");
        check(500.0, "500.0");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e21, "1e+21");
        check(1.5e-9, "1.5e-9");
        check(-123_456_789.25, "-123456789.25");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
        check(f64::NAN, "NaN");
    }
}
