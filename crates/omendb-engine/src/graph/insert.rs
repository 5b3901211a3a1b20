//! Making a row a node: links to what is near, and from there back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use omendb_distance::Kernels;

use crate::graph::prune::prune;
use crate::graph::{Aim, Block, Graph, Near, Origin, Steps, Walk};

/// A list that overflows is pruned to this share of its room, so that not every further link is another pruning.
const KEPT: (usize, usize) = (7, 8);

/// Candidates among which one with the same vector is looked for: it is at no distance, but for rounding.
const SAME: usize = 4;

/// Locks for so many lists at a time: two threads that add a link to one list take turns.
const LOCKS: usize = 256;

/// What threads that insert nodes share.
#[derive(Debug)]
pub(super) struct Inserter<'a> {
    kernels: &'static Kernels,
    graph: &'a Graph,
    locks: Vec<Mutex<()>>,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(kernels: &'static Kernels, graph: &'a Graph) -> Self {
        Self {
            kernels,
            graph,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Links a node whose list is empty to the nodes around it, and those to it.
    pub(super) fn insert(&self, node: u32, walk: &mut Walk) {
        let Some((block, position)) = self.graph.locate(node) else {
            return;
        };
        let mut origin = Origin::node(self.kernels, self.graph, (block, position));
        let aim = Aim::first(self.graph.tuning.ef_construct);
        walk.run(
            (self.graph, &mut origin),
            aim,
            &mut Steps::default(),
            &mut |near: Near| near.node != node,
        );
        let mut candidates: Vec<Near> = walk.found().collect();
        if self.join_copy((block, position), node, &candidates) {
            return;
        }
        prune(
            self.kernels,
            self.graph,
            &mut candidates,
            self.graph.tuning.degree,
        );
        {
            let _turn = self.turn(node);
            // Whoever found this node meanwhile has added a link here.
            let added = block.links(position).collect::<Vec<_>>();
            let chosen = candidates.iter().map(|near| near.node);
            block.set_links(position, chosen.chain(added).take(self.graph.tuning.degree));
        }
        for near in candidates {
            self.link_back(near.node, Near { node, ..near });
        }
    }

    /// Puts a node behind one with the same vector, if that is among the candidates, nearest first.
    fn join_copy(&self, (block, position): (&Block, usize), node: u32, candidates: &[Near]) -> bool {
        let same = candidates.iter().take(SAME).find_map(|near| {
            let place = self.graph.locate(near.node)?;
            block.is_same(position, place).then_some((near.node, place))
        });
        let Some((first, (first_block, first_position))) = same else {
            return false;
        };
        let _turn = self.turn(first);
        block.set_links(position, std::iter::once(first));
        block.set_copy(position, first_block.copy(first_position));
        first_block.set_copy(first_position, Some(node));
        true
    }

    /// Adds a link from `node` to a new one, which is as far from it as it was seen.
    fn link_back(&self, node: u32, new: Near) {
        let Some((block, position)) = self.graph.locate(node) else {
            return;
        };
        let _turn = self.turn(node);
        if block.add_link(position, new.node) {
            return;
        }
        let mut candidates = self.seen_from((block, position));
        candidates.push(new);
        let (kept, of) = KEPT;
        prune(
            self.kernels,
            self.graph,
            &mut candidates,
            (self.graph.tuning.degree * kept / of).max(1),
        );
        block.set_links(position, candidates.iter().map(|near| near.node));
    }

    /// The links of a node with their distances.
    pub(super) fn seen_from(&self, (block, position): (&Block, usize)) -> Vec<Near> {
        let origin = Origin::node(self.kernels, self.graph, (block, position));
        let seen = |node: u32| {
            let (block, position) = self.graph.locate(node)?;
            Some(Near::new(origin.distance(block, position), node))
        };
        block.links(position).filter_map(seen).collect()
    }

    fn turn(&self, node: u32) -> MutexGuard<'_, ()> {
        let lock = &self.locks[node as usize % LOCKS];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
