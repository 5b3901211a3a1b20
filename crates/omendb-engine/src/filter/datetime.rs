//! Dates and times as payloads have them: RFC 3339 and its usual relaxations, read without allocation.

use std::str::FromStr;

use crate::Error;

const SECONDS_PER_DAY: i64 = 86_400;
/// Digits after the point that count: nanoseconds. Finer ones are cut off.
const FRACTION_DIGITS: usize = 9;

/// A moment, in nanoseconds of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Datetime {
    /// Since 1970-01-01, rounded down.
    seconds: i64,
    nanos: u32,
}

impl Datetime {
    /// Reads `2024-02-29T12:30:59.5+01:00`, with a space for the `T`, without seconds or time of day, and without an
    /// offset, which means UTC; an offset is `Z`, `UTC`, `+01`, `+0100` or `+01:00`, perhaps after a space.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader {
            rest: text.trim_start().as_bytes(),
        };
        let days = reader.date()?;
        if reader.rest.is_empty() {
            return Some(Self::new(days, 0, 0, 0));
        }
        if !reader.take(b'T') && !reader.take(b't') && !reader.take(b' ') {
            return None;
        }
        let (hour, minute) = (reader.number(2, 23)?, reader.colon_number(59)?);
        if reader.rest.is_empty() {
            return Some(Self::new(days, hour * 3600 + minute * 60, 0, 0));
        }
        // A leap second is the first of the next minute.
        let second = reader.colon_number(60)?;
        let nanos = reader.fraction()?;
        let offset = reader.offset()?;
        reader
            .rest
            .is_empty()
            .then(|| Self::new(days, hour * 3600 + minute * 60 + second, offset, nanos))
    }

    /// Microseconds since 1970-01-01, rounded down.
    pub fn micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1_000)
    }

    fn new(days: i64, second_of_day: i64, offset: i64, nanos: u32) -> Self {
        Self {
            seconds: days * SECONDS_PER_DAY + second_of_day - offset,
            nanos,
        }
    }
}

impl FromStr for Datetime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
            .ok_or_else(|| Error::invalid(format!("{text:?} is not a date and time of RFC 3339")))
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// `2024-02-29` as days since 1970-01-01.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4, 9999)?;
        let month = self.hyphen_number(12)?;
        let day = self.hyphen_number(days_in_month(year, month))?;
        (month > 0 && day > 0).then(|| days_from_civil(year, month, day))
    }

    fn hyphen_number(&mut self, most: i64) -> Option<i64> {
        if !self.take(b'-') {
            return None;
        }
        self.number(2, most)
    }

    fn colon_number(&mut self, most: i64) -> Option<i64> {
        if !self.take(b':') {
            return None;
        }
        self.number(2, most)
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize, most: i64) -> Option<i64> {
        let (text, rest) = self.rest.split_at_checked(digits)?;
        let mut number = 0;
        for byte in text {
            number = number * 10 + i64::from(char::from(*byte).to_digit(10)?);
        }
        self.rest = rest;
        (number <= most).then_some(number)
    }

    /// `.5` in nanoseconds; zero without a point.
    fn fraction(&mut self) -> Option<u32> {
        if !self.take(b'.') {
            return Some(0);
        }
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let mut nanos = 0;
        for position in 0..FRACTION_DIGITS {
            let digit = text.get(position).map_or(0, |byte| byte - b'0');
            nanos = nanos * 10 + u32::from(digit);
        }
        (digits > 0).then_some(nanos)
    }

    /// What follows the time of day, in seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.rest.is_empty() {
            return Some(0);
        }
        if let Some(rest) = self.rest.strip_prefix(b" UTC") {
            self.rest = rest;
            return Some(0);
        }
        self.take(b' ');
        if self.take(b'Z') || self.take(b'z') {
            return Some(0);
        }
        let sign = if self.take(b'+') {
            1
        } else if self.take(b'-') {
            -1
        } else {
            return None;
        };
        let hours = self.number(2, 23)?;
        let minutes = if self.rest.is_empty() {
            0
        } else {
            self.take(b':');
            self.number(2, 59)?
        };
        Some(sign * (hours * 3600 + minutes * 60))
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the leap day is the last of
/// its year, and every 400 years have the same number of days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(i64, u32)>) {
        let parsed = Datetime::parse(text).map(|moment| (moment.seconds, moment.nanos));
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn the_usual_forms_are_read() {
        check("1970-01-01T00:00:00Z", Some((0, 0)));
        check("1969-12-31T23:59:59.75Z", Some((-1, 750_000_000)));
        let noon = 1_709_209_859;
        for text in [
            "2024-02-29T12:30:59Z",
            "2024-02-29t12:30:59z",
            "2024-02-29 12:30:59",
            "  2024-02-29T12:30:59+00:00",
            "2024-02-29T13:30:59+01:00",
            "2024-02-29T13:30:59+0100",
            "2024-02-29 13:30:59 +01:00",
            "2024-02-29T13:30:59+01",
            "2024-02-29T07:00:59-05:30",
            "2024-02-29 12:30:59 UTC",
        ] {
            check(text, Some((noon, 0)));
        }
        check("2024-02-29T12:30", Some((noon - 59, 0)));
        check("2024-02-29", Some((1_709_164_800, 0)));
        check("2024-02-29T12:30:59.123456789123Z", Some((noon, 123_456_789)));
        check("0001-01-01", Some((-62_135_596_800, 0)));
        check("9999-12-31T23:59:59Z", Some((253_402_300_799, 0)));
        let micros = |text| Datetime::parse(text).map(Datetime::micros);
        assert_eq!(micros("1969-12-31T23:59:59.75Z"), Some(-250_000));
        assert_eq!(
            micros("2024-02-29T12:30:59.123456789Z"),
            Some(noon * 1_000_000 + 123_456)
        );
        check("2016-12-31T23:59:60Z", Some((1_483_228_800, 0)));
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "2024",
            "2024-02",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-1-1",
            "24-01-01",
            "2024-01-01T",
            "2024-01-01T12",
            "2024-01-01T24:00:00Z",
            "2024-01-01T12:60",
            "2024-01-01T12:30Z",
            "2024-01-01T12:30:00.",
            "2024-01-01T12:30:00+1",
            "2024-01-01T12:30:00+01:0",
            "2024-01-01T12:30:00 ",
            "2024-01-01T12:30:00Zx",
            "2024-01-01x",
            "+024-01-01",
            "tomorrow",
            "2024-01-01T12:30:00+01:00 ",
        ] {
            check(text, None);
        }
    }
}
