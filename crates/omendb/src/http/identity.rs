//! What a request is called: by its client where that is well-formed, else by us; and the trace it belongs to.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use omendb_metrics::Origin;

use crate::traces::context::{TRACE_PARENT, TraceParent};

/// The header that names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

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
    pub(crate) fn next(&self) -> Origin {
        Origin::numbered(self.next_number())
    }

    /// The next name as a number.
    pub(crate) fn next_number(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // The finalizer of splitmix64: a bijection, so that different counts have different names.
        let mut id = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        id ^ (id >> 31)
    }
}

/// What a request is called.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity {
    /// Its name, which its answer carries.
    pub(crate) request: Option<Origin>,
    /// The trace that its caller says it belongs to.
    pub(crate) parent: Option<TraceParent>,
}

impl Identity {
    /// Of a request with these headers.
    pub(crate) fn of(headers: &HeaderMap, ids: &RequestIds) -> Self {
        let given = single(headers, &REQUEST_ID).and_then(Origin::request);
        Self {
            request: given.or_else(|| Some(ids.next())),
            parent: single(headers, &TRACE_PARENT).and_then(TraceParent::parse),
        }
    }

    /// The name as text: letters, digits and a few signs.
    pub(crate) fn request_id(&self) -> &str {
        self.request.as_ref().map_or("unknown", Origin::id)
    }

    /// The value of the header that its answer carries.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(self.request_id()).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// The value of a header that is there once; twice, nobody knows which was meant.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_called_what_its_client_says_if_that_is_a_name() {
        let ids = RequestIds::new(7);
        let check = |given: &[&'static str], is_kept: bool| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(REQUEST_ID, HeaderValue::from_static(value));
            }
            let identity = Identity::of(&headers, &ids);
            let id = identity.request_id();
            assert_eq!(
                given.first().is_some_and(|given| *given == id),
                is_kept,
                "{given:?}"
            );
            assert!(is_kept || id.len() == 16, "{id}");
            assert_eq!(identity.header(), id);
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
        let names: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.next().id().to_owned()).collect();
        assert_eq!(names.len(), 10_000);
    }
}
