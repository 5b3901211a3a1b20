//! Metric cells, histograms, families, snapshots and their exposition: what a measurement is and how it leaves the
//! process.
//!
//! A metric is declared once, as a typed field whose doc comment is its HELP ([`metrics!`]); its labels are closed
//! sets ([`labels!`]) and at most one open label with a bounded number of values ([`OpenGroup`]). Everything that has
//! metrics implements [`Collect`]; `main` puts the collectors into a [`Registry`], which takes one [`Snapshot`] per
//! scrape and renders it as text, OpenMetrics, JSON or protocol buffers.
//!
//! | written by | counter | histogram | gauge |
//! |---|---|---|---|
//! | one worker, in its block ([`Blocks`]) | [`Cell`] | [`HistogramCells`], [`SparseHistogramCells`] | |
//! | any thread | [`Counter`], [`Counters`] by labels | [`Histogram`] | [`Gauge`], [`FloatGauge`] |
//! | computed for a scrape | [`CounterValue`] | [`HistogramValue`] | [`GaugeValue`] |
//!
//! [`Family`] makes any of them (but [`Counter`]) a family by labels. Times are nanoseconds from a [`Clock`];
//! histograms of durations record nanoseconds and show seconds. [`LatencyWindow`] gives the quantiles of the last
//! minute.
//!
//! # Example
//! An engine whose workers count per collection, and a server that counts its logins:
//! ```
//! use std::sync::Arc;
//! use omendb_metrics::{
//!     Blocks, Catalogue, Cell, Clock, Collect, Counters, DeclarationError, Family, GaugeValue, HistogramCells,
//!     LatencyWindow, OpenGroup, Registry, Selection, Snapshot, Timestamp, WorkerBlocks, labels, metrics,
//! };
//!
//! labels! {
//!     /// Why a query failed.
//!     pub enum Failure("kind") { Invalid = "invalid", Internal = "internal" }
//! }
//! metrics! {
//!     /// What a worker counts for one collection.
//!     pub block QueryCells by "db_id" {
//!         /// Queries answered.
//!         pub queries: Cell = "omendb_engine_queries_total",
//!         /// Queries that failed.
//!         pub errors: Family<Failure, Cell> = "omendb_engine_query_errors_total",
//!         /// Time from admission granted to hits ready.
//!         pub latency: HistogramCells = "omendb_query_duration_seconds",
//!     }
//! }
//! metrics! {
//!     /// The last minute of one collection.
//!     pub struct QueryWindow by "db_id" {
//!         /// 95 % of the queries of the last minute took at most this; absent without queries.
//!         pub p95: GaugeValue = "omendb_engine_query_latency_p95_seconds",
//!     }
//! }
//!
//! /// What a collection owns of its metrics.
//! pub struct CollectionMetrics { queries: Arc<Blocks<QueryCells>>, window: LatencyWindow }
//!
//! impl Default for CollectionMetrics {
//!     fn default() -> Self {
//!         let window = LatencyWindow::empty::<omendb_metrics::Latency>();
//!         Self { queries: Arc::default(), window }
//!     }
//! }
//!
//! pub struct EngineMetrics { clock: Clock, collections: OpenGroup<CollectionMetrics> }
//!
//! impl EngineMetrics {
//!     /// Called every second by the housekeeping thread.
//!     fn tick(&self) {
//!         for series in self.collections.series_now() {
//!             series.window.turn(self.clock.now(), series.queries.read().latency.distribution());
//!         }
//!     }
//! }
//!
//! impl Collect for EngineMetrics {
//!     fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
//!         catalogue.open_group::<QueryCells>(self.collections.cardinality())?;
//!         catalogue.open_group::<QueryWindow>(self.collections.cardinality())
//!     }
//!
//!     fn collect(&self, out: &mut Snapshot) {
//!         self.collections.collect(out, |series, out| {
//!             let total = out.blocks(&series.queries);
//!             let figures = series.window.figures(self.clock.now(), &total.latency.distribution());
//!             out.reading(&QueryWindow { p95: figures.map(|figures| figures.p95).into() });
//!             out.memory(series.window.heap_bytes());
//!         });
//!     }
//! }
//!
//! labels! {
//!     /// How a login ended.
//!     pub enum Login("status") { Success = "success", Failure = "failure" }
//! }
//! metrics! {
//!     /// What the server counts.
//!     pub struct WebMetrics {
//!         /// Logins, by outcome.
//!         pub logins: Counters<Login> = "omendb_auth_requests_total",
//!     }
//! }
//!
//! # fn main() -> Result<(), DeclarationError> {
//! let clock = Clock::system();
//! let engine = Arc::new(EngineMetrics { clock: clock.clone(), collections: OpenGroup::new("db_id", 1_000, clock.clone()) });
//! let web = Arc::new(WebMetrics::default());
//! let registry = Registry::new(clock.clone(), vec![engine.clone(), web.clone()])?;
//!
//! let collection = engine.collections.open("main");
//! // A worker keeps one block per collection it has met, and finds it again by comparing one address.
//! let mut worker = WorkerBlocks::<QueryCells>::default();
//! let start = clock.now();
//! // ... the query ...
//! let cells = worker.of(&collection.queries);
//! cells.queries.increment();
//! cells.latency.record(clock.now().nanos_since(start));
//! web.logins.increment(Login::Success);
//! engine.tick();
//!
//! let page = registry.scrape(Selection::default(), Snapshot::to_text);
//! assert!(page.contains("omendb_engine_queries_total{db_id=\"main\"} 1\n"));
//! assert!(page.contains("omendb_engine_query_errors_total{db_id=\"main\",kind=\"invalid\"} 0\n"));
//! assert!(page.contains("omendb_auth_requests_total{status=\"failure\"} 0\n"));
//! # Ok(())
//! # }
//! ```

mod blocks;
mod catalogue;
mod cell;
mod clock;
mod counter;
mod declare;
mod descriptor;
mod distribution;
mod encode;
mod escape;
mod exemplar;
mod family;
mod gauge;
mod grid;
mod histogram;
mod json;
mod label;
mod negotiate;
mod number;
mod open;
mod protobuf;
mod reading;
mod redact;
mod registry;
mod sample;
mod selection;
mod shard;
mod snapshot;
mod sync;
mod text;
mod window;
mod wire;

pub use blocks::{Blocks, Fold, WorkerBlock, WorkerBlocks};
pub use catalogue::{Catalogue, DeclarationError, FamilyInfo};
pub use cell::Cell;
pub use clock::{Clock, ManualTime, Timestamp};
pub use counter::{Counter, Counters};
pub use declare::Group;
pub use descriptor::{Descriptor, Kind, Stability};
pub use distribution::Distribution;
pub use encode::gzip;
pub use exemplar::{Exemplars, Origin};
pub use family::Family;
pub use gauge::{FloatGauge, Gauge, GaugeHold};
pub use grid::{Grid, GridSpec, Latency, Size};
pub use histogram::{Histogram, HistogramCells, SparseHistogramCells};
pub use label::{Label, LabelSet, Pieces};
pub use negotiate::{Format, accepts_gzip};
pub use open::{Drops, OVERFLOW, OpenGroup, OpenValue, REDACTED, Series};
pub use reading::{CounterValue, GaugeValue, HistogramValue, Instrument, Metric, Reading};
pub use redact::{is_secret_key, looks_secret, redacted};
pub use registry::{DropReason, Registry};
pub use selection::Selection;
pub use snapshot::{Collect, GroupWriter, PieceId, Samples, Snapshot, Writer};
pub use window::{LatencyWindow, MeanWindow, SLOT_NANOS, SLOTS, WindowFigures};
