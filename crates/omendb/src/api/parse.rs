//! JSON bodies: parsed once and fast, and only when they are wrong a second time to say where.

use std::fmt::Display;
use std::ops::RangeBounds;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::ApiError;

/// How much of the body is quoted on either side of a syntax error, in bytes.
const EXCERPT_BYTES: usize = 24;

/// Reads a request body as `T`.
///
/// serde_json refuses nesting beyond 128 levels, so a deep body costs a bounded stack. Anything wrong is a 400 whose
/// message starts with the path of the offending value (`points[3].vector[7]`).
pub(crate) fn body<'a, T>(bytes: &'a [u8]) -> Result<T, ApiError>
where
    T: Deserialize<'a>,
{
    serde_json::from_slice(bytes).map_err(|fast| refusal::<T>("", bytes, &fast))
}

/// Reads `value`, which stands at `path` of a body, as `T`: for fields whose type depends on what they contain.
pub(crate) fn field<'a, T>(path: &str, value: &'a RawValue) -> Result<T, ApiError>
where
    T: Deserialize<'a>,
{
    let bytes = value.get().as_bytes();
    serde_json::from_slice(bytes).map_err(|fast| refusal::<T>(path, bytes, &fast))
}

/// As [`body`], with an empty body read as `{}`: the dialect lets `count` and `scroll` be asked without one.
pub(crate) fn optional_body<'a, T>(bytes: &'a [u8]) -> Result<T, ApiError>
where
    T: Deserialize<'a>,
{
    body(if bytes.is_empty() { b"{}" } else { bytes })
}

/// Refuses a limit of zero, which a validated field of the dialect cannot have.
pub(crate) fn at_least_one(field: &str, value: usize) -> Result<usize, ApiError> {
    if value == 0 {
        return Err(ApiError::unprocessable(format!("{field}: `0` is not at least 1")));
    }
    Ok(value)
}

/// Refuses a number that a validated field of the dialect cannot have, `expected` in words, also where it has no effect.
pub(crate) fn within<T: PartialOrd + Display>(
    field: impl Display,
    value: Option<T>,
    (range, expected): (impl RangeBounds<T>, &str),
) -> Result<(), ApiError> {
    match value.filter(|value| !range.contains(value)) {
        None => Ok(()),
        Some(value) => Err(ApiError::unprocessable(format!(
            "{field}: `{value}` is not {expected}"
        ))),
    }
}

/// The slow second pass: tracking the path costs an allocation per level, which a good body never pays.
fn refusal<'a, T>(prefix: &str, bytes: &'a [u8], fast: &serde_json::Error) -> ApiError
where
    T: Deserialize<'a>,
{
    if bytes.is_empty() {
        return ApiError::bad_request("the request body is empty, a JSON object is expected");
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut is_not_finite = false;
    let message = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => {
            let path = join(prefix, &error.path().to_string());
            let inner = error.into_inner();
            let near = excerpt(bytes, &inner);
            is_not_finite = near.as_deref().is_some_and(is_no_finite_number);
            let place = near.map_or(String::new(), |near| format!(", near `{near}`"));
            if path.is_empty() {
                format!("{inner}{place}")
            } else {
                format!("{path}: {inner}{place}")
            }
        }
        // Only what follows the value is wrong, and the path is the whole body.
        Ok(_) => fast.to_string(),
    };
    ApiError::bad_request(format!("cannot read the JSON body: {message}")).about_not_finite(is_not_finite)
}

/// Whether a token that is no JSON means a number that is not finite, as programs write them.
fn is_no_finite_number(token: &str) -> bool {
    token.parse::<f32>().is_ok_and(|number| !number.is_finite())
}

/// `path` below `prefix`; the library writes `.` and `?` for the value itself and for what it lost track of.
fn join(prefix: &str, path: &str) -> String {
    match (prefix, path) {
        (_, "." | "?") => prefix.to_owned(),
        ("", _) => path.to_owned(),
        (_, _) if path.starts_with('[') => format!("{prefix}{path}"),
        (_, _) => format!("{prefix}.{path}"),
    }
}

/// The token at a syntax error, which the message of the parser does not quote: `NaN`, or a number out of range.
fn excerpt(bytes: &[u8], error: &serde_json::Error) -> Option<String> {
    if !error.is_syntax() {
        return None;
    }
    let line = bytes
        .split(|&byte| byte == b'\n')
        .nth(error.line().checked_sub(1)?)?;
    let (before, after) = line.split_at(error.column().saturating_sub(1).min(line.len()));
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let back = before
        .iter()
        .rev()
        .take(EXCERPT_BYTES)
        .take_while(|byte| is_part(byte))
        .count();
    let ahead = after
        .iter()
        .take(EXCERPT_BYTES)
        .take_while(|byte| is_part(byte))
        .count();
    let end = before.len()
        + if back + ahead == 0 {
            after.len().min(1)
        } else {
            ahead
        };
    let token = &line[before.len() - back..end];
    (!token.is_empty()).then(|| String::from_utf8_lossy(token).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the parsing is looked at")]
    struct Outer {
        points: Vec<Inner>,
        limit: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the parsing is looked at")]
    struct Inner {
        id: u64,
        vector: Vec<f32>,
    }

    /// The message for a wrong body.
    fn message(body_text: &str) -> String {
        body::<Outer>(body_text.as_bytes())
            .unwrap_err()
            .message()
            .to_owned()
    }

    #[track_caller]
    fn check(body_text: &str, expected: &[&str]) {
        let message = message(body_text);
        for part in expected {
            assert!(message.contains(part), "{body_text}: {message:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_wrong_body_names_the_path_and_the_value() {
        check(
            r#"{"points":[{"id":1,"vector":[1,"x"]}]}"#,
            &["points[0].vector[1]", "\"x\"", "f32"],
        );
        check(r#"{"points":[],"limit":-1}"#, &["limit", "`-1`"]);
        check(r#"{"points":[],"limit":1.5}"#, &["limit", "`1.5`"]);
        check(
            r#"{"points":[{"vector":[1]}]}"#,
            &["points[0]", "missing field `id`"],
        );
        check(r#"{"points":[],"lim":1}"#, &["unknown field `lim`"]);
        check(
            r#"{"points":[{"id":1,"vector":[1,NaN]}]}"#,
            &["points[0].vector[1]", "near `NaN`"],
        );
        check(
            r#"{"points":[{"id":1,"vector":[1e999]}]}"#,
            &["points[0].vector[0]", "out of range", "near `1e999`"],
        );
        check(
            r#"{"points":[{"id":1,"vector":[1 2]}]}"#,
            &["points[0].vector", "near `2`"],
        );
        check(
            r#"{"points":[{"id":1,"vector":[1,]}]}"#,
            &["points[0].vector", "near `]`"],
        );
        check(r#"{"points":[]} extra"#, &["trailing characters"]);
        check(r#"{"points":["#, &["EOF"]);
        check("", &["empty"]);
        check("\u{1}", &["expected value"]);
    }

    #[test]
    fn a_deep_body_is_refused_without_deep_recursion() {
        let deep = format!("{{\"points\":{}", "[".repeat(100_000));
        assert!(
            body::<serde_json::Value>(deep.as_bytes())
                .unwrap_err()
                .message()
                .to_owned()
                .contains("recursion limit")
        );
    }

    #[test]
    fn an_empty_body_may_stand_for_an_empty_object() {
        #[derive(Deserialize)]
        struct Nothing {}
        assert!(optional_body::<Nothing>(b"").is_ok());
        assert!(optional_body::<Nothing>(b"[").is_err());
    }
}
