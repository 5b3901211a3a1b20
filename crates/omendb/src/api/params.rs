//! The query strings of the dialect: `wait` decides a word of the answer, the rest is checked and has no effect here.

use hyper::header::HeaderName;

use crate::http::{ApiError, Call};

/// The header that asks for an explanation beside the result.
const EXPLAIN: HeaderName = HeaderName::from_static("x-omendb-explain");

/// What a write's query string says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteParams {
    /// Whether the client asked for the outcome. Both answers come after the write is durable and visible; without
    /// `wait` it is called `acknowledged`, as clients of the dialect expect.
    pub(crate) wait: bool,
}

/// Reads a write's query string: `wait`, and `ordering` and `timeout` without effect (one node orders every write).
pub(crate) fn write_params(call: &Call) -> Result<WriteParams, ApiError> {
    parse_write(&call.query_pairs()?)
}

/// Reads what is beside a read's body. In the query string, `consistency` and `timeout` are without effect on one node.
pub(crate) fn check_read_params(call: &mut Call) -> Result<(), ApiError> {
    parse_read(&call.query_pairs()?)?;
    read_explain(call)
}

/// Asks for an explanation if the header of that name does.
pub(crate) fn read_explain(call: &mut Call) -> Result<(), ApiError> {
    let value = call.headers.get(&EXPLAIN);
    match value.map(|value| value.to_str().unwrap_or("(not text)")) {
        None | Some("false") => Ok(()),
        Some("true") => {
            call.tally.explain();
            Ok(())
        }
        Some(other) => Err(ApiError::bad_request(format!(
            "header {EXPLAIN}: `{other}` is not `true` or `false`"
        ))),
    }
}

/// Checks the query string of an operation on a collection itself: `timeout` only.
pub(crate) fn check_collection_params(call: &Call) -> Result<(), ApiError> {
    for (name, value) in call.query_pairs()? {
        match name.as_str() {
            "timeout" => check_timeout(&value)?,
            _ => return Err(unknown(&name, &value, "timeout")),
        }
    }
    Ok(())
}

fn parse_write(pairs: &[(String, String)]) -> Result<WriteParams, ApiError> {
    let mut params = WriteParams::default();
    for (name, value) in pairs {
        match name.as_str() {
            "wait" => {
                params.wait = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(wrong(name, value, "`true` or `false`")),
                }
            }
            "ordering" => match value.as_str() {
                "weak" | "medium" | "strong" => {}
                _ => return Err(wrong(name, value, "`weak`, `medium` or `strong`")),
            },
            "timeout" => check_timeout(value)?,
            _ => return Err(unknown(name, value, "wait, ordering, timeout")),
        }
    }
    Ok(params)
}

fn parse_read(pairs: &[(String, String)]) -> Result<(), ApiError> {
    for (name, value) in pairs {
        match name.as_str() {
            "consistency" => match value.as_str() {
                "majority" | "quorum" | "all" | "" => {}
                number if number.parse::<u64>().is_ok_and(|factor| factor >= 1) => {}
                _ => {
                    return Err(wrong(
                        name,
                        value,
                        "a number of replicas, `majority`, `quorum` or `all`",
                    ));
                }
            },
            "timeout" => check_timeout(value)?,
            _ => return Err(unknown(name, value, "consistency, timeout")),
        }
    }
    Ok(())
}

fn check_timeout(value: &str) -> Result<(), ApiError> {
    match value.parse::<u64>() {
        Ok(seconds) if seconds >= 1 => Ok(()),
        _ => Err(wrong("timeout", value, "a whole number of seconds, at least 1")),
    }
}

fn wrong(name: &str, value: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!("query parameter {name}: `{value}` is not {expected}"))
}

fn unknown(name: &str, value: &str, known: &str) -> ApiError {
    ApiError::bad_request(format!(
        "query parameter {name}={value} is unknown here, known are {known}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        let pair = |text: &str| {
            text.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        query.split('&').filter_map(pair).collect()
    }

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(outcome: Result<T, ApiError>, expected: Result<T, &str>) {
        match (outcome, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(error), Err(part)) => assert!(error.message().contains(part), "{}", error.message()),
            (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn writes_wait_only_when_asked() {
        check(parse_write(&pairs("")), Ok(WriteParams { wait: false }));
        check(
            parse_write(&pairs("wait=true&ordering=strong&timeout=5")),
            Ok(WriteParams { wait: true }),
        );
        check(parse_write(&pairs("wait=yes")), Err("wait: `yes`"));
        check(parse_write(&pairs("ordering=total")), Err("ordering: `total`"));
        check(parse_write(&pairs("timeout=0")), Err("timeout: `0`"));
        check(parse_write(&pairs("wiat=true")), Err("wiat=true is unknown"));
    }

    #[test]
    fn reads_take_a_consistency_without_effect() {
        check(parse_read(&pairs("consistency=majority&timeout=1")), Ok(()));
        check(parse_read(&pairs("consistency=2")), Ok(()));
        check(parse_read(&pairs("consistency=0")), Err("consistency: `0`"));
        check(parse_read(&pairs("wait=true")), Err("wait=true is unknown"));
    }
}
