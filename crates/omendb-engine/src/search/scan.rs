//! Exact search: every row compared, chunk by chunk, several rows per kernel call.
//!
//! Where rows are coded, the codes are compared first and only rows that may still win are scored in full: the answer
//! is the same, from a quarter of the bytes.

use std::sync::Arc;

use omendb_distance::{Distance, Kernels};
use omendb_metrics::Clock;

use crate::count;
use crate::search::rescoring::Rescoring;
use crate::search::screen::Screen;
use crate::search::top_k::TopK;
use crate::state::{Chunk, Codes, Rows, State};
use crate::{Count, SearchStats};

/// A first pass over codes is made if there are this many points to one hit: with fewer, too many rows get past it.
/// Rows that enter the top k while it fills are scored in any case, about `k * ln(points / k)` of them.
const POINTS_PER_HIT: usize = 32;

/// What to scan for, checked and prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The position of the vector among the collection's.
    pub(crate) column: usize,
    pub(crate) distance: Distance,
    /// At unit length for `Cosine`.
    pub(crate) query: &'a [f32],
    /// Slots that are never candidates: the points the search starts from.
    pub(crate) excluded: &'a [u32],
}

/// Buffers of one chunk's results, kept between searches, and the time.
pub(crate) struct Scratch<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) ranks: &'a mut Vec<f32>,
    pub(crate) dots: &'a mut Vec<i32>,
}

/// Offers the points of some chunks to `top`.
pub(crate) fn scan<'a>(
    (state, comparison): (&State, &Comparison<'_>),
    chunks: impl Iterator<Item = (usize, &'a Arc<Chunk>)>,
    top: &mut TopK,
    (scratch, stats): (&mut Scratch<'_>, &mut SearchStats),
) {
    let (layout, target) = (&state.layout, comparison.target);
    scratch.ranks.resize(layout.chunk_slots, 0.0);
    scratch.dots.resize(layout.chunk_slots, 0);
    let mut rescoring = Rescoring::new(scratch.clock, stats);
    let rescored_before = stats.rescored;
    for (number, chunk) in chunks {
        let rows = chunk.column(target.column);
        let candidates = chunk.alive.and(&rows.present);
        if candidates.is_empty() {
            continue;
        }
        let (ranks, dots) = (
            &mut scratch.ranks[..rows.filled()],
            &mut scratch.dots[..rows.filled()],
        );
        let is_optimistic = comparison.ranks(rows, (ranks, dots), stats);
        rescoring.run(is_optimistic, stats, |stats| {
            let mut bound = top.bound();
            for (position, &rank) in ranks.iter().enumerate() {
                if may_enter(rank, bound) && candidates.contains(position) {
                    let slot = layout.slot(number, position);
                    if !target.excluded.contains(&slot) {
                        let rank = if is_optimistic {
                            comparison.rescore(rows, position, stats)
                        } else {
                            rank
                        };
                        top.offer(rank, chunk.id(position), slot);
                        bound = top.bound();
                    }
                }
            }
        });
    }
    rescoring.finish(stats);
    comparison.count_compared(stats.rescored - rescored_before, stats);
}

/// NaN has to pass: it ranks last, it is not left out; and a bound that is NaN bounds nothing.
#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "true for NaN, which `rank >= bound` is not"
)]
pub(crate) fn may_enter(rank: f32, bound: f32) -> bool {
    !(rank < bound)
}

/// How rows are compared with the query.
pub(crate) struct Comparison<'a> {
    pub(crate) kernels: &'static Kernels,
    pub(crate) target: &'a Target<'a>,
    screen: Option<Screen>,
}

impl<'a> Comparison<'a> {
    /// A comparison that finds the best `k` of a state.
    pub(crate) fn new(kernels: &'static Kernels, state: &State, target: &'a Target<'a>, k: usize) -> Self {
        let points = usize::try_from(state.ids.len()).unwrap_or(usize::MAX);
        let is_screened = state.layout.columns[target.column].is_coded && points / POINTS_PER_HIT >= k;
        let screen = is_screened
            .then(|| Screen::new(target.distance, target.query))
            .flatten();
        Self {
            kernels,
            target,
            screen,
        }
    }

    /// The query in codes, if it is compared by them first.
    pub(crate) fn screen(&self) -> Option<&Screen> {
        self.screen.as_ref()
    }

    /// What one row may reach at best; infinite if nothing is known.
    pub(crate) fn bound(&self, rows: &Rows, position: usize) -> f32 {
        match (&self.screen, rows.codes()) {
            (Some(screen), Some(codes)) => screen.rank(self.kernels, codes, position),
            (Some(_) | None, _) => f32::INFINITY,
        }
    }

    /// Ranks each row of a chunk. True if the ranks are only what the rows may reach at best.
    pub(crate) fn ranks(&self, rows: &Rows, out: (&mut [f32], &mut [i32]), stats: &mut SearchStats) -> bool {
        let (ranks, dots) = out;
        let (count, dimension) = (ranks.len() as u64, self.target.query.len());
        stats.chunks += 1;
        stats.distance_computations += count;
        stats.elements += count * dimension as u64;
        if let (Some(screen), Some(codes)) = (&self.screen, rows.codes()) {
            screen.ranks(self.kernels, codes, dots, ranks);
            stats.bytes_touched += count * Codes::row_bytes(dimension) as u64;
            let full = self.kernels.i8_elements_in_full_vectors(dimension);
            stats.elements_in_full_vectors += count * full as u64;
            return true;
        }
        self.kernels
            .raw_rows(self.target.distance, self.target.query, rows.values(), ranks);
        ranks.iter_mut().for_each(|rank| *rank *= self.sign());
        stats.bytes_touched += count * size_of_val(self.target.query) as u64;
        stats.elements_in_full_vectors += count * self.kernels.elements_in_full_vectors(dimension) as u64;
        false
    }

    /// Counts rows that a walk compared by itself.
    pub(crate) fn count_walked(&self, rows: Count, stats: &mut SearchStats) {
        let dimension = self.target.query.len();
        let (bytes, full) = match self.screen {
            Some(_) => {
                let full = self.kernels.i8_elements_in_full_vectors(dimension);
                (Codes::row_bytes(dimension), full)
            }
            None => {
                let full = self.kernels.elements_in_full_vectors(dimension);
                (size_of_val(self.target.query), full)
            }
        };
        stats.distance_computations += rows;
        stats.elements += rows * dimension as u64;
        stats.elements_in_full_vectors += rows * full as u64;
        stats.bytes_touched += rows * bytes as u64;
    }

    /// The rank of one row, to be [counted](Self::count_compared) afterwards: the bits that [`ranks`](Self::ranks) gives
    /// without codes, since a kernel's result does not depend on how many rows it is given.
    pub(crate) fn rescore(&self, rows: &Rows, position: usize, stats: &mut SearchStats) -> f32 {
        stats.rescored += 1;
        self.rank(rows, position)
    }

    /// Counts what comparing so many rows as they are has read and computed: once for all of them, since there may be many.
    pub(crate) fn count_compared(&self, rows: Count, stats: &mut SearchStats) {
        let query = self.target.query;
        stats.elements += rows * query.len() as u64;
        stats.elements_in_full_vectors += rows * self.kernels.elements_in_full_vectors(query.len()) as u64;
        stats.bytes_touched += rows * size_of_val(query) as u64;
    }

    /// The rank of one row that was not compared before.
    pub(crate) fn compare(&self, rows: &Rows, position: usize, stats: &mut SearchStats) -> f32 {
        stats.distance_computations += 1;
        self.count_compared(count::of(1), stats);
        self.rank(rows, position)
    }

    fn rank(&self, rows: &Rows, position: usize) -> f32 {
        let query = self.target.query;
        self.sign() * self.kernels.raw(self.target.distance, query, rows.slot(position))
    }

    /// Turns a raw value into a rank, of which greater is better.
    fn sign(&self) -> f32 {
        if self.target.distance.higher_is_better() {
            1.0
        } else {
            -1.0
        }
    }
}
