//! The kinds of values a configuration key can have: how each is read from text, and how it is written.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value that can be read from, and written as, the text in a file, a variable or a flag.
pub trait Setting: Sized {
    /// What kind of value it is, as shown in `--help` and docs/config.md.
    const KIND: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// What was expected, to stand after the offending value.
    fn parse(text: &str) -> Result<Self, String>;
}

impl Setting for SocketAddr {
    const KIND: &'static str = "address";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080".to_owned())
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("expected a path".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }
}

impl Setting for Option<PathBuf> {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }
}

impl Setting for usize {
    const KIND: &'static str = "count";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a whole number".to_owned())
    }
}

impl Setting for Duration {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a duration such as 500ms, 30s, 5m, 12h or 90d".to_owned();
        let (number, unit) = split_unit(text).ok_or_else(expected)?;
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(expected()),
        };
        number
            .checked_mul(milliseconds)
            .map(Self::from_millis)
            .ok_or_else(expected)
    }
}

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl Setting for ByteSize {
    const KIND: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a size such as 1048576, 64KiB, 32MiB or 1GiB".to_owned();
        let (number, unit) = split_unit(text).ok_or_else(expected)?;
        let bytes = match unit {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(expected()),
        };
        number.checked_mul(bytes).map(Self).ok_or_else(expected)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Setting for LogFormat {
    const KIND: &'static str = "text or json";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected text or json".to_owned()),
        }
    }
}

impl Setting for tracing::Level {
    const KIND: &'static str = "error, warn, info, debug or trace";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected {}", Self::KIND))
    }
}

/// `"30s"` as `(30, "s")`.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_number_and_a_known_unit() {
        let duration = |text: &str, expected: Option<u64>| {
            assert_eq!(
                Duration::parse(text).ok(),
                expected.map(Duration::from_millis),
                "{text}"
            );
        };
        duration("500ms", Some(500));
        duration("30s", Some(30_000));
        duration("90d", Some(90 * 86_400_000));
        duration("30", None);
        duration("-1s", None);
        duration("1.5s", None);
        duration("s", None);
        duration("99999999999999999999s", None);
        duration("18446744073709551615d", None);
        let size = |text: &str, expected: Option<u64>| {
            assert_eq!(ByteSize::parse(text).ok(), expected.map(ByteSize), "{text}");
        };
        size("1048576", Some(1 << 20));
        size("32MiB", Some(32 << 20));
        size("1 GiB", Some(1 << 30));
        size("32MB", None);
        size("", None);
    }
}
