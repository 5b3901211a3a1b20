//! Best-first search: from the entry to ever nearer nodes, until none of those seen leads nearer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::Count;
use crate::graph::{Block, Graph, Near};

/// What a walk cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Nodes whose links were followed.
    pub(crate) hops: Count,
    /// Nodes whose distance was computed.
    pub(crate) distances: Count,
}

/// What a walk is after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Aim {
    /// How many nodes to find.
    pub(crate) ef: usize,
    /// Whether nodes with the same vector as another are found too.
    pub(crate) with_copies: bool,
    /// No node is nearer than this: so many of them are enough.
    pub(crate) least: f32,
}

impl Aim {
    /// So many nodes; of those with the same vector the first alone.
    pub(crate) fn first(ef: usize) -> Self {
        Self {
            with_copies: false,
            ..Self::all(ef)
        }
    }

    /// So many nodes.
    pub(crate) fn all(ef: usize) -> Self {
        Self {
            ef,
            with_copies: true,
            least: f32::NEG_INFINITY,
        }
    }
}

/// A node as a view has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    pub(crate) distance: f32,
    /// How near nodes may be that lie by it: not farther than itself. A walk goes where this is least.
    pub(crate) promise: f32,
}

/// Where a walk sees nodes from.
pub(crate) trait View {
    /// The nodes to begin at.
    fn entries(&self, graph: &Graph) -> impl Iterator<Item = u32>;

    /// How far each of some nodes is, and where it may lead.
    fn sights(&mut self, places: &[Place<'_>], sights: &mut Vec<Sight>);

    /// Asks the processor to fetch what [`sights`](Self::sights) will read.
    fn expect(&self, block: &Block, position: usize);
}

/// Who a walk is made for. A function that accepts nodes lets it go on to its end.
pub(crate) trait Seeker {
    /// Whether a node that would be among the nearest may be; asked once for each.
    fn accepts(&mut self, near: Near) -> bool;

    /// Whether to go on after these steps.
    fn goes_on(&self, steps: Steps) -> bool;
}

impl<F: FnMut(Near) -> bool> Seeker for F {
    fn accepts(&mut self, near: Near) -> bool {
        self(near)
    }

    fn goes_on(&self, _steps: Steps) -> bool {
        true
    }
}

/// The room of one walk, kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// One bit per slot: nodes that were seen.
    seen: Vec<u64>,
    /// Keys of [`Near`], which heaps compare quicker.
    frontier: BinaryHeap<Reverse<u64>>,
    best: BinaryHeap<u64>,
    sights: Vec<Sight>,
}

/// Where a node is.
pub(crate) type Place<'g> = (&'g Block, usize);

/// Nodes just reached, and where they are.
#[derive(Default)]
struct Fresh<'g> {
    nodes: Vec<u32>,
    places: Vec<Place<'g>>,
}

impl<'g> Fresh<'g> {
    fn push(&mut self, node: u32, place: Place<'g>) {
        self.nodes.push(node);
        self.places.push(place);
    }
}

impl Walk {
    /// Finds the nearest nodes that the seeker accepts, and goes through the others too. False if it was given up.
    pub(crate) fn run(
        &mut self,
        (graph, view): (&Graph, &mut impl View),
        aim: Aim,
        steps: &mut Steps,
        seeker: &mut impl Seeker,
    ) -> bool {
        self.reset(graph);
        let mut fresh = Fresh::default();
        for entry in view.entries(graph) {
            if let Some(place) = graph.locate(entry)
                && self.see(entry)
            {
                fresh.push(entry, place);
            }
        }
        loop {
            // Most of the time it is the next, unless one of those just reached is nearer.
            if let Some(Reverse(next)) = self.frontier.peek()
                && let Some((block, position)) = graph.locate(Near::of_key(*next).node)
            {
                block.expect_links(position);
            }
            self.enter((graph, view), &mut fresh, (aim, steps), seeker);
            if !seeker.goes_on(*steps) {
                return false;
            }
            let Some(Reverse(next)) = self.frontier.pop() else {
                return true;
            };
            let next = Near::of_key(next);
            let bound = self.bound(aim.ef);
            if next.distance > bound || bound <= aim.least {
                return true;
            }
            steps.hops += 1;
            if let Some((block, position)) = graph.locate(next.node) {
                for link in block.links(position) {
                    if let Some(place) = graph.locate(link)
                        && self.see(link)
                    {
                        view.expect(place.0, place.1);
                        fresh.push(link, place);
                    }
                }
            }
        }
    }

    /// How many nodes the walk found.
    pub(crate) fn count(&self) -> usize {
        self.best.len()
    }

    /// What the walk found, nearest first.
    pub(crate) fn found(&mut self) -> impl Iterator<Item = Near> {
        let best = std::mem::take(&mut self.best).into_sorted_vec();
        best.into_iter().map(Near::of_key)
    }

    fn reset(&mut self, graph: &Graph) {
        self.seen.clear();
        self.seen.resize(graph.slots().div_ceil(64), 0);
        self.frontier.clear();
        self.best.clear();
    }

    /// Measures the nodes just reached and keeps those that may lead nearer.
    fn enter(
        &mut self,
        (graph, view): (&Graph, &mut impl View),
        fresh: &mut Fresh<'_>,
        (aim, steps): (Aim, &mut Steps),
        seeker: &mut impl Seeker,
    ) {
        steps.distances += fresh.nodes.len() as u64;
        let mut sights = std::mem::take(&mut self.sights);
        sights.clear();
        view.sights(&fresh.places, &mut sights);
        let seen = fresh.nodes.drain(..).zip(fresh.places.drain(..)).zip(&sights);
        for ((node, (block, position)), &Sight { distance, promise }) in seen {
            let (near, lead) = (Near::new(distance, node), Near::new(promise, node));
            if !self.has_room(aim.ef, lead) {
                continue;
            }
            self.frontier.push(Reverse(lead.key()));
            self.offer(aim.ef, near, seeker);
            let mut next = block.copy(position).filter(|_| aim.with_copies);
            while let Some(node) = next
                && self.has_room(aim.ef, Near { node: 0, ..near })
                && seeker.goes_on(*steps)
            {
                // Chains may be long, and asking about each of them is the work of a walk too.
                steps.distances += 1;
                self.offer(aim.ef, Near { node, ..near }, seeker);
                next = graph
                    .locate(node)
                    .and_then(|(block, position)| block.copy(position));
            }
        }
        self.sights = sights;
    }

    /// Whether a node would be among the best.
    fn has_room(&self, ef: usize, near: Near) -> bool {
        self.best.len() < ef || self.best.peek().is_some_and(|worst| near.key() < *worst)
    }

    fn offer(&mut self, ef: usize, near: Near, seeker: &mut impl Seeker) {
        if self.has_room(ef, near) && seeker.accepts(near) {
            if self.best.len() >= ef {
                self.best.pop();
            }
            self.best.push(near.key());
        }
    }

    fn bound(&self, ef: usize) -> f32 {
        if self.best.len() < ef {
            return f32::INFINITY;
        }
        let worst = self.best.peek();
        worst.map_or(f32::NEG_INFINITY, |worst| Near::of_key(*worst).distance)
    }

    /// Notes that a node was seen; says whether it was not before.
    #[inline]
    fn see(&mut self, node: u32) -> bool {
        let (word, bit) = (node as usize / 64, 1 << (node % 64));
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }
}
