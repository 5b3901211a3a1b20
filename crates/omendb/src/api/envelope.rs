//! The envelope of the dialect around every answer: `{"result": .., "status": "ok", "time": seconds}`.

use std::time::Duration;

use serde::Serialize;

use crate::http::{ApiError, Reply};

#[derive(Serialize)]
struct Envelope<'a, T: ?Sized> {
    result: &'a T,
    status: &'static str,
    time: f64,
}

/// 200 with `result`, which took `elapsed`.
pub(crate) fn ok<T: Serialize + ?Sized>(result: &T, elapsed: Duration) -> Result<Reply, ApiError> {
    Reply::json(&Envelope {
        result,
        status: "ok",
        time: elapsed.as_secs_f64(),
    })
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
