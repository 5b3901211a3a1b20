//! `GET /debug/slow-queries`: the records of requests that were kept because they were slow, are shown as exemplars, or
//! had their recall measured.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::query_report::QueryReport;
use crate::telemetry::slow_queries::Kept;

/// Which of them are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    request_id: Option<String>,
    trace_id: Option<String>,
    db_id: Option<String>,
}

#[derive(Serialize)]
struct SlowQueriesJson<'a> {
    /// Null if none is slow.
    threshold_ms: Option<u128>,
    queries: Vec<QueryReport<'a>>,
}

/// `GET /debug/slow-queries`: the newest first; those of one request, trace or collection on demand.
///
/// # Errors
/// 400 for another query parameter.
pub async fn list(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let wanted = wanted(&call.query_pairs()?)?;
    let ring = &app.telemetry.slow_queries;
    let kept = ring.kept();
    let chosen = kept.iter().filter(|kept| wanted.includes(kept));
    let queries = chosen
        .map(|kept| QueryReport::new(kept, recall(app, kept)))
        .collect();
    Reply::json(&SlowQueriesJson {
        threshold_ms: ring.threshold().map(|threshold| threshold.as_millis()),
        queries,
    })
}

/// The newest `most` of them, for a bundle.
///
/// # Errors
/// When a record is not JSON: a mistake in it.
pub(super) fn newest(app: &App, most: usize) -> Result<Value, serde_json::Error> {
    let kept = app.telemetry.slow_queries.kept();
    let newest = kept.iter().take(most);
    let reports: Vec<_> = newest
        .map(|kept| QueryReport::new(kept, recall(app, kept)))
        .collect();
    serde_json::to_value(reports)
}

/// The recall of a query, if it was sampled and the probe is done with it.
fn recall(app: &App, kept: &Kept) -> Option<f64> {
    let record = &kept.record;
    let collection = app.engine.collection(record.db_id.as_deref()?).ok()?;
    let origin = record.origin.filter(|_| record.work.search.is_sampled)?;
    collection.sampled_recall(&origin)
}

impl Wanted {
    fn includes(&self, kept: &Kept) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        let record = &kept.record;
        is(&self.request_id, Some(record.identity.request_id()))
            && is(&self.trace_id, record.trace_id())
            && is(&self.db_id, record.db_id.as_deref())
    }
}

fn wanted(pairs: &[(String, String)]) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    for (name, value) in pairs {
        let field = match name.as_str() {
            "request_id" => &mut wanted.request_id,
            "trace_id" => &mut wanted.trace_id,
            "db_id" => &mut wanted.db_id,
            _ => {
                return Err(ApiError::bad_request(format!(
                    "query parameter {name}={value} is unknown here, known are request_id, trace_id, db_id"
                )));
            }
        };
        *field = Some(value.clone());
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_chosen_by_names() {
        let pair = |name: &str| (name.to_owned(), "x".to_owned());
        let chosen = wanted(&[pair("request_id"), pair("db_id")]).expect("both are known");
        let expected = Wanted {
            request_id: Some("x".to_owned()),
            trace_id: None,
            db_id: Some("x".to_owned()),
        };
        assert_eq!(chosen, expected);
        let refused = wanted(&[pair("slow")]).expect_err("there is no such parameter");
        assert!(
            refused.message().contains("slow=x is unknown"),
            "{}",
            refused.message()
        );
    }
}
