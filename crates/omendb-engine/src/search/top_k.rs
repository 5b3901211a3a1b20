//! The best `k` candidates seen so far, with ties decided by id so that every run gives the same answer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::{Count, PointId, count};

/// A candidate of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// The compared value, turned so that greater is better; never NaN.
    pub(crate) rank: f32,
    pub(crate) id: PointId,
    pub(crate) slot: u32,
}

/// A heap of at most `k` candidates whose top is the worst of them.
#[derive(Debug)]
pub(crate) struct TopK {
    k: usize,
    heap: BinaryHeap<Worst>,
    pushes: Count,
}

impl TopK {
    /// Holds `k` of the `available` candidates there can be.
    pub(crate) fn new(k: usize, available: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::with_capacity(k.min(available)),
            pushes: count::of(0),
        }
    }

    /// Candidates ranked below this cannot enter; those ranked at it may, by their id. NaN compares with nothing, so
    /// `!(rank < bound)` lets it pass to [`offer`](Self::offer).
    pub(crate) fn bound(&self) -> f32 {
        if self.heap.len() < self.k {
            return f32::NEG_INFINITY;
        }
        self.heap.peek().map_or(f32::INFINITY, |worst| worst.0.rank)
    }

    /// Keeps the candidate if it is among the best. A `rank` of NaN counts as the worst there is.
    pub(crate) fn offer(&mut self, rank: f32, id: PointId, slot: u32) {
        let rank = if rank.is_nan() { f32::NEG_INFINITY } else { rank };
        let candidate = Worst(Candidate { rank, id, slot });
        if self.heap.len() < self.k {
            self.heap.push(candidate);
            self.pushes += 1;
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
            self.pushes += 1;
        }
    }

    /// Candidates that entered.
    pub(crate) fn pushes(&self) -> Count {
        self.pushes
    }

    /// The candidates, best first.
    pub(crate) fn into_sorted(self) -> Vec<Candidate> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|Worst(candidate)| candidate)
            .collect()
    }
}

/// Ordered so that the greatest is the worst.
#[derive(Debug, PartialEq)]
struct Worst(Candidate);

impl Eq for Worst {}

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        // Ranks are not NaN; adding zero makes -0 equal to 0, which `total_cmp` would tell apart.
        let rank = |worst: &Self| worst.0.rank + 0.0;
        rank(other)
            .total_cmp(&rank(self))
            .then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance as Random;

    fn best(k: usize, candidates: &[(f32, u64)]) -> Vec<(f32, PointId)> {
        let mut top = TopK::new(k, candidates.len());
        for &(rank, id) in candidates {
            // As the scan does: what the bound refuses must not be missed.
            #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN has to pass")]
            if !(rank < top.bound()) {
                top.offer(rank, id.into(), 0);
            }
        }
        top.into_sorted()
            .into_iter()
            .map(|candidate| (candidate.rank, candidate.id))
            .collect()
    }

    #[test]
    fn random_candidates_agree_with_sorting() {
        let mut random = Random::new(1);
        for k in [0, 1, 2, 10, 100, 1_000] {
            let candidates: Vec<_> = (0..500).map(|id| (random.below(40) as f32 - 20.0, id)).collect();
            let mut expected: Vec<_> = candidates
                .iter()
                .map(|&(rank, id)| (rank, PointId::from(id)))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            assert_eq!(best(k, &candidates), expected, "k = {k}");
        }
    }

    #[test]
    fn odd_ranks_have_their_place() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let found = best(4, &[(nan, 1), (-inf, 2), (inf, 3), (-0.0, 5), (0.0, 4)]);
        assert_eq!(
            found,
            [
                (inf, 3.into()),
                (0.0, 4.into()),
                (-0.0, 5.into()),
                (-inf, 1.into())
            ]
        );
    }
}
