//! A collection as the server holds it: reads on snapshots, writes into the commit queue.

mod commit;
mod graphs;
mod info;
mod load;
mod ordered;
mod resolve;
mod rewrite;
mod shared;
mod snapshot;

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use omendb_metrics::{Origin, Series};
use omendb_storage::{CommitQueue, Refusal};

pub use info::{CollectionInfo, CollectionStatus};
pub(crate) use load::{LoadCounts, Loaded};
pub(crate) use resolve::Step;
pub(crate) use shared::{Poison, Services, Shared};

pub(crate) use graphs::FILE_PREFIX as GRAPH_FILE_PREFIX;
use graphs::GraphTurn;

use commit::{Op, OpResult, Outcome, PendingWrite};

use crate::count;
use crate::filter::select;
use crate::graph::Graphs;
use crate::ledger::{Charge, Component};
use crate::metrics::CollectionSeries;
use crate::numbering::Numbering;
use crate::payload_index::{Build, Indexes};
use crate::projection::Projection;
use crate::quality::Defect;
use crate::recall::{Accuracy, AccuracyReport};
use crate::sparse_index::{self, SparseIndexes};
use crate::state::{Layout, State};
use crate::{
    CollectionConfig, Error, ErrorKind, Filter, IndexInfo, PayloadSelector, PointId, Record, SearchStats,
    VectorSelector, WriteBatch, WriteOutcome, limits, validation,
};

/// A page of a scroll.
#[derive(Clone, Copy, Debug)]
pub struct ScrollPage<'a> {
    /// The id to begin at, itself included; the first without.
    pub offset: Option<PointId>,
    /// Most points to return.
    pub limit: usize,
    /// What they have to pass.
    pub filter: Option<&'a Filter>,
    /// Which part of each payload to return.
    pub with_payload: &'a PayloadSelector,
    /// Which vectors to return.
    pub with_vector: &'a VectorSelector,
}

/// A named set of points with the same vectors. Shared; every method may be called from any thread.
#[derive(Debug)]
pub struct Collection {
    name: String,
    shared: Arc<Shared>,
    /// Set once it is loaded.
    queue: OnceLock<CommitQueue<Op, OpResult>>,
    /// Held while a snapshot is being written.
    snapshot_turn: Mutex<()>,
    /// Held while indexes are built: the sequence number that the previous pass saw.
    index_turn: Mutex<Option<u64>>,
    /// Held while graphs are built.
    graph_turn: Mutex<GraphTurn>,
    /// Where its files are, once it is loaded.
    directory: OnceLock<PathBuf>,
}

impl Collection {
    /// A collection that is not loaded yet.
    pub(crate) fn new(
        name: &str,
        of: (&CollectionConfig, &Numbering),
        services: &Arc<Services>,
        series: Arc<Series<CollectionSeries>>,
    ) -> Self {
        let shared = Arc::new(Shared::new(of, services, series));
        let (queue, snapshot_turn) = (OnceLock::new(), Mutex::new(()));
        Self {
            name: name.to_owned(),
            shared,
            queue,
            snapshot_turn,
            index_turn: Mutex::default(),
            graph_turn: Mutex::default(),
            directory: OnceLock::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is configured at present. Who needs several facts asks once: the next call may return a newer version.
    pub fn config(&self) -> Arc<CollectionConfig> {
        self.shared.config()
    }

    /// What it holds right now.
    pub fn info(&self) -> CollectionInfo {
        CollectionInfo::of(&self.shared)
    }

    /// The recall of the sampled queries of the last 15 minutes.
    pub fn accuracy(&self) -> AccuracyReport {
        self.shared.accuracy.report(self.shared.services.clock.now())
    }

    /// The recall of the query that was sampled for a request, if it is among the newest samples and measured already.
    pub fn sampled_recall(&self, origin: &Origin) -> Option<f64> {
        self.shared.accuracy.recall_of(origin)
    }

    /// Checks a batch and queues it; returns at once. `done` is called once, on another thread, when the batch is
    /// durable and visible or has failed; it must not block. When this returns an error, `done` is dropped uncalled,
    /// as it is after a fault of ours that leaves the outcome unknown.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] naming the point and what is wrong with it; [`ErrorKind::Unavailable`] when loading,
    /// closed, poisoned or the queue is full; to `done` also [`ErrorKind::ResourceExhausted`] when the disk is full,
    /// and what a filter or a change of payloads comes to only in its turn: [`ErrorKind::NotFound`] for an id without a
    /// point, [`ErrorKind::Invalid`] when it is too much.
    pub fn submit(
        &self,
        batch: WriteBatch,
        done: Box<dyn FnOnce(Result<WriteOutcome, Error>) + Send>,
    ) -> Result<(), Error> {
        let queue = self.writable()?;
        let layout = Arc::clone(&self.shared.published().layout);
        self.shared.quality.look_at(&layout, &batch);
        let checked = validation::encode(&layout, batch)?;
        let validation::CheckedBatch { steps, points, bytes } = checked;
        let write = PendingWrite {
            _charge: Charge::new(&self.shared.ledger, Component::LogBuffers, bytes),
            steps,
            layout,
            points,
            submitted: self.shared.services.clock.now(),
        };
        let done = Box::new(|result: OpResult| done(result.and_then(Outcome::written)));
        queue
            .submit(Op::Write(write), bytes, done)
            .map_err(|rejected| self.refused(rejected.refusal))
    }

    /// Counts a vector that was refused before it could become part of a batch: one of its elements is no finite number.
    pub fn note_not_finite(&self) {
        self.shared.quality.note(Defect::NotFinite);
    }

    /// [`submit`](Self::submit), waiting for the outcome.
    ///
    /// # Errors
    /// As for `submit`, and [`ErrorKind::Internal`] after a fault of ours that leaves the outcome unknown.
    pub fn write(&self, batch: WriteBatch) -> Result<WriteOutcome, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // The receiver waits below for as long as the closure lives.
        let done = move |result| drop(sender.send(result));
        self.submit(batch, Box::new(done))?;
        receiver
            .recv()
            .unwrap_or_else(|_| Err(self.refused(Refusal::Abandoned)))
    }

    /// The points of these ids, in the order asked; ids that do not exist are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown vector name or too many ids; [`ErrorKind::Unavailable`] while loading.
    pub fn retrieve(
        &self,
        ids: &[PointId],
        with_payload: &PayloadSelector,
        with_vector: &VectorSelector,
    ) -> Result<Vec<Record>, Error> {
        check_page("ids", ids.len())?;
        let state = self.snapshot()?;
        let projection = Projection::new(&state.layout, with_payload, with_vector)?;
        let slots = ids.iter().filter_map(|id| state.ids.get(*id));
        slots
            .filter_map(|slot| projection.record(&state, slot).transpose())
            .collect()
    }

    /// Up to `limit` points in order of ids, from `offset` (itself included) or the first; and the id where the next
    /// page begins, `None` at the end.
    ///
    /// # Errors
    /// As for [`retrieve`](Self::retrieve).
    pub fn scroll(
        &self,
        offset: Option<PointId>,
        limit: usize,
        with_payload: &PayloadSelector,
        with_vector: &VectorSelector,
    ) -> Result<(Vec<Record>, Option<PointId>), Error> {
        let page = ScrollPage {
            offset,
            limit,
            filter: None,
            with_payload,
            with_vector,
        };
        self.scroll_page(&page, &mut SearchStats::default())
    }

    /// [`scroll`](Self::scroll) over the points that pass a filter. A scroll is no query: what it did is in `stats`, and
    /// in no figure.
    ///
    /// # Errors
    /// As for [`retrieve`](Self::retrieve), and [`ErrorKind::Invalid`] for a filter beyond its limits.
    pub fn scroll_page(
        &self,
        page: &ScrollPage<'_>,
        stats: &mut SearchStats,
    ) -> Result<(Vec<Record>, Option<PointId>), Error> {
        let clock = &self.shared.services.clock;
        check_page("limit", page.limit)?;
        page.filter.map_or(Ok(()), Filter::check)?;
        let state = self.snapshot()?;
        let projection = Projection::new(&state.layout, page.with_payload, page.with_vector)?;
        stats.sequence = state.sequence;
        let places = (page.offset, page.limit);
        let (slots, next) = select::page(&state, page.filter, places, (clock, stats));
        let begun = clock.now();
        let records = slots
            .into_iter()
            .filter_map(|slot| projection.record(&state, slot).transpose());
        let records = records.collect::<Result<Vec<_>, _>>()?;
        stats.hits = count::of(records.len() as u64);
        stats.gather_ns += clock.now().nanos_since(begun);
        Ok((records, next))
    }

    /// How many points there are.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while loading.
    pub fn count(&self) -> Result<u64, Error> {
        Ok(self.snapshot()?.ids.len())
    }

    /// How many points pass a filter.
    ///
    /// # Errors
    /// As for [`count`](Self::count), and [`ErrorKind::Invalid`] for a filter beyond its limits.
    pub fn count_matching(&self, filter: &Filter) -> Result<u64, Error> {
        self.count_passing(filter, &mut SearchStats::default())
    }

    /// [`count_matching`](Self::count_matching), with what it did in `stats`, and in no figure.
    ///
    /// # Errors
    /// As for `count_matching`.
    pub fn count_passing(&self, filter: &Filter, stats: &mut SearchStats) -> Result<u64, Error> {
        filter.check()?;
        let state = self.snapshot()?;
        stats.sequence = state.sequence;
        let work = (&self.shared.services.clock, stats);
        Ok(select::count(&state, &self.shared.indexes(), filter, work))
    }

    /// The newest published version, for as long as the caller holds it.
    pub(crate) fn snapshot(&self) -> Result<Arc<State>, Error> {
        match self.shared.status() {
            CollectionStatus::Ready | CollectionStatus::Poisoned => Ok(self.shared.published()),
            CollectionStatus::Loading => Err(self.is_loading()),
            CollectionStatus::Failed => Err(self.shared.failure()),
            CollectionStatus::Closed => Err(self.is_gone()),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn accuracy_probe(&self) -> &Arc<Accuracy> {
        &self.shared.accuracy
    }

    /// Moves the points of sparse chunks together, in steps between which writes have their turn.
    pub(crate) fn compact(&self) {
        while self.shared.has_sparse_chunks()
            && let Some(queue) = self.queue.get()
            && let Ok(Ok(Outcome::Compacted)) = queue.run(Op::Compact, 0)
        {}
    }

    /// The payload indexes, with how many points have a value of their kind.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while loading.
    pub fn indexes(&self) -> Result<Vec<IndexInfo>, Error> {
        self.shared.indexes().describe(&*self.snapshot()?)
    }

    /// Brings the indexes of payloads and of sparse vectors up to date with the present state, while reads and writes go on.
    pub(crate) fn build_indexes(&self) {
        let mut seen = self.index_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (Ok(state), indexes) = (self.snapshot(), self.shared.indexes()) else {
            return;
        };
        let build = Build {
            state: &state,
            ledger: &self.shared.ledger,
            is_quiet: *seen == Some(state.sequence),
        };
        *seen = Some(state.sequence);
        // The keys of a schema are paths, so there is nothing to report.
        let _ = build.run(&indexes, |newer| {
            self.shared.publish_indexes(newer.clone());
            self.shared.status() != CollectionStatus::Closed
        });
        let build = sparse_index::Build {
            state: &state,
            ledger: &self.shared.ledger,
            is_quiet: build.is_quiet,
        };
        build.run(&self.shared.sparse_indexes(), |newer| {
            self.shared.publish_sparse_indexes(newer.clone());
            self.shared.status() != CollectionStatus::Closed
        });
        // A vector may have gone meanwhile.
        let (indexes, layout) = (self.shared.sparse_indexes(), &self.shared.published().layout);
        if !indexes.is_only_of(layout) {
            self.shared.publish_sparse_indexes(indexes.retained(layout));
        }
    }

    /// Checks that it takes writes.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        self.writable().map(drop)
    }

    /// Gives the points the vectors of `config`, whose catalogue is durable: visible on return. What stood beside a vector
    /// that is gone is let go of.
    pub(crate) fn reshape(&self, config: CollectionConfig, numbering: &Numbering) -> Result<(), Error> {
        let queue = self.writable()?;
        let before = self.shared.published();
        let layout = Box::new(Layout::numbered(&config, numbering));
        // The configuration is durable, so a full queue must not keep it from taking effect.
        let reshaped = queue.run_unbounded(Op::Reshape(layout));
        reshaped.map_err(|refusal| self.refused(refusal))??;
        self.shared.set_config(config);
        self.shared
            .follow_layout((&before.layout, &self.shared.published().layout));
        self.remove_stray_graph_files();
        Ok(())
    }

    /// Takes nothing more, carries out what waits, and closes the log.
    pub(crate) fn close(&self) {
        self.stop();
        self.release();
    }

    /// [`close`](Self::close), keeping for the next start what need not be made again.
    pub(crate) fn close_and_save(&self) {
        self.stop();
        self.save_graphs();
        self.release();
    }

    fn stop(&self) {
        self.shared.set_status(CollectionStatus::Closed);
        if let Some(queue) = self.queue.get() {
            // Refused only when it was closed before.
            let _ = queue.run(Op::Close, 0);
            queue.close();
        }
    }

    /// Lets go of what stands beside the points, once those who work on it have noticed the status and given up.
    fn release(&self) {
        drop(self.index_turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.publish_indexes(Indexes::default());
        drop(self.graph_turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.publish_graphs(Graphs::default());
        self.shared.publish_sparse_indexes(SparseIndexes::default());
        drop(self.snapshot_turn.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn writable(&self) -> Result<&CommitQueue<Op, OpResult>, Error> {
        match self.shared.status() {
            CollectionStatus::Ready => self.queue.get().ok_or_else(|| self.is_loading()),
            CollectionStatus::Poisoned => Err(self.is_poisoned()),
            CollectionStatus::Loading => Err(self.is_loading()),
            CollectionStatus::Failed => Err(self.shared.failure()),
            CollectionStatus::Closed => Err(self.is_gone()),
        }
    }

    fn is_loading(&self) -> Error {
        Error::unavailable(format!("collection {:?} is being loaded", self.name))
    }

    pub(crate) fn is_poisoned(&self) -> Error {
        let (name, by) = (&self.name, self.shared.poisoned_by());
        let cause = match by {
            Poison::Sync => "a failed sync",
            Poison::Panic => "a fault of ours in a commit",
        };
        Error::unavailable(format!(
            "collection {name:?} takes no writes after {cause} until a restart"
        ))
    }

    fn is_gone(&self) -> Error {
        Error::not_found(format!("collection {:?} was deleted or closed", self.name))
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let name = &self.name;
        match refusal {
            Refusal::Full => Error::unavailable(format!("too many writes wait for collection {name:?}")),
            // The queue of a commit that panicked is closed.
            Refusal::Closed if self.shared.status() == CollectionStatus::Poisoned => self.is_poisoned(),
            Refusal::Closed => self.is_gone(),
            Refusal::Abandoned => {
                let message = format!("collection {name:?}: a fault leaves open what became of the write");
                Error::new(ErrorKind::Internal, message)
            }
        }
    }
}

fn check_page(field: &str, size: usize) -> Result<(), Error> {
    if size > limits::MAX_PAGE {
        return Err(Error::invalid(format!(
            "{field}: {size} points, more than {}",
            limits::MAX_PAGE
        )));
    }
    Ok(())
}
