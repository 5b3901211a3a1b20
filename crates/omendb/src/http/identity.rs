//! What a request is called: by its client where that is well-formed, else by us; and the trace it belongs to.
//!
//! (W3C Trace Context, level 1, section 3.2: the `traceparent` header.)

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use omendb_metrics::Origin;

/// The header that names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Names for requests whose clients gave none: no two alike in a server's life, and hardly any between servers.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// Beginning anywhere.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            count: AtomicU64::new(0),
        }
    }

    /// The next name.
    pub(crate) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The finalizer of splitmix64: a bijection, so that different counts have different names.
        let mut id = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", id ^ (id >> 31))
    }
}

/// What a request is called.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What its answer carries.
    pub(crate) request_id: HeaderValue,
    /// What its observations are traced back by: its trace, else its name.
    pub(crate) origin: Option<Origin>,
}

impl Identity {
    /// Of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, ids: &RequestIds) -> Self {
        let given = single(headers, &REQUEST_ID).filter(|id| Origin::request(id).is_some());
        let id = given.map_or_else(|| ids.next(), str::to_owned);
        let trace = single(headers, &TRACE_PARENT).and_then(trace_id);
        Self {
            origin: trace.and_then(Origin::trace).or_else(|| Origin::request(&id)),
            // Both sorts of names are letters, digits and a few signs.
            request_id: HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("unknown")),
        }
    }
}

/// The value of a header that is there once; twice, nobody knows which was meant.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The trace of a `traceparent`: `00-TRACE-PARENT-FLAGS` in lower-case hexadecimal digits, neither id all zeros. Later
/// versions may have more behind it; version ff is forbidden.
fn trace_id(header: &str) -> Option<&str> {
    let mut parts = header.splitn(5, '-');
    let mut part = |length: usize| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let part = parts.next()?;
        (part.len() == length && part.bytes().all(is_hex)).then_some(part)
    };
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let has_more = parts.next().is_some();
    let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    let is_wrong = version == "ff" || (version == "00" && has_more) || is_zero(trace) || is_zero(parent);
    (!is_wrong).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_strictly() {
        let check = |header: &str, expected: Option<&str>| assert_eq!(trace_id(header), expected, "{header}");
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(TRACE));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(TRACE));
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes"), Some(TRACE));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{TRACE}-0000000000000000-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check(&format!("0-{TRACE}-00f067aa0ba902b7-01"), None);
        check("", None);
    }

    #[test]
    fn a_request_is_called_what_its_client_says_if_that_is_a_name() {
        let ids = RequestIds::new(7);
        let check = |given: &[&'static str], is_kept: bool| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(REQUEST_ID, HeaderValue::from_static(value));
            }
            let identity = Identity::of(&headers, &ids);
            let id = identity.request_id.to_str().unwrap();
            assert_eq!(
                given.first().is_some_and(|given| *given == id),
                is_kept,
                "{given:?}"
            );
            assert!(is_kept || id.len() == 16, "{id}");
            assert_eq!(identity.origin.unwrap().label(), "request_id");
        };
        check(&["c0ffee-1"], true);
        check(&[], false);
        check(&[""], false);
        check(&["two words"], false);
        check(&["a", "b"], false);
        check(&["ghp_0123456789abcdefghijklmnopqrstuvwxyz"], false);
    }

    #[test]
    fn names_differ() {
        let ids = RequestIds::new(1);
        let names: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(names.len(), 10_000);
    }
}
