//! Bringing a graph in line with a state, step by step.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use omendb_distance::{Distance, Kernels};

use crate::graph::insert::Inserter;
use crate::graph::repair::Leaving;
use crate::graph::{Aim, Block, Graph, Origin, Saved, Steps, Walk};
use crate::ledger::Ledger;
use crate::search::Screen;
use crate::state::{Chunk, Rows, SlotBits, State};

/// Nodes that one step adds: a fraction of a second, after which searches have the use of them.
const STEP_NODES: usize = 2_048;

/// Rows that the middle of all is estimated from.
const MIDDLE_ROWS: usize = 8_192;

/// One step towards a state.
pub(crate) struct Build<'a> {
    pub(crate) state: &'a State,
    /// The position of the vector in its layout.
    pub(crate) column: usize,
    pub(crate) ledger: &'a Arc<Ledger>,
    /// Threads that insert nodes.
    pub(crate) threads: usize,
    /// Asked often; a step that is told to stop comes to nothing.
    pub(crate) is_stopped: &'a (dyn Fn() -> bool + Sync),
}

/// What a step came to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// There was nothing to do.
    Current,
    /// Blocks whose chunks are gone were led around: so many nodes at the most.
    Repaired(Graph, u64),
    /// Chunks became nodes: so many as were linked.
    Extended(Graph, u64),
    /// Nodes that were out of reach are led to.
    Connected(Graph),
    Stopped,
}

impl Build<'_> {
    pub(crate) fn step(&self, graph: &Graph) -> Progress {
        let kernels = Kernels::detected();
        let gone = self.gone(graph);
        if !gone.is_empty() {
            return self.lead_around(kernels, graph, &gone);
        }
        let chunks = self.uncovered(graph);
        if chunks.is_empty() {
            return self.connect(kernels, graph);
        }
        self.extend(kernels, graph, &chunks)
    }

    /// Takes up a graph that was saved, as far as it is about rows that this state has; the rest of the chunks that
    /// have most of them is inserted.
    pub(crate) fn resume(&self, mut graph: Graph, saved: &Saved<'_>) -> Progress {
        let slots = saved.slots(self.state, self.column);
        let mut known: HashMap<usize, SlotBits> = HashMap::new();
        for &slot in slots.iter().flatten() {
            let (number, position) = self.state.layout.locate(slot);
            known.entry(number).or_default().insert(position);
        }
        let mut nodes = Vec::new();
        for (number, chunk) in self.state.chunks() {
            let rows = chunk.column(self.column);
            let Some(known) = known
                .get(&number)
                .filter(|_| self.state.full_chunk(number).is_some())
            else {
                continue;
            };
            if 2 * known.count() < rows.present.count() || !is_graphable(rows) {
                continue;
            }
            graph.add_block(number, (chunk, self.column), self.ledger);
            graph.nodes += rows.present.count();
            let unknown = rows.present.iter().filter(|&position| !known.contains(position));
            nodes.extend(unknown.map(|position| graph.node(number, position)));
        }
        nodes.extend(saved.link(&mut graph, &slots));
        // The one that the file names may be gone.
        graph.entry = graph.entry.or_else(|| graph.any_node());
        self.insert(Kernels::detected(), graph, &nodes)
    }

    /// The blocks whose chunks are no longer there.
    fn gone(&self, graph: &Graph) -> BTreeSet<usize> {
        let is_gone = |&(number, _): &(usize, &Arc<Block>)| {
            let chunk = self.state.full_chunk(number);
            !chunk.is_some_and(|chunk| graph.covers(chunk.shared_column(self.column), number))
        };
        graph
            .numbered_blocks()
            .filter(is_gone)
            .map(|(number, _)| number)
            .collect()
    }

    /// The first full chunks with points that are no blocks yet.
    fn uncovered(&self, graph: &Graph) -> Vec<(usize, &Arc<Chunk>)> {
        let (mut chunks, mut nodes) = (Vec::new(), 0);
        for (number, chunk) in self.state.chunks() {
            let rows = chunk.column(self.column);
            let points = chunk.alive.and(&rows.present);
            if nodes < STEP_NODES
                && !points.is_empty()
                && is_graphable(rows)
                && self.state.full_chunk(number).is_some()
                && !graph.covers(chunk.shared_column(self.column), number)
            {
                nodes += rows.present.count();
                chunks.push((number, chunk));
            }
        }
        chunks
    }

    fn lead_around(&self, kernels: &'static Kernels, graph: &Graph, gone: &BTreeSet<usize>) -> Progress {
        let leaving = Leaving { graph, blocks: gone };
        let staying: Vec<_> = graph
            .numbered_blocks()
            .filter(|(number, _)| !gone.contains(number))
            .collect();
        let is_whole = self.in_parallel(staying.len(), || {
            |at: usize| {
                let (number, block) = staying[at];
                leaving.mend(kernels, (number, block));
            }
        });
        if !is_whole {
            return Progress::Stopped;
        }
        let mut newer = graph.clone();
        for &number in gone {
            newer.blocks[number] = None;
        }
        while newer.blocks.pop_if(|block| block.is_none()).is_some() {}
        newer.is_connected = false;
        newer.nodes = newer
            .numbered_blocks()
            .map(|(_, block)| block.nodes().count())
            .sum();
        if newer.entry.is_none_or(|entry| newer.locate(entry).is_none()) {
            newer.entry = newer.any_node();
            newer.move_entry(kernels);
        }
        let most = (gone.len() * graph.block_slots) as u64;
        Progress::Repaired(newer, most)
    }

    fn extend(&self, kernels: &'static Kernels, graph: &Graph, chunks: &[(usize, &Arc<Chunk>)]) -> Progress {
        let mut newer = graph.clone();
        let mut nodes = Vec::new();
        for (number, chunk) in chunks {
            newer.add_block(*number, (chunk, self.column), self.ledger);
            // Those of points deleted since, too: a search that holds an older state has them.
            let rows = chunk.column(self.column).present;
            nodes.extend(rows.iter().map(|position| newer.node(*number, position)));
        }
        newer.nodes += nodes.len();
        self.insert(kernels, newer, &nodes)
    }

    /// Leads to the nodes that are out of reach.
    fn connect(&self, kernels: &'static Kernels, graph: &Graph) -> Progress {
        if graph.is_connected {
            return Progress::Current;
        }
        let unreachable = graph.reach(kernels, self.is_stopped);
        if (self.is_stopped)() {
            return Progress::Stopped;
        }
        Progress::Connected(Graph {
            is_connected: true,
            unreachable,
            ..graph.clone()
        })
    }

    /// Links nodes that blocks have room for.
    fn insert(&self, kernels: &'static Kernels, mut newer: Graph, nodes: &[u32]) -> Progress {
        let mut rest = nodes;
        if newer.entry.is_none() {
            newer.entry = nodes.first().copied();
            rest = nodes.get(1..).unwrap_or_default();
        }
        let inserter = Inserter::new(kernels, &newer);
        let is_whole = self.in_parallel(rest.len(), || {
            let (mut walk, inserter) = (Walk::default(), &inserter);
            move |at: usize| inserter.insert(rest[at], &mut walk)
        });
        if !is_whole {
            return Progress::Stopped;
        }
        newer.is_connected = false;
        if newer.nodes >= 2 * newer.entry_nodes {
            newer.move_entry(kernels);
        }
        Progress::Extended(newer, nodes.len() as u64)
    }

    /// Does the pieces of a work on all threads; `worker` makes what a thread does with each. False if it was stopped.
    fn in_parallel<W: FnMut(usize)>(&self, pieces: usize, worker: impl Fn() -> W + Sync) -> bool {
        let next = AtomicUsize::new(0);
        let run = || {
            let mut work = worker();
            while !(self.is_stopped)() {
                let piece = next.fetch_add(1, Relaxed);
                if piece >= pieces {
                    break;
                }
                work(piece);
            }
        };
        thread::scope(|scope| {
            for _ in 1..self.threads.min(pieces) {
                let builder = thread::Builder::new().name("graph".to_owned());
                // With fewer threads it takes longer.
                let _ = builder.spawn_scoped(scope, run);
            }
            run();
        });
        !(self.is_stopped)()
    }
}

impl Graph {
    pub(super) fn add_block(
        &mut self,
        number: usize,
        (chunk, column): (&Chunk, usize),
        ledger: &Arc<Ledger>,
    ) {
        let rows = chunk.shared_column(column);
        if self.distance == Distance::Dot {
            let lengths = rows.present.iter().map(|position| length(rows, position));
            self.longest = lengths.fold(self.longest, f32::max);
        }
        if self.blocks.len() <= number {
            self.blocks.resize(number + 1, None);
        }
        let block = Block::new(rows, (chunk.slots(), self.tuning.degree), ledger);
        self.blocks[number] = Some(Arc::new(block));
    }

    fn any_node(&self) -> Option<u32> {
        let mut blocks = self.numbered_blocks();
        blocks.find_map(|(number, block)| Some(self.node(number, block.nodes().next()?)))
    }

    /// Makes the node nearest to the middle of all the one where searches begin.
    fn move_entry(&mut self, kernels: &'static Kernels) {
        self.entry_nodes = self.nodes;
        let middle = self.middle();
        let is_coded = self
            .numbered_blocks()
            .any(|(_, block)| block.rows().codes().is_some());
        let screen = Screen::new(self.distance, &middle).filter(|_| is_coded);
        if is_coded && screen.is_none() {
            // The middle is nowhere: any node is as good.
            return;
        }
        let mut origin = Origin::query(kernels, self.distance, (&middle, screen.as_ref()));
        let mut walk = Walk::default();
        walk.run(
            (self, &mut origin),
            Aim::first(self.tuning.ef_construct),
            &mut Steps::default(),
            &mut |_| true,
        );
        if let Some(nearest) = walk.found().next() {
            self.entry = Some(nearest.node);
        }
    }

    /// The mean of some rows.
    fn middle(&self) -> Vec<f32> {
        let every = (self.slots() / MIDDLE_ROWS).max(1);
        let rows = (0..self.slots()).step_by(every).filter_map(|node| {
            let (block, position) = self.locate(node as u32)?;
            block.rows().row(position)
        });
        let (mut sum, mut count) = (Vec::new(), 0.0);
        for row in rows {
            sum.resize(row.len(), 0.0);
            count += 1.0;
            sum.iter_mut().zip(row).for_each(|(sum, element)| *sum += element);
        }
        sum.iter_mut().for_each(|sum| *sum /= count);
        sum
    }
}

/// A vector that could not be coded has no place among the others; its chunk is scanned.
fn is_graphable(rows: &Rows) -> bool {
    rows.codes().is_none_or(|codes| codes.is_complete())
}

fn length(rows: &Rows, position: usize) -> f32 {
    match rows.codes() {
        Some(codes) => codes.row(position).1.norm,
        None => Kernels::detected().norm(rows.slot(position)),
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::fixtures::{Ground, reached};

    /// A search may begin before points are deleted and walk through a graph that was built afterwards. Once only the
    /// points alive at the time of building became nodes, and such a search missed the others: their chunk was covered.
    #[test]
    fn points_deleted_before_their_chunk_is_read_are_nodes() {
        let mut ground = Ground::with_points(8, 0..1_024);
        let older = ground.state().clone();
        ground.delete(100..200);
        let graph = ground.built(ground.empty());
        assert!(
            older
                .chunks()
                .all(|(number, chunk)| graph.covers(chunk.shared_column(0), number))
        );
        assert_eq!(reached(&graph), (0..1_024).collect::<Vec<_>>());
        assert_eq!(graph.covered_vectors(&older, 0), 1_024);
        assert_eq!(graph.covered_vectors(ground.state(), 0), 924);
    }
}
