//! The record of a request that was kept, as JSON: an element of the ring of slow queries, and a field of the log line.

use omendb_metrics::looks_secret;
use serde::Serialize;
use serde_json::Value;

use crate::telemetry::explanation::{Matches, SearchJson, StagesJson, WriteJson, micros};
use crate::telemetry::query_record::{QueryRecord, Work};
use crate::telemetry::slow_queries::Kept;
use crate::timestamp::UnixTime;

/// A [`QueryRecord`]; what was not asked or not found out is left out.
#[derive(Debug, Serialize)]
pub(crate) struct QueryReport<'a> {
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    time: UnixTime,
    method: &'static str,
    endpoint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_id: Option<&'a str>,
    status: u16,
    kept_for: Vec<&'static str>,
    whole_us: f64,
    stages_us: StagesJson,
    request_bytes: u64,
    response_bytes: u64,
    searches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<SearchJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Matches>,
    /// As the recall probe measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    recall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    write: Option<WriteJson>,
    request: &'a Value,
}

impl<'a> QueryReport<'a> {
    /// Of a request with this recall, if it was measured.
    pub(crate) fn new(kept: &'a Kept, recall: Option<f64>) -> Self {
        let Kept {
            record,
            wall_nanos,
            is_slow,
            request,
        } = kept;
        let QueryRecord {
            identity,
            origin: _,
            verb,
            endpoint,
            db_id,
            status,
            began: _,
            whole_nanos,
            stages,
            request_bytes,
            response_bytes,
            work,
            is_exemplar,
        } = record;
        let Work {
            searches,
            search,
            matched: _,
            write,
        } = work;
        let reasons = [
            (*is_slow, "slow"),
            (*is_exemplar, "exemplar"),
            (search.is_sampled, "sampled"),
        ];
        Self {
            request_id: identity.request_id(),
            trace_id: record.trace_id(),
            time: UnixTime::from_nanoseconds(*wall_nanos),
            method: verb.as_str(),
            endpoint: endpoint.name(),
            // As on the metrics page: a name that looks like a credential is not repeated.
            db_id: db_id.as_deref().filter(|name| !looks_secret(name)),
            status: *status,
            kept_for: reasons
                .iter()
                .filter_map(|(holds, name)| holds.then_some(*name))
                .collect(),
            whole_us: micros(*whole_nanos),
            stages_us: StagesJson(*stages),
            request_bytes: *request_bytes,
            response_bytes: *response_bytes,
            searches: *searches,
            search: (*searches > 0).then(|| SearchJson::from(search)),
            matches: (*searches > 0).then(|| Matches::of(work)),
            recall,
            write: write.as_ref().map(WriteJson::from),
            request,
        }
    }
}
