//! How an engine is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use omendb_metrics::Clock;
use omendb_storage::{FileSystem, RealFs};

use crate::{HealthLimits, limits};

/// How an engine is opened: where, on which disk and clock, and how much of what.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The data directory; created when missing.
    pub dir: PathBuf,
    /// The disk, real or simulated.
    pub fs: Arc<dyn FileSystem>,
    /// The time.
    pub clock: Clock,
    /// Chance, unpredictable to clients: names of directories, marks of files and random samples of
    /// points are derived from it.
    pub seed: u64,
    /// Threads that carry out commits, over all collections. They mostly wait for the disk.
    pub commit_threads: usize,
    /// A collection's log is replaced by a snapshot when it has more bytes than this, and than its last snapshot.
    pub snapshot_log_bytes: u64,
    /// Threads that build a graph.
    pub graph_threads: usize,
    /// CPU seconds per second that the recall probe may take; zero turns it off.
    pub recall_cpu_share: f64,
    /// From where on a component is not healthy.
    pub health: HealthLimits,
    /// Most collections with metric series of their own; the rest share one.
    pub max_series: usize,
    /// Whether threads of the engine turn windows, compact and write snapshots. Without, [`Engine::tick`] does.
    ///
    /// [`Engine::tick`]: crate::Engine::tick
    pub has_housekeeping: bool,
}

impl EngineOptions {
    /// The defaults, on the real disk and clock. `seed` should be unpredictable.
    pub fn new(dir: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            dir: dir.into(),
            fs: Arc::new(RealFs::default()),
            clock: Clock::system(),
            seed,
            commit_threads: 4,
            snapshot_log_bytes: 64 << 20,
            graph_threads: thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).max(1)),
            recall_cpu_share: 0.003,
            health: HealthLimits::default(),
            max_series: limits::DEFAULT_MAX_SERIES,
            has_housekeeping: true,
        }
    }
}
