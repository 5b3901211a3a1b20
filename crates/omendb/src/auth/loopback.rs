//! The rule of an open server: with no credential configured it answers loopback names only, so that a web page cannot
//! reach it under a name of its own that resolves to this machine (DNS rebinding).

use std::net::IpAddr;

use hyper::{HeaderMap, Uri, header};

use crate::http::error::ApiError;

/// Checks `Host`, the host of an absolute request target, and `Origin`.
///
/// # Errors
/// 403 naming the header and its value.
pub fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if let Some(authority) = uri.authority()
        && !is_loopback(authority.as_str())
    {
        return Err(refusal("the request target", authority.as_str()));
    }
    let hosts = headers.get_all(header::HOST);
    if hosts.iter().next().is_none() {
        return Err(refusal("header Host", ""));
    }
    for host in hosts {
        let text = host.to_str().unwrap_or("(not text)");
        if !is_loopback(text) {
            return Err(refusal("header Host", text));
        }
    }
    for origin in headers.get_all(header::ORIGIN) {
        let text = origin.to_str().unwrap_or("(not text)");
        if !text
            .split_once("://")
            .is_some_and(|(_, authority)| is_loopback(authority))
        {
            return Err(refusal("header Origin", text));
        }
    }
    Ok(())
}

fn refusal(what: &str, value: &str) -> ApiError {
    let reason = "this server has no credentials yet and answers loopback names only";
    ApiError::forbidden(format!("{what} \"{value}\" is not a loopback address: {reason}"))
}

/// Whether `authority` (a host, perhaps with a port) is this machine whoever resolves it.
fn is_loopback(authority: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound_are_loopback() {
        let check =
            |authority: &str, expected: bool| assert_eq!(is_loopback(authority), expected, "{authority}");
        check("localhost", true);
        check("LOCALHOST:8080", true);
        check("127.0.0.1:8080", true);
        check("127.9.9.9", true);
        check("[::1]:8080", true);
        check("[::1]", true);
        check("[::ffff:127.0.0.1]:8080", true);
        check("[::ffff:10.0.0.1]:8080", false);
        check("", false);
        check("evil.example", false);
        check("localhost.evil.example", false);
        check("evil.example:127.0.0.1", false);
        check("127.0.0.1.evil.example:80", false);
        check("127.0.0.1@evil.example", false);
        check("10.0.0.1", false);
        check("0.0.0.0:8080", false);
        check("[::]:8080", false);
    }

    #[test]
    fn host_and_origin_are_both_looked_at() {
        let case = |host: Option<&'static str>, origin: Option<&'static str>, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(header::HOST, HeaderValue::from_static(host)));
            origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
            let refused = check(&Uri::from_static("/health"), &headers).err();
            match expected {
                None => assert!(refused.is_none(), "{host:?} {origin:?}: {refused:?}"),
                Some(part) => {
                    let refused = refused.unwrap();
                    assert_eq!(refused.status(), 403);
                    assert!(refused.message().contains(part), "{}", refused.message());
                }
            }
        };
        case(Some("localhost:8080"), None, None);
        case(Some("localhost:8080"), Some("http://127.0.0.1:3000"), None);
        case(Some("evil.example"), None, Some("Host \"evil.example\""));
        case(
            Some("localhost"),
            Some("https://evil.example"),
            Some("Origin \"https://evil.example\""),
        );
        case(Some("localhost"), Some("null"), Some("Origin \"null\""));
        case(None, None, Some("Host \"\""));
    }
}
