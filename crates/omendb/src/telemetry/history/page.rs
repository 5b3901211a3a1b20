//! `GET /metrics/history`: what was kept, as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::telemetry::history::kept::{By, COLLECTION, How, KEPT, Kept};
use crate::telemetry::history::{History, SLOT_NANOS, SLOT_SECONDS, SLOTS};
use crate::timestamp::UnixTime;

/// How far back a request looks that does not say.
const DEFAULT_BACK: u64 = 3600;
/// All there can be, seconds.
pub(crate) const RETENTION: u64 = SLOTS as u64 * SLOT_SECONDS;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Request {
    kept: usize,
    /// Seconds.
    back: u64,
    /// Slots.
    step: usize,
}

/// The history of one family.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    name: &'static str,
    kept: &'static str,
    /// A restart forgets what was before it.
    started: UnixTime,
    retention_seconds: u64,
    step: u64,
    /// The end of each step, seconds since 1970.
    times: Vec<u64>,
    series: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    labels: BTreeMap<&'static str, String>,
    /// One for each of `times`; null where nothing was known.
    values: Vec<Option<f32>>,
}

impl Request {
    /// `name` for the last `back` seconds in steps of `step` seconds.
    ///
    /// # Errors
    /// 404 with the names that there are, 400 with what is wrong.
    pub(crate) fn new(name: &str, back: u64, step: u64) -> Result<Self, ApiError> {
        let Some(kept) = KEPT.iter().position(|kept| kept.family == name) else {
            let known = names().join(", ");
            return Err(ApiError::not_found(format!(
                "name: \"{name}\" has no history; there is one of {known}"
            )));
        };
        if back == 0 || back > RETENTION {
            let message = format!("since: {back} seconds ago is not within the last {RETENTION}");
            return Err(ApiError::bad_request(message));
        }
        if step == 0 || step > RETENTION || !step.is_multiple_of(SLOT_SECONDS) {
            let message =
                format!("step: {step} is not a multiple of {SLOT_SECONDS} seconds up to {RETENTION}");
            return Err(ApiError::bad_request(message));
        }
        Ok(Self {
            kept,
            back,
            step: (step / SLOT_SECONDS) as usize,
        })
    }
}

/// The families that have a history.
pub(crate) fn names() -> Vec<&'static str> {
    KEPT.iter().map(|kept| kept.family).collect()
}

/// What was kept, of the series that `sees` lets through by their collection; `None` if nothing is kept.
pub(crate) fn answer(
    history: &History,
    request: &Request,
    sees: impl Fn(Option<&str>) -> bool,
) -> Option<Answer> {
    let past = history.past()?;
    let Kept {
        family,
        how,
        by,
        merge,
    } = &KEPT[request.kept];
    let (started, started_wall) = past.started;
    let closed = usize::try_from(past.slot - started.as_nanos() / SLOT_NANOS).unwrap_or(SLOTS);
    let wanted = request.back.div_ceil(SLOT_SECONDS) as usize;
    let count = closed.min(wanted).min(SLOTS);
    // The end of the slot closed last, by the calendar as it is now.
    let since_end = history
        .clock
        .now()
        .as_nanos()
        .saturating_sub(past.slot * SLOT_NANOS);
    let end = history.clock.wall().saturating_sub(since_end) / 1_000_000_000;
    let steps = count.div_ceil(request.step);
    let step = request.step as u64 * SLOT_SECONDS;
    let times = (0..steps as u64)
        .rev()
        .map(|back| end.saturating_sub(back * step))
        .collect();
    let key = match (by, how) {
        (_, How::Quantiles) => Some("quantile"),
        (By::Label(key), How::Rate | How::Gauge) => Some(*key),
        (By::StatusClass, How::Rate | How::Gauge) => Some("status"),
        (By::Nothing, How::Rate | How::Gauge) => None,
    };
    let series = past.families[request.kept].series.iter();
    let visible = series.filter(|(label, _)| sees((key == Some(COLLECTION)).then_some(label.as_str())));
    let lines = visible.map(|(label, series)| {
        // Aligned at their ends: what is shorter began later.
        let newest_first: Vec<f32> = series.values.iter().rev().take(count).copied().collect();
        let mut values: Vec<_> = newest_first
            .chunks(request.step)
            .map(|slots| merge.of(slots.iter().copied()))
            .collect();
        values.resize(steps, None);
        values.reverse();
        Line {
            labels: key.map(|key| (key, label.clone())).into_iter().collect(),
            values,
        }
    });
    Some(Answer {
        name: family,
        kept: how.describe(),
        started: UnixTime::from_nanoseconds(started_wall),
        retention_seconds: RETENTION,
        step,
        times,
        series: lines.collect(),
    })
}

/// All that was kept, for the last `back` seconds in steps of `step` seconds, whatever may be wrong with one of them.
pub(crate) fn everything(history: &History, back: u64, step: u64) -> Vec<Answer> {
    let requests = names()
        .into_iter()
        .filter_map(|name| Request::new(name, back, step).ok());
    requests
        .filter_map(|request| answer(history, &request, |_| true))
        .collect()
}

/// `GET /metrics/history`: one family since a while ago; without a `name`, the names that there are.
///
/// # Errors
/// 400 for what is malformed, 404 for a name without a history and where none is kept.
pub async fn history(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let (mut name, mut back, mut step) = (None, DEFAULT_BACK, SLOT_SECONDS);
    let now = UnixTime::from_nanoseconds(app.clock.wall());
    for (parameter, value) in call.query_pairs()? {
        match parameter.as_str() {
            "name" => name = Some(value),
            "since" => back = seconds_ago(&value, now)?,
            "step" => {
                step = value.parse().map_err(|_| {
                    ApiError::bad_request(format!("step: \"{value}\" is not a number of seconds"))
                })?;
            }
            _ => {
                let known = "name, since, step";
                let message =
                    format!("query parameter {parameter}={value} is unknown here, known are {known}");
                return Err(ApiError::bad_request(message));
            }
        }
    }
    let history = &app.telemetry.history;
    let Some(name) = name else {
        return Reply::json(&json!({"names": names(), "retention_seconds": RETENTION, "step": SLOT_SECONDS}));
    };
    let request = Request::new(&name, back, step)?;
    let caller = &call.caller;
    // A credential limited to collections sees their series only, not the whole server's.
    let is_limited = caller.grant.collections().is_some();
    let sees = |collection: Option<&str>| collection.map_or(!is_limited, |name| caller.sees(name));
    match answer(history, &request, sees) {
        Some(answer) => Reply::json(&answer),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "no history is kept: metrics.history is false",
        )),
    }
}

/// Seconds before `now`, of a number of seconds or a time.
fn seconds_ago(text: &str, now: UnixTime) -> Result<u64, ApiError> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time: UnixTime = text.parse().map_err(|_| {
        let message =
            format!("since: \"{text}\" is neither seconds ago nor a time such as 2026-11-24T03:10:51Z");
        ApiError::bad_request(message)
    })?;
    // The second that is still going on is one.
    let ago = now.0.checked_sub(time.0).map(|seconds| seconds.max(1));
    ago.ok_or_else(|| ApiError::bad_request(format!("since: {text} has not come yet")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let check = |name: &str, back: u64, step: u64, code: u16, part: &str| {
            let error = Request::new(name, back, step).unwrap_err();
            assert_eq!(error.status().as_u16(), code, "{}", error.message());
            assert!(error.message().contains(part), "{}", error.message());
        };
        const NAME: &str = "omendb_engine_queries_total";
        check(
            "no_such",
            60,
            15,
            404,
            "there is one of omendb_engine_queries_total,",
        );
        check(NAME, 0, 15, 400, "since: 0");
        check(NAME, RETENTION + 1, 15, 400, "since: 86401");
        check(NAME, 60, 0, 400, "step: 0");
        check(NAME, 60, 20, 400, "step: 20 is not a multiple of 15");
        check(NAME, 60, RETENTION + 15, 400, "step: 86415");
        assert!(Request::new(NAME, RETENTION, RETENTION).is_ok());
    }

    #[test]
    fn since_is_seconds_or_a_time() {
        let now = UnixTime(1_700_000_100);
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(seconds_ago(text, now).ok(), expected, "{text}");
        };
        check("60", Some(60));
        check("2023-11-14T22:13:20Z", Some(100));
        check("2023-11-14T22:15:00Z", Some(1));
        check("2023-11-14T22:15:01Z", None);
        check("yesterday", None);
        check("-5", None);
    }
}
