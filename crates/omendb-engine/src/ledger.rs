//! Who holds how much memory: every structure of a collection carries a charge that returns its bytes when it goes.
//!
//! The charge follows the structure, not the code path that made it, so what the ledger says a collection holds cannot
//! drift from what it holds: readers' old versions, queued writes and probes in flight are all in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use omendb_metrics::labels;

labels! {
    /// What memory is held for.
    pub enum Component("component") {
        /// Rows of vectors.
        Vectors = "vectors",
        /// The same rows in one byte an element, which searches read first.
        Codes = "codes",
        /// Encoded payloads.
        Payload = "payload",
        /// Ids, the map from ids to slots, and the chunks' own bookkeeping.
        Ids = "ids",
        /// The links of graph indexes.
        Graph = "graph",
        /// Indexes of payload keys.
        PayloadIndex = "payload_index",
        /// Inverted indexes of sparse vectors.
        SparseIndex = "sparse_index",
        /// Encoded writes that wait for the log.
        LogBuffers = "log_buffers",
        /// The query that the recall probe has in hand.
        Probe = "probe",
    }
}

/// The account of one collection.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    components: [AtomicU64; Component::ALL.len()],
    total: AtomicU64,
    peak: AtomicU64,
    retired: AtomicU64,
}

impl Ledger {
    /// Bytes held for `component`.
    pub(crate) fn component(&self, component: Component) -> u64 {
        self.components[component as usize].load(Relaxed)
    }

    /// Bytes held in all.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// The most bytes ever held at once.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    /// Bytes of superseded versions that a reader still holds.
    pub(crate) fn retired(&self) -> u64 {
        self.retired.load(Relaxed)
    }

    fn add(&self, component: Component, bytes: u64) {
        self.components[component as usize].fetch_add(bytes, Relaxed);
        let total = self.total.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(total, Relaxed);
    }

    fn subtract(&self, component: Component, bytes: u64) {
        self.components[component as usize].fetch_sub(bytes, Relaxed);
        self.total.fetch_sub(bytes, Relaxed);
    }
}

/// The bytes of one structure, on the account as long as the charge lives.
#[derive(Debug)]
pub(crate) struct Charge {
    ledger: Arc<Ledger>,
    bytes: u64,
    component: Component,
    /// Whether a newer version has taken this one's place, so that only readers keep it.
    is_retired: AtomicBool,
}

impl Charge {
    pub(crate) fn new(ledger: &Arc<Ledger>, component: Component, bytes: usize) -> Self {
        let bytes = bytes as u64;
        ledger.add(component, bytes);
        Self {
            ledger: Arc::clone(ledger),
            bytes,
            component,
            is_retired: AtomicBool::new(false),
        }
    }

    /// A charge of the same bytes for a copy that stands beside the original and does not replace it.
    pub(crate) fn duplicate(&self) -> Self {
        self.ledger.add(self.component, self.bytes);
        Self {
            ledger: Arc::clone(&self.ledger),
            bytes: self.bytes,
            component: self.component,
            is_retired: AtomicBool::new(false),
        }
    }

    /// The structure has left the current state; if a reader still holds it, its bytes count as retired until then.
    pub(crate) fn retire(&self) {
        if !self.is_retired.swap(true, Relaxed) {
            self.ledger.retired.fetch_add(self.bytes, Relaxed);
        }
    }
}

/// The copy that copy-on-write makes: it becomes current, and what it was copied from is retired.
impl Clone for Charge {
    fn clone(&self) -> Self {
        self.retire();
        self.duplicate()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.subtract(self.component, self.bytes);
        if *self.is_retired.get_mut() {
            self.ledger.retired.fetch_sub(self.bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superseded_version_is_retired_until_its_last_reader_leaves() {
        let ledger = Arc::new(Ledger::default());
        let mut current = Arc::new(Charge::new(&ledger, Component::Vectors, 100));
        let reader = Arc::clone(&current);
        Arc::make_mut(&mut current);
        assert_eq!((ledger.total(), ledger.retired(), ledger.peak()), (200, 100, 200));
        Arc::make_mut(&mut current);
        assert_eq!(
            (ledger.total(), ledger.retired()),
            (200, 100),
            "no copy without a reader"
        );
        drop(reader);
        assert_eq!((ledger.total(), ledger.retired(), ledger.peak()), (100, 0, 200));
        current.retire();
        current.retire();
        assert_eq!(ledger.retired(), 100);
        drop(current);
        assert_eq!(
            (
                ledger.total(),
                ledger.retired(),
                ledger.component(Component::Vectors)
            ),
            (0, 0, 0)
        );
    }
}
