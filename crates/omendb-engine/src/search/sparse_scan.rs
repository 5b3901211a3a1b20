//! Ranking every point by its sparse vector: scores of a region are added up from postings in one buffer, and only then
//! are candidates chosen, chunk by chunk, and tested against the filter.

use std::sync::Arc;

use omendb_metrics::Clock;

use crate::count;
use crate::filter::{Filter, Subject as Tested};
use crate::payload_index::{Indexes, REGION_SLOTS, Selection};
use crate::search::objective::Formula;
use crate::search::scan::may_enter;
use crate::search::sparse::{UNTOUCHED, dot, is_touched};
use crate::search::top_k::{Candidate, TopK};
use crate::sparse_index::{Postings, Region, SparseIndexes};
use crate::state::{Chunk, MAX_CHUNK_SLOTS, SlotBits, State, Terms};
use crate::{Plan, SearchStats, SparseVector};

/// Vectors of a query whose scores are added up from postings; the points of a query with more of them are compared one
/// by one. Each takes 256 KiB of scores.
const MOST_BUFFERS: usize = 16;

/// The scores of a region's slots.
type Scores = [f32; REGION_SLOTS];

/// What is searched for, and where.
pub(super) struct SparseScan<'a> {
    pub(super) clock: &'a Clock,
    pub(super) state: &'a State,
    pub(super) column: usize,
    pub(super) indexes: &'a SparseIndexes,
    /// With at least one.
    pub(super) vectors: &'a [SparseVector],
    pub(super) formula: &'a Formula,
    /// Slots that are never candidates.
    pub(super) excluded: &'a [u32],
}

/// A chunk of the state, and its place.
struct Place<'a> {
    number: usize,
    chunk: &'a Arc<Chunk>,
    /// The first of its slots in its region, if the region's scores are those of its rows.
    scored_from: Option<usize>,
}

impl SparseScan<'_> {
    /// The best `k` points that pass the filter, best first. `scores` is a buffer.
    pub(super) fn run(
        &self,
        (filter, payload_indexes): (Option<&Filter>, &Indexes),
        k: usize,
        (scores, stats): (&mut Vec<f32>, &mut SearchStats),
    ) -> Vec<Candidate> {
        let mut selection = filter.and_then(|filter| Selection::of(payload_indexes, filter, self.state));
        stats.plan = match (&selection, filter) {
            (Some(_), _) => Plan::IndexedScan,
            (None, Some(_)) => Plan::FilteredScan,
            (None, None) => Plan::Exact,
        };
        if let Some(selection) = &selection {
            stats.filter_estimated = count::of(selection.estimate);
        }
        let mut top = TopK::new(k, usize::try_from(self.state.ids.len()).unwrap_or(usize::MAX));
        let chunk_slots = self.state.layout.chunk_slots;
        let per_region = REGION_SLOTS / chunk_slots;
        for region_number in 0..self.state.chunk_count().div_ceil(per_region) {
            let vector = self.state.layout.sparse[self.column].number;
            let region = self.indexes.region(vector, region_number);
            let region = region.filter(|_| self.vectors.len() <= MOST_BUFFERS);
            let scores = match region {
                Some(region) => {
                    stats.plan = Plan::SparseIndex;
                    self.add_up(region, region_number * per_region, (scores, stats))
                }
                None => &[],
            };
            for at in 0..per_region {
                let number = region_number * per_region + at;
                let Some(chunk) = self.state.chunk(number) else {
                    continue;
                };
                let is_scored = region.is_some_and(|region| region.covers(at, chunk.sparse(self.column)));
                let place = Place {
                    number,
                    chunk,
                    scored_from: is_scored.then_some(at * chunk_slots),
                };
                let candidates = self.candidates(&place, selection.as_mut(), stats);
                if !candidates.is_empty() {
                    self.offer(&place, (candidates, scores), filter, (&mut top, stats));
                }
            }
        }
        stats.heap_pushes += top.pushes();
        top.into_sorted()
    }

    /// The scores of a region's slots, for each vector, from its postings. Slots of chunks that were added after the
    /// index was read, and of those that are not in the state, have a score that means nothing.
    fn add_up<'s>(
        &self,
        region: &Region,
        first_chunk: usize,
        (scores, stats): (&'s mut Vec<f32>, &mut SearchStats),
    ) -> &'s [Scores] {
        let chunks =
            (self.state.chunk_count() - first_chunk).min(REGION_SLOTS / self.state.layout.chunk_slots);
        let slots = chunks * self.state.layout.chunk_slots;
        let room = self.vectors.len() * REGION_SLOTS;
        scores.resize(scores.len().max(room), UNTOUCHED);
        let (buffers, _) = scores[..room].as_chunks_mut::<REGION_SLOTS>();
        for (vector, scores) in self.vectors.iter().zip(buffers.iter_mut()) {
            scores[..slots].fill(UNTOUCHED);
            for (&term, &weight) in vector.indices.iter().zip(&vector.values) {
                let postings = region.postings(term);
                add(postings, weight, scores);
                stats.postings += postings.positions.len() as u64;
                stats.bytes_touched += postings.bytes() as u64;
            }
        }
        buffers
    }

    /// The points of a chunk that have the vector and may pass the filter, but for those that the search starts from.
    fn candidates(
        &self,
        place: &Place<'_>,
        selection: Option<&mut Selection<'_>>,
        stats: &mut SearchStats,
    ) -> SlotBits {
        let (number, chunk) = (place.number, place.chunk);
        let mut candidates = chunk.alive.and(&chunk.sparse(self.column).present);
        for &slot in self.excluded {
            let (excluded, position) = self.state.layout.locate(slot);
            if excluded == number {
                candidates.remove(position);
            }
        }
        if let Some(selection) = selection {
            candidates = selection.narrow(number, chunk, candidates);
            stats.filter_candidates += candidates.count() as u64;
        }
        candidates
    }

    /// Offers those of a chunk's candidates that may enter and pass the filter.
    fn offer(
        &self,
        place: &Place<'_>,
        (candidates, scores): (SlotBits, &[Scores]),
        filter: Option<&Filter>,
        (top, stats): (&mut TopK, &mut SearchStats),
    ) {
        let &Place {
            number,
            chunk,
            scored_from,
        } = place;
        stats.chunks += 1;
        let mut buffer = [UNTOUCHED; MAX_CHUNK_SLOTS];
        let bound = top.bound();
        let may_be_hit = |rank: f32| is_touched(rank) & may_enter(rank, bound);
        let ranks = match scored_from {
            Some(start) if *self.formula == Formula::Nearest => &scores[0][start..start + chunk.filled()],
            Some(_) | None => {
                let ranks = &mut buffer[..chunk.filled()];
                self.rank_one_by_one(place, (candidates, scores), (ranks, stats));
                ranks
            }
        };
        if scored_from.is_some() && *self.formula == Formula::Nearest {
            let touched: u32 = ranks.iter().map(|&rank| u32::from(is_touched(rank))).sum();
            stats.distance_computations += u64::from(touched);
        }
        // Counted over the whole chunk, which takes vector registers, so that most chunks are passed over at once.
        let entering: u32 = ranks.iter().map(|&rank| u32::from(may_be_hit(rank))).sum();
        if entering == 0 {
            return;
        }
        let mut passing = candidates;
        for position in candidates.iter().filter(|&position| !may_be_hit(ranks[position])) {
            passing.remove(position);
        }
        if let Some(filter) = filter {
            passing = self.test(filter, chunk, passing, stats);
        }
        for position in passing.iter() {
            let slot = self.state.layout.slot(number, position);
            top.offer(ranks[position], chunk.id(position), slot);
        }
    }

    /// Ranks the candidates of a chunk from the scores of its region, or else from their rows.
    fn rank_one_by_one(
        &self,
        place: &Place<'_>,
        (candidates, scores): (SlotBits, &[Scores]),
        (ranks, stats): (&mut [f32], &mut SearchStats),
    ) {
        let rows = place.chunk.sparse(self.column);
        let mut comparisons = Vec::new();
        for position in candidates.iter() {
            ranks[position] = match (place.scored_from, rows.row(position)) {
                (Some(start), _) => {
                    comparisons.clear();
                    comparisons.extend(scores.iter().map(|scores| scores[start + position]));
                    stats.distance_computations += comparisons.len() as u64;
                    self.combine(&comparisons)
                }
                (None, Some(row)) => self.rank(row, (&mut comparisons, stats)),
                (None, None) => UNTOUCHED,
            };
        }
    }

    /// The rank of a row; untouched if it has no term in common with the only vector. `comparisons` is a buffer.
    pub(super) fn rank(
        &self,
        row: Terms<'_>,
        (comparisons, stats): (&mut Vec<f32>, &mut SearchStats),
    ) -> f32 {
        stats.distance_computations += self.vectors.len() as u64;
        stats.bytes_touched += row.bytes() as u64;
        comparisons.clear();
        comparisons.extend(self.vectors.iter().map(|vector| dot(vector.into(), row)));
        self.combine(comparisons)
    }

    /// Only a query for the nearest wants a term in common; for others there being none is a score of zero.
    fn combine(&self, comparisons: &[f32]) -> f32 {
        match self.formula {
            Formula::Nearest => comparisons[0],
            Formula::Best { .. }
            | Formula::Sum { .. }
            | Formula::Discover
            | Formula::Context
            | Formula::Weighted(_) => self.formula.rank(comparisons) + 0.0,
        }
    }

    /// Those of `candidates` that pass the filter.
    fn test(
        &self,
        filter: &Filter,
        chunk: &Chunk,
        candidates: SlotBits,
        stats: &mut SearchStats,
    ) -> SlotBits {
        let begun = self.clock.now();
        let mut passing = candidates;
        for position in candidates.iter() {
            stats.filter_checked += 1;
            if !Tested::point(&self.state.layout, chunk, position).passes(filter) {
                stats.filter_rejected += 1;
                passing.remove(position);
            }
        }
        stats.filter_ns += self.clock.now().nanos_since(begun);
        passing
    }
}

/// Adds the products with the values of one term. Positions are those of a region, so none is outside the scores.
fn add(postings: Postings<'_>, weight: f32, scores: &mut Scores) {
    for (&position, value) in postings.positions.iter().zip(postings.values) {
        scores[usize::from(position)] += weight * value + 0.0;
    }
}
