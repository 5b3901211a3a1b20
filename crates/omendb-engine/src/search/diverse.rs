//! Maximal marginal relevance: hits near to the query and far from one another.

use omendb_distance::Kernels;

use crate::search::find::Found;
use crate::search::objective::Objective;
use crate::state::State;

/// A candidate that is not chosen yet.
struct Pending<R> {
    found: Found,
    row: R,
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
    let row = |found: &Found| {
        let (chunk, position) = state.locate(found.slot)?;
        chunk.column(column).row(position)
    };
    let with_rows = candidates
        .into_iter()
        .filter_map(|found| Some((found, row(&found)?)));
    choose(with_rows, &*objective.vectors[0], likeness, (diversity, count))
}

/// [`diversify`] for candidates with their rows, which `likeness` compares.
pub(crate) fn choose<R: Copy>(
    candidates: impl Iterator<Item = (Found, R)>,
    query: R,
    likeness: impl Fn(R, R) -> f32,
    (diversity, count): (f32, usize),
) -> Vec<Found> {
    let pending = candidates.map(|(found, row)| Pending {
        found,
        row,
        relevance: likeness(query, row),
        similarity: f32::NEG_INFINITY,
    });
    let mut pending: Vec<_> = pending.collect();
    let mut chosen = Vec::with_capacity(count.min(pending.len()));
    while chosen.len() < count && !pending.is_empty() {
        let worth = |candidate: &Pending<R>| {
            (1.0 - diversity) * candidate.relevance - diversity * candidate.similarity
        };
        // The nearest comes first: there is nothing yet that others could be like.
        let mut best = 0;
        for at in 1..pending.len() {
            if !chosen.is_empty() && worth(&pending[at]) > worth(&pending[best]) {
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
