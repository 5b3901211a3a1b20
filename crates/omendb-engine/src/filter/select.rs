//! The points of a state that pass a filter.

use std::ops::ControlFlow;

use omendb_metrics::Clock;

use crate::count;
use crate::filter::{Filter, Subject};
use crate::payload_index::{Indexes, Selection};
use crate::state::{Chunk, State};
use crate::{Plan, PointId, SearchStats};

/// How many points pass.
pub(crate) fn count(
    state: &State,
    indexes: &Indexes,
    filter: &Filter,
    (clock, stats): (&Clock, &mut SearchStats),
) -> u64 {
    if filter.is_empty() {
        return state.ids.len();
    }
    let (mut count, begun) = (0, clock.now());
    for_each((state, indexes), filter, stats, |_, _| count += 1);
    stats.filter_ns += clock.now().nanos_since(begun);
    count
}

/// The points that pass, in order of slots.
pub(crate) fn matching(state: &State, indexes: &Indexes, filter: &Filter) -> Vec<PointId> {
    let mut ids = Vec::new();
    // A change is no search, so what it took to find its points is not recorded.
    let stats = &mut SearchStats::default();
    for_each((state, indexes), filter, stats, |chunk, position| {
        ids.push(chunk.id(position))
    });
    ids
}

/// Calls `visit` with the chunk and position of each point that passes, in order of slots.
pub(crate) fn for_each(
    (state, indexes): (&State, &Indexes),
    filter: &Filter,
    stats: &mut SearchStats,
    mut visit: impl FnMut(&Chunk, usize),
) {
    let mut selection = Selection::of(indexes, filter, state);
    stats.plan = match &selection {
        Some(selection) => {
            stats.filter_estimated = count::of(selection.estimate);
            Plan::IndexedScan
        }
        None => Plan::FilteredScan,
    };
    for (number, chunk) in state.chunks() {
        let candidates = match &mut selection {
            Some(selection) => {
                let candidates = selection.narrow(number, chunk, chunk.alive);
                stats.filter_candidates += candidates.count() as u64;
                candidates
            }
            None => chunk.alive,
        };
        stats.chunks += 1;
        for position in candidates.iter() {
            stats.filter_checked += 1;
            if Subject::point(&state.layout, chunk, position).passes(filter) {
                visit(chunk, position);
            } else {
                stats.filter_rejected += 1;
            }
        }
    }
}

/// The slots of up to `limit` points in order of ids, from `offset` on, that pass if there is a filter; and the id at
/// which the next such page begins.
pub(crate) fn page(
    state: &State,
    filter: Option<&Filter>,
    (offset, limit): (Option<PointId>, usize),
    (clock, stats): (&Clock, &mut SearchStats),
) -> (Vec<u32>, Option<PointId>) {
    let (mut slots, mut next) = (Vec::new(), None);
    let begun = clock.now();
    let mut passes = |slot| {
        let Some(filter) = filter else { return true };
        let place = state.locate(slot);
        let passes = place
            .is_some_and(|(chunk, position)| Subject::point(&state.layout, chunk, position).passes(filter));
        stats.filter_checked += 1;
        stats.filter_rejected += u64::from(!passes);
        passes
    };
    // A break says that the page is full, which is not of interest here.
    let _ = state.ids.visit_from(offset, |id, slot| {
        if !passes(slot) {
            return ControlFlow::Continue(());
        }
        if slots.len() == limit {
            next = Some(id);
            return ControlFlow::Break(());
        }
        slots.push(slot);
        ControlFlow::Continue(())
    });
    if filter.is_some() {
        // To read the ids in between takes no time worth telling apart.
        stats.plan = Plan::FilteredScan;
        stats.filter_ns += clock.now().nanos_since(begun);
    }
    (slots, next)
}
