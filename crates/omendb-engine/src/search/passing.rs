//! Every point that passes a filter, for searches that look at more than vectors.

use omendb_metrics::Clock;

use crate::count;
use crate::filter::{Filter, Subject as Tested};
use crate::payload_index::Selection;
use crate::search::find::Subject;
use crate::state::{Chunk, SlotBits};
use crate::{Plan, SearchStats};

/// Calls `visit` with the chunk, position and slot of each point that passes, in order of slots.
pub(crate) fn for_each_passing<'a>(
    Subject {
        state,
        indexes,
        graphs: _,
        sparse: _,
    }: Subject<'a>,
    filter: Option<&Filter>,
    (clock, stats): (&Clock, &mut SearchStats),
    mut visit: impl FnMut(&'a Chunk, usize, u32),
) {
    let filter = filter.filter(|filter| !filter.is_empty());
    let mut selection = filter.and_then(|filter| Selection::of(indexes, filter, state));
    stats.plan = match (&selection, filter) {
        (Some(selection), _) => {
            stats.filter_estimated = count::of(selection.estimate);
            Plan::IndexedScan
        }
        (None, Some(_)) => Plan::FilteredScan,
        (None, None) => Plan::Exact,
    };
    for (number, chunk) in state.chunks() {
        stats.chunks += 1;
        let mut passing = chunk.alive;
        if let Some(selection) = &mut selection {
            passing = selection.narrow(number, chunk, passing);
            stats.filter_candidates += passing.count() as u64;
        }
        if let Some(filter) = filter {
            let begun = clock.now();
            let is_passing = |&position: &usize| Tested::point(&state.layout, chunk, position).passes(filter);
            passing = tested(passing, is_passing, stats);
            stats.filter_ns += clock.now().nanos_since(begun);
        }
        for position in passing.iter() {
            visit(chunk, position, state.layout.slot(number, position));
        }
    }
}

/// Those of `candidates` that pass, counted.
fn tested(candidates: SlotBits, is_passing: impl Fn(&usize) -> bool, stats: &mut SearchStats) -> SlotBits {
    let mut passing = candidates;
    for position in candidates.iter() {
        if !is_passing(&position) {
            passing.remove(position);
        }
    }
    stats.filter_checked += candidates.count() as u64;
    stats.filter_rejected += (candidates.count() - passing.count()) as u64;
    passing
}
