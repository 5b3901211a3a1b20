//! Content negotiation: which format and which encoding a scraper asked for.
//!
//! (RFC 9110, sections 12.4.2 and 12.5: weights, media ranges by specificity, content codings.)

/// A format of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: the default.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Delimited protocol buffers, with native histograms.
    Protobuf,
}

impl Format {
    /// All formats, the preferred one first.
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// The Content-Type header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    const fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("text", "plain"),
            Self::OpenMetrics => ("application", "openmetrics-text"),
            Self::Protobuf => ("application", "vnd.google.protobuf"),
        }
    }

    /// The parameters that a media range may name, with the only value of each that covers the format.
    const fn parameters(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Text => &[("version", "0.0.4")],
            Self::OpenMetrics => &[("version", "1.0.0")],
            Self::Protobuf => &[
                ("proto", "io.prometheus.client.MetricFamily"),
                ("encoding", "delimited"),
            ],
        }
    }

    /// The format an Accept header asks for: the one with the highest weight, of equals the one named most precisely,
    /// then the one named first. Members that make no sense are ignored. Without a header, or if nothing we have is
    /// acceptable, text 0.0.4: a page that somebody can read beats a 406 that nobody wanted.
    ///
    /// ```
    /// # use omendb_metrics::Format;
    /// assert_eq!(Format::negotiate(None), Format::Text);
    /// assert_eq!(Format::negotiate(Some("text/plain;q=0.3, application/openmetrics-text;q=0.6")), Format::OpenMetrics);
    /// ```
    pub fn negotiate(accept: Option<&str>) -> Self {
        let ranges: Vec<_> = members(accept.unwrap_or(""))
            .filter_map(MediaRange::parse)
            .collect();
        let mut best = (
            Self::Text,
            Rank {
                weight: 0,
                precision: 0,
                earliness: 0,
            },
        );
        for format in Self::ALL {
            let rank = Rank::of(format, &ranges);
            if rank.weight > 0 && rank > best.1 {
                best = (format, rank);
            }
        }
        best.0
    }
}

/// How much a format is wanted; compared field by field.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Thousandths.
    weight: u16,
    precision: u8,
    /// Larger for members named earlier.
    earliness: usize,
}

impl Rank {
    /// By the most precise range that covers the format.
    fn of(format: Format, ranges: &[MediaRange<'_>]) -> Self {
        let covering = ranges.iter().enumerate().filter_map(|(index, range)| {
            let precision = range.precision_for(format)?;
            Some(Self {
                weight: range.weight,
                precision,
                earliness: ranges.len() - index,
            })
        });
        covering
            .max_by_key(|rank| (rank.precision, rank.weight, rank.earliness))
            .unwrap_or(Self {
                weight: 0,
                precision: 0,
                earliness: 0,
            })
    }
}

/// One member of an Accept header.
#[derive(Debug)]
struct MediaRange<'a> {
    main: &'a str,
    sub: &'a str,
    /// Those that tell formats apart: `version`, `proto`, `encoding`.
    parameters: Vec<(String, &'a str)>,
    weight: u16,
}

impl<'a> MediaRange<'a> {
    fn parse(member: &'a str) -> Option<Self> {
        let mut parameters = split_unquoted(member, ';').map(str::trim);
        let (main, sub) = parameters.next()?.split_once('/')?;
        let (main, sub) = (main.trim(), sub.trim());
        if !is_token(main) || !is_token(sub) || (main == "*" && sub != "*") {
            return None;
        }
        let mut range = Self {
            main,
            sub,
            parameters: Vec::new(),
            weight: 1_000,
        };
        for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=')?;
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
            match key.as_str() {
                "q" => range.weight = weight(value)?,
                "version" | "proto" | "encoding" => range.parameters.push((key, value)),
                _ => {}
            }
        }
        Some(range)
    }

    /// How precisely it names the format; `None` if it does not cover it. Parameters that tell no formats apart
    /// (`charset`, `escaping`) do not exclude one: what we send is within what they allow.
    fn precision_for(&self, format: Format) -> Option<u8> {
        let (main, sub) = format.media_type();
        let covers = |(key, value): &(String, &str)| format.parameters().contains(&(key.as_str(), value));
        if !self.parameters.iter().all(covers) {
            return None;
        }
        let names = |range: &str, own: &str| range.eq_ignore_ascii_case(own);
        let by_parameters = u8::from(!self.parameters.is_empty());
        match (self.main, self.sub) {
            ("*", _) => Some(1 + by_parameters),
            (range, "*") if names(range, main) => Some(3 + by_parameters),
            (range, range_sub) if names(range, main) && names(range_sub, sub) => Some(5 + by_parameters),
            _ => None,
        }
    }
}

/// Whether an Accept-Encoding header asks for gzip: by name or by `*`, with a weight above zero and not below that of
/// an explicit `identity`.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for member in members(accept_encoding.unwrap_or("")) {
        let mut parameters = member.split(';').map(str::trim);
        let coding = parameters.next().unwrap_or("");
        let parsed = parameters.try_fold(1_000, |_, parameter| {
            let (key, value) = parameter.split_once('=')?;
            if key.trim().eq_ignore_ascii_case("q") {
                weight(value.trim())
            } else {
                None
            }
        });
        let Some(weight) = parsed else { continue };
        match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = gzip.max(Some(weight)),
            "*" => any = Some(weight),
            "identity" => identity = Some(weight),
            _ => {}
        }
    }
    let wanted = gzip.or(any).unwrap_or(0);
    wanted > 0 && wanted >= identity.unwrap_or(0)
}

/// The members of a list header, commas inside quotes left alone.
fn members(header: &str) -> impl Iterator<Item = &str> {
    split_unquoted(header, ',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// A weight in thousandths: `0`, `1`, or either with up to three decimals that stay within 0 and 1.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_valid =
        matches!(whole, "0" | "1") && decimals.len() <= 3 && decimals.bytes().all(|c| c.is_ascii_digit());
    if !is_valid {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1_000).then_some(thousandths)
}

fn is_token(text: &str) -> bool {
    let is_token_char = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !text.is_empty() && text.bytes().all(is_token_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let check =
            |accept: &str, expected| assert_eq!(Format::negotiate(Some(accept)), expected, "{accept}");
        check("", Format::Text);
        check("*/*", Format::Text);
        check("text/html, application/xml", Format::Text);
        check("application/openmetrics-text", Format::OpenMetrics);
        check(
            "Application/OpenMetrics-Text ; Version=1.0.0 ; charset=utf-8",
            Format::OpenMetrics,
        );
        check(
            "application/openmetrics-text; version=\"1.0.0\"",
            Format::OpenMetrics,
        );
        check("application/openmetrics-text; version=2.0.0", Format::Text);
        check("application/*", Format::OpenMetrics);
        // Equal weights: the more precise, then the first named.
        check("text/plain, application/openmetrics-text", Format::Text);
        check("application/openmetrics-text, text/plain", Format::OpenMetrics);
        check("*/*, application/openmetrics-text", Format::OpenMetrics);
        // The most precise range decides about a format, also when it refuses it.
        check("text/plain;q=0, */*;q=0.1", Format::OpenMetrics);
        check(
            "text/plain;version=0.0.4;q=0.1, text/*;q=0.9, application/openmetrics-text;q=0.5",
            Format::OpenMetrics,
        );
        check("application/openmetrics-text;q=0", Format::Text);
        check("application/vnd.google.protobuf", Format::Protobuf);
        check(
            "application/vnd.google.protobuf; Proto=io.prometheus.client.MetricFamily; encoding=\"delimited\"",
            Format::Protobuf,
        );
        check("application/vnd.google.protobuf;encoding=text", Format::Text);
        check(
            "application/vnd.google.protobuf;proto=other.Message",
            Format::Text,
        );
        check("application/vnd.google.protobuf;version=0.0.4", Format::Text);
        check("text/plain;encoding=delimited", Format::Text);
        check("application/vnd.google.protobuf, */*", Format::Protobuf);
        check(
            "application/vnd.google.protobuf;q=0, application/*",
            Format::OpenMetrics,
        );
        // Nothing acceptable.
        check("text/plain;q=0, application/openmetrics-text;q=0", Format::Text);
        // Malformed members are ignored, the others still count.
        check("application/openmetrics-text;q=2, text/plain;q=0.1", Format::Text);
        check(
            "text, /, ;;, \u{1f980}/x, */plain, text/plain;q=abc, application/openmetrics-text;q=0.001",
            Format::OpenMetrics,
        );
        check(
            "text/plain;note=\"a, application/openmetrics-text\"",
            Format::Text,
        );
    }

    #[test]
    fn headers_of_real_scrapers() {
        let check =
            |accept: &str, expected| assert_eq!(Format::negotiate(Some(accept)), expected, "{accept}");
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                            q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(prometheus_2, Format::OpenMetrics);
        let protobuf_first = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                              encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                              application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
                              */*;q=0.1";
        check(protobuf_first, Format::Protobuf);
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                            escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(prometheus_3, Format::OpenMetrics);
        check("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Text);
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Format::Text,
        );
    }

    #[test]
    fn gzip_on_request() {
        let check = |header: &str, expected| assert_eq!(accepts_gzip(Some(header)), expected, "{header}");
        assert!(!accepts_gzip(None));
        check("", false);
        check("gzip", true);
        check("deflate, GZIP;q=0.5", true);
        check("x-gzip", true);
        check("gzip;q=0", false);
        check("gzip;q=0.000, *", false);
        check("*", true);
        check("*;q=0", false);
        check("br", false);
        check("identity", false);
        check("identity;q=1, gzip;q=0.5", false);
        check("identity;q=0.5, gzip;q=1", true);
        check("gzip;q=oops", false);
        check("gzip;level=9", false);
    }

    #[test]
    fn weights() {
        let check = |text: &str, expected| assert_eq!(weight(text), expected, "{text}");
        check("1", Some(1_000));
        check("0.5", Some(500));
        check("0.05", Some(50));
        check("1.000", Some(1_000));
        check("1.001", None);
        check("0.1234", None);
        check("-0", None);
        check(".5", None);
        check("", None);
    }
}
