//! The web layer's metrics: requests, connections, pools, credentials.

use std::sync::Arc;

use omendb_metrics::{Counter, Counters, Family, Histogram, Label, labels, metrics};

use crate::auth::Permission;
use crate::telemetry::requests::{Endpoint, Status};
use crate::telemetry::stages::Stage;

labels! {
    /// A pool.
    pub enum Pool("pool") {
        /// Execution slots of the engine.
        Main = "main",
        /// Client connections.
        Http = "http",
    }
}

labels! {
    /// Why something got no slot.
    pub enum RejectReason("reason") {
        /// The queue was full.
        Full = "full",
        /// It waited as long as it may.
        Timeout = "timeout",
        /// The server is shutting down.
        Closed = "closed",
        /// Whoever waited went away.
        Abandoned = "abandoned",
    }
}

labels! {
    /// How a login ended.
    pub enum LoginOutcome("status") { Success = "success", Failure = "failure" }
}

labels! {
    /// Why a login failed.
    pub enum LoginFailure("reason") {
        /// No such user, or not their password; which of the two is not told.
        Wrong = "wrong_credentials",
        /// Too many were tried for this user or from this address.
        TooMany = "rate_limited",
        /// Too many passwords are being verified.
        Busy = "busy",
        /// A fault of ours.
        Internal = "internal",
    }
}

labels! {
    /// What a presented credential was found to be.
    pub enum Validation("status") {
        Valid = "valid",
        Invalid = "invalid",
        Expired = "expired",
        Revoked = "revoked",
        /// None was presented where one is needed.
        Missing = "missing",
    }
}

labels! {
    /// What became of an event for the audit log.
    pub enum AuditOutcome("outcome") {
        /// It has a line.
        Written = "written",
        /// There were too many failures of its kind: it is counted in a later line.
        Suppressed = "suppressed",
        /// The line could not be written.
        Failed = "failed",
    }
}

labels! {
    /// What became of a span.
    pub enum SpanOutcome("outcome") {
        /// The collector has it.
        Exported = "exported",
        /// The collector took its message and refused the span.
        Rejected = "rejected",
        /// The collector could not be reached, or refused the message.
        Failed = "failed",
        /// The queue was full.
        Dropped = "dropped",
    }
}

impl Label for Permission {
    const KEYS: &'static [&'static str] = &["permission"];

    fn count() -> usize {
        Self::ALL.len()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        [Self::ALL[index].name()]
    }
}

metrics! {
    /// What the web layer counts as it happens.
    pub struct WebMetrics {
        /// HTTP requests answered, refused or abandoned, those that could not be parsed included (method "other",
        /// endpoint "unmatched"). Status 499: the client went away first.
        ///
        /// First, whenever clients complain: which route, which status, since when.
        pub requests: Counters<(Endpoint, Status)> = "omendb_http_requests_total",
        /// Time from the complete head of a request to its answer ready to be sent.
        ///
        /// Beside the duration of queries: what is in here and not there is waiting, parsing and serialising.
        pub request_latency: Family<Endpoint, Histogram> = "omendb_http_request_latency_seconds",
        /// Time of each stage of the requests that read or wrote points, of those that went through it: `receive` and
        /// `send` are the network's, `queue` is waiting for an execution slot or for the log, `other` is what has no name.
        /// The sums of all stages add up to that of `omendb_query_exchange_seconds`.
        ///
        /// Right after latency has changed: it says which part of the work the change is in.
        pub query_stages: Family<Stage, Histogram> = "omendb_query_stage_seconds",
        /// Time from the first byte of a request that reads or writes points to the last byte of its answer.
        ///
        /// When clients measure more than the server: what this does not have is not the server's.
        pub query_exchange: Histogram = "omendb_query_exchange_seconds",
        /// Bytes of request bodies read.
        ///
        /// When the network is busy: which route's bodies are large, or many; and what refused requests have cost.
        pub request_bytes: Counters<(Endpoint, Status)> = "omendb_http_request_bytes_total",
        /// Bytes of response bodies.
        ///
        /// When answers are slow to arrive: payloads and vectors asked for and perhaps not needed.
        pub response_bytes: Counters<(Endpoint, Status)> = "omendb_http_response_bytes_total",
        /// Time between asking a pool for a slot and getting it.
        ///
        /// When latency grows and work does not: growing waits with a queue mean that the pool is too small.
        pub pool_wait: Family<Pool, Histogram> = "omendb_connection_pool_wait_seconds",
        /// What a pool gave no slot, by reason.
        ///
        /// When clients report 503: `full` and `timeout` are load, `abandoned` are clients that gave up, `closed` is a
        /// server that stops.
        pub pool_rejected: Counters<(Pool, RejectReason)> = "omendb_connection_pool_rejected_total",
        /// Client connections accepted.
        ///
        /// When handshakes cost too much: a rate near that of requests means clients that do not keep connections.
        pub connections: Counter = "omendb_connections_total",
        /// How long client connections lasted, the refused ones included.
        ///
        /// When connections break: lifetimes near a time-out of a proxy name the culprit.
        pub connection_lifetime: Histogram = "omendb_connection_lifetime_seconds",
        /// Logins with user and password, by outcome; those refused for their rate are failures.
        ///
        /// When logins fail, or somebody guesses passwords.
        pub logins: Counters<LoginOutcome> = "omendb_auth_requests_total",
        /// Logins that failed, by what was in the way.
        ///
        /// When logins fail: `wrong_credentials` in numbers is guessing, `rate_limited` its defence (auth.login_rate), `busy`
        /// more logins at once than passwords may be verified (auth.login_concurrency).
        pub login_failures: Counters<LoginFailure> = "omendb_auth_login_failures_total",
        /// Credentials looked at, by what they were found to be.
        ///
        /// When clients report 401: `expired` and `revoked` name the reason, `invalid` in numbers is guessing or a
        /// mistyped secret.
        pub validations: Counters<Validation> = "omendb_auth_token_validations_total",
        /// Requests refused because their valid credential lacks a permission, or has it for other collections.
        ///
        /// When clients report 403: a credential with the wrong permission, or one that tries others.
        pub authorization_failures: Counters<Permission> = "omendb_auth_authorization_failures_total",
        /// Administrative and authentication events, by what became of their line in the audit log.
        ///
        /// When an auditor asks: `failed` means that events are lost because the file cannot be written (audit.path),
        /// `suppressed` that somebody fails again and again.
        pub audit_events: Counters<AuditOutcome> = "omendb_audit_events_total",
        /// Spans of sampled requests, by what became of them.
        ///
        /// When traces are missing. Nothing but `exported` should move: `dropped` means that the collector is slower than
        /// the requests (traces.queue, traces.ratio), `failed` that it does not answer.
        pub trace_spans: Counters<SpanOutcome> = "omendb_trace_spans_total",
        /// Bytes received on client connections, heads included.
        ///
        /// Against the network's limit, and beside the bodies: the difference is heads.
        pub received_bytes: Counter = "omendb_network_receive_bytes_total",
        /// Bytes sent on client connections, heads included.
        ///
        /// Against the network's limit; it grows with payloads, vectors and scrapes.
        pub transmitted_bytes: Counter = "omendb_network_transmit_bytes_total",
    }
}

/// One pool's share of [`WebMetrics`].
#[derive(Debug)]
pub struct PoolMetrics {
    web: Arc<WebMetrics>,
    pool: Pool,
}

impl PoolMetrics {
    /// Those of `pool`.
    pub fn new(web: Arc<WebMetrics>, pool: Pool) -> Self {
        Self { web, pool }
    }

    /// Something got its slot after `nanoseconds`.
    pub fn waited(&self, nanoseconds: u64) {
        self.web.pool_wait.of(self.pool).record(nanoseconds);
    }

    /// Something got none.
    pub fn rejected(&self, reason: RejectReason) {
        self.web.pool_rejected.increment((self.pool, reason));
    }
}
