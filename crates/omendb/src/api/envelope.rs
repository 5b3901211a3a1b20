//! The envelope of the dialect around every answer: `{"result": .., "status": "ok", "time": seconds}`.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::http::{ApiError, Reply};
use crate::telemetry::explanation::Explanation;
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    result: &'a T,
    status: &'static str,
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
}

/// 200 with `result`, which took `elapsed`.
pub(crate) fn ok<T: Serialize + ?Sized>(result: &T, elapsed: Duration) -> Result<Reply, ApiError> {
    Reply::json(&Envelope {
        result,
        status: "ok",
        time: elapsed.as_secs_f64(),
        explain: None,
    })
}

/// 200 with the `result` of a request for data, explained if that was asked for.
pub(super) fn answer<T: Serialize + ?Sized>(result: &T, tally: &mut Tally) -> Result<Reply, ApiError> {
    let reply = if tally.is_explained() {
        let result = serialised(result, tally)?;
        Reply::json(&Envelope {
            result: &result,
            status: "ok",
            time: tally.elapsed().as_secs_f64(),
            explain: tally.explanation(),
        })
    } else {
        ok(result, tally.elapsed())
    };
    tally.lap(Stage::Serialise);
    reply
}

/// A result in JSON, so that what this took is known when the answer is put together.
pub(super) fn serialised<T: Serialize + ?Sized>(
    result: &T,
    tally: &mut Tally,
) -> Result<Box<RawValue>, ApiError> {
    let result = to_raw_value(result);
    tally.lap(Stage::Serialise);
    result.map_err(|error| ApiError::internal(format!("serialising: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_wrapped_with_its_time_in_seconds() {
        let reply = ok(&[1, 2], Duration::from_micros(1500)).expect("a list is JSON");
        assert_eq!(
            &reply.body[..],
            br#"{"result":[1,2],"status":"ok","time":0.0015}"#
        );
        assert_eq!(reply.status, hyper::StatusCode::OK);
    }
}
