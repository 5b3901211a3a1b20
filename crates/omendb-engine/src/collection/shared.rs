//! What a collection's readers and its commit turn share.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use omendb_metrics::{Clock, Series, Timestamp};
use omendb_storage::FileSystem;

use crate::activity::Activity;
use crate::collection::CollectionStatus;
use crate::graph::Graphs;
use crate::ledger::Ledger;
use crate::metrics::{CollectionSeries, LogMetrics};
use crate::numbering::Numbering;
use crate::payload_index::Indexes;
use crate::quality::Quality;
use crate::recall::{Accuracy, Probe};
use crate::sparse_index::SparseIndexes;
use crate::state::{Layout, State};
use crate::{CollectionConfig, Error};

/// What all collections of an engine use.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) clock: Clock,
    pub(crate) metrics: LogMetrics,
    pub(crate) probe: Probe,
    /// The snapshot that is being written.
    pub(crate) snapshot: Activity,
}

/// What can end all writing to a collection until a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poison {
    /// Nobody knows what the disk holds.
    Sync,
    /// A commit panicked, and nobody knows in what state that left the writer.
    Panic,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) services: Arc<Services>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) series: Arc<Series<CollectionSeries>>,
    pub(crate) accuracy: Arc<Accuracy>,
    pub(crate) quality: Quality,
    /// The newest configuration; as for the state.
    config: Mutex<Arc<CollectionConfig>>,
    /// The newest version; the lock is held for as long as it takes to copy or swap a pointer.
    published: Mutex<Arc<State>>,
    /// The newest indexes; as for the state.
    indexes: Mutex<Arc<Indexes>>,
    /// The newest graphs; as for the state.
    graphs: Mutex<Arc<Graphs>>,
    /// The newest indexes of sparse vectors; as for the state.
    sparse_indexes: Mutex<Arc<SparseIndexes>>,
    status: AtomicU8,
    failure: OnceLock<Error>,
    poisoned_by: OnceLock<Poison>,
    log_bytes: AtomicU64,
    snapshot_bytes: AtomicU64,
    next_snapshot: AtomicU64,
    /// Why the newest write could not be made durable, if it could not.
    refusal: Mutex<Option<Error>>,
    /// Why the newest snapshot failed, if it did.
    snapshot_failure: Mutex<Option<Error>>,
    /// The append that is under way.
    pub(crate) append: Activity,
    has_sparse_chunks: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        (config, numbering): (&CollectionConfig, &Numbering),
        services: &Arc<Services>,
        series: Arc<Series<CollectionSeries>>,
    ) -> Self {
        let layout = Arc::new(Layout::numbered(config, numbering));
        let ledger = Arc::new(Ledger::default());
        let empty = Arc::new(State::new(layout, &ledger));
        Self {
            services: Arc::clone(services),
            ledger,
            accuracy: Arc::new(Accuracy::new(Arc::clone(&series.counted))),
            quality: Quality::new(Arc::clone(&series.counted)),
            series,
            config: Mutex::new(Arc::new(config.clone())),
            published: Mutex::new(empty),
            indexes: Mutex::default(),
            graphs: Mutex::default(),
            sparse_indexes: Mutex::default(),
            status: AtomicU8::new(CollectionStatus::Loading as u8),
            failure: OnceLock::new(),
            log_bytes: AtomicU64::new(0),
            snapshot_bytes: AtomicU64::new(0),
            next_snapshot: AtomicU64::new(0),
            refusal: Mutex::default(),
            snapshot_failure: Mutex::default(),
            append: Activity::default(),
            poisoned_by: OnceLock::new(),
            has_sparse_chunks: AtomicBool::new(false),
        }
    }

    pub(crate) fn config(&self) -> Arc<CollectionConfig> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes `config` what operations go by that begin from now on.
    pub(crate) fn set_config(&self, config: CollectionConfig) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn published(&self) -> Arc<State> {
        Arc::clone(&self.lock())
    }

    /// Makes `state` what reads see from now on.
    pub(crate) fn publish(&self, state: State) {
        let previous = std::mem::replace(&mut *self.lock(), Arc::new(state));
        // Freed after the lock is.
        drop(previous);
    }

    pub(crate) fn indexes(&self) -> Arc<Indexes> {
        Arc::clone(&self.indexes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish_indexes(&self, indexes: Indexes) {
        let newer = Arc::new(indexes);
        let previous = {
            let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *indexes, newer)
        };
        // Freed after the lock is.
        drop(previous);
    }

    pub(crate) fn graphs(&self) -> Arc<Graphs> {
        Arc::clone(&self.graphs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish_graphs(&self, newer: Graphs) {
        self.change_graphs(|graphs| *graphs = newer);
    }

    /// Publishes what `change` makes of the newest graphs.
    pub(crate) fn change_graphs(&self, change: impl FnOnce(&mut Graphs)) {
        let previous = {
            let mut graphs = self.graphs.lock().unwrap_or_else(PoisonError::into_inner);
            let mut newer = Graphs::clone(&graphs);
            change(&mut newer);
            std::mem::replace(&mut *graphs, Arc::new(newer))
        };
        // Freed after the lock is.
        drop(previous);
    }

    pub(crate) fn sparse_indexes(&self) -> Arc<SparseIndexes> {
        let indexes = self.sparse_indexes.lock();
        Arc::clone(&indexes.unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish_sparse_indexes(&self, indexes: SparseIndexes) {
        let newer = Arc::new(indexes);
        let previous = {
            let indexes = self.sparse_indexes.lock();
            std::mem::replace(&mut *indexes.unwrap_or_else(PoisonError::into_inner), newer)
        };
        // Freed after the lock is.
        drop(previous);
    }

    /// Lets go of what stands beside the vectors that `to` does not have, or of all if slots have other numbers.
    pub(crate) fn follow_layout(&self, (from, to): (&Layout, &Layout)) {
        if from.chunk_slots != to.chunk_slots {
            self.publish_graphs(Graphs::default());
            self.publish_sparse_indexes(SparseIndexes::default());
            self.publish_indexes(Indexes::default());
            return;
        }
        self.change_graphs(|graphs| graphs.retain(|number, _| to.has_number(*number)));
        self.publish_sparse_indexes(self.sparse_indexes().retained(to));
    }

    /// Vectors of a state that are found through graphs.
    pub(crate) fn graph_vectors(&self, state: &State) -> u64 {
        let columns = state.layout.columns.iter().enumerate();
        let graphs = self.graphs();
        columns
            .filter_map(|(column, layout)| Some(graphs.get(&layout.number)?.covered_vectors(state, column)))
            .sum()
    }

    /// Nodes of graphs that no walk comes by.
    pub(crate) fn unreachable_nodes(&self) -> u64 {
        self.graphs().values().map(|graph| graph.unreachable()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<State>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> CollectionStatus {
        CollectionStatus::ALL[usize::from(self.status.load(Ordering::Acquire))]
    }

    /// Nothing leads out of `Closed`.
    pub(crate) fn set_status(&self, status: CollectionStatus) {
        let unless_closed = |now| (now != CollectionStatus::Closed as u8).then_some(status as u8);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        // An error means that it stays closed.
        let _ = self.status.fetch_update(set, fetch, unless_closed);
    }

    /// Why it could not be loaded.
    pub(crate) fn failure(&self) -> Error {
        self.failure
            .get()
            .cloned()
            .unwrap_or_else(|| Error::corrupt("the collection could not be loaded"))
    }

    /// Takes no more writes from now on.
    pub(crate) fn poison(&self, by: Poison) {
        // The first one is what there is to tell.
        let _ = self.poisoned_by.set(by);
        self.set_status(CollectionStatus::Poisoned);
    }

    /// What ended the writing.
    pub(crate) fn poisoned_by(&self) -> Poison {
        self.poisoned_by.get().copied().unwrap_or(Poison::Sync)
    }

    pub(crate) fn fail(&self, error: Error) {
        // Only loading fails, and it is done once.
        let _ = self.failure.set(error);
        self.set_status(CollectionStatus::Failed);
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_log_bytes(&self, bytes: u64) {
        self.log_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Size of the newest snapshot, zero before the first.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_snapshot_bytes(&self, bytes: u64) {
        self.snapshot_bytes.store(bytes, Ordering::Relaxed);
    }

    /// No snapshot before this time.
    pub(crate) fn next_snapshot(&self) -> Timestamp {
        Timestamp::from_nanos(self.next_snapshot.load(Ordering::Relaxed))
    }

    pub(crate) fn set_next_snapshot(&self, time: Timestamp) {
        self.next_snapshot.store(time.as_nanos(), Ordering::Relaxed);
    }

    /// Why the newest write could not be made durable; `None` if it was, or one would be now.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn is_refusing(&self) -> bool {
        self.refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    pub(crate) fn note_refusal(&self, refusal: Option<Error>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }

    /// Why the newest snapshot failed; `None` if it did not.
    pub(crate) fn snapshot_failure(&self) -> Option<Error> {
        let failure = self.snapshot_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note_snapshot(&self, failure: Option<Error>) {
        let noted = self.snapshot_failure.lock();
        *noted.unwrap_or_else(PoisonError::into_inner) = failure;
    }

    pub(crate) fn has_sparse_chunks(&self) -> bool {
        self.has_sparse_chunks.load(Ordering::Relaxed)
    }

    pub(crate) fn set_sparse_chunks(&self, has_some: bool) {
        self.has_sparse_chunks.store(has_some, Ordering::Relaxed);
    }
}
