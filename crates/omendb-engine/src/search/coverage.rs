//! Which chunks of a state are nodes of a graph, and which a search has to compare by itself.

use std::sync::{Arc, Weak};

use crate::graph::Graph;
use crate::state::{Chunk, State};

/// What holds for a graph and every state with the same full chunks.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    graph: Weak<Graph>,
    shape: Weak<()>,
    is_covered: Vec<bool>,
    others: Vec<usize>,
    other_slots: usize,
}

impl Coverage {
    /// Takes note of a graph of a column and a state; looks anew if the graph or the set of full chunks is another than at the last time.
    pub(crate) fn follow(&mut self, graph: &Arc<Graph>, (state, column): (&State, usize)) {
        // A weak reference keeps the address from being given to another.
        let is_same_graph = std::ptr::eq(self.graph.as_ptr(), Arc::as_ptr(graph));
        if is_same_graph && std::ptr::eq(self.shape.as_ptr(), Arc::as_ptr(state.shape())) {
            return;
        }
        (self.graph, self.shape) = (Arc::downgrade(graph), Arc::downgrade(state.shape()));
        self.others.clear();
        self.other_slots = 0;
        self.is_covered.clear();
        self.is_covered.resize(state.chunk_count(), false);
        for (number, chunk) in state.chunks() {
            let has_none = chunk.is_full() && chunk.column(column).present.is_empty();
            if graph.covers(chunk.shared_column(column), number) {
                self.is_covered[number] = true;
            } else if !has_none {
                self.others.push(number);
                self.other_slots += chunk.slots();
            }
        }
    }

    /// Whether the points of a chunk are found through the graph.
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.is_covered.get(number).is_some_and(|&is_covered| is_covered)
    }

    /// Slots of the chunks that a search has to compare by itself: those that are no nodes, and may have the vector.
    pub(crate) fn other_slots(&self) -> usize {
        self.other_slots
    }

    /// The chunks of a state that have these slots.
    pub(crate) fn others_of<'s>(&self, state: &'s State) -> impl Iterator<Item = (usize, &'s Arc<Chunk>)> {
        let numbers = self.others.iter();
        numbers.filter_map(|&number| Some((number, state.chunk(number)?)))
    }
}
