//! What is known about one request once it is over, and the labels it is counted under.

use std::sync::LazyLock;

use hyper::Method;
use omendb_metrics::{Label, Origin, labels};

use crate::routes::ROUTES;

/// One HTTP request: filled while it is served, recorded once by [`crate::telemetry::Telemetry::record_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestStats {
    /// The method.
    pub verb: Verb,
    /// The route.
    pub endpoint: EndpointLabel,
    /// The status code sent; 499 when the client went away first.
    pub status: u16,
    /// From the complete head to the answer ready to be sent, nanoseconds.
    pub duration_nanos: u64,
    /// Bytes of the request body that were read.
    pub request_bytes: u64,
    /// Bytes of the response body.
    pub response_bytes: u64,
    /// What its observations are traced back by; nothing for what was refused before it had a name.
    pub origin: Option<Origin>,
}

impl RequestStats {
    /// Method and route, as they are counted under.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint(self.verb, self.endpoint)
    }
}

labels! {
    /// A request's method.
    pub enum Verb("method") {
        Get = "GET",
        Head = "HEAD",
        Post = "POST",
        Put = "PUT",
        Patch = "PATCH",
        Delete = "DELETE",
        Options = "OPTIONS",
        /// Any other, and requests whose head could not be parsed.
        Other = "other",
    }
}

impl Verb {
    /// The label of `method`.
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }
}

/// A path template of the route table, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointLabel(usize);

/// The templates as they stand on the page, each once, `unmatched` first; and for each route the position of its own.
struct Endpoints {
    names: Vec<&'static str>,
    of_route: Vec<usize>,
}

/// Derived from [`ROUTES`] alone: a constant that the compiler cannot compute.
static ENDPOINTS: LazyLock<Endpoints> = LazyLock::new(|| {
    let mut names = vec!["unmatched"];
    let mut of_route = Vec::new();
    for route in ROUTES {
        let endpoint = route.endpoint();
        let position = names
            .iter()
            .position(|name| *name == endpoint)
            .unwrap_or(names.len());
        if position == names.len() {
            names.push(endpoint.leak());
        }
        of_route.push(position);
    }
    Endpoints { names, of_route }
});

impl EndpointLabel {
    /// No template of the table.
    pub const UNMATCHED: Self = Self(0);

    /// The template of the route at `index` of [`ROUTES`].
    pub fn of_route(index: usize) -> Self {
        Self(ENDPOINTS.of_route[index])
    }

    /// The template.
    pub fn name(self) -> &'static str {
        ENDPOINTS.names[self.0]
    }
}

/// Method and endpoint together; series appear with the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint(pub Verb, pub EndpointLabel);

impl Endpoint {
    /// Every combination.
    pub fn all() -> impl Iterator<Item = Self> {
        let endpoints = (0..ENDPOINTS.names.len()).map(EndpointLabel);
        endpoints.flat_map(|endpoint| Verb::ALL.iter().map(move |verb| Self(*verb, endpoint)))
    }
}

impl Label for Endpoint {
    const KEYS: &'static [&'static str] = &["method", "endpoint"];
    const SPARSE: bool = true;

    fn count() -> usize {
        Verb::ALL.len() * ENDPOINTS.names.len()
    }

    #[inline]
    fn index(self) -> usize {
        let Self(verb, EndpointLabel(endpoint)) = self;
        endpoint * Verb::ALL.len() + verb as usize
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        let (endpoint, verb) = (index / Verb::ALL.len(), index % Verb::ALL.len());
        [Verb::ALL[verb].as_str(), ENDPOINTS.names[endpoint]]
    }
}

/// Every status code the server sends, and 499.
const STATUSES: [(u16, &str); 24] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (499, "499"),
    (500, "500"),
    (501, "501"),
    (503, "503"),
    (504, "504"),
    (507, "507"),
];

/// A status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(usize);

impl Status {
    /// The label of `code`; one that is missing from the table is counted as 500, which it then is: a mistake here.
    pub fn of(code: u16) -> Self {
        let position = |wanted: u16| STATUSES.binary_search_by_key(&wanted, |(code, _)| *code).ok();
        debug_assert!(
            position(code).is_some(),
            "status {code} is missing from the table"
        );
        Self(position(code).or_else(|| position(500)).unwrap_or(0))
    }
}

impl Label for Status {
    const KEYS: &'static [&'static str] = &["status"];
    const SPARSE: bool = true;

    fn count() -> usize {
        STATUSES.len()
    }

    #[inline]
    fn index(self) -> usize {
        self.0
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        [STATUSES[index].1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_its_template_whatever_the_method() {
        let check = |path: &str, expected: &str| {
            let index = ROUTES.iter().position(|route| route.path == path).unwrap();
            let label = Endpoint(Verb::Post, EndpointLabel::of_route(index));
            let values: Vec<_> = Endpoint::values(label.index()).into_iter().collect();
            assert_eq!(values, ["POST", expected]);
        };
        check("/query", "/query");
        check(
            "/collections/{collection}/points/query",
            "/collections/:collection/points/query",
        );
        let unmatched = Endpoint(Verb::Other, EndpointLabel::UNMATCHED);
        assert_eq!(
            Endpoint::values(unmatched.index())
                .into_iter()
                .collect::<Vec<_>>(),
            ["other", "unmatched"]
        );
    }

    #[test]
    fn statuses_are_sorted_and_written_as_they_are() {
        assert!(STATUSES.is_sorted_by_key(|(code, _)| *code));
        for (code, text) in STATUSES {
            assert_eq!(code.to_string(), text);
            assert_eq!(
                Status::values(Status::of(code).index())
                    .into_iter()
                    .collect::<Vec<_>>(),
                [text]
            );
        }
    }
}
