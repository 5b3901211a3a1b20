//! Leading around nodes that go: whoever led to one of them leads to where it led.
//!
//! As in Singh et al., "FreshDiskANN", 2021, algorithm 4.

use std::collections::BTreeSet;

use omendb_distance::Kernels;

use crate::graph::prune::prune;
use crate::graph::{Block, Graph, Near, Origin};

/// The blocks that go from a graph, by number.
pub(super) struct Leaving<'a> {
    pub(super) graph: &'a Graph,
    pub(super) blocks: &'a BTreeSet<usize>,
}

impl Leaving<'_> {
    /// Whether a node goes.
    fn takes(&self, node: u32) -> bool {
        self.blocks.contains(&(node as usize / self.graph.block_slots))
    }

    /// Mends the links of the nodes of a block that stays.
    pub(super) fn mend(&self, kernels: &'static Kernels, (number, block): (usize, &Block)) {
        for position in 0..block.slots() {
            let copy = block.copy(position);
            if copy.is_some_and(|copy| self.takes(copy)) {
                block.set_copy(position, self.first_staying(copy));
            }
            if block.links(position).any(|node| self.takes(node)) {
                let mut candidates = self.candidates(kernels, (number, block), position);
                prune(kernels, self.graph, &mut candidates, self.graph.tuning.degree);
                block.set_links(position, candidates.iter().map(|near| near.node));
            }
        }
    }

    /// What stays of a node's links, and where those that go lead.
    fn candidates(
        &self,
        kernels: &'static Kernels,
        (number, block): (usize, &Block),
        position: usize,
    ) -> Vec<Near> {
        let node = self.graph.node(number, position);
        let origin = Origin::node(kernels, self.graph, (block, position));
        let mut candidates = Vec::new();
        let mut add = |to: u32| {
            if to != node
                && !self.takes(to)
                && let Some((block, position)) = self.graph.locate(to)
            {
                candidates.push(Near::new(origin.distance(block, position), to));
            }
        };
        for link in block.links(position) {
            match self.graph.locate(link).filter(|_| self.takes(link)) {
                // One of its copies takes its place, with the others behind.
                Some((gone, at)) => gone
                    .links(at)
                    .chain(self.first_staying(gone.copy(at)))
                    .for_each(&mut add),
                None => add(link),
            }
        }
        candidates
    }

    /// The first of a chain of copies that stays.
    fn first_staying(&self, mut copy: Option<u32>) -> Option<u32> {
        while let Some(node) = copy.filter(|&node| self.takes(node)) {
            copy = self
                .graph
                .locate(node)
                .and_then(|(block, position)| block.copy(position));
        }
        copy
    }
}
