//! Exact search: every row compared, chunk by chunk, several rows per kernel call.

use omendb_distance::{Distance, Kernels};

use crate::SearchStats;
use crate::search::top_k::{Candidate, TopK};
use crate::state::State;

/// What to scan for, checked and prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// The position of the vector among the collection's.
    pub(crate) column: usize,
    pub(crate) distance: Distance,
    /// At unit length for `Cosine`.
    pub(crate) query: &'a [f32],
    /// A slot that is never a candidate: the point the search starts from.
    pub(crate) excluded: Option<u32>,
}

/// The best `k` points of `state`, best first. `scores` is scratch.
pub(crate) fn scan(
    kernels: &Kernels,
    state: &State,
    target: &Target<'_>,
    k: usize,
    work: (&mut Vec<f32>, &mut SearchStats),
) -> Vec<Candidate> {
    let (scores, stats) = work;
    let &Target {
        column,
        distance,
        query,
        excluded,
    } = target;
    let layout = &state.layout;
    let sign = if distance.higher_is_better() { 1.0 } else { -1.0 };
    let mut top = TopK::new(k, usize::try_from(state.ids.len()).unwrap_or(usize::MAX));
    let (mut rows_scanned, mut chunks_scanned) = (0, 0);
    scores.resize(layout.chunk_slots, 0.0);
    for (number, chunk) in state.chunks() {
        let rows = chunk.column(column);
        let candidates = chunk.alive.and(&rows.present);
        if candidates.is_empty() {
            continue;
        }
        let scores = &mut scores[..chunk.filled()];
        kernels.raw_rows(distance, query, rows.values(), scores);
        (rows_scanned, chunks_scanned) = (rows_scanned + scores.len() as u64, chunks_scanned + 1);
        let mut bound = top.bound();
        for (position, &score) in scores.iter().enumerate() {
            let rank = sign * score;
            #[expect(
                clippy::neg_cmp_op_on_partial_ord,
                reason = "NaN has to pass: it ranks last, it is not left out"
            )]
            let may_enter = !(rank < bound);
            if may_enter && candidates.contains(position) {
                let slot = layout.slot(number, position);
                if excluded != Some(slot) {
                    top.offer(rank, chunk.id(position), slot);
                    bound = top.bound();
                }
            }
        }
    }
    let dimension = query.len();
    stats.distance_computations += rows_scanned;
    stats.bytes_touched += rows_scanned * size_of_val(query) as u64;
    stats.elements += rows_scanned * dimension as u64;
    stats.elements_in_full_vectors += rows_scanned * kernels.elements_in_full_vectors(dimension) as u64;
    stats.chunks += chunks_scanned;
    stats.heap_pushes += top.pushes();
    top.into_sorted()
}
