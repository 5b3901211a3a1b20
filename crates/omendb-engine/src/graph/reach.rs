//! Nodes that no walk comes by, because every link to them was pruned away, and links that lead to them again.

use omendb_distance::Kernels;

use crate::graph::{Aim, Graph, Near, Origin, Steps, Walk};

/// Nodes that may lead to one that is out of reach.
const CANDIDATES: usize = 64;

/// A link that takes another's place may put what that led to out of reach; after so many rounds it is left at that.
const ROUNDS: usize = 4;

impl Graph {
    /// Leads to every node that `is_stopped` leaves time for; returns how many are still out of reach.
    pub(super) fn reach(&self, kernels: &'static Kernels, is_stopped: &dyn Fn() -> bool) -> u64 {
        let (mut walk, mut added) = (Walk::default(), 0);
        for _ in 0..ROUNDS {
            let mut reached = vec![false; self.slots()];
            self.follow(self.entry, &mut reached);
            let before = added;
            for (number, block) in self.numbered_blocks() {
                for position in block.nodes() {
                    let node = self.node(number, position);
                    if reached[node as usize] || is_stopped() {
                        continue;
                    }
                    let mut origin = Origin::node(kernels, self, (block, position));
                    if self.lead_to(node, &mut origin, &mut walk) {
                        added += 1;
                        self.follow(Some(node), &mut reached);
                    }
                }
            }
            if added == before {
                break;
            }
        }
        let mut reached = vec![false; self.slots()];
        self.follow(self.entry, &mut reached);
        let nodes = self
            .numbered_blocks()
            .flat_map(|(number, block)| block.nodes().map(move |position| self.node(number, position)));
        nodes.filter(|&node| !reached[node as usize]).count() as u64
    }

    /// Marks what is reached from a node.
    fn follow(&self, from: Option<u32>, reached: &mut [bool]) {
        let mut open: Vec<u32> = from.into_iter().collect();
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut reached[node as usize], true) {
                continue;
            }
            if let Some((block, position)) = self.locate(node) {
                let links = block.links(position).chain(block.copy(position));
                let links = links.filter(|&link| self.locate(link).is_some());
                open.extend(links.filter(|&link| !reached[link as usize]));
            }
        }
    }

    /// Adds a link to `node` from near by: where there is room, else in place of the last link of the nearest.
    fn lead_to(&self, node: u32, origin: &mut Origin<'_>, walk: &mut Walk) -> bool {
        let mut accepts = |near: Near| near.node != node;
        walk.run(
            (self, origin),
            Aim::first(CANDIDATES),
            &mut Steps::default(),
            &mut accepts,
        );
        let near: Vec<Near> = walk.found().collect();
        let places = || near.iter().filter_map(|near| self.locate(near.node));
        let has_added = places().any(|(block, position)| block.add_link(position, node));
        has_added
            || places()
                .next()
                .is_some_and(|(block, position)| block.replace_last_link(position, node))
    }
}
