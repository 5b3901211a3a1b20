//! What every request can reach: the engine, its execution slots, credentials, configuration and metrics.

use std::sync::Arc;

use omendb_engine::{Engine, Worker};
use omendb_metrics::Clock;

use crate::audit::Audit;
use crate::auth::Auth;
use crate::config::Config;
use crate::health::Health;
use crate::http::body_budget::BodyBudget;
use crate::http::router::Router;
use crate::lifecycle::Lifecycle;
use crate::log::LogLevel;
use crate::pool::{ConnectionPool, Slots};
use crate::telemetry::Telemetry;
use crate::traces::Traces;

/// The server's parts, built once by `server::start` and shared by all requests.
#[derive(Debug)]
pub struct App {
    /// The validated configuration.
    pub config: Config,
    /// Time.
    pub clock: Clock,
    /// The collections.
    pub engine: Arc<Engine>,
    /// Execution slots: everything that computes runs here, JSON of large bodies included.
    pub slots: Arc<Slots<Worker>>,
    /// Client connections.
    pub connections: Arc<ConnectionPool>,
    /// Room for the bodies of requests.
    pub bodies: Arc<BodyBudget>,
    /// The route table, arranged for looking up.
    pub router: Router,
    /// Credentials.
    pub auth: Auth,
    /// Loading, ready, draining.
    pub lifecycle: Lifecycle,
    /// Who did what that an auditor asks about.
    pub audit: Audit,
    /// How much is logged.
    pub log_level: LogLevel,
    /// The web layer's metrics and the snapshot that joins them with the engine's.
    pub telemetry: Telemetry,
    /// How each part does.
    pub health: Health,
    /// The spans of sampled requests, on their way to a collector.
    pub traces: Traces,
}
