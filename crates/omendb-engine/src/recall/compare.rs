//! The exact answer, found by code that shares nothing with the search: plain loops over every row, then a selection.

use std::collections::HashSet;

use omendb_distance::Distance;

use crate::filter::Subject;
use crate::recall::{Sample, Selectivity};
use crate::state::Chunk;

/// Rounding of another order of additions, relative to the value; two answers that differ by less are tied.
const TOLERANCE: f32 = 1e-5;
/// The same for sums of products that cancel, relative to the lengths of the vectors.
const CANCELLATION: f32 = 1e-6;

/// What a sample showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// How much the filter lets through.
    pub(crate) selectivity: Selectivity,
    /// Points that belonged into the answer.
    pub(crate) expected: usize,
    /// How many of the points in the answer belonged there; at most `expected`.
    pub(crate) correct: usize,
}

/// Measures a sample; `None` when it was told to stop, or no point belonged into the answer.
pub(crate) fn compare(sample: &Sample, is_stopped: impl Fn() -> bool) -> Option<Comparison> {
    let Ranks { mut ranks, points } = every_rank(sample, is_stopped)?;
    let is_filtered = sample.filter.as_ref().is_some_and(|filter| !filter.is_empty());
    let selectivity = match is_filtered {
        true => Selectivity::of(ranks.len(), points),
        false => Selectivity::Unfiltered,
    };
    let best_first = |a: &f32, b: &f32| b.total_cmp(a);
    let depth = (sample.limit + sample.offset).min(ranks.len());
    if depth == 0 || sample.offset >= depth {
        return None;
    }
    ranks.select_nth_unstable_by(depth - 1, best_first);
    let mut best = ranks.drain(..depth).collect::<Vec<_>>();
    best.sort_unstable_by(best_first);
    if let Some(threshold) = sample.score_threshold {
        let worst = rank_of(sample.distance, sample.distance.raw_from_score(threshold));
        // Points at the threshold, to within rounding, may be in the answer or not.
        best.retain(|rank| *rank >= worst + TOLERANCE * worst.abs());
    }
    let expected = best.len().saturating_sub(sample.offset);
    let worst_expected = *best.last().filter(|_| expected > 0)?;
    let distinct: HashSet<_> = sample.found.iter().collect();
    let belongs =
        |slot: u32| row_at(sample, slot).is_some_and(|row| is_at_least(sample, row, worst_expected));
    let correct = distinct
        .into_iter()
        .filter_map(|id| sample.state.ids.get(*id))
        .filter(|&slot| belongs(slot))
        .count();
    Some(Comparison {
        selectivity,
        expected,
        correct: correct.min(expected),
    })
}

/// What there is to choose from.
struct Ranks {
    /// Of every point that may be in the answer, greater being better.
    ranks: Vec<f32>,
    /// Points, those that do not pass the filter included.
    points: usize,
}

fn every_rank(sample: &Sample, is_stopped: impl Fn() -> bool) -> Option<Ranks> {
    let excluded = sample.excluded.and_then(|id| sample.state.ids.get(id));
    let layout = &sample.state.layout;
    let (mut ranks, mut points) = (Vec::new(), 0);
    for (number, chunk) in sample.state.chunks() {
        if is_stopped() {
            return None;
        }
        for position in chunk.alive.iter() {
            if let Some(row) = chunk.column(sample.column).row(position)
                && excluded != Some(layout.slot(number, position))
            {
                points += 1;
                if passes(sample, chunk, position) {
                    ranks.push(rank(sample, row));
                }
            }
        }
    }
    Some(Ranks { ranks, points })
}

/// The row of a hit; `None` when it should have been none, because it does not pass the filter.
fn row_at(sample: &Sample, slot: u32) -> Option<&[f32]> {
    let (chunk, position) = sample.state.locate(slot)?;
    if !passes(sample, chunk, position) {
        return None;
    }
    chunk.column(sample.column).row(position)
}

fn passes(sample: &Sample, chunk: &Chunk, position: usize) -> bool {
    let subject = Subject::point(&sample.state.layout, chunk, position);
    sample.filter.as_ref().is_none_or(|filter| subject.passes(filter))
}

fn is_at_least(sample: &Sample, row: &[f32], worst: f32) -> bool {
    let cancelled = match sample.distance {
        Distance::Cosine | Distance::Dot => {
            CANCELLATION * (dot(&sample.query, &sample.query) * dot(row, row)).sqrt()
        }
        // Sums of what is never negative: nothing cancels.
        Distance::Euclid | Distance::Manhattan => 0.0,
    };
    rank(sample, row) >= worst - TOLERANCE * worst.abs() - cancelled
}

fn rank(sample: &Sample, row: &[f32]) -> f32 {
    let raw = match sample.distance {
        Distance::Cosine | Distance::Dot => dot(&sample.query, row),
        Distance::Euclid => sum(&sample.query, row, |a, b| (a - b) * (a - b)),
        Distance::Manhattan => sum(&sample.query, row, |a, b| (a - b).abs()),
    };
    let rank = rank_of(sample.distance, raw);
    // As a search does: what is no number ranks last.
    if rank.is_nan() { f32::NEG_INFINITY } else { rank }
}

fn rank_of(distance: Distance, raw: f32) -> f32 {
    if distance.higher_is_better() { raw } else { -raw }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

/// The sum of the terms, in eight running sums so that the compiler may use vector registers.
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in a_eights.iter().zip(b_eights) {
        for lane in 0..8 {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&a, &b)| term(a, b)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ledger::{Charge, Component, Ledger};
    use crate::record::{Columns, put_upsert};
    use crate::state::{Layout, Store};
    use crate::{CollectionConfig, Condition, Filter, Payload, Plan, PointId};

    /// Points 0 to 99 at as many places on a line; a query at 10 wants those around it.
    fn sample(limit: usize, found: &[u64]) -> Sample {
        let ledger = Arc::new(Ledger::default());
        let layout = Arc::new(Layout::new(&CollectionConfig::unnamed(1, Distance::Euclid)));
        let ids: Vec<PointId> = (0..100).map(PointId::from).collect();
        let places: Vec<f32> = (0..100_u8).map(f32::from).collect();
        let columns = Columns {
            dense: vec![places.chunks(1).map(Some).collect()],
            ..Columns::default()
        };
        let mut record = Vec::new();
        put_upsert(
            (&layout, &mut record),
            &ids,
            &columns,
            std::iter::repeat_n(&Payload::default(), 100),
        );
        let mut store = Store::new(layout, &ledger);
        store.apply(&record).unwrap();
        Sample {
            accuracy: Arc::default(),
            state: Arc::new(store.state().clone()),
            plan: Plan::Exact,
            ef: 0,
            origin: None,
            column: 0,
            distance: Distance::Euclid,
            query: vec![10.0],
            excluded: None,
            limit,
            offset: 0,
            score_threshold: None,
            filter: None,
            found: found.iter().copied().map(PointId::from).collect(),
            _charge: Charge::new(&ledger, Component::Probe, 0),
        }
    }

    fn check(sample: &Sample, expected: Option<(usize, usize)>) {
        let comparison = compare(sample, || false).map(|comparison| {
            let Comparison {
                selectivity,
                expected,
                correct,
            } = comparison;
            assert_eq!(selectivity, Selectivity::Unfiltered);
            (correct, expected)
        });
        assert_eq!(comparison, expected, "{:?} of {}", sample.found, sample.limit);
    }

    #[test]
    fn what_an_answer_missed_is_counted() {
        check(&sample(5, &[10, 9, 11, 8, 12]), Some((5, 5)));
        check(&sample(5, &[10, 9, 11, 8, 13]), Some((4, 5)));
        check(&sample(5, &[10, 9]), Some((2, 5)));
        check(&sample(5, &[]), Some((0, 5)));
        check(&sample(5, &[50, 51, 52, 53, 54]), Some((0, 5)));
        check(&sample(5, &[10, 10, 10, 10, 10]), Some((1, 5)));
        check(&sample(5, &[10, 9, 11, 8, 1_000]), Some((4, 5)));
    }

    #[test]
    fn ties_are_no_misses() {
        // 9 and 11 are as far; either may be the second of two.
        check(&sample(2, &[10, 9]), Some((2, 2)));
        check(&sample(2, &[10, 11]), Some((2, 2)));
        check(&sample(2, &[10, 12]), Some((1, 2)));
    }

    #[test]
    fn fewer_points_than_asked_for_are_all_expected() {
        let all: Vec<u64> = (0..100).collect();
        check(&sample(500, &all), Some((100, 100)));
        check(&sample(500, &all[..40]), Some((40, 100)));
    }

    #[test]
    fn offset_threshold_and_the_point_itself_are_taken_into_account() {
        let second_page = |found: &[u64]| Sample {
            offset: 3,
            ..sample(2, found)
        };
        check(&second_page(&[8, 12]), Some((2, 2)));
        check(&second_page(&[8, 13]), Some((1, 2)));
        let within = |threshold, found: &[u64]| Sample {
            score_threshold: Some(threshold),
            ..sample(10, found)
        };
        check(&within(1.5, &[10, 9, 11]), Some((3, 3)));
        check(&within(1.5, &[10, 9]), Some((2, 3)));
        check(&within(1.0, &[10, 9, 11]), Some((1, 1)));
        check(&within(-1.0, &[]), None);
        let near_itself = |found: &[u64]| Sample {
            excluded: Some(10.into()),
            ..sample(2, found)
        };
        check(&near_itself(&[9, 11]), Some((2, 2)));
        check(&near_itself(&[9, 12]), Some((1, 2)));
    }

    #[test]
    fn the_share_of_points_that_pass_is_counted() {
        let only = |ids: std::ops::Range<u64>, found: &[u64]| Sample {
            filter: Some(Arc::new(Filter::of(Condition::HasId(
                ids.map(PointId::from).collect(),
            )))),
            ..sample(2, found)
        };
        let check = |sample: &Sample, selectivity, correct| {
            let expected = Comparison {
                selectivity,
                expected: 2,
                correct,
            };
            assert_eq!(compare(sample, || false), Some(expected), "{:?}", sample.found);
        };
        check(&only(20..30, &[20, 21]), Selectivity::Tenths, 2);
        check(&only(20..22, &[20, 10]), Selectivity::Hundredths, 1);
    }

    #[test]
    fn nothing_asked_for_or_stopped_is_no_sample() {
        check(&sample(0, &[]), None);
        assert_eq!(compare(&sample(5, &[10]), || true), None);
    }
}
