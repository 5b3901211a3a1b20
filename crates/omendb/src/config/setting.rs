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

    /// Writes it as it could be read again.
    fn show(&self) -> String;
}

impl Setting for SocketAddr {
    const KIND: &'static str = "address";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
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

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Option<PathBuf> {
    const KIND: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn show(&self) -> String {
        self.as_ref().map(Setting::show).unwrap_or_default()
    }
}

impl Setting for usize {
    const KIND: &'static str = "count";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a whole number".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    const KIND: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected {}", Self::KIND))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// How many things are kept in memory for somebody to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptCount(pub usize);

impl KeptCount {
    /// A few kilobytes each.
    const MOST: usize = 10_000;
}

impl Setting for KeptCount {
    const KIND: &'static str = "count";

    fn parse(text: &str) -> Result<Self, String> {
        let count = text.parse().ok().filter(|count| *count <= Self::MOST);
        count
            .map(Self)
            .ok_or_else(|| format!("expected a whole number up to {}", Self::MOST))
    }

    fn show(&self) -> String {
        self.0.to_string()
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

    fn show(&self) -> String {
        format!("{}ms", self.as_millis())
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

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// A share of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

impl Ratio {
    /// As a number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether something that has drawn `number` by chance is in the share.
    pub fn draws(self, number: u64) -> bool {
        /// One more than the greatest number.
        const NUMBERS: f64 = 18_446_744_073_709_551_616.0;
        (number as f64) < self.0 * NUMBERS || self.0 >= 1.0
    }
}

impl Setting for Ratio {
    const KIND: &'static str = "ratio";

    fn parse(text: &str) -> Result<Self, String> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio
            .map(Self)
            .ok_or_else(|| "expected a number from 0 to 1".to_owned())
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Where something is posted to: `http://host:port/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    authority: String,
    path: String,
}

impl HttpUrl {
    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What follows them; at least `/`.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.authority, self.path)
    }
}

impl Setting for Option<HttpUrl> {
    const KIND: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let expected =
            || "expected http://HOST:PORT, with or without a path (https is not spoken)".to_owned();
        let rest = text.strip_prefix("http://").ok_or_else(expected)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\"<>\\".contains(&byte);
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if !has_port || !text.bytes().all(is_plain) {
            return Err(expected());
        }
        let path = if path.is_empty() { "/" } else { path };
        Ok(Some(HttpUrl {
            authority: authority.to_owned(),
            path: path.to_owned(),
        }))
    }

    fn show(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
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

    fn show(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
        .to_owned()
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

    #[test]
    fn a_url_has_a_host_and_a_port_and_no_credentials() {
        let check = |text: &str, expected: Option<&str>| {
            let url = Option::<HttpUrl>::parse(text).ok().flatten();
            assert_eq!(url.map(|url| url.to_string()).as_deref(), expected, "{text}");
        };
        check("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/"));
        check("http://[::1]:4318/", Some("http://[::1]:4318/"));
        check("http://otel:4318/v1/traces", Some("http://otel:4318/v1/traces"));
        check("", None);
        check("https://otel:4318", None);
        check("otel:4318", None);
        check("http://otel", None);
        check("http://:4318", None);
        check("http://otel:0", None);
        check("http://otel:99999", None);
        check("http://user:pw@otel:4318", None);
        check("http://otel:4318/v1?key=x", None);
        check("http://otel:4318/a b", None);
        check("http://otel:4318/a\r\nb", None);
    }

    #[test]
    fn a_ratio_draws_its_share() {
        let check = |text: &str, number: u64, expected: Option<bool>| {
            let drawn = Ratio::parse(text).ok().map(|ratio| ratio.draws(number));
            assert_eq!(drawn, expected, "{text} {number}");
        };
        check("0", 0, Some(false));
        check("1", u64::MAX, Some(true));
        check("0.5", u64::MAX / 2 - 1024, Some(true));
        check("0.5", u64::MAX / 2 + 1024, Some(false));
        check("1.1", 0, None);
        check("-0.1", 0, None);
        check("NaN", 0, None);
        check("1%", 0, None);
        check("", 0, None);
    }

    #[test]
    fn what_is_kept_in_memory_has_a_bound() {
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(KeptCount::parse(text).ok(), expected.map(KeptCount), "{text}");
        };
        check("0", Some(0));
        check("10000", Some(10_000));
        check("10001", None);
        check("-1", None);
    }
}
