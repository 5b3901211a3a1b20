//! How well the engine's parts do, for `/health`: what was found, against limits that the operator chose.

use std::time::Duration;

/// A part of the engine that can do badly by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthComponent {
    /// Reading the collections at start.
    Recovery,
    /// Making writes durable.
    Log,
    /// Room on the disk.
    Disk,
    /// How long a sync takes.
    Fsync,
    /// The recall of the queries that were sampled.
    Recall,
    /// The sampling itself.
    Probe,
    /// Replacing long logs by snapshots.
    Snapshot,
}

impl HealthComponent {
    /// Every component, in order.
    pub const ALL: [Self; 7] = [
        Self::Recovery,
        Self::Log,
        Self::Disk,
        Self::Fsync,
        Self::Recall,
        Self::Probe,
        Self::Snapshot,
    ];
}

/// How well a component does, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// As it should.
    #[default]
    Healthy,
    /// Worse than it should; requests are served.
    Degraded,
    /// Reads or writes are not served, and would better go elsewhere.
    Unhealthy,
}

/// What was found about one component.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which.
    pub component: HealthComponent,
    /// How it does.
    pub state: HealthState,
    /// Why not better; `None` when healthy.
    pub reason: Option<String>,
    /// What was measured, if anything was: a share for recovery and recall, bytes for the disk, else seconds.
    pub value: Option<f64>,
    /// What `value` is held against.
    pub limit: Option<f64>,
    /// Whether the state rests on a measurement, which may come and go, rather than on a fact.
    pub is_measured: bool,
}

/// From where on a component does worse than it should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthLimits {
    /// Free bytes on the disk.
    pub min_disk_free: u64,
    /// 99th percentile of the syncs of the last minute.
    pub max_fsync: Duration,
    /// Mean recall of the sampled queries of the last 15 minutes.
    pub min_recall: f64,
    /// Fewer samples than these say nothing.
    pub recall_samples: u64,
    /// How long a commit, a snapshot, a sample of the recall probe or a look at the disk may make no step forward.
    pub stall_after: Duration,
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self {
            min_disk_free: 256 << 20,
            max_fsync: Duration::from_millis(100),
            min_recall: 0.95,
            recall_samples: 50,
            stall_after: Duration::from_secs(60),
        }
    }
}

/// The engine's state in an operator's terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineHealth {
    /// False when reads or writes cannot be served: data not loaded yet, or a log that takes no writes.
    pub is_healthy: bool,
    /// What is wrong, most severe first; also what is merely degraded, such as a full disk. Empty when all is well.
    pub degraded: Vec<String>,
    /// Whether all collections are loaded.
    pub is_loaded: bool,
    /// Collections that exist.
    pub collections: usize,
    /// Collections whose log takes no more writes until a restart.
    pub poisoned: usize,
    /// Collections whose files are damaged.
    pub failed: usize,
    /// One for each of [`HealthComponent::ALL`], in that order.
    pub findings: Vec<Finding>,
}
