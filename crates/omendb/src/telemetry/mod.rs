//! The web layer's metrics, the process's, and the one registry that joins them with the engine's.

mod allocator;
mod declared;
mod excerpt;
pub(crate) mod explanation;
pub mod history;
mod memory;
pub mod page;
mod pools;
mod process;
pub(crate) mod query_record;
pub(crate) mod query_report;
pub mod requests;
pub(crate) mod slow_queries;
pub mod stages;
pub(crate) mod tally;
pub(crate) mod timeline;
pub mod web;
mod windows;

pub use declared::declared;
pub(crate) use pools::PoolOccupancy;
pub(crate) use process::max_open_files;

use std::sync::Arc;

use hyper::body::Bytes;
use omendb_engine::Engine;
use omendb_metrics::{Clock, DeclarationError, Registry};
use tokio::sync::Semaphore;

use crate::auth::token_uses::TokenUses;
use crate::config::Config;
use crate::health::Monitor;
use crate::http::body_budget::BodyBudget;
use crate::http::identity::RequestIds;
use crate::telemetry::allocator::AllocatorFigures;
use crate::telemetry::history::History;
use crate::telemetry::memory::MemoryFigures;
use crate::telemetry::process::ProcessFigures;
use crate::telemetry::query_record::QueryRecord;
use crate::telemetry::requests::{Endpoint, RequestStats, Status};
use crate::telemetry::slow_queries::SlowQueries;
use crate::telemetry::web::WebMetrics;
use crate::telemetry::windows::RequestWindows;

/// Everything that is measured, and the registry that shows it.
#[derive(Debug)]
pub struct Telemetry {
    /// What the web layer counts.
    pub web: Arc<WebMetrics>,
    /// Every family of the server.
    pub registry: Registry,
    /// Key series of the last 24 hours.
    pub(crate) history: Arc<History>,
    pub(crate) windows: Arc<RequestWindows>,
    clock: Clock,
    /// Requests for data that somebody may want to look at.
    pub(crate) slow_queries: SlowQueries,
    /// Names of requests.
    pub(crate) request_ids: RequestIds,
    /// Taken while a page is rendered.
    renderings: Semaphore,
}

/// Whatever is measured outside of here.
pub(crate) struct Sources {
    pub(crate) web: Arc<WebMetrics>,
    pub(crate) token_uses: Arc<TokenUses>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) pools: PoolOccupancy,
    pub(crate) bodies: Arc<BodyBudget>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) history: History,
}

/// Pages rendered at the same time.
const MAX_RENDERINGS: usize = 4;

impl Telemetry {
    /// Joins what the engine, the web layer, the pools and the process have to say.
    ///
    /// # Errors
    /// When two families have one name: a mistake that every test would find.
    pub(crate) fn new(config: &Config, clock: Clock, sources: Sources) -> Result<Self, DeclarationError> {
        let Sources {
            web,
            token_uses,
            engine,
            pools,
            bodies,
            monitor,
            history,
        } = sources;
        let history = Arc::new(history);
        let windows = Arc::new(RequestWindows::new(clock.clone(), Arc::clone(&web)));
        let registry = Registry::new(
            clock.clone(),
            vec![
                Arc::clone(&engine) as _,
                Arc::clone(&web) as _,
                token_uses,
                Arc::clone(&windows) as _,
                monitor,
                Arc::new(pools),
                Arc::new(AllocatorFigures),
                Arc::new(ProcessFigures::new(clock.clone())),
                Arc::new(MemoryFigures { engine, bodies }),
                Arc::clone(&history) as _,
            ],
        )?;
        Ok(Self {
            web,
            registry,
            slow_queries: SlowQueries::new(
                clock.clone(),
                config.slow_query_threshold,
                config.slow_query_capacity.0,
            ),
            history,
            windows,
            request_ids: RequestIds::new(clock.wall() ^ u64::from(std::process::id()).rotate_left(40)),
            clock,
            renderings: Semaphore::new(MAX_RENDERINGS),
        })
    }

    /// Records one request: the only place where the facts of a request become metrics. Whether its latency is shown as
    /// an exemplar.
    pub fn record_request(&self, stats: &RequestStats) -> bool {
        let RequestStats {
            verb,
            endpoint,
            status,
            duration_nanos,
            request_bytes,
            response_bytes,
            origin,
        } = *stats;
        let endpoint = Endpoint(verb, endpoint);
        let labels = (endpoint, Status::of(status));
        self.web.requests.increment(labels);
        // What has no body has no series of its bytes either.
        if request_bytes > 0 {
            self.web.request_bytes.add(labels, request_bytes);
        }
        if response_bytes > 0 {
            self.web.response_bytes.add(labels, response_bytes);
        }
        let latency = self.web.request_latency.of(endpoint);
        latency.record(duration_nanos);
        origin.is_some_and(|origin| {
            let (clock, now) = (&self.clock, self.clock.now());
            latency.exemplars().offer(clock, now, duration_nanos, &origin)
        })
    }

    /// Records one request for data, once its answer is written.
    pub(crate) fn record_query(&self, record: &QueryRecord, body: &Bytes) {
        self.web.query_exchange.record(record.whole_nanos);
        for (stage, nanos) in record.stages.iter() {
            self.web.query_stages.of(stage).record(nanos);
        }
        self.slow_queries.offer(record, body);
    }

    /// Turns the windows; called every second.
    pub(crate) fn turn_windows(&self) {
        self.windows.turn();
    }

    /// Closes the slot of the history that has ended, if one has; takes a snapshot then.
    pub(crate) fn turn_history(&self) {
        self.history.turn(&self.registry);
    }
}
