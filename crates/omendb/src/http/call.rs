//! One request as a handler sees it: what the router found out about it, and its body, still unread.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Uri};
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::http::body::RequestBody;
use crate::http::error::ApiError;
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// Longest body of a login or a token's creation, bytes. Whoever logs in is not known yet, so they are given little.
const SMALL_BODY: u64 = 64 * 1024;

/// One request. The caller has been authenticated and holds the permission its route asks for.
#[derive(Debug)]
pub struct Call {
    /// The method as sent.
    pub method: Method,
    /// Path and query string as sent.
    pub uri: Uri,
    /// The request headers.
    pub headers: HeaderMap,
    /// Values of the `{name}` parts of the route template, percent-decoded.
    pub params: PathParams,
    /// Who asks, and what they may touch.
    pub caller: Caller,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// What the request is about, for the audit log, where its path does not say so.
    pub subject: Option<String>,
    /// The request body; read at most once.
    pub body: RequestBody,
    /// What it has taken so far.
    pub(crate) tally: Tally,
}

impl Call {
    /// Reads the whole body, within the configured limit and time.
    ///
    /// # Errors
    /// 413 when it is longer than the limit, 408 when it arrives too slowly, 400 when it breaks off.
    pub async fn read_body(&mut self) -> Result<Bytes, ApiError> {
        self.tally.skip();
        let body = self.body.read().await;
        self.tally.lap(Stage::Receive);
        body.inspect(|body| self.tally.asked(body))
    }

    /// Reads the whole body and parses it as JSON into `T`, on the connection's thread: for small bodies only, of 64 KiB
    /// at most. Large ones (points, queries) are parsed inside an execution slot.
    ///
    /// # Errors
    /// Those of [`Call::read_body`]; 400 naming line and column for malformed JSON, 422 for JSON of the wrong shape.
    pub async fn read_json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        self.body.limit_to(SMALL_BODY);
        let body = self.read_body().await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::from_json(&error))
    }

    /// The collection named in the path.
    ///
    /// # Errors
    /// 500 if the route has no `{collection}`: a mistake in the route table.
    pub fn collection(&self) -> Result<&str, ApiError> {
        self.params
            .get("collection")
            .ok_or_else(|| ApiError::internal("route has no {collection}"))
    }

    /// Parameters of the query string in order, percent-decoded, `+` read as a space.
    ///
    /// # Errors
    /// 400 when an escape is malformed or is not UTF-8.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, ApiError> {
        let Some(query) = self.uri.query() else {
            return Ok(Vec::new());
        };
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode_query(name)?, decode_query(value)?))
            })
            .collect()
    }
}

fn decode_query(text: &str) -> Result<String, ApiError> {
    decode_percent(&text.replace('+', " "))
}

/// Values of the `{name}` parts of a route template.
#[derive(Debug, Default, Clone)]
pub struct PathParams(BTreeMap<&'static str, String>);

impl PathParams {
    /// The value of `{name}`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(crate) fn insert(&mut self, name: &'static str, value: String) {
        self.0.insert(name, value);
    }
}

/// Undoes percent-encoding.
///
/// # Errors
/// 400 for a `%` without two hexadecimal digits and for what is not UTF-8 afterwards.
pub fn decode_percent(text: &str) -> Result<String, ApiError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let malformed = || ApiError::bad_request(format!("malformed percent-encoding in \"{text}\""));
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else {
            return Err(malformed());
        };
        decoded.push((high * 16 + low) as u8);
        rest = tail;
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_undone_or_refused() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(decode_percent(text).ok().as_deref(), expected, "{text}");
        };
        check("plain", Some("plain"));
        check("a%20b%2Fc", Some("a b/c"));
        check("%C3%A9", Some("é"));
        check("100%", None);
        check("%4", None);
        check("%zz", None);
        check("%+1", None);
        check("%ff", None);
    }
}
