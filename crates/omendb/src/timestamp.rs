//! Instants of the calendar as RFC 3339 text in UTC, whole seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const SECONDS_PER_DAY: u64 = 86_400;

/// Seconds since 1970-01-01T00:00:00Z, written as `2026-11-24T03:10:51Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// 9999-12-31T23:59:59Z: later years have five digits, which RFC 3339 does not know.
    const LAST: Self = Self(253_402_300_799);

    /// This much later; none when that has no text that can be read back.
    pub fn checked_add(self, time: Duration) -> Option<Self> {
        let sum = self.0.checked_add(time.as_secs()).map(Self)?;
        (sum <= Self::LAST).then_some(sum)
    }

    /// From nanoseconds, rounded down.
    pub fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds / 1_000_000_000)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / SECONDS_PER_DAY);
        let second = self.0 % SECONDS_PER_DAY;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
            second % 60
        )
    }
}

impl From<UnixTime> for String {
    fn from(time: UnixTime) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for UnixTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for UnixTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("\"{text}\" is not a time such as 2026-11-24T03:10:51Z");
        let number = |from: usize, to: usize| -> Option<u64> {
            let digits = text.get(from..to)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                digits.parse().ok()
            } else {
                None
            }
        };
        let punctuation = [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'Z'),
        ];
        if text.len() != 20 || punctuation.iter().any(|(at, byte)| text.as_bytes()[*at] != *byte) {
            return Err(expected());
        }
        let parts =
            [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)].map(|(from, to)| number(from, to));
        let [
            Some(year),
            Some(month),
            Some(day),
            Some(hour),
            Some(minute),
            Some(second),
        ] = parts
        else {
            return Err(expected());
        };
        if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return Err(expected());
        }
        let days = days_from_civil(year, month, day);
        if civil_from_days(days) != (year, month, day) {
            return Err(expected());
        }
        Ok(Self(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second))
    }
}

/// Year, month and day of a day since 1970-01-01, counted in 400-year eras that begin on 1 March of year 0, so that the
/// leap day comes last. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse, same source; an impossible day of a month runs over into the next month.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let check = |seconds: u64, text: &str| {
            assert_eq!(UnixTime(seconds).to_string(), text);
            assert_eq!(text.parse(), Ok(UnixTime(seconds)));
        };
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_767_225_599, "2025-12-31T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
        for day in 0..60_000 {
            let time = UnixTime(day * SECONDS_PER_DAY + 12_345);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn no_time_has_a_text_that_cannot_be_read() {
        let last = UnixTime::LAST;
        assert_eq!(last.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(last.to_string().parse(), Ok(last));
        assert_eq!(
            UnixTime(last.0 - 60).checked_add(Duration::from_secs(60)),
            Some(last)
        );
        assert_eq!(last.checked_add(Duration::from_secs(1)), None);
        assert_eq!(last.checked_add(Duration::MAX), None);
    }

    #[test]
    fn impossible_times_are_refused() {
        let refused = [
            "",
            "2026-11-24",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00+",
            "+026-01-01T00:00:00Z",
            "1969-12-31T00:00:00Z",
            "é026-01-01T00:00:0Z",
        ];
        for text in refused {
            assert!(text.parse::<UnixTime>().is_err(), "{text}");
        }
    }
}
