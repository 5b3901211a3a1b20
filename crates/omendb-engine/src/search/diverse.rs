//! Maximal marginal relevance: hits near to the query and far from one another.

use omendb_distance::Kernels;

use crate::search::find::Found;
use crate::search::objective::Objective;
use crate::state::State;

/// A candidate that is not chosen yet.
struct Pending<'a> {
    found: Found,
    row: &'a [f32],
    relevance: f32,
    /// How alike it is to the most similar of those chosen.
    similarity: f32,
}

/// Up to `count` of `candidates`, which are the nearest, best first: at each step the one whose relevance, less what it
/// has in common with those chosen before, is greatest. They keep their scores.
pub(crate) fn diversify(
    kernels: &Kernels,
    (state, column): (&State, usize),
    objective: &Objective,
    candidates: Vec<Found>,
    (diversity, count): (f32, usize),
) -> Vec<Found> {
    let sign = if objective.distance.higher_is_better() {
        1.0
    } else {
        -1.0
    };
    let likeness = |a: &[f32], b: &[f32]| sign * kernels.raw(objective.distance, a, b);
    let pending = candidates.into_iter().filter_map(|found| {
        let (chunk, position) = state.locate(found.slot)?;
        let row = chunk.column(column).row(position)?;
        Some(Pending {
            found,
            row,
            relevance: likeness(&objective.vectors[0], row),
            similarity: f32::NEG_INFINITY,
        })
    });
    let mut pending: Vec<_> = pending.collect();
    let mut chosen = Vec::with_capacity(count.min(pending.len()));
    while chosen.len() < count && !pending.is_empty() {
        let worth = |candidate: &Pending<'_>| {
            if chosen.is_empty() {
                candidate.relevance
            } else {
                (1.0 - diversity) * candidate.relevance - diversity * candidate.similarity
            }
        };
        let mut best = 0;
        for at in 1..pending.len() {
            if worth(&pending[at]) > worth(&pending[best]) {
                best = at;
            }
        }
        let Pending { found, row, .. } = pending.remove(best);
        chosen.push(found);
        for other in &mut pending {
            other.similarity = other.similarity.max(likeness(row, other.row));
        }
    }
    chosen
}
