//! Exact search among the points that pass a filter.
//!
//! Testing a payload costs about as much as a few distances, so the order in which a chunk's points are tested and
//! compared is chosen chunk by chunk. Until `k` candidates are found, and while most points that pass would enter,
//! points are tested first and only those that pass are compared. Afterwards all are compared, at the speed of the
//! memory, and only those that would enter are tested.

use omendb_distance::{Distance, Kernels};
use omendb_metrics::Clock;

use crate::SearchStats;
use crate::filter::{Filter, Subject};
use crate::search::scan::Target;
use crate::search::top_k::{Candidate, TopK};
use crate::state::{Chunk, SlotBits, State};

/// Above this share of points whose score lets them enter, testing first is cheaper: what is saved is a distance of
/// a few hundred elements per point, what is lost is one test, about twice as long, per point that would not enter.
const ENTERING_SHARE: f64 = 0.5;

/// What a filtered search works with.
pub(crate) struct FilteredScan<'a> {
    pub(crate) kernels: &'a Kernels,
    pub(crate) clock: &'a Clock,
    pub(crate) state: &'a State,
    pub(crate) target: &'a Target<'a>,
    pub(crate) filter: &'a Filter,
    /// Scratch.
    pub(crate) scores: &'a mut Vec<f32>,
    pub(crate) stats: &'a mut SearchStats,
}

/// How many of the scores seen lately would have entered.
#[derive(Default)]
struct Entering {
    seen: f64,
    entered: f64,
}

impl FilteredScan<'_> {
    /// The best `k` points that pass, best first.
    pub(crate) fn run(mut self, k: usize) -> Vec<Candidate> {
        let state = self.state;
        let mut top = TopK::new(k, usize::try_from(state.ids.len()).unwrap_or(usize::MAX));
        let mut entering = Entering::default();
        self.scores.resize(state.layout.chunk_slots, 0.0);
        for (number, chunk) in state.chunks() {
            let mut candidates = chunk.alive.and(&chunk.column(self.target.column).present);
            if let Some((excluded, position)) = self.target.excluded.map(|slot| state.layout.locate(slot))
                && excluded == number
            {
                candidates.remove(position);
            }
            if candidates.is_empty() {
                continue;
            }
            self.stats.chunks += 1;
            let bound = top.bound();
            let passing = if bound == f32::NEG_INFINITY || entering.share() > ENTERING_SHARE {
                let passing = self.test(chunk, candidates);
                self.compare(chunk, passing);
                entering.note(passing, self.above(passing, bound));
                passing
            } else {
                self.compare(chunk, candidates);
                let above = self.above(candidates, bound);
                entering.note(candidates, above);
                self.test(chunk, above)
            };
            for position in passing.iter() {
                let rank = self.rank(position);
                top.offer(rank, chunk.id(position), state.layout.slot(number, position));
            }
        }
        self.stats.heap_pushes += top.pushes();
        top.into_sorted()
    }

    /// Those of `candidates` that pass the filter.
    fn test(&mut self, chunk: &Chunk, candidates: SlotBits) -> SlotBits {
        let checked = candidates.count() as u64;
        if checked == 0 {
            return candidates;
        }
        let begun = self.clock.now();
        let mut passing = candidates;
        for position in candidates.iter() {
            if !Subject::point(&self.state.layout, chunk, position).passes(self.filter) {
                passing.remove(position);
            }
        }
        self.stats.filter_ns += self.clock.now().nanos_since(begun);
        self.stats.filter_checked += checked;
        self.stats.filter_rejected += checked - passing.count() as u64;
        passing
    }

    /// Puts the scores of `wanted` into their places, run by run.
    fn compare(&mut self, chunk: &Chunk, wanted: SlotBits) {
        let &Target {
            column,
            distance,
            query,
            ..
        } = self.target;
        let (rows, dimension) = (chunk.column(column).values(), query.len());
        let mut compared = 0;
        for run in wanted.runs() {
            compared += run.len() as u64;
            let values = &rows[run.start * dimension..run.end * dimension];
            self.kernels
                .raw_rows(distance, query, values, &mut self.scores[run]);
        }
        let (kernels, stats) = (self.kernels, &mut *self.stats);
        stats.distance_computations += compared;
        stats.bytes_touched += compared * size_of_val(query) as u64;
        stats.elements += compared * dimension as u64;
        stats.elements_in_full_vectors += compared * kernels.elements_in_full_vectors(dimension) as u64;
    }

    /// Those of `candidates` whose scores may enter the heap; one that is no number may, since it ranks last.
    fn above(&self, candidates: SlotBits, bound: f32) -> SlotBits {
        let mut above = candidates;
        for position in candidates.iter() {
            if self.rank(position) < bound {
                above.remove(position);
            }
        }
        above
    }

    fn rank(&self, position: usize) -> f32 {
        rank(self.target.distance, self.scores[position])
    }
}

fn rank(distance: Distance, score: f32) -> f32 {
    if distance.higher_is_better() {
        score
    } else {
        -score
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
