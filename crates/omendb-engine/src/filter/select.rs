//! The points of a state that pass a filter.

use std::ops::ControlFlow;

use crate::PointId;
use crate::filter::{Filter, Subject};
use crate::payload_index::{Indexes, Selection};
use crate::state::{Chunk, State};

/// How many points pass.
pub(crate) fn count(state: &State, indexes: &Indexes, filter: &Filter) -> u64 {
    if filter.is_empty() {
        return state.ids.len();
    }
    let mut count = 0;
    for_each(state, indexes, filter, |_, _| count += 1);
    count
}

/// The points that pass, in order of slots.
pub(crate) fn matching(state: &State, indexes: &Indexes, filter: &Filter) -> Vec<PointId> {
    let mut ids = Vec::new();
    for_each(state, indexes, filter, |chunk, position| {
        ids.push(chunk.id(position))
    });
    ids
}

/// Calls `visit` with the chunk and position of each point that passes, in order of slots.
pub(crate) fn for_each(
    state: &State,
    indexes: &Indexes,
    filter: &Filter,
    mut visit: impl FnMut(&Chunk, usize),
) {
    let mut selection = Selection::of(indexes, filter, state);
    for (number, chunk) in state.chunks() {
        let candidates = match &mut selection {
            Some(selection) => selection.narrow(number, chunk, chunk.alive),
            None => chunk.alive,
        };
        for position in candidates.iter() {
            if Subject::point(&state.layout, chunk, position).passes(filter) {
                visit(chunk, position);
            }
        }
    }
}

/// The slots of up to `limit` points in order of ids, from `offset` on, that pass if there is a filter; and the id at
/// which the next such page begins.
pub(crate) fn page(
    state: &State,
    filter: Option<&Filter>,
    offset: Option<PointId>,
    limit: usize,
) -> (Vec<u32>, Option<PointId>) {
    let (mut slots, mut next) = (Vec::new(), None);
    let passes = |slot| {
        let place = state.locate(slot);
        filter.is_none_or(|filter| {
            place.is_some_and(|(chunk, position)| {
                Subject::point(&state.layout, chunk, position).passes(filter)
            })
        })
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
    (slots, next)
}
