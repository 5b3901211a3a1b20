//! Worker blocks: every worker counts in a block of its own, a reader adds them up, and nothing is ever lost.
//!
//! Counts live in the block of a living worker or in the base, never in both: a worker that ends folds its block into
//! the base under the lock that readers take. So a reader sees every count once, and no total ever goes back.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::sync::{Arc, Mutex, lock};

/// What can be added up cell by cell: a block, and every kind of cell inside. Starts at zero.
pub trait Fold: Default {
    /// Adds everything counted in `from` to `self`, of which the caller is the only writer.
    fn fold(&self, from: &Self);
}

/// The blocks of all workers that count the same thing, and the counts of those that have ended.
///
/// ```
/// # use std::sync::Arc;
/// # use omendb_metrics::{Blocks, Cell};
/// let queries = Arc::new(Blocks::<Cell>::default());
/// let worker = Blocks::register(&queries);
/// worker.increment();
/// assert_eq!(queries.read().get(), 1);
/// drop(worker);
/// assert_eq!(queries.read().get(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Blocks<B> {
    state: Mutex<State<B>>,
}

#[derive(Debug)]
struct State<B> {
    base: B,
    live: Vec<Arc<B>>,
}

impl<B: Default> Default for State<B> {
    fn default() -> Self {
        Self {
            base: B::default(),
            live: Vec::new(),
        }
    }
}

impl<B: Fold> Blocks<B> {
    /// A new block, counted from now on. (No method, because loom's `Arc` cannot be a receiver.)
    pub fn register(blocks: &Arc<Self>) -> WorkerBlock<B> {
        let block = Arc::new(B::default());
        lock(&blocks.state).live.push(Arc::clone(&block));
        WorkerBlock {
            block,
            blocks: Arc::clone(blocks),
            one_writer: PhantomData,
        }
    }

    /// The sum of all blocks, those of ended workers included. No cell of it is ever less than in an earlier sum.
    pub fn read(&self) -> B {
        let total = B::default();
        let state = lock(&self.state);
        total.fold(&state.base);
        for block in &state.live {
            total.fold(block);
        }
        total
    }

    /// Number of living blocks.
    pub fn live(&self) -> usize {
        lock(&self.state).live.len()
    }

    fn end(&self, block: &Arc<B>) {
        let mut state = lock(&self.state);
        state.base.fold(block);
        state.live.retain(|live| !Arc::ptr_eq(live, block));
    }
}

/// One worker's block: it alone writes the cells inside. Dropping it folds the counts into the base.
///
/// It can move to another thread but not be shared with one:
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<omendb_metrics::WorkerBlock<omendb_metrics::Cell>>();
/// ```
#[derive(Debug)]
pub struct WorkerBlock<B: Fold> {
    block: Arc<B>,
    blocks: Arc<Blocks<B>>,
    one_writer: PhantomData<std::cell::Cell<()>>,
}

impl<B: Fold> Deref for WorkerBlock<B> {
    type Target = B;

    #[inline]
    fn deref(&self) -> &B {
        &self.block
    }
}

impl<B: Fold> Drop for WorkerBlock<B> {
    fn drop(&mut self) {
        self.blocks.end(&self.block);
    }
}

/// A worker's blocks for everything it has ever counted for, such as the collections it has searched.
///
/// Finding the block of the thing last counted for is one comparison; of another, a look-up by address.
#[derive(Debug)]
pub struct WorkerBlocks<B: Fold> {
    last: usize,
    blocks: Vec<WorkerBlock<B>>,
    /// Positions in `blocks` by hashed address, with linear probing; at most half of them taken. An address cannot be
    /// reused while a block is listed under it, because the block keeps its `Blocks` alive.
    slots: Vec<u32>,
    sweep_at: usize,
}

/// A slot without a block.
const EMPTY: u32 = u32::MAX;
/// Slots at the beginning, a power of two.
const FEWEST_SLOTS: usize = 32;

impl<B: Fold> Default for WorkerBlocks<B> {
    fn default() -> Self {
        Self {
            last: 0,
            blocks: Vec::new(),
            slots: vec![EMPTY; FEWEST_SLOTS],
            sweep_at: FEWEST_SLOTS / 2,
        }
    }
}

impl<B: Fold> WorkerBlocks<B> {
    /// This worker's block in `blocks`, registered on first use.
    #[inline]
    pub fn of(&mut self, blocks: &Arc<Blocks<B>>) -> &WorkerBlock<B> {
        let is_last = self
            .blocks
            .get(self.last)
            .is_some_and(|block| Arc::ptr_eq(&block.blocks, blocks));
        if !is_last {
            self.last = self.find(blocks);
        }
        &self.blocks[self.last]
    }

    fn find(&mut self, blocks: &Arc<Blocks<B>>) -> usize {
        let mut slot = self.first_slot(blocks);
        while let Some(block) = self.blocks.get(self.slots[slot] as usize) {
            if Arc::ptr_eq(&block.blocks, blocks) {
                return self.slots[slot] as usize;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.register(blocks)
    }

    #[cold]
    fn register(&mut self, blocks: &Arc<Blocks<B>>) -> usize {
        if self.blocks.len() >= self.sweep_at {
            self.forget_removed();
        }
        self.blocks.push(Blocks::register(blocks));
        if 2 * self.blocks.len() > self.slots.len() {
            self.slots = vec![EMPTY; 2 * self.slots.len()];
            (0..self.blocks.len()).for_each(|index| self.enter(index));
        } else {
            self.enter(self.blocks.len() - 1);
        }
        self.blocks.len() - 1
    }

    /// Drops the blocks whose `Blocks` nobody but workers holds any more: those of removed collections.
    fn forget_removed(&mut self) {
        self.blocks
            .retain(|block| Arc::strong_count(&block.blocks) > block.blocks.live());
        self.sweep_at = (2 * self.blocks.len()).max(FEWEST_SLOTS / 2);
        self.slots.fill(EMPTY);
        (0..self.blocks.len()).for_each(|index| self.enter(index));
    }

    fn enter(&mut self, index: usize) {
        let mut slot = self.first_slot(&self.blocks[index].blocks);
        while self.slots[slot] != EMPTY {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = index as u32;
    }

    /// Where to look first: addresses are spread by one multiplication (Fibonacci hashing); nobody can choose one to
    /// attack with.
    fn first_slot(&self, blocks: &Arc<Blocks<B>>) -> usize {
        let address = Arc::as_ptr(blocks) as usize as u64;
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::cell::Cell;

    #[test]
    fn a_worker_finds_its_block_among_many_and_forgets_removed_ones() {
        let mut worker = WorkerBlocks::<Cell>::default();
        let kept: Vec<_> = (0..40).map(|_| Arc::new(Blocks::<Cell>::default())).collect();
        for round in 0..10 {
            for blocks in &kept {
                worker.of(blocks).increment();
            }
            for _ in 0..100 {
                worker.of(&Arc::new(Blocks::default())).increment();
            }
            assert!(
                kept.iter()
                    .all(|blocks| blocks.read().get() == round + 1 && blocks.live() == 1)
            );
        }
        assert!(
            worker.blocks.len() < 200,
            "{} blocks of removed collections kept",
            worker.blocks.len()
        );
    }
}
