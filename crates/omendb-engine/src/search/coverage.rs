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
}

impl Coverage {
    /// Looks anew if the graph or the set of full chunks is another than at the last time.
    pub(crate) fn follow(&mut self, graph: &Arc<Graph>, state: &State) {
        // A weak reference keeps the address from being given to another.
        let is_same_graph = std::ptr::eq(self.graph.as_ptr(), Arc::as_ptr(graph));
        if is_same_graph && std::ptr::eq(self.shape.as_ptr(), Arc::as_ptr(state.shape())) {
            return;
        }
        (self.graph, self.shape) = (Arc::downgrade(graph), Arc::downgrade(state.shape()));
        self.others.clear();
        self.is_covered.clear();
        self.is_covered.resize(state.chunk_count(), false);
        for (number, chunk) in state.chunks() {
            if graph.covers(number, chunk) {
                self.is_covered[number] = true;
            } else {
                self.others.push(number);
            }
        }
    }

    /// Whether the points of a chunk are found through the graph.
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.is_covered.get(number).is_some_and(|&is_covered| is_covered)
    }

    /// The numbers of the chunks that are not.
    pub(crate) fn others(&self) -> &[usize] {
        &self.others
    }

    /// These chunks of a state.
    pub(crate) fn others_of<'s>(&self, state: &'s State) -> impl Iterator<Item = (usize, &'s Arc<Chunk>)> {
        let numbers = self.others.iter();
        numbers.filter_map(|&number| Some((number, state.chunk(number)?)))
    }
}
