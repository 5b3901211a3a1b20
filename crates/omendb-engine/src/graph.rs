//! The graph index of a column: every vector is a node that leads to others near it, in every direction.
//!
//! One layer, no hierarchy, after Subramanya et al., "DiskANN", NeurIPS 2019. Nodes are numbered as slots are and
//! grouped as chunks are: a [`Block`] keeps the rows of the chunk it was made for, which never change, so its links mean
//! what they meant whatever becomes of the chunk. Only full chunks have blocks; a search compares the points of all
//! others one by one, as it does with points whose chunk has moved on. An index that lags costs time and loses nothing.
//!
//! Links are atomic words that one background pass writes while searches read. A list seen half written has links that
//! are all right by themselves, and more a search does not ask. The table of blocks is a value of its own: a search
//! holds one, and what it leads to stays.

mod block;
mod build;
mod file;
#[cfg(test)]
mod fixtures;
mod insert;
mod node;
mod origin;
mod prune;
mod reach;
mod repair;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_distance::Distance;

use crate::state::{Layout, Rows, State};

pub(crate) use block::Block;
pub(crate) use build::{Build, Progress};
pub(crate) use file::{Saved, encode};
pub(crate) use node::Near;
pub(crate) use origin::Origin;
pub(crate) use walk::{Aim, Place, Seeker, Sight, Steps, View, Walk};

/// The graphs of a collection at one moment, by the numbers of the vectors.
pub(crate) type Graphs = BTreeMap<u32, Arc<Graph>>;

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// Most links of a node.
    pub(crate) degree: usize,
    /// Candidates among which a new node's links are chosen.
    pub(crate) ef_construct: usize,
}

/// One version of the graph of a column; a clone shares the blocks.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    pub(crate) tuning: Tuning,
    distance: Distance,
    /// Slots of a block: a power of two.
    block_slots: usize,
    /// By the numbers of the chunks.
    blocks: Vec<Option<Arc<Block>>>,
    /// Where searches begin; `None` while there is no node.
    entry: Option<u32>,
    /// Nodes when the entry was chosen.
    entry_nodes: usize,
    /// The greatest length of a row, for `Dot`.
    longest: f32,
    nodes: usize,
    /// Whether every node was made reachable since the last change.
    is_connected: bool,
    /// Nodes that could not be, when that was tried last.
    unreachable: u64,
}

impl Graph {
    pub(crate) fn new(layout: &Layout, column: usize, tuning: Tuning) -> Self {
        Self {
            tuning,
            distance: layout.columns[column].distance,
            block_slots: layout.chunk_slots,
            blocks: Vec::new(),
            entry: None,
            entry_nodes: 0,
            longest: 0.0,
            nodes: 0,
            is_connected: true,
            unreachable: 0,
        }
    }

    /// Whether its nodes have the numbers of this layout's slots.
    pub(crate) fn is_numbered_like(&self, layout: &Layout) -> bool {
        self.block_slots == layout.chunk_slots
    }

    /// Nodes that no walk comes by.
    pub(crate) fn unreachable(&self) -> u64 {
        self.unreachable
    }

    /// Nodes: all rows of the blocks, those of deleted points included.
    pub(crate) fn nodes(&self) -> u64 {
        self.nodes as u64
    }

    pub(crate) fn entry(&self) -> Option<u32> {
        self.entry
    }

    /// Slots of all blocks there may be.
    pub(crate) fn slots(&self) -> usize {
        self.blocks.len() * self.block_slots
    }

    /// The block of a node and the position in it; `None` where this version has none.
    #[inline]
    pub(crate) fn locate(&self, node: u32) -> Option<(&Block, usize)> {
        // A power of two: a shift and a mask, which for a walk are much quicker than a division.
        let (number, position) = (
            node as usize >> self.block_slots.trailing_zeros(),
            node as usize & (self.block_slots - 1),
        );
        Some((self.blocks.get(number)?.as_deref()?, position))
    }

    /// Whether the rows of a chunk are nodes.
    pub(crate) fn covers(&self, rows: &Arc<Rows>, number: usize) -> bool {
        let block = self.blocks.get(number).and_then(Option::as_ref);
        block.is_some_and(|block| block.is_of(rows))
    }

    /// Vectors of a column of the points that exist and are nodes.
    pub(crate) fn covered_vectors(&self, state: &State, column: usize) -> u64 {
        let covered = state
            .chunks()
            .filter(|(number, chunk)| self.covers(chunk.shared_column(column), *number));
        covered
            .map(|(_, chunk)| chunk.alive.and(&chunk.column(column).present).count() as u64)
            .sum()
    }

    fn node(&self, block: usize, position: usize) -> u32 {
        // As for slots, which fit 32 bits.
        (block * self.block_slots + position) as u32
    }

    fn numbered_blocks(&self) -> impl Iterator<Item = (usize, &Arc<Block>)> {
        let numbered = self.blocks.iter().enumerate();
        numbered.filter_map(|(number, block)| Some((number, block.as_ref()?)))
    }
}
