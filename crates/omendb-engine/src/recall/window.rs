//! The recall of the last 15 minutes: mean, lower bound, and the worst queries.

use std::collections::VecDeque;

use omendb_metrics::Timestamp;

use crate::ledger::Charge;

/// Length of a slot.
const SLOT_NANOS: u64 = 60_000_000_000;
/// Slots of the window, the current one included: 14 to 15 minutes.
const SLOTS: u64 = 15;
/// How many of the worst queries are kept.
const WORST: usize = 8;

/// The recall of one collection over the last 15 minutes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccuracyReport {
    /// Queries sampled.
    pub samples: u64,
    /// Mean of their recalls; `None` without a sample.
    pub mean: Option<f64>,
    /// What the mean is at least, with 95 % confidence; `None` with fewer than two samples.
    pub lower_bound: Option<f64>,
    /// The sampled queries with the lowest recall below 1, lowest first.
    pub worst: Vec<WorstQuery>,
}

/// A query whose answer missed points that belonged into it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstQuery {
    /// The share of the points that belonged into the answer and were in it.
    pub recall: f64,
    /// When it was measured, in nanoseconds since 1970-01-01 UTC.
    pub wall_nanos: u64,
    /// The vector it compared.
    pub query: Vec<f32>,
    /// How many hits it asked for.
    pub limit: usize,
    /// How many points belonged into the answer.
    pub expected: usize,
}

#[derive(Debug, Default)]
pub(crate) struct RecallWindow {
    /// Oldest first.
    slots: VecDeque<Slot>,
    /// Lowest recall first, with the slot they belong to.
    worst: Vec<(u64, WorstQuery, Charge)>,
}

/// Per-query recalls of one minute. The ten hits of a query stand or fall together, so the query is the sample.
#[derive(Debug, Default)]
struct Slot {
    number: u64,
    samples: u64,
    sum: f64,
    sum_of_squares: f64,
}

impl RecallWindow {
    pub(crate) fn record(&mut self, now: Timestamp, query: WorstQuery, charge: Charge) {
        let number = slot_of(now);
        self.slots.retain(|slot| is_within(slot.number, number));
        self.worst.retain(|(slot, _, _)| is_within(*slot, number));
        if self.slots.back().is_none_or(|slot| slot.number != number) {
            self.slots.push_back(Slot {
                number,
                ..Slot::default()
            });
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.samples += 1;
            slot.sum += query.recall;
            slot.sum_of_squares += query.recall * query.recall;
        }
        if query.recall < 1.0 {
            let position = self
                .worst
                .partition_point(|(_, other, _)| other.recall <= query.recall);
            self.worst.insert(position, (number, query, charge));
            self.worst.truncate(WORST);
        }
    }

    pub(crate) fn samples(&self, now: Timestamp) -> u64 {
        self.recent(now).map(|slot| slot.samples).sum()
    }

    pub(crate) fn report(&self, now: Timestamp) -> AccuracyReport {
        let (mut samples, mut sum, mut sum_of_squares) = (0, 0.0, 0.0);
        for slot in self.recent(now) {
            samples += slot.samples;
            sum += slot.sum;
            sum_of_squares += slot.sum_of_squares;
        }
        let worst = self
            .worst
            .iter()
            .filter(|(slot, _, _)| is_within(*slot, slot_of(now)));
        let n = samples as f64;
        let mean = (samples > 0).then(|| sum / n);
        let lower_bound = mean.filter(|_| samples > 1).map(|mean| {
            // Rounding can leave a variance of zero slightly negative.
            let variance = ((sum_of_squares - sum * mean) / (n - 1.0)).max(0.0);
            (mean - student_t(samples - 1) * (variance / n).sqrt()).max(0.0)
        });
        AccuracyReport {
            samples,
            mean,
            lower_bound,
            worst: worst.map(|(_, query, _)| query.clone()).collect(),
        }
    }

    fn recent(&self, now: Timestamp) -> impl Iterator<Item = &Slot> {
        self.slots
            .iter()
            .filter(move |slot| is_within(slot.number, slot_of(now)))
    }
}

fn slot_of(now: Timestamp) -> u64 {
    now.as_nanos() / SLOT_NANOS
}

/// Whether `slot` belongs to the window whose current slot is `current`.
fn is_within(slot: u64, current: u64) -> bool {
    current < slot + SLOTS
}

/// The 97.5 % quantile of Student's t, within 1 %: so few samples make the normal quantile too sure of itself.
fn student_t(degrees_of_freedom: u64) -> f64 {
    const FEW: [f64; 10] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    ];
    let index = usize::try_from(degrees_of_freedom)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    FEW.get(index)
        .copied()
        .unwrap_or(1.96 + 2.6 / degrees_of_freedom as f64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Component;
    use crate::ledger::Ledger;

    const MINUTE: u64 = SLOT_NANOS;

    fn record(window: &mut RecallWindow, minute: u64, recall: f64) {
        let charge = Charge::new(&Arc::new(Ledger::default()), Component::Probe, 0);
        let query = WorstQuery {
            recall,
            wall_nanos: minute,
            query: vec![],
            limit: 10,
            expected: 10,
        };
        window.record(Timestamp::from_nanos(minute * MINUTE), query, charge);
    }

    fn report(window: &RecallWindow, minute: u64) -> AccuracyReport {
        window.report(Timestamp::from_nanos(minute * MINUTE))
    }

    #[test]
    fn absent_until_there_is_a_sample_and_after_fifteen_minutes() {
        let mut window = RecallWindow::default();
        assert_eq!(report(&window, 0), AccuracyReport::default());
        record(&mut window, 3, 0.5);
        assert_eq!(
            (report(&window, 17).mean, report(&window, 17).worst.len()),
            (Some(0.5), 1)
        );
        assert_eq!(report(&window, 18), AccuracyReport::default());
        record(&mut window, 20, 1.0);
        assert_eq!(report(&window, 20).mean, Some(1.0));
    }

    #[test]
    fn the_lower_bound_follows_the_spread_of_the_queries() {
        let mut window = RecallWindow::default();
        record(&mut window, 0, 0.9);
        assert_eq!(report(&window, 0).lower_bound, None, "one sample has no spread");
        record(&mut window, 1, 1.0);
        // Mean 0.95, deviation 0.0707 over the root of two samples, t = 12.706: beyond zero, so held at zero or above.
        assert!((report(&window, 1).lower_bound.unwrap() - (0.95_f64 - 12.706 * 0.05)).abs() < 1e-9);
        for sample in 0..98 {
            record(&mut window, 2, if sample % 2 == 0 { 0.9 } else { 1.0 });
        }
        let AccuracyReport {
            samples,
            mean,
            lower_bound,
            worst,
        } = report(&window, 2);
        let (mean, lower_bound) = (mean.unwrap(), lower_bound.unwrap());
        assert_eq!((samples, worst.len()), (100, WORST));
        assert!((mean - 0.95).abs() < 1e-9);
        assert!((0.0095..0.0105).contains(&(mean - lower_bound)), "{lower_bound}");
    }

    #[test]
    fn the_worst_are_kept_in_order() {
        let mut window = RecallWindow::default();
        for recall in [0.9, 0.2, 1.0, 0.5, 0.3, 0.6, 0.7, 0.8, 0.4, 0.1] {
            record(&mut window, 0, recall);
        }
        let recalls: Vec<_> = report(&window, 0)
            .worst
            .iter()
            .map(|query| query.recall)
            .collect();
        assert_eq!(recalls, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]);
    }
}
