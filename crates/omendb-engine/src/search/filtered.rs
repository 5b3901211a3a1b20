//! Exact search among the points that pass a filter.
//!
//! Testing a payload costs about as much as many distances, so the order in which a chunk's points are tested and
//! compared is chosen chunk by chunk. Until `k` candidates are found, and while most points that pass would enter,
//! points are tested first and only those that pass are compared. Afterwards all are compared, and only those that
//! would enter are tested. Points that an index rules out are neither.

use std::sync::Arc;

use crate::SearchStats;
use crate::filter::{Filter, Subject};
use crate::payload_index::Selection;
use crate::search::rescoring::Rescoring;
use crate::search::scan::{Comparison, Scratch, may_enter};
use crate::search::top_k::TopK;
use crate::state::{Chunk, SlotBits, State};

/// Above this share of points whose rank lets them enter, testing first is cheaper: what it saves is a distance per
/// point, what it costs is a test, several times as long, of each point that would not enter.
const ENTERING_SHARE: f64 = 0.75;
/// Rows of a chunk are compared one by one when an index leaves at most one in so many of them; with more, the whole
/// chunk in one run is quicker.
const SPARSE_ROWS: usize = 8;

/// What a filtered search works with.
pub(crate) struct FilteredScan<'a> {
    state: &'a State,
    comparison: &'a Comparison<'a>,
    scratch: &'a mut Scratch<'a>,
    stats: &'a mut SearchStats,
}

/// How many of the ranks seen lately would have entered.
#[derive(Default)]
struct Entering {
    seen: f64,
    entered: f64,
}

/// Where the ranks of a chunk's candidates are: each at its position.
struct Ranked {
    candidates: SlotBits,
    /// Whether they are only what the rows may reach at best.
    is_optimistic: bool,
}

impl<'a> FilteredScan<'a> {
    pub(crate) fn new(
        state: &'a State,
        comparison: &'a Comparison<'a>,
        (scratch, stats): (&'a mut Scratch<'a>, &'a mut SearchStats),
    ) -> Self {
        scratch.ranks.resize(state.layout.chunk_slots, 0.0);
        scratch.dots.resize(state.layout.chunk_slots, 0);
        Self {
            state,
            comparison,
            scratch,
            stats,
        }
    }

    /// Offers the points of some chunks that pass to `top`. The selection is what indexes can tell.
    pub(crate) fn run<'c>(
        mut self,
        chunks: impl Iterator<Item = (usize, &'c Arc<Chunk>)>,
        (filter, mut selection): (&Filter, Option<&mut Selection<'_>>),
        top: &mut TopK,
    ) {
        let state = self.state;
        let mut entering = Entering::default();
        let mut rescoring = Rescoring::new(self.scratch.clock, self.stats);
        let rescored_before = self.stats.rescored;
        for (number, chunk) in chunks {
            let mut candidates = self.candidates(number, chunk);
            if let Some(selection) = &mut selection {
                candidates = selection.narrow(number, chunk, candidates);
                self.stats.filter_candidates += candidates.count() as u64;
            }
            if candidates.is_empty() {
                continue;
            }
            let bound = top.bound();
            let is_tested_first = bound == f32::NEG_INFINITY || entering.share() > ENTERING_SHARE;
            if is_tested_first {
                candidates = self.test(filter, chunk, candidates);
            }
            let ranked = self.rank(chunk, candidates);
            let mut passing = self.above(&ranked, bound);
            entering.note(candidates, passing);
            if !is_tested_first {
                passing = self.test(filter, chunk, passing);
            }
            let (comparison, ranks) = (self.comparison, &self.scratch.ranks);
            rescoring.run(ranked.is_optimistic, self.stats, |stats| {
                for position in passing.iter() {
                    let rank = if ranked.is_optimistic {
                        comparison.rescore(chunk.column(comparison.target.column), position, stats)
                    } else {
                        ranks[position]
                    };
                    top.offer(rank, chunk.id(position), state.layout.slot(number, position));
                }
            });
        }
        rescoring.finish(self.stats);
        let rescored = self.stats.rescored - rescored_before;
        self.comparison.count_compared(rescored, self.stats);
    }

    /// The points of a chunk that have the vector, but for those that the search starts from.
    fn candidates(&self, number: usize, chunk: &Chunk) -> SlotBits {
        let target = self.comparison.target;
        let mut candidates = chunk.alive.and(&chunk.column(target.column).present);
        for &slot in target.excluded {
            let (excluded, position) = self.state.layout.locate(slot);
            if excluded == number {
                candidates.remove(position);
            }
        }
        candidates
    }

    /// Those of `candidates` that pass the filter.
    fn test(&mut self, filter: &Filter, chunk: &Chunk, candidates: SlotBits) -> SlotBits {
        let checked = candidates.count() as u64;
        if checked == 0 {
            return candidates;
        }
        let begun = self.scratch.clock.now();
        let mut passing = candidates;
        for position in candidates.iter() {
            if !Subject::point(&self.state.layout, chunk, position).passes(filter) {
                passing.remove(position);
            }
        }
        self.stats.filter_ns += self.scratch.clock.now().nanos_since(begun);
        self.stats.filter_checked += checked;
        self.stats.filter_rejected += checked - passing.count() as u64;
        passing
    }

    /// Ranks `candidates`: one by one when they are few, else with the whole chunk.
    fn rank(&mut self, chunk: &Chunk, candidates: SlotBits) -> Ranked {
        let rows = chunk.column(self.comparison.target.column);
        let Scratch {
            clock: _,
            ranks,
            dots,
        } = &mut self.scratch;
        let is_sparse = candidates.count() * SPARSE_ROWS <= rows.filled();
        let is_optimistic = if is_sparse {
            for position in candidates.iter() {
                ranks[position] = self.comparison.compare(rows, position, self.stats);
            }
            false
        } else {
            let filled = rows.filled();
            let out = (&mut ranks[..filled], &mut dots[..filled]);
            self.comparison.ranks(rows, out, self.stats)
        };
        Ranked {
            candidates,
            is_optimistic,
        }
    }

    /// Those whose ranks may enter the heap.
    fn above(&self, ranked: &Ranked, bound: f32) -> SlotBits {
        let mut above = ranked.candidates;
        for position in ranked.candidates.iter() {
            if !may_enter(self.scratch.ranks[position], bound) {
                above.remove(position);
            }
        }
        above
    }
}

impl Entering {
    fn note(&mut self, seen: SlotBits, entered: SlotBits) {
        // Halved with every chunk, so that the newest count most.
        self.seen = self.seen / 2.0 + seen.count() as f64;
        self.entered = self.entered / 2.0 + entered.count() as f64;
    }

    fn share(&self) -> f64 {
        if self.seen == 0.0 {
            0.0
        } else {
            self.entered / self.seen
        }
    }
}
