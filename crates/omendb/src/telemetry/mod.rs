//! The web layer's metrics, the process's, and the one registry that joins them with the engine's.

mod allocator;
mod declared;
mod excerpt;
pub(crate) mod explanation;
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
pub mod web;
mod windows;

pub use declared::declared;
pub(crate) use process::max_open_files;

use std::sync::Arc;

use hyper::body::Bytes;
use omendb_engine::{Engine, Worker};
use omendb_metrics::{Clock, DeclarationError, Registry};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::http::identity::RequestIds;
use crate::pool::{ConnectionPool, Slots};
use crate::telemetry::allocator::AllocatorFigures;
use crate::telemetry::memory::MemoryFigures;
use crate::telemetry::pools::PoolOccupancy;
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
    windows: Arc<RequestWindows>,
    clock: Clock,
    /// Requests for data that somebody may want to look at.
    pub(crate) slow_queries: SlowQueries,
    /// Names of requests.
    pub(crate) request_ids: RequestIds,
    /// Taken while a page is rendered.
    renderings: Semaphore,
}

/// Pages rendered at the same time.
const MAX_RENDERINGS: usize = 4;

impl Telemetry {
    /// Joins what the engine, the web layer, the pools and the process have to say.
    ///
    /// # Errors
    /// When two families have one name: a mistake that every test would find.
    pub fn new(
        config: &Config,
        clock: Clock,
        web: Arc<WebMetrics>,
        engine: Arc<Engine>,
        (slots, connections): (Arc<Slots<Worker>>, Arc<ConnectionPool>),
    ) -> Result<Self, DeclarationError> {
        let windows = Arc::new(RequestWindows::new(clock.clone(), Arc::clone(&web)));
        let registry = Registry::new(
            clock.clone(),
            vec![
                Arc::clone(&engine) as _,
                Arc::clone(&web) as _,
                Arc::clone(&windows) as _,
                Arc::new(PoolOccupancy { slots, connections }),
                Arc::new(AllocatorFigures),
                Arc::new(ProcessFigures),
                Arc::new(MemoryFigures { engine }),
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
        self.web.requests.increment((endpoint, Status::of(status)));
        let latency = self.web.request_latency.of(endpoint);
        latency.record(duration_nanos);
        self.web.request_bytes.add(request_bytes);
        self.web.response_bytes.add(response_bytes);
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
}
