//! One execution slot's hands: the buffers and metric cells of the thread that runs searches.

mod grouped;
mod recording;

pub(crate) use grouped::on_snapshot;

use std::sync::Arc;

use omendb_distance::Kernels;
use omendb_metrics::{Blocks, Origin, Timestamp, WorkerBlock, WorkerBlocks};

use crate::collection::Services;
use crate::ledger::{Charge, Component};
use crate::metrics::{BatchCells, QueryBlock};
use crate::recall::{Sample, Ticket};
use crate::search::{Searcher, Subject};
use crate::state::State;
use crate::{Collection, Error, Query, SearchRequest, SearchResponse, limits};

/// Runs searches. One per execution slot, used by one thread at a time: its metric cells have a single writer.
#[derive(Debug)]
pub struct Worker {
    services: Arc<Services>,
    blocks: WorkerBlocks<QueryBlock>,
    batches: WorkerBlock<BatchCells>,
    searcher: Searcher,
}

/// Since when a query is being worked on, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    /// When it was let in: its recorded duration begins there.
    pub granted: Timestamp,
    /// What its duration is traced back by.
    pub origin: Option<Origin>,
}

impl Admission {
    /// Of a query that nothing is traced back by.
    pub fn anonymous(granted: Timestamp) -> Self {
        Self {
            granted,
            origin: None,
        }
    }
}

impl Worker {
    /// `seed` decides what chance brings.
    pub(crate) fn new(services: &Arc<Services>, batches: &Arc<Blocks<BatchCells>>, seed: u64) -> Self {
        Self {
            services: Arc::clone(services),
            blocks: WorkerBlocks::default(),
            batches: Blocks::register(batches),
            searcher: Searcher::new(Kernels::detected(), services.clock.clone(), seed),
        }
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
        let admission = Admission::anonymous(self.services.clock.now());
        self.search_admitted(admission, collection, request)
    }

    /// [`search`](Self::search) for a query that was admitted before.
    ///
    /// # Errors
    /// As for `search`.
    pub fn search_admitted(
        &mut self,
        admission: Admission,
        collection: &Collection,
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let snapshot = collection.snapshot();
        self.search_on(&snapshot, (admission, collection), request)
    }

    /// Carries out several searches for one request on one snapshot, in order.
    ///
    /// # Errors
    /// As for [`search`](Self::search) if one of them fails, and for more than
    /// [`MAX_BATCH_SEARCHES`](limits::MAX_BATCH_SEARCHES).
    pub fn search_batch(
        &mut self,
        origin: Option<Origin>,
        collection: &Collection,
        requests: &[SearchRequest],
    ) -> Result<Vec<SearchResponse>, Error> {
        let (count, most) = (requests.len(), limits::MAX_BATCH_SEARCHES);
        if count > most {
            return Err(Error::invalid(format!(
                "searches: {count} of them, more than {most}"
            )));
        }
        self.batches.batch_queries.record(count as u64);
        let snapshot = collection.snapshot();
        let search = |request| {
            let granted = self.services.clock.now();
            let admission = Admission { granted, origin };
            self.search_on(&snapshot, (admission, collection), request)
        };
        requests.iter().map(search).collect()
    }

    fn search_on(
        &mut self,
        snapshot: &Result<Arc<State>, Error>,
        (admission, collection): (Admission, &Collection),
        request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        let now = self.services.clock.now();
        let probe = &self.services.probe;
        // What is not the nearest to one dense vector has no recall to measure.
        let is_sparse = |state: &Arc<State>| state.layout.sparse_column(&request.using).is_some();
        let is_drawn = request.is_plain() && !snapshot.as_ref().is_ok_and(is_sparse);
        let ticket = (is_drawn && !cfg!(feature = "unmeasured"))
            .then(|| probe.draw(collection.accuracy_probe(), now))
            .flatten();
        let searched = snapshot.clone().and_then(|state| {
            let (indexes, graphs) = (collection.shared().indexes(), collection.shared().graphs());
            let sparse = collection.shared().sparse_indexes();
            let subject = Subject {
                state: &state,
                indexes: &indexes,
                graphs: &graphs,
                sparse: &sparse,
            };
            let response = self.searcher.search(subject, request)?;
            Ok((state, response))
        });
        let asked = (admission, collection);
        let (state, mut response) = self.recorded(asked, searched, |(_, response)| &mut response.stats)?;
        if let Some(ticket) = ticket {
            response.stats.is_sampled = true;
            let snapshot = (state, admission.origin);
            self.sample(ticket, collection, snapshot, (request, &response));
        }
        Ok(response)
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
        let Ok(column) = state.layout.dense_column(&request.using) else {
            return;
        };
        let query = self.searcher.last_query().to_vec();
        let bytes = size_of_val(query.as_slice());
        let sample = Sample {
            accuracy: Arc::clone(collection.accuracy_probe()),
            distance: state.layout.columns[column].distance,
            state,
            plan: response.stats.plan,
            ef: response.stats.ef,
            origin,
            column,
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
