//! One execution slot's hands: the buffers and metric cells of the thread that runs searches.

mod grouped;

pub(crate) use grouped::on_snapshot;

use std::sync::Arc;

use omendb_distance::Kernels;
use omendb_metrics::{Blocks, Origin, Timestamp, WorkerBlock, WorkerBlocks};

use crate::collection::Services;
use crate::ledger::{Charge, Component};
use crate::metrics::{QueryBlock, QueryError, Stage, StageCells};
use crate::recall::{Sample, Ticket};
use crate::search::{Searcher, Subject};
use crate::state::State;
use crate::{Collection, Error, Query, SearchRequest, SearchResponse, SearchStats, limits};

/// Runs searches. One per execution slot, used by one thread at a time: its metric cells have a single writer.
#[derive(Debug)]
pub struct Worker {
    services: Arc<Services>,
    blocks: WorkerBlocks<QueryBlock>,
    stages: WorkerBlock<StageCells>,
    searcher: Searcher,
    /// Who asked for the next search.
    origin: Option<Origin>,
}

impl Worker {
    /// `seed` decides what chance brings.
    pub(crate) fn new(services: &Arc<Services>, stages: &Arc<Blocks<StageCells>>, seed: u64) -> Self {
        Self {
            services: Arc::clone(services),
            blocks: WorkerBlocks::default(),
            stages: Blocks::register(stages),
            searcher: Searcher::new(Kernels::detected(), services.clock.clone(), seed),
            origin: None,
        }
    }

    /// Says which request the next search is for, so that its duration can be traced back to it.
    pub fn serve(&mut self, origin: Option<Origin>) {
        self.origin = origin;
    }

    /// Searches `collection` on its newest snapshot and records what it took.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a wrong vector name, dimension, element or limit;
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown point to search near, or when the
    /// collection is gone; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while it is loading.
    pub fn search(
        &mut self,
        collection: &Collection,
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        self.search_since(self.services.clock.now(), collection, request)
    }

    /// [`search`](Self::search) for a query that was admitted at `granted`: its recorded duration begins there.
    ///
    /// # Errors
    /// As for `search`.
    pub fn search_since(
        &mut self,
        granted: Timestamp,
        collection: &Collection,
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let snapshot = collection.snapshot();
        self.search_on(&snapshot, (granted, collection), request)
    }

    /// Carries out several searches on one snapshot, in order.
    ///
    /// # Errors
    /// As for [`search`](Self::search) if one of them fails, and for more than
    /// [`MAX_BATCH_SEARCHES`](limits::MAX_BATCH_SEARCHES).
    pub fn search_batch(
        &mut self,
        collection: &Collection,
        requests: &[SearchRequest],
    ) -> Result<Vec<SearchResponse>, Error> {
        let (count, most) = (requests.len(), limits::MAX_BATCH_SEARCHES);
        if count > most {
            return Err(Error::invalid(format!(
                "searches: {count} of them, more than {most}"
            )));
        }
        self.stages.batch_queries.record(count as u64);
        let snapshot = collection.snapshot();
        let search = |request| {
            let granted = self.services.clock.now();
            self.search_on(&snapshot, (granted, collection), request)
        };
        requests.iter().map(search).collect()
    }

    fn search_on(
        &mut self,
        snapshot: &Result<Arc<State>, Error>,
        (granted, collection): (Timestamp, &Collection),
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let now = self.services.clock.now();
        let probe = &self.services.probe;
        // What is not the nearest to one dense vector has no recall to measure.
        let mut sparse = collection.shared().layout.sparse.iter();
        let is_drawn = request.is_plain() && !sparse.any(|column| column.name == request.using);
        let ticket = is_drawn
            .then(|| probe.draw(collection.accuracy_probe(), now))
            .flatten();
        let origin = self.origin;
        let searched = snapshot.clone().and_then(|state| {
            let (indexes, graphs) = (collection.shared().indexes(), collection.shared().graphs());
            let sparse = collection.shared().sparse_indexes();
            let config = collection.config();
            let subject = Subject {
                config: &config,
                state: &state,
                indexes: &indexes,
                graphs: &graphs,
                sparse: &sparse,
            };
            let response = self.searcher.search(subject, request)?;
            Ok((state, response))
        });
        let (state, response) =
            self.recorded((granted, collection), searched, |(_, response)| &response.stats)?;
        if let Some(ticket) = ticket {
            self.sample(ticket, collection, (state, origin), (request, &response));
        }
        Ok(response)
    }

    /// Counts a search, and what it took if it found something.
    fn recorded<T>(
        &mut self,
        (granted, collection): (Timestamp, &Collection),
        searched: Result<T, Error>,
        stats: impl FnOnce(&T) -> &SearchStats,
    ) -> Result<T, Error> {
        let series = &collection.shared().series;
        let origin = self.origin.take();
        let block = self.blocks.of(&series.queries);
        block.cells.queries.increment();
        match &searched {
            Err(error) => block.cells.errors.of(QueryError::from(error.kind())).increment(),
            Ok(response) => {
                let clock = &self.services.clock;
                let now = clock.now();
                let duration_ns = now.nanos_since(granted);
                record(block, &self.stages, stats(response), duration_ns);
                if let Some(origin) = origin {
                    series.exemplars.offer(clock, now, duration_ns, &origin);
                }
            }
        }
        searched
    }

    #[cold]
    fn sample(
        &self,
        ticket: Ticket,
        collection: &Collection,
        (state, origin): (Arc<State>, Option<Origin>),
        (request, response): (&SearchRequest, &SearchResponse),
    ) {
        // The search has just accepted this name.
        let Ok((column, vector)) = collection.config().vector(&request.using) else {
            return;
        };
        let query = self.searcher.last_query().to_vec();
        let bytes = size_of_val(query.as_slice());
        let sample = Sample {
            accuracy: Arc::clone(collection.accuracy_probe()),
            state,
            plan: response.stats.plan,
            ef: response.stats.ef,
            origin,
            column,
            distance: vector.distance,
            query,
            excluded: match request.query {
                Query::NearestTo(id) => Some(id),
                Query::Nearest(_)
                | Query::Diverse(_)
                | Query::Recommend(_)
                | Query::Discover(..)
                | Query::Context(_)
                | Query::Feedback(_)
                | Query::Fusion(_)
                | Query::Formula(_)
                | Query::Listed
                | Query::OrderBy(_)
                | Query::Sample => None,
            },
            limit: request.limit,
            offset: request.offset,
            score_threshold: request.score_threshold,
            filter: request.filter.clone(),
            found: response.hits.iter().map(|hit| hit.id).collect(),
            _charge: Charge::new(&collection.shared().ledger, Component::Probe, bytes),
        };
        self.services.probe.submit(ticket, sample);
    }
}

/// The one recorder of what a search did.
fn record(block: &QueryBlock, stages: &StageCells, stats: &SearchStats, duration_ns: u64) {
    let SearchStats {
        plan: _,
        sequence: _,
        distance_computations,
        rescored,
        postings,
        bytes_touched,
        elements,
        elements_in_full_vectors,
        ef: _,
        hops,
        visited,
        chunks: _,
        heap_pushes: _,
        filter_estimated: _,
        filter_candidates: _,
        filter_checked,
        filter_rejected,
        hits: _,
        prepare_ns,
        filter_ns,
        scan_ns,
        gather_ns,
    } = *stats;
    block.cells.duration.record(duration_ns);
    block.cells.distances.add(distance_computations);
    block.cells.hops.add(hops);
    block.cells.visited.add(visited);
    block.cells.rescored.add(rescored);
    block.cells.postings.add(postings);
    block.cells.bytes_touched.add(bytes_touched);
    block.cells.filter_rejected.add(filter_rejected);
    block.elements.add(elements);
    block.elements_in_full_vectors.add(elements_in_full_vectors);
    stages.stages.of(Stage::Prepare).record(prepare_ns);
    if filter_checked > 0 {
        stages.stages.of(Stage::Filter).record(filter_ns);
    }
    stages.stages.of(Stage::Scan).record(scan_ns);
    stages.stages.of(Stage::Gather).record(gather_ns);
}
