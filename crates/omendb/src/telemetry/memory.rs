//! Where the process's memory is: what the ledgers of collections and the metrics account for, what the system says of
//! the rest, and what nobody accounts for.

use std::sync::Arc;

use omendb_engine::Engine;
use omendb_metrics::{Catalogue, Collect, DeclarationError, Family, GaugeValue, Snapshot, labels, metrics};

use crate::http::body_budget::BodyBudget;
use crate::telemetry::allocator::Heap;
use crate::telemetry::process::ResidentMemory;

labels! {
    /// What physical memory is used for.
    pub(crate) enum Part("part") {
        /// What the ledgers of all collections hold.
        Collections = "collections",
        /// Cells, histograms and windows of the metrics.
        Metrics = "metrics",
        /// Bodies of requests that are being read or worked on.
        Bodies = "bodies",
        /// Pages of files: the program itself and its libraries.
        Code = "code",
        /// Pages that no live allocation is in: free heap that was not given back to the system, and stacks.
        Free = "free",
        /// The rest: the allocator's own headers, buffers of connections, and what nobody keeps an account of.
        Unattributed = "unattributed",
    }
}

metrics! {
    /// The physical memory of the process, divided up.
    pub(crate) struct MemoryMetrics {
        /// Physical memory of the process, by what it is used for; the parts add up to the whole.
        ///
        /// When the process is larger than its collections: `free` is what fragmentation costs, and `unattributed` above
        /// a twentieth of the whole means that something holds memory that no ledger knows of.
        parts: Family<Part, GaugeValue> = "omendb_memory_bytes",
        /// The most physical memory the process has had at once.
        ///
        /// When sizing a memory limit, and after the process was killed for want of memory and started again.
        peak: GaugeValue = "omendb_memory_peak_bytes",
    }
}

/// Asks everybody who keeps an account, at every scrape. Collected last, so that the metrics have been counted.
#[derive(Debug)]
pub(crate) struct MemoryFigures {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bodies: Arc<BodyBudget>,
}

impl Collect for MemoryFigures {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<MemoryMetrics>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let accounts = Accounts {
            collections: self.engine.memory_bytes(),
            metrics: out.memory_bytes() as u64,
            bodies: self.bodies.held(),
            heap: Heap::read(),
        };
        let resident = ResidentMemory::read();
        let figures = MemoryMetrics {
            parts: resident.map_or_else(Family::default, |resident| accounts.parts(resident)),
            peak: resident.map(|resident| resident.peak).into(),
        };
        out.plain().reading(&figures);
    }
}

/// What there is an account of, in bytes.
#[derive(Debug, Clone, Copy)]
struct Accounts {
    collections: u64,
    metrics: u64,
    bodies: u64,
    heap: Option<Heap>,
}

impl Accounts {
    fn parts(self, resident: ResidentMemory) -> Family<Part, GaugeValue> {
        let Self {
            collections,
            metrics,
            bodies,
            heap,
        } = self;
        let ResidentMemory {
            anonymous,
            file,
            peak: _,
        } = resident;
        // The allocator does not say which of its free pages the system still keeps: those that are left over when
        // live allocations have theirs.
        let free = heap.map_or(0, |heap| {
            anonymous
                .saturating_sub(heap.allocated as u64)
                .min(heap.free as u64)
        });
        let known = collections + metrics + bodies + file + free;
        let mut parts = Family::default();
        for (part, bytes) in [
            (Part::Collections, collections),
            (Part::Metrics, metrics),
            (Part::Bodies, bodies),
            (Part::Code, file),
            (Part::Free, free),
            // Pages that were allocated and never written are in a ledger and not in memory.
            (Part::Unattributed, (anonymous + file).saturating_sub(known)),
        ] {
            *parts.of_mut(part) = bytes.into();
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_what_is_resident() {
        let heap = |allocated, free| Some(Heap { allocated, free });
        let resident = ResidentMemory {
            anonymous: 150,
            file: 10,
            peak: 200,
        };
        let check = |heap, free, unattributed| {
            let accounts = Accounts {
                collections: 100,
                metrics: 1,
                bodies: 2,
                heap,
            };
            let parts = accounts.parts(resident);
            let bytes: Vec<_> = Part::ALL.iter().map(|&part| parts.of(part).get()).collect();
            let expected = [100.0, 1.0, 2.0, 10.0, free, unattributed];
            assert_eq!(bytes, expected.map(Some), "{heap:?}");
            assert_eq!(expected.iter().sum::<f64>(), 160.0);
        };
        check(heap(110, 60), 40.0, 7.0);
        check(heap(110, 25), 25.0, 22.0);
        check(heap(160, 60), 0.0, 47.0);
        check(None, 0.0, 47.0);
    }
}
