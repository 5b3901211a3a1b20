//! What happens by itself: windows turn, sparse chunks are compacted, indexes and graphs follow, long logs become
//! snapshots.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use omendb_distance::Kernels;

use crate::chance::Chance;
use crate::engine::Engine;
use crate::recall;
use crate::search::Searcher;
use crate::worker::on_snapshot;

/// How often the threads look for work.
const INTERVAL: Duration = Duration::from_secs(1);

/// The background threads; dropping it ends them, after what they are doing.
#[derive(Debug)]
pub(crate) struct Housekeeping {
    /// Dropped to wake and end the threads.
    stops: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Housekeeping {
    pub(crate) fn start(engine: &Arc<Engine>) -> io::Result<Self> {
        let mut housekeeping = Self {
            stops: Vec::new(),
            threads: Vec::new(),
        };
        // Snapshots, indexes and graphs may take long, so they have threads of their own and keep no window from turning.
        housekeeping.repeat("housekeeping", engine, |engine| {
            engine.turn_windows();
            engine.compact();
        })?;
        housekeeping.repeat("indexes", engine, Engine::build_indexes)?;
        housekeeping.repeat("graphs", engine, Engine::build_graphs)?;
        housekeeping.repeat("snapshots", engine, Engine::write_snapshots)?;
        // Where there is no graph, a search may take as long as a scan of millions does.
        housekeeping.repeat("self-hits", engine, Engine::look_for_stored)?;
        // A disk that does not answer keeps nothing else waiting.
        housekeeping.repeat("disk", engine, Engine::look_at_disk)?;
        Ok(housekeeping)
    }

    /// Runs `work` every second until this is dropped or the engine is.
    fn repeat(&mut self, name: &str, engine: &Arc<Engine>, work: fn(&Engine)) -> io::Result<()> {
        let engine: Weak<Engine> = Arc::downgrade(engine);
        let (stop, stopped) = channel::<()>();
        let run = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout)
                && let Some(engine) = engine.upgrade()
            {
                work(&engine);
            }
        };
        self.stops.push(stop);
        self.threads
            .push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }
}

impl Drop for Housekeeping {
    fn drop(&mut self) {
        self.stops.clear();
        for thread in self.threads.drain(..) {
            // The last handle to the engine may be dropped on one of these threads, which cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                // It does not panic; if it did, there is nothing left to do for it.
                let _ = thread.join();
            }
        }
    }
}

impl Engine {
    /// Does once what the housekeeping threads do every second, and returns when it is done: for tests and
    /// simulations that own the time.
    pub fn tick(&self) {
        self.turn_windows();
        self.compact();
        self.build_indexes();
        self.build_graphs();
        self.write_snapshots();
        self.look_at_disk();
        self.look_for_stored();
    }

    fn turn_windows(&self) {
        let now = self.services.clock.now();
        self.turn_fsync_window(now);
        for series in self.series.series_now() {
            series
                .window
                .turn(now, series.queries.read().cells.duration.distribution());
        }
        let collections = self.collections();
        let sampled = collections
            .iter()
            .filter(|collection| collection.accuracy_probe().is_sampled(now))
            .count();
        self.services.probe.set_sampled_collections(sampled);
        for collection in collections {
            collection.shared().quality.turn(now);
        }
    }

    /// Searches one collection, each in its turn, for one of its vectors.
    fn look_for_stored(&self) {
        let collections = self.collections();
        let turn = self.self_hit_turn.fetch_add(1, Ordering::Relaxed);
        let Some(collection) = collections.get(turn % collections.len().max(1)) else {
            return;
        };
        self.services.probe.aside(|| {
            let mut chance = Chance::new(self.directory.random());
            let clock = self.services.clock.clone();
            let mut searcher = Searcher::new(Kernels::detected(), clock, chance.next());
            let looked = on_snapshot(collection, |subject| {
                Ok(recall::look(&mut searcher, &mut chance, subject))
            });
            if let Ok(Some(outcome)) = looked {
                collection.shared().series.counted.self_hit(outcome);
            }
        });
    }

    fn compact(&self) {
        self.collections()
            .iter()
            .for_each(|collection| collection.compact());
    }

    fn build_indexes(&self) {
        self.collections()
            .iter()
            .for_each(|collection| collection.build_indexes());
    }

    fn build_graphs(&self) {
        let threads = self.options.graph_threads;
        self.collections()
            .iter()
            .for_each(|collection| collection.build_graphs(threads));
    }

    fn write_snapshots(&self) {
        for collection in self.collections() {
            if collection.wants_snapshot(self.options.snapshot_log_bytes) {
                // Counted by outcome; the log stays and the next second tries again.
                let _ = collection.write_snapshot();
            }
        }
    }
}
