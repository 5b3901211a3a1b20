//! What is known about one request for data once its answer is written: the one record that the stage histograms, the
//! ring of slow queries, its log line and the explanation in the answer are made from.

use omendb_engine::{SearchStats, WriteStats};
use omendb_metrics::{Origin, Timestamp};

use crate::http::identity::Identity;
use crate::telemetry::requests::{EndpointLabel, Verb};
use crate::telemetry::stages::StageTimes;

/// One request that read or wrote points, from the first byte read to the last byte written.
#[derive(Debug, Clone)]
pub(crate) struct QueryRecord {
    /// What it is called.
    pub(crate) identity: Identity,
    /// What its observations are traced back by: its trace, else its name.
    pub(crate) origin: Option<Origin>,
    /// Its method.
    pub(crate) verb: Verb,
    /// Its route.
    pub(crate) endpoint: EndpointLabel,
    /// The collection; nothing where the request was refused before it was known.
    pub(crate) db_id: Option<String>,
    /// The status of the answer.
    pub(crate) status: u16,
    /// When its first byte was read.
    pub(crate) began: Timestamp,
    /// Nanoseconds until the last byte of the answer was written, or the client was gone.
    pub(crate) whole_nanos: u64,
    /// Where they went: the stages add up to `whole_nanos`.
    pub(crate) stages: StageTimes,
    /// Bytes of the request body that were read.
    pub(crate) request_bytes: u64,
    /// Bytes of the response body.
    pub(crate) response_bytes: u64,
    /// What was asked of the engine and what it did.
    pub(crate) work: Work,
    /// Whether its latency is shown as an exemplar.
    pub(crate) is_exemplar: bool,
}

impl QueryRecord {
    /// The trace it belongs to, if it does.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        let origin = self.origin.as_ref()?;
        (origin.label() == "trace_id").then(|| origin.id())
    }
}

/// What a request asked of the engine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    /// Searches, scrolls and counts that were carried out.
    pub(crate) searches: u64,
    /// What they did together; plan and reason are those of the one that took longest.
    pub(crate) search: SearchStats,
    /// Points that pass the filter, where that was counted.
    pub(crate) matched: Option<u64>,
    /// What a write did.
    pub(crate) write: Option<WriteStats>,
}
