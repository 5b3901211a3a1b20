//! W3C Trace Context: the `traceparent` header, read strictly and written.
//! (Trace Context, level 1, section 3.2.)

use std::fmt;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use omendb_metrics::looks_secret;

/// The header that names a trace, in both directions.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// What other tracing systems have to say about a trace; handed on as it is.
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
/// Longest `tracestate` that is handed on, bytes: what the specification asks for at least (section 3.3.1.5).
const LONGEST_STATE: usize = 512;
/// The flag that says that the caller has taken the trace into its sample.
const SAMPLED: u8 = 1;

/// A trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

/// A span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) u64);

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What a caller says of the trace that its request belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    /// The trace.
    pub(crate) trace: TraceId,
    /// The caller's span.
    pub(crate) span: SpanId,
    /// Whether the caller has taken the trace into its sample.
    pub(crate) is_sampled: bool,
}

impl TraceParent {
    /// Reads `00-TRACE-PARENT-FLAGS` in lower-case hexadecimal digits, neither id all zeros. Later versions may have more
    /// behind it; version ff is forbidden. `None` for anything else.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.splitn(5, '-');
        let mut part = |length: usize| {
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let part = parts.next()?;
            (part.len() == length && part.bytes().all(is_hex)).then_some(part)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let has_more = parts.next().is_some();
        if version == "ff" || (version == "00" && has_more) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        Some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: u8::from_str_radix(flags, 16).ok()? & SAMPLED != 0,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace,
            span,
            is_sampled,
        } = self;
        write!(formatter, "00-{trace}-{span}-{:02x}", u8::from(*is_sampled))
    }
}

/// The `tracestate` of a request, its lines joined; empty when there is none, or none that can be handed on.
pub(crate) fn trace_state(headers: &HeaderMap) -> String {
    let lines: Result<Vec<_>, _> = headers
        .get_all(TRACE_STATE)
        .iter()
        .map(|line| line.to_str())
        .collect();
    let state = lines.map(|lines| lines.join(",")).unwrap_or_default();
    if state.len() > LONGEST_STATE || looks_secret(&state) {
        String::new()
    } else {
        state
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_strictly_and_written_as_it_was_read() {
        let check = |header: &str, is_sampled: Option<bool>| {
            let parent = TraceParent::parse(header);
            assert_eq!(parent.map(|parent| parent.is_sampled), is_sampled, "{header}");
            if let Some(parent) = parent {
                let flag = u8::from(parent.is_sampled);
                assert_eq!(
                    parent.to_string(),
                    format!("00-{TRACE}-00f067aa0ba902b7-{flag:02x}")
                );
            }
        };
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-02"), Some(false));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-ff"), Some(true));
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{TRACE}-0000000000000000-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-0g"), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check(&format!("0-{TRACE}-00f067aa0ba902b7-01"), None);
        check("", None);
    }

    #[test]
    fn a_tracestate_is_handed_on_whole_or_not_at_all() {
        let check = |lines: &[&str], expected: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(TRACE_STATE, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(trace_state(&headers), expected, "{lines:?}");
        };
        check(&[], "");
        check(&["a=1,b=2"], "a=1,b=2");
        check(&["a=1", "b=2"], "a=1,b=2");
        check(&[&"v=z,".repeat(128)], &"v=z,".repeat(128));
        check(&[&"a".repeat(513)], "");
        check(&["k=ghp_16C7e42F292c6912E7710c838347Ae178B4a"], "");
    }
}
