//! What a search did, recorded in the worker's own cells: once, at the end.

use crate::count;
use crate::metrics::{QueryBlock, QueryError};
use crate::{Admission, Collection, Error, SearchStats, Worker};

impl Worker {
    /// Counts a search, and what it took if it found something.
    pub(super) fn recorded<T>(
        &mut self,
        (admission, collection): (Admission, &Collection),
        mut searched: Result<T, Error>,
        stats: impl FnOnce(&mut T) -> &mut SearchStats,
    ) -> Result<T, Error> {
        if cfg!(feature = "unmeasured") {
            return searched;
        }
        let Admission { granted, origin } = admission;
        let series = &collection.shared().series;
        let block = self.blocks.of(&series.queries);
        block.cells.queries.increment();
        match &mut searched {
            Err(error) => block.cells.errors.of(QueryError::from(error.kind())).increment(),
            Ok(response) => {
                let clock = &self.services.clock;
                let now = clock.now();
                let duration_ns = now.nanos_since(granted);
                let stats = stats(response);
                record(block, stats, duration_ns);
                if let Some(origin) = origin {
                    stats.is_exemplar = series.exemplars.offer(clock, now, duration_ns, &origin);
                }
            }
        }
        searched
    }
}

/// The one recorder of what a search did.
fn record(block: &QueryBlock, stats: &SearchStats, duration_ns: u64) {
    let SearchStats {
        plan: _,
        reason: _,
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
        filter_checked: _,
        filter_rejected,
        hits: _,
        prepare_ns: _,
        filter_ns: _,
        scan_ns: _,
        rescore_ns: _,
        gather_ns: _,
        is_sampled: _,
        is_exemplar: _,
    } = *stats;
    block.cells.duration.record(duration_ns);
    block.cells.distances.add(count::value(distance_computations));
    block.cells.hops.add(count::value(hops));
    block.cells.visited.add(count::value(visited));
    block.cells.rescored.add(count::value(rescored));
    block.cells.postings.add(count::value(postings));
    block.cells.bytes_touched.add(count::value(bytes_touched));
    block.cells.filter_rejected.add(count::value(filter_rejected));
    block.elements.add(count::value(elements));
    block
        .elements_in_full_vectors
        .add(count::value(elements_in_full_vectors));
}
