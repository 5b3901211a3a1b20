//! Bringing a collection into memory: its snapshot, then its log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use omendb_storage::{CommitPool, Journal, JournalOptions, QueueLimits, Recovered, RecoveryReport, TornTail};

use crate::Error;
use crate::collection::commit::Commit;
use crate::collection::{Collection, CollectionStatus, Poison, Shared};
use crate::state::Store;

/// How far loading is, over all collections.
#[derive(Debug, Default)]
pub(crate) struct LoadCounts {
    pub(crate) loaded_bytes: AtomicU64,
    pub(crate) total_bytes: AtomicU64,
    pub(crate) loaded_collections: AtomicU64,
    /// What of `total_bytes` stands for the collection that is loaded next.
    expected_bytes: AtomicU64,
}

impl LoadCounts {
    /// The next collection is expected to take `bytes`, which are in the total already.
    pub(crate) fn expect(&self, bytes: u64) {
        self.expected_bytes.store(bytes, Relaxed);
    }

    /// Puts what a collection really takes, or nothing if it cannot be read, in the place of what was expected.
    pub(crate) fn correct(&self, bytes: u64) {
        let expected = self.expected_bytes.swap(0, Relaxed);
        self.total_bytes.fetch_add(bytes.wrapping_sub(expected), Relaxed);
    }
}

/// What loading one collection found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) points: u64,
    pub(crate) bytes: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) rewritten_bytes: u64,
}

impl Collection {
    /// Makes a new collection's log, durable on return, and opens it for writing.
    pub(crate) fn create(
        &self,
        directory: &Path,
        options: JournalOptions,
        pool: &CommitPool,
    ) -> Result<(), Error> {
        let journal = Journal::create(Arc::clone(&self.shared.services.fs), directory, options)?;
        // A collection is created or loaded once.
        let _ = self.directory.set(directory.to_owned());
        let store = Store::new(Arc::clone(&self.shared.published().layout), &self.shared.ledger);
        self.serve(Commit::new(&self.shared, store, journal), pool);
        Ok(())
    }

    /// Reads the collection and opens it for writing; on failure it stays closed to both, and says why.
    pub(crate) fn load(
        &self,
        directory: &Path,
        options: JournalOptions,
        pool: &CommitPool,
        counts: &LoadCounts,
    ) -> Result<Loaded, Error> {
        let loaded = self.read(directory, options, counts).map_err(|error| {
            let (name, kind) = (self.name(), error.kind());
            let error = Error::new(kind, format!("collection {name:?}: {error}"));
            self.shared.fail(error.clone());
            error
        });
        counts.loaded_collections.fetch_add(1, Relaxed);
        if loaded.is_err() {
            counts.correct(0);
        }
        let (commit, loaded) = loaded?;
        // A collection is created or loaded once.
        let _ = self.directory.set(directory.to_owned());
        // A crash may have come between the end of a vector and that of its file.
        self.remove_stray_graph_files();
        self.serve(commit, pool);
        Ok(loaded)
    }

    fn read(
        &self,
        directory: &Path,
        options: JournalOptions,
        counts: &LoadCounts,
    ) -> Result<(Commit, Loaded), Error> {
        let (journal, recovered) = Journal::open(Arc::clone(&self.shared.services.fs), directory, options)?;
        let Recovered {
            snapshot,
            mut log,
            report,
        } = recovered;
        let mut store = Store::new(Arc::clone(&self.shared.published().layout), &self.shared.ledger);
        let snapshot_bytes = snapshot.as_ref().map_or(0, |snapshot| snapshot.total_bytes());
        counts.correct(snapshot_bytes + log.total_bytes());
        let mut bytes = 0;
        if let Some(mut snapshot) = snapshot {
            while let Some(record) = snapshot.next_record()? {
                self.check_wanted()?;
                store.replay(record)?;
                advance(&mut bytes, snapshot.bytes_read(), counts);
            }
            self.shared.set_snapshot_bytes(snapshot_bytes);
        }
        let before_log = bytes;
        while let Some(record) = log.next_record()? {
            self.check_wanted()?;
            store.replay(record.bytes)?;
            advance(&mut bytes, before_log + log.bytes_read(), counts);
        }
        let RecoveryReport {
            last_sequence,
            torn_tail,
            rewritten_bytes,
            ..
        } = report;
        store.set_sequence(last_sequence);
        let torn_bytes = torn_tail.map_or(0, |TornTail { bytes, .. }| bytes);
        let loaded = Loaded {
            points: store.state().ids.len(),
            bytes,
            torn_bytes,
            rewritten_bytes,
        };
        self.shared.publish(store.state().clone());
        Ok((Commit::new(&self.shared, store, journal), loaded))
    }

    /// Reading is given up when the engine closes.
    fn check_wanted(&self) -> Result<(), Error> {
        match self.shared.status() {
            CollectionStatus::Closed => Err(self.is_gone()),
            CollectionStatus::Loading
            | CollectionStatus::Ready
            | CollectionStatus::Poisoned
            | CollectionStatus::Failed => Ok(()),
        }
    }

    fn serve(&self, mut commit: Commit, pool: &CommitPool) {
        let shared = Arc::clone(&self.shared);
        let queue = pool.queue(QueueLimits::default(), move |operations| {
            let _poisoning = PoisonedByPanic(&shared);
            commit.process(operations)
        });
        // A collection is created or loaded once.
        let _ = self.queue.set(queue);
        self.shared.set_status(CollectionStatus::Ready);
    }
}

/// Ends all writing when a commit panics: its queue closes, and health has to know.
struct PoisonedByPanic<'a>(&'a Shared);

impl Drop for PoisonedByPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.append.end();
            self.0.poison(Poison::Panic);
        }
    }
}

fn advance(bytes: &mut u64, now: u64, counts: &LoadCounts) {
    counts.loaded_bytes.fetch_add(now.saturating_sub(*bytes), Relaxed);
    *bytes = now;
}
