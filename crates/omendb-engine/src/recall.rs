//! Live recall: now and then a query is run again, exactly, by other code on the same snapshot, and compared.
//!
//! The draw is made before the query runs, by a token bucket, so that neither load nor the query's own cost decides
//! which queries are looked at. One sample is in hand at a time; what measuring it cost in CPU time, divided by the
//! share of CPU allowed, is how long the next draw waits. A collection waits longer, by the number of collections
//! that are being sampled, so that a busy one leaves draws to the others. A quarter of the share is for searches for
//! stored vectors ([`self_hit`]), which tell what a graph is like whatever the queries are.

mod class;
mod compare;
mod probe;
mod self_hit;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use omendb_distance::Distance;
use omendb_metrics::{Origin, Timestamp};

pub use class::{QueryClass, Selectivity};
pub(crate) use probe::{Probe, Ticket};
pub(crate) use self_hit::{SelfHit, look};
pub use window::{AccuracyReport, ClassAccuracy, WorstQuery};

use window::RecallWindow;

use crate::counted::Counted;
use crate::filter::Filter;
use crate::ledger::Charge;
use crate::state::State;
use crate::{Count, Plan, PointId};

/// What is known about the recall of one collection.
#[derive(Debug, Default)]
pub(crate) struct Accuracy {
    /// No draw before this time, in nanoseconds of the clock.
    next_draw: AtomicU64,
    counted: Arc<Counted>,
    window: Mutex<RecallWindow>,
    /// The recalls of the newest samples, oldest first, and the requests that they were for.
    latest: Mutex<VecDeque<(Origin, f64)>>,
}

/// Samples whose recall can still be asked for by request.
const LATEST: usize = 256;

/// A query that was drawn, with its answer and the version of the collection that it read.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) accuracy: Arc<Accuracy>,
    pub(crate) state: Arc<State>,
    /// How it was answered, and out of how many candidates if that was through a graph.
    pub(crate) plan: Plan,
    /// See `plan`.
    pub(crate) ef: Count,
    /// Who asked, where that is known.
    pub(crate) origin: Option<Origin>,
    pub(crate) column: usize,
    pub(crate) distance: Distance,
    /// As it was compared.
    pub(crate) query: Vec<f32>,
    pub(crate) excluded: Option<PointId>,
    /// Hits asked for, and best hits passed over first.
    pub(crate) limit: usize,
    /// See `limit`.
    pub(crate) offset: usize,
    pub(crate) score_threshold: Option<f32>,
    /// What hits had to pass.
    pub(crate) filter: Option<Arc<Filter>>,
    /// The ids of the hits.
    pub(crate) found: Vec<PointId>,
    pub(crate) _charge: Charge,
}

impl Accuracy {
    /// Of a collection whose samples are counted in `counted`.
    pub(crate) fn new(counted: Arc<Counted>) -> Self {
        Self {
            counted,
            ..Self::default()
        }
    }

    /// The recall of the last 15 minutes.
    pub(crate) fn report(&self, now: Timestamp) -> AccuracyReport {
        self.window().report(now)
    }

    /// Whether a sample was measured in the last 15 minutes.
    pub(crate) fn is_sampled(&self, now: Timestamp) -> bool {
        self.window().is_sampled(now)
    }

    /// The recall of the newest sample that was taken from a request, once it is measured.
    pub(crate) fn recall_of(&self, origin: &Origin) -> Option<f64> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut newest = latest.iter().rev();
        newest.find_map(|(of, recall)| (of == origin).then_some(*recall))
    }

    fn note_origin(&self, origin: Origin, recall: f64) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == LATEST {
            latest.pop_front();
        }
        latest.push_back((origin, recall));
    }

    fn window(&self) -> MutexGuard<'_, RecallWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
