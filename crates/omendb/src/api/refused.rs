//! Fields of the dialect that would change the result and are not implemented: refused by name, never ignored.

use serde_json::value::RawValue;

use crate::http::ApiError;

/// How much of a refused value is quoted, in bytes.
const QUOTED_BYTES: usize = 80;

/// A field that is only looked at to refuse it. `null` and absence read as `None`.
pub(crate) type Raw<'a> = Option<&'a RawValue>;

/// Refuses the first field that is present with more than an empty value.
///
/// `null`, `false`, `{}` and `[]` say the same as leaving the field out (clients write their defaults), so they pass.
/// Everything else is a 422 with the name of the field and its value.
pub(crate) fn refuse(fields: &[(&str, Raw<'_>)]) -> Result<(), ApiError> {
    match fields
        .iter()
        .find_map(|&(name, value)| Some((name, value.filter(|raw| !is_empty(raw))?)))
    {
        None => Ok(()),
        Some((name, value)) => Err(refusal(name, value.get())),
    }
}

/// The error for an unsupported `value` of `field`.
pub(crate) fn refusal(field: &str, value: &str) -> ApiError {
    let quoted: String = value.chars().take(QUOTED_BYTES).collect();
    let more = if quoted.len() < value.len() { "..." } else { "" };
    ApiError::unprocessable(format!(
        "{field}: `{quoted}{more}` is not supported by this server and would change the result"
    ))
}

/// Whether the raw JSON says nothing: clients send such values for fields that were never set.
fn is_empty(raw: &RawValue) -> bool {
    let mut significant = raw.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
    let start = [significant.next(), significant.next(), significant.next()];
    matches!(
        start,
        [Some(b'{'), Some(b'}'), None] | [Some(b'['), Some(b']'), None]
    ) || raw.get() == "false"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<&str>) {
        let value: Raw<'_> = serde_json::from_str(json).expect("valid JSON");
        let message = refuse(&[("first", None), ("filter", value)])
            .err()
            .map(|error| error.message().to_owned());
        match (&message, expected) {
            (None, None) => {}
            (Some(message), Some(part)) => assert!(message.contains(part), "{json}: {message}"),
            _ => panic!("{json}: {message:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn only_values_that_say_something_are_refused() {
        for nothing in ["null", "false", "{}", "{ }", "[]", "[ \n ]"] {
            check(nothing, None);
        }
        check("true", Some("filter: `true`"));
        check("0", Some("filter: `0`"));
        check(r#"{"must":[]}"#, Some(r#"filter: `{"must":[]}`"#));
        check(r#"[{}]"#, Some("filter: `[{}]`"));
    }

    #[test]
    fn a_long_value_is_quoted_in_part() {
        let long = format!("\"{}\"", "é".repeat(200));
        let value: Raw<'_> = serde_json::from_str(&long).expect("valid JSON");
        let message = refuse(&[("filter", value)])
            .expect_err("refused")
            .message()
            .to_owned();
        assert!(message.contains("...`") && message.len() < 300, "{message}");
    }
}
