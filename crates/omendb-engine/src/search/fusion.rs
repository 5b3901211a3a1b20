//! Several lists of hits made one.

use std::collections::HashMap;

use crate::search::find::Found;
use crate::search::request::Fusion;

/// Standard deviations on either side of the mean that a distribution of scores is taken to reach.
const DEVIATIONS: f32 = 3.0;

/// The points of all lists, best first, with the scores that `fusion` gives them.
pub(crate) fn fuse(fusion: &Fusion, lists: Vec<Vec<Found>>) -> Vec<Found> {
    let mut fused: HashMap<u32, Found> = HashMap::new();
    for (number, mut list) in lists.into_iter().enumerate() {
        match fusion {
            Fusion::ReciprocalRank { k, weights } => {
                let weight = weights.get(number).copied().unwrap_or(1.0);
                for (place, found) in list.iter_mut().enumerate() {
                    found.score = reciprocal(place, *k, weight);
                }
            }
            Fusion::ScoreDistribution => spread(&mut list),
        }
        for found in list {
            fused
                .entry(found.slot)
                .and_modify(|sum| sum.score += found.score)
                .or_insert(found);
        }
    }
    let mut fused: Vec<_> = fused.into_values().collect();
    fused.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    fused
}

fn reciprocal(place: usize, k: usize, weight: f32) -> f32 {
    if weight > 0.0 {
        1.0 / ((place as f32 + 1.0) / weight + k as f32 - 1.0)
    } else {
        0.0
    }
}

/// Turns scores into places in their distribution: half for the mean.
fn spread(list: &mut [Found]) {
    let count = list.len() as f32;
    let mean = list.iter().map(|found| found.score).sum::<f32>() / count;
    let squares = list.iter().map(|found| (found.score - mean).powi(2)).sum::<f32>();
    let reach = DEVIATIONS * (squares / (count - 1.0)).sqrt();
    for found in list {
        // Not above zero for a list of one or of equals, which says nothing about how they are spread.
        found.score = if reach > 0.0 {
            (found.score - mean + reach) / (2.0 * reach)
        } else {
            0.5
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(scores: &[(u64, f32)]) -> Vec<Found> {
        let found = |&(id, score): &(u64, f32)| Found {
            slot: id as u32,
            id: id.into(),
            score,
            order_value: None,
        };
        scores.iter().map(found).collect()
    }

    #[track_caller]
    fn check(fusion: &Fusion, lists: &[&[(u64, f32)]], expected: &[(u64, f32)]) {
        let fused = fuse(fusion, lists.iter().map(|scores| list(scores)).collect());
        let ids: Vec<_> = fused.iter().map(|found| found.id).collect();
        let expected_ids: Vec<_> = expected.iter().map(|&(id, _)| id.into()).collect();
        assert_eq!(ids, expected_ids, "{fused:?}");
        for (found, (_, score)) in fused.iter().zip(expected) {
            assert!((found.score - score).abs() < 1e-6, "{fused:?}");
        }
    }

    #[test]
    fn reciprocal_ranks_are_added() {
        let lists: [&[(u64, f32)]; 2] = [&[(1, 9.0), (2, 8.0)], &[(3, 0.2), (1, 0.1)]];
        let rrf = |k, weights: &[f32]| Fusion::ReciprocalRank {
            k,
            weights: weights.to_vec(),
        };
        let third = 1.0 / 3.0;
        check(&rrf(2, &[]), &lists, &[(1, 0.5 + third), (3, 0.5), (2, third)]);
        // A list that weighs twice reads as if its places were half as far down.
        check(&rrf(1, &[2.0, 0.0]), &lists, &[(1, 2.0), (2, 1.0), (3, 0.0)]);
    }

    #[test]
    fn distributions_are_laid_over_each_other() {
        let deviation = 2.0_f32.sqrt() / 2.0;
        let (low, high) = (0.5 - 0.5 / (6.0 * deviation), 0.5 + 0.5 / (6.0 * deviation));
        let lists: [&[(u64, f32)]; 3] = [&[(1, 1.0), (2, 0.0)], &[(3, 7.0)], &[]];
        check(
            &Fusion::ScoreDistribution,
            &lists,
            &[(1, high), (3, 0.5), (2, low)],
        );
        check(
            &Fusion::ScoreDistribution,
            &[&[(5, 2.0), (4, 2.0)]],
            &[(4, 0.5), (5, 0.5)],
        );
    }
}
