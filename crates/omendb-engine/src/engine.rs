//! The engine: one data directory and the collections in it.

mod aliases;
mod collections;
mod directory;
mod health;
mod housekeeping;
mod load;
mod options;
mod report;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use omendb_metrics::{Blocks, OpenGroup};
use omendb_storage::{CommitPool, DirectoryLock};

pub use aliases::AliasChange;
pub use load::{LoadProgress, LoadReport};
pub use options::EngineOptions;
pub use report::describe_metrics;

use directory::DataDirectory;
use health::Vitals;
use housekeeping::Housekeeping;

use crate::activity::Activity;
use crate::catalog::Catalog;
use crate::collection::{LoadCounts, Services};
use crate::metrics::{BatchCells, CollectionSeries, LogMetrics};
use crate::recall::Probe;
use crate::{Collection, CollectionStatus, Error, ErrorKind, Worker};

/// One data directory and the collections in it.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    directory: DataDirectory,
    services: Arc<Services>,
    /// Locked for as long as a collection is created or deleted.
    catalog: Mutex<Catalog>,
    is_catalog_poisoned: AtomicBool,
    collections: RwLock<BTreeMap<String, Arc<Collection>>>,
    /// The collection each stands for, as in the catalogue.
    aliases: RwLock<BTreeMap<String, String>>,
    series: OpenGroup<CollectionSeries>,
    batches: Arc<Blocks<BatchCells>>,
    counts: LoadCounts,
    /// Held while collections are being loaded.
    load_turn: Mutex<()>,
    is_loaded: AtomicBool,
    is_closed: AtomicBool,
    vitals: Vitals,
    /// Counts the searches for stored vectors.
    self_hit_turn: AtomicUsize,
    housekeeping: Mutex<Option<Housekeeping>>,
    commits: CommitPool,
    lock: Mutex<Option<DirectoryLock>>,
}

impl Engine {
    /// Opens a data directory: takes its lock and reads the catalogue. Quick; data is read by [`load`](Self::load).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another process has the directory, [`ErrorKind::Corrupt`] when the catalogue is
    /// damaged or missing beside collections.
    pub fn open(options: EngineOptions) -> Result<Arc<Self>, Error> {
        let directory = DataDirectory::new(Arc::clone(&options.fs), &options.dir, options.seed);
        directory.create()?;
        let lock = DirectoryLock::acquire(&*options.fs, &options.dir)?;
        let catalog = directory.catalog()?;
        let cannot_start =
            |error| Error::new(ErrorKind::Internal, format!("could not start a thread: {error}"));
        let probe = Probe::start(options.clock.clone(), options.recall_cpu_share).map_err(cannot_start)?;
        let services = Arc::new(Services {
            fs: Arc::clone(&options.fs),
            clock: options.clock.clone(),
            metrics: LogMetrics::default(),
            probe,
            snapshot: Activity::default(),
        });
        let commits = CommitPool::start(options.commit_threads).map_err(cannot_start)?;
        let series = OpenGroup::new("db_id", options.max_series, options.clock.clone());
        let known = catalog.entries().iter();
        let collection = |(name, entry): (&String, &crate::catalog::CatalogEntry)| {
            let of = (&entry.config, &entry.numbering);
            let collection = Collection::new(name, of, &services, series.open(name));
            (name.clone(), Arc::new(collection))
        };
        let collections = known.map(collection).collect();
        let aliases = RwLock::new(catalog.aliases().clone());
        let engine = Arc::new(Self {
            directory,
            services: Arc::clone(&services),
            catalog: Mutex::new(catalog),
            is_catalog_poisoned: AtomicBool::new(false),
            collections: RwLock::new(collections),
            aliases,
            series,
            batches: Arc::default(),
            counts: LoadCounts::default(),
            load_turn: Mutex::default(),
            is_loaded: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            vitals: Vitals::default(),
            self_hit_turn: AtomicUsize::new(0),
            housekeeping: Mutex::new(None),
            commits,
            lock: Mutex::new(Some(lock)),
            options,
        });
        if engine.options.has_housekeeping {
            *lock_of(&engine.housekeeping) = Some(Housekeeping::start(&engine).map_err(cannot_start)?);
        }
        Ok(engine)
    }

    /// The collection of that name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] naming it.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, Error> {
        let found = self.read_collections().get(name).cloned();
        found.ok_or_else(|| no_collection(name))
    }

    /// All collections, in order of names.
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        self.read_collections().values().cloned().collect()
    }

    /// Memory that all collections hold, by their ledgers.
    pub fn memory_bytes(&self) -> u64 {
        let collections = self.read_collections();
        collections
            .values()
            .map(|collection| collection.shared().ledger.total())
            .sum()
    }

    /// A worker for one execution slot.
    pub fn worker(&self) -> Worker {
        Worker::new(&self.services, &self.batches, self.directory.random())
    }

    /// Takes no more writes, finishes those it took, stops the background threads and releases the directory.
    /// Idempotent.
    pub fn close(&self) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let housekeeping = lock_of(&self.housekeeping).take();
        // Before the threads end: a snapshot that is being written, or a collection that is being read, is given up when
        // its collection closes.
        let collections = self.collections();
        collections
            .iter()
            .for_each(|collection| collection.shared().set_status(CollectionStatus::Closed));
        // The directory is another process's after this, so nobody may be reading it any more.
        drop(lock_of(&self.load_turn));
        collections
            .iter()
            .for_each(|collection| collection.close_and_save());
        drop(housekeeping);
        self.services.probe.stop();
        drop(lock_of(&self.lock).take());
    }

    fn read_collections(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Collection>>> {
        self.collections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_collections(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Collection>>> {
        self.collections.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Error::unavailable("the engine is closed"));
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

/// There is no collection of that name: the words are those that clients of the dialect look for.
fn no_collection(name: &str) -> Error {
    Error::not_found(format!("Not found: Collection `{name}` doesn't exist!"))
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
