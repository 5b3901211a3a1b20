//! Reading all collections, and saying how far that is.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use omendb_storage::Journal;

use crate::collection::Loaded;
use crate::engine::lock_of;
use crate::{Engine, Error};

/// How far [`Engine::load`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadProgress {
    /// Whether everything is loaded.
    pub is_ready: bool,
    /// Bytes of snapshots and logs read.
    pub loaded_bytes: u64,
    /// Bytes of snapshots and logs there are to read, as far as is known.
    pub total_bytes: u64,
    /// Collections dealt with.
    pub loaded_collections: u64,
    /// Collections in the catalogue.
    pub total_collections: u64,
}

impl LoadProgress {
    /// The share that is loaded, 0 to 100; 100 only when everything is.
    pub fn percent(&self) -> u8 {
        if self.is_ready {
            return 100;
        }
        let share = self.loaded_bytes as f64 / self.total_bytes.max(1) as f64;
        (share * 100.0).clamp(0.0, 99.0) as u8
    }
}

/// What [`Engine::load`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Collections loaded.
    pub collections: u64,
    /// Points in them.
    pub points: u64,
    /// Bytes of snapshots and logs read.
    pub bytes: u64,
    /// Bytes of torn log tails cut: writes that a crash interrupted before they were acknowledged.
    pub torn_bytes: u64,
    /// Bytes of log that were perhaps never synced, and were written again and synced before serving.
    pub rewritten_bytes: u64,
    /// Directories of deleted or never finished collections removed.
    pub orphans_removed: u64,
    /// Collections that could not be read, by name, and why. They answer with that error; the others serve.
    pub failed: Vec<(String, Error)>,
}

impl Engine {
    /// Reads all collections. Call once, on a thread that may take its time; until it returns, operations on
    /// collections not loaded yet answer [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable).
    ///
    /// A collection that cannot be read does not keep the others from serving: it is in the report, and in
    /// [`health`](Self::health).
    ///
    /// # Errors
    /// When orphaned directories can be neither listed nor removed, or the engine was closed meanwhile.
    pub fn load(&self) -> Result<LoadReport, Error> {
        let _turn = lock_of(&self.load_turn);
        self.check_open()?;
        let mut report = LoadReport::default();
        let collections: Vec<_> = {
            let catalog = lock_of(&self.catalog);
            let known: HashSet<_> = catalog.entries().values().map(|entry| entry.id).collect();
            report.orphans_removed = self.directory.remove_orphans(&known)?;
            let entries = catalog.entries().iter();
            entries
                .map(|(name, entry)| self.collection(name).map(|it| (it, entry.id)))
                .collect::<Result<_, _>>()?
        };
        // Measured before the first is read, so that progress is a share of all.
        let measured: Vec<_> = collections
            .into_iter()
            .map(|(collection, id)| {
                let directory = self.directory.collection(id);
                let bytes = Journal::measure(&*self.options.fs, &directory);
                self.counts.total_bytes.fetch_add(bytes, Ordering::Relaxed);
                (collection, directory, bytes)
            })
            .collect();
        for (collection, directory, bytes) in measured {
            self.check_open()?;
            self.counts.expect(bytes);
            let options = self.directory.journal_options(&self.options.clock);
            match collection.load(&directory, options, &self.commits, &self.counts) {
                Ok(Loaded {
                    points,
                    bytes,
                    torn_bytes,
                    rewritten_bytes,
                }) => {
                    report.collections += 1;
                    report.points += points;
                    report.bytes += bytes;
                    report.torn_bytes += torn_bytes;
                    report.rewritten_bytes += rewritten_bytes;
                }
                Err(error) => report.failed.push((collection.name().to_owned(), error)),
            }
        }
        self.check_open()?;
        self.is_loaded.store(true, Ordering::Release);
        Ok(report)
    }

    /// How far [`load`](Self::load) is.
    pub fn progress(&self) -> LoadProgress {
        LoadProgress {
            is_ready: self.is_loaded.load(Ordering::Acquire),
            loaded_bytes: self.counts.loaded_bytes.load(Ordering::Relaxed),
            total_bytes: self.counts.total_bytes.load(Ordering::Relaxed),
            loaded_collections: self.counts.loaded_collections.load(Ordering::Relaxed),
            total_collections: self.read_collections().len() as u64,
        }
    }
}
