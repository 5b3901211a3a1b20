//! What is counted of a collection by threads that own no block.
//!
//! It belongs to the collection's series, not to the collection: several collections beyond the limit share a series, and what they
//! have counted stays in it when one of them leaves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use omendb_metrics::{CounterValue, Family, Label};

use crate::metrics::{CollectionCounts, PlanCounts, SampleOutcome};
use crate::quality::Defect;
use crate::recall::{QueryClass, SelfHit};

/// The counts of one series.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    self_hits: [AtomicU64; SelfHit::ALL.len()],
    defects: [AtomicU64; Defect::ALL.len()],
    samples: [AtomicU64; SampleOutcome::ALL.len()],
    /// Queries that the recall probe has measured.
    measured: Mutex<BTreeMap<QueryClass, u64>>,
}

impl Counted {
    /// A stored vector was searched for.
    pub(crate) fn self_hit(&self, outcome: SelfHit) {
        self.self_hits[outcome as usize].fetch_add(1, Relaxed);
    }

    /// A vector was sent that has a defect.
    pub(crate) fn defect(&self, defect: Defect) {
        self.defects[defect as usize].fetch_add(1, Relaxed);
    }

    /// A query was drawn, and nothing came of it.
    pub(crate) fn skipped(&self) {
        self.samples[SampleOutcome::Skipped as usize].fetch_add(1, Relaxed);
    }

    /// A query was drawn and measured.
    pub(crate) fn measured(&self, class: QueryClass) {
        *self.classes().entry(class).or_default() += 1;
        self.samples[SampleOutcome::Measured as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> CollectionCounts {
        CollectionCounts {
            self_hits: family(SelfHit::ALL, &self.self_hits),
            defects: family(Defect::ALL, &self.defects),
            samples: family(SampleOutcome::ALL, &self.samples),
        }
    }

    /// `None` as long as nothing was measured.
    pub(crate) fn plan_counts(&self) -> Option<PlanCounts> {
        let classes = self.classes();
        let mut counts = PlanCounts::default();
        for (&QueryClass { plan, selectivity }, &count) in &*classes {
            *counts.samples.of_mut((plan, selectivity)) = count.into();
        }
        (!classes.is_empty()).then_some(counts)
    }

    fn classes(&self) -> MutexGuard<'_, BTreeMap<QueryClass, u64>> {
        // Nothing that could panic happens under it.
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn family<L: Label>(labels: &[L], counts: &[AtomicU64]) -> Family<L, CounterValue> {
    let mut family = Family::default();
    for (&label, count) in labels.iter().zip(counts) {
        *family.of_mut(label) = count.load(Relaxed).into();
    }
    family
}
