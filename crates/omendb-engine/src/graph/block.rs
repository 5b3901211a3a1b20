//! The nodes of one chunk: the rows they stand for, and where each leads.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use omendb_distance::prefetch;

use crate::ledger::{Charge, Component, Ledger};
use crate::state::Rows;

/// Ends a list that has room left. No slot has this number.
const NOWHERE: u32 = u32::MAX;

/// Nodes side by side. Links are read while they are written, each word by itself.
#[derive(Debug)]
pub(crate) struct Block {
    /// Those of a full chunk, which never change.
    rows: Arc<Rows>,
    /// `degree` for each slot.
    links: Box<[AtomicU32]>,
    /// For each slot the next node with the very same vector. Only the first of them is linked to, or copies of one
    /// vector would fill the lists of one another and of all around.
    copies: Box<[AtomicU32]>,
    degree: usize,
    _charge: Charge,
}

impl Block {
    pub(crate) fn new(rows: &Arc<Rows>, (slots, degree): (usize, usize), ledger: &Arc<Ledger>) -> Self {
        let nowhere = |places: usize| (0..places).map(|_| AtomicU32::new(NOWHERE)).collect();
        let (links, copies): (Box<[_]>, Box<[_]>) = (nowhere(slots * degree), nowhere(slots));
        let bytes = size_of_val(&*links) + size_of_val(&*copies) + size_of::<Self>();
        Self {
            rows: Arc::clone(rows),
            links,
            copies,
            degree,
            _charge: Charge::new(ledger, Component::Graph, bytes),
        }
    }

    #[inline]
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Slots of its chunk.
    pub(crate) fn slots(&self) -> usize {
        self.copies.len()
    }

    /// Whether these are the very rows it was made for.
    pub(crate) fn is_of(&self, rows: &Arc<Rows>) -> bool {
        Arc::ptr_eq(&self.rows, rows)
    }

    /// Where the node at `position` leads.
    #[inline]
    pub(crate) fn links(&self, position: usize) -> impl Iterator<Item = u32> {
        let links = self.places(position).iter();
        links
            .map(|link| link.load(Relaxed))
            .take_while(|&node| node != NOWHERE)
    }

    /// Asks the processor to fetch what [`links`](Self::links) will read.
    #[inline]
    pub(crate) fn expect_links(&self, position: usize) {
        prefetch(self.places(position));
    }

    /// Replaces the links of the node at `position` by at most `degree` others.
    pub(crate) fn set_links(&self, position: usize, nodes: impl Iterator<Item = u32>) {
        let nodes = nodes.chain(std::iter::repeat(NOWHERE));
        for (place, node) in self.places(position).iter().zip(nodes) {
            place.store(node, Relaxed);
        }
    }

    /// Adds a link if there is room or it is there already; says whether it is there now.
    pub(crate) fn add_link(&self, position: usize, node: u32) -> bool {
        for place in self.places(position) {
            let known = place.load(Relaxed);
            if known == NOWHERE {
                place.store(node, Relaxed);
            }
            if known == NOWHERE || known == node {
                return true;
            }
        }
        false
    }

    /// The next node with the same vector as the one at `position`.
    #[inline]
    pub(crate) fn copy(&self, position: usize) -> Option<u32> {
        let node = self.copies[position].load(Acquire);
        (node != NOWHERE).then_some(node)
    }

    /// Sets what [`copy`](Self::copy) returns. A node is given its own next before it is another's.
    pub(crate) fn set_copy(&self, position: usize, node: Option<u32>) {
        self.copies[position].store(node.unwrap_or(NOWHERE), Release);
    }

    /// Whether two nodes cannot be told apart by what distances are computed from.
    pub(crate) fn is_same(&self, position: usize, (other, at): (&Self, usize)) -> bool {
        match (self.rows.codes(), other.rows.codes()) {
            (Some(codes), Some(others)) => {
                let ((codes, own), (others, its)) = (codes.row(position), others.row(at));
                own.scale.to_bits() == its.scale.to_bits() && codes == others
            }
            (Some(_) | None, _) => self.rows.slot(position) == other.rows.slot(at),
        }
    }

    /// Gives up the last link of a full list for another.
    pub(crate) fn replace_last_link(&self, position: usize, node: u32) -> bool {
        let last = self.places(position).last();
        last.map(|place| place.store(node, Relaxed)).is_some()
    }

    /// The positions whose nodes lead somewhere.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = usize> {
        let lists = self.links.chunks_exact(self.degree).enumerate();
        let is_linked = |list: &[AtomicU32]| list[0].load(Relaxed) != NOWHERE;
        lists
            .filter(move |(_, list)| is_linked(list))
            .map(|(position, _)| position)
    }

    #[inline]
    fn places(&self, position: usize) -> &[AtomicU32] {
        &self.links[position * self.degree..][..self.degree]
    }
}
