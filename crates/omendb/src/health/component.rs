//! The components of the server's health: what was found about each, and what is said of it.

use omendb_engine::{Finding, HealthComponent, HealthState};
use omendb_metrics::labels;
use serde::Serialize;

use crate::timestamp::UnixTime;

labels! {
    /// A part of the server that can do badly by itself.
    pub enum Component("component") {
        /// Reading the collections at start.
        Recovery = "recovery",
        /// Making writes durable.
        Log = "log",
        /// Room on the disk.
        Disk = "disk",
        /// How long a sync takes.
        Fsync = "fsync",
        /// The recall of the queries that were sampled.
        Recall = "recall",
        /// The sampling itself.
        Probe = "probe",
        /// Replacing long logs by snapshots.
        Snapshot = "snapshot",
        /// The queue in front of the execution slots.
        Queue = "queue",
        /// The queue of client connections.
        Connections = "connections",
        /// Who may do what.
        Credentials = "credentials",
        /// What is written down of administrative acts.
        Audit = "audit",
        /// Whether the server stays.
        Lifecycle = "lifecycle",
    }
}

impl Component {
    /// Whether it is the engine's, not the web layer's.
    pub fn is_engines(self) -> bool {
        match self {
            Self::Recovery
            | Self::Log
            | Self::Disk
            | Self::Fsync
            | Self::Recall
            | Self::Probe
            | Self::Snapshot => true,
            Self::Queue | Self::Connections | Self::Credentials | Self::Audit | Self::Lifecycle => false,
        }
    }
}

impl From<HealthComponent> for Component {
    fn from(component: HealthComponent) -> Self {
        match component {
            HealthComponent::Recovery => Self::Recovery,
            HealthComponent::Log => Self::Log,
            HealthComponent::Disk => Self::Disk,
            HealthComponent::Fsync => Self::Fsync,
            HealthComponent::Recall => Self::Recall,
            HealthComponent::Probe => Self::Probe,
            HealthComponent::Snapshot => Self::Snapshot,
        }
    }
}

/// What one look at a component found.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// How it does.
    pub state: HealthState,
    /// Why not better; `None` when healthy.
    pub reason: Option<String>,
    /// What was measured.
    pub value: Option<f64>,
    /// What `value` is held against.
    pub limit: Option<f64>,
    /// Whether the state rests on a measurement, which may come and go, rather than on a fact.
    pub is_measured: bool,
}

impl Observation {
    /// Nothing to say.
    pub fn healthy() -> Self {
        Self {
            state: HealthState::Healthy,
            reason: None,
            value: None,
            limit: None,
            is_measured: true,
        }
    }

    /// A fact.
    pub fn fact(state: HealthState, reason: String) -> Self {
        Self {
            state,
            reason: Some(reason),
            is_measured: false,
            ..Self::healthy()
        }
    }
}

impl From<Finding> for Observation {
    fn from(finding: Finding) -> Self {
        let Finding {
            component: _,
            state,
            reason,
            value,
            limit,
            is_measured,
        } = finding;
        Self {
            state,
            reason,
            value,
            limit,
            is_measured,
        }
    }
}

/// What is said of a component: one element of `components` in `/health`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Its name, as the label of its metric.
    pub name: &'static str,
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: &'static str,
    /// Why not healthy.
    pub reason: Option<String>,
    /// Since when it has had this status.
    pub since: UnixTime,
    /// What was measured last: a share for recovery and recall, bytes for the disk, places for queues, else seconds.
    pub value: Option<f64>,
    /// What `value` is held against.
    pub limit: Option<f64>,
}

/// The name of a state.
pub(super) fn status(state: HealthState) -> &'static str {
    match state {
        HealthState::Healthy => "healthy",
        HealthState::Degraded => "degraded",
        HealthState::Unhealthy => "unhealthy",
    }
}
