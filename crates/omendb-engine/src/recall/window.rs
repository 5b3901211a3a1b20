//! The recall of the last 15 minutes: mean and lower bound, of all queries and by class, and the worst queries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use omendb_metrics::{Origin, Timestamp};

use crate::recall::QueryClass;

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
    /// The same by class, of those that had a sample.
    pub classes: Vec<ClassAccuracy>,
    /// The sampled queries with the lowest recall below 1, lowest first.
    pub worst: Vec<WorstQuery>,
}

/// The recall of the queries of one class over the last 15 minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassAccuracy {
    /// Which they are.
    pub class: QueryClass,
    /// Queries sampled.
    pub samples: u64,
    /// As for [`AccuracyReport::mean`].
    pub mean: Option<f64>,
    /// As for [`AccuracyReport::lower_bound`].
    pub lower_bound: Option<f64>,
}

/// A query whose answer missed points that belonged into it. Its vector is not kept: it is its owner's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorstQuery {
    /// The share of the points that belonged into the answer and were in it.
    pub recall: f64,
    /// When it was measured, in nanoseconds since 1970-01-01 UTC.
    pub wall_nanos: u64,
    /// The sequence number of the snapshot it read.
    pub sequence: u64,
    /// How it was answered, and how much its filter lets through.
    pub class: QueryClass,
    /// How many candidates it kept; zero unless it went through a graph.
    pub ef: u64,
    /// How many hits it asked for.
    pub limit: usize,
    /// How many points belonged into the answer.
    pub expected: usize,
    /// How many of them were not in it.
    pub missed: usize,
    /// The request that asked, where that is known.
    pub origin: Option<Origin>,
}

#[derive(Debug, Default)]
pub(crate) struct RecallWindow {
    /// Oldest first.
    slots: VecDeque<Slot>,
    /// The classes there were samples of, since the beginning.
    ever: BTreeSet<QueryClass>,
    /// Lowest recall first, with the slot they belong to.
    worst: Vec<(u64, WorstQuery)>,
}

/// The samples of one minute.
#[derive(Debug)]
struct Slot {
    number: u64,
    classes: BTreeMap<QueryClass, Recalls>,
}

/// Per-query recalls. The ten hits of a query stand or fall together, so the query is the sample.
#[derive(Clone, Copy, Debug, Default)]
struct Recalls {
    samples: u64,
    sum: f64,
    sum_of_squares: f64,
}

impl Recalls {
    fn add(&mut self, other: Self) {
        let Self {
            samples,
            sum,
            sum_of_squares,
        } = other;
        self.samples += samples;
        self.sum += sum;
        self.sum_of_squares += sum_of_squares;
    }

    fn of(recall: f64) -> Self {
        Self {
            samples: 1,
            sum: recall,
            sum_of_squares: recall * recall,
        }
    }

    fn mean(self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }

    fn lower_bound(self) -> Option<f64> {
        let n = self.samples as f64;
        let mean = self.mean().filter(|_| self.samples > 1)?;
        // Rounding can leave a variance of zero slightly negative.
        let variance = ((self.sum_of_squares - self.sum * mean) / (n - 1.0)).max(0.0);
        Some((mean - student_t(self.samples - 1) * (variance / n).sqrt()).max(0.0))
    }
}

impl RecallWindow {
    pub(crate) fn record(&mut self, now: Timestamp, query: WorstQuery) {
        let number = slot_of(now);
        self.slots.retain(|slot| is_within(slot.number, number));
        self.worst.retain(|(slot, _)| is_within(*slot, number));
        if self.slots.back().is_none_or(|slot| slot.number != number) {
            let classes = BTreeMap::new();
            self.slots.push_back(Slot { number, classes });
        }
        if let Some(slot) = self.slots.back_mut() {
            let recalls = slot.classes.entry(query.class).or_default();
            recalls.add(Recalls::of(query.recall));
        }
        self.ever.insert(query.class);
        if query.recall < 1.0 {
            let position = self
                .worst
                .partition_point(|(_, other)| other.recall <= query.recall);
            self.worst.insert(position, (number, query));
            self.worst.truncate(WORST);
        }
    }

    /// Whether there is a sample in the window.
    pub(crate) fn is_sampled(&self, now: Timestamp) -> bool {
        self.slots
            .back()
            .is_some_and(|slot| is_within(slot.number, slot_of(now)))
    }

    pub(crate) fn report(&self, now: Timestamp) -> AccuracyReport {
        let current = slot_of(now);
        let mut by_class: BTreeMap<QueryClass, Recalls> = self
            .ever
            .iter()
            .map(|&class| (class, Recalls::default()))
            .collect();
        let mut all = Recalls::default();
        let recent = self.slots.iter().filter(|slot| is_within(slot.number, current));
        for (&class, &recalls) in recent.flat_map(|slot| &slot.classes) {
            by_class.entry(class).or_default().add(recalls);
            all.add(recalls);
        }
        let class_accuracy = |(class, recalls): (QueryClass, Recalls)| ClassAccuracy {
            class,
            samples: recalls.samples,
            mean: recalls.mean(),
            lower_bound: recalls.lower_bound(),
        };
        let worst = self.worst.iter().filter(|(slot, _)| is_within(*slot, current));
        AccuracyReport {
            samples: all.samples,
            mean: all.mean(),
            lower_bound: all.lower_bound(),
            classes: by_class.into_iter().map(class_accuracy).collect(),
            worst: worst.map(|(_, query)| *query).collect(),
        }
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
    use super::*;
    use crate::Plan;
    use crate::recall::Selectivity;

    const MINUTE: u64 = SLOT_NANOS;
    const GRAPH: QueryClass = QueryClass {
        plan: Plan::Graph,
        selectivity: Selectivity::Unfiltered,
    };

    fn record(window: &mut RecallWindow, minute: u64, recall: f64) {
        record_of(window, minute, (GRAPH, recall));
    }

    fn record_of(window: &mut RecallWindow, minute: u64, (class, recall): (QueryClass, f64)) {
        let query = WorstQuery {
            recall,
            wall_nanos: minute,
            sequence: 7,
            class,
            ef: 100,
            limit: 10,
            expected: 10,
            missed: (10.0 * (1.0 - recall)).round() as usize,
            origin: None,
        };
        window.record(Timestamp::from_nanos(minute * MINUTE), query);
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
        let later = report(&window, 18);
        assert_eq!((later.samples, later.mean, later.worst.len()), (0, None, 0));
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
            classes,
            worst,
        } = report(&window, 2);
        let whole = ClassAccuracy {
            class: GRAPH,
            samples,
            mean,
            lower_bound,
        };
        assert_eq!(classes, [whole], "there is one class");
        let (mean, lower_bound) = (mean.unwrap(), lower_bound.unwrap());
        assert_eq!((samples, worst.len()), (100, WORST));
        assert!((mean - 0.95).abs() < 1e-9);
        assert!((0.0095..0.0105).contains(&(mean - lower_bound)), "{lower_bound}");
    }

    #[test]
    fn classes_have_figures_of_their_own() {
        let filtered = QueryClass {
            plan: Plan::FilteredGraph,
            selectivity: Selectivity::Hundredths,
        };
        let mut window = RecallWindow::default();
        record_of(&mut window, 0, (GRAPH, 0.5));
        record_of(&mut window, 10, (filtered, 0.7));
        record_of(&mut window, 10, (filtered, 0.9));
        let of = |minute: u64| {
            let report = report(&window, minute);
            let class = |class: &ClassAccuracy| (class.class, class.samples, class.mean);
            (report.mean, report.classes.iter().map(class).collect::<Vec<_>>())
        };
        let (mean, classes) = of(10);
        assert!((mean.unwrap() - 0.7).abs() < 1e-9);
        let two = (filtered, 2, Some(0.8));
        assert_eq!(classes, [(GRAPH, 1, Some(0.5)), two]);
        // The class stays; what has left the window has no mean.
        assert_eq!(of(20), (Some(0.8), vec![(GRAPH, 0, None), two]));
    }

    #[test]
    fn the_worst_are_kept_in_order() {
        let mut window = RecallWindow::default();
        for recall in [0.9, 0.2, 1.0, 0.5, 0.3, 0.6, 0.7, 0.8, 0.4, 0.1] {
            record(&mut window, 0, recall);
        }
        let worst = report(&window, 0).worst;
        let recalls: Vec<_> = worst.iter().map(|query| (query.recall, query.missed)).collect();
        let expected = [
            (0.1, 9),
            (0.2, 8),
            (0.3, 7),
            (0.4, 6),
            (0.5, 5),
            (0.6, 4),
            (0.7, 3),
            (0.8, 2),
        ];
        assert_eq!(recalls, expected);
    }
}
