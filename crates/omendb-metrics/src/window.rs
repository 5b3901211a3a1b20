//! The last minute: what was recorded in a ring of twelve slots of five seconds, turned by the clock.
//!
//! The hot path knows nothing of windows. A housekeeping thread hands over the cumulative distribution every few
//! seconds; what was added since the last turn becomes a closed slot. A scrape adds the closed slots to what came
//! since the last turn, so the current, partial slot is included; it turns nothing, so any number of scrapers see the
//! same window. A late turn puts what it finds into the slot that has just ended. What came during a pause longer than
//! the window is of unknown age and left out: rather no figure than an old one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::distribution::Distribution;
use crate::grid::Grid;

/// Length of a slot.
pub const SLOT_NANOS: u64 = 5_000_000_000;
/// Slots of the window, the current one included: 55 to 60 seconds.
pub const SLOTS: u64 = 12;

/// What a [`LatencyWindow`] holds, in the exported unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowFigures {
    /// Number of observations; never zero.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their median, as every quantile within 4.5 % on the duration grid.
    pub p50: f64,
    /// 95 % are at or below it.
    pub p95: f64,
    /// 99 % are at or below it.
    pub p99: f64,
}

/// The last minute of a histogram.
///
/// ```
/// # use omendb_metrics::{Clock, Histogram, Latency, LatencyWindow};
/// let (clock, time) = Clock::manual();
/// let latency = Histogram::<Latency>::default();
/// let window = LatencyWindow::new(clock.now(), latency.distribution());
/// latency.record(2_000_000);
/// assert_eq!(window.figures(clock.now(), &latency.distribution()).unwrap().count, 1);
/// for _ in 0..12 {
///     time.advance_nanos(5_000_000_000);
///     window.turn(clock.now(), latency.distribution());
/// }
/// assert_eq!(window.figures(clock.now(), &latency.distribution()), None);
/// ```
#[derive(Debug)]
pub struct LatencyWindow(Mutex<Ring<Distribution, Sparse>>);

/// The difference of two distributions, as its occupied buckets and its raw sum.
type Sparse = (Box<[(u16, u64)]>, u64);

impl LatencyWindow {
    /// Beginning now, for a histogram that holds `cumulative`.
    pub fn new(now: Timestamp, cumulative: Distribution) -> Self {
        Self(Mutex::new(Ring::new(now, cumulative)))
    }

    /// For a histogram that is still empty, from the origin of the clock.
    pub fn empty<G: Grid>() -> Self {
        Self::new(Timestamp::default(), Distribution::empty::<G>())
    }

    /// Closes the slots that have ended. Cheap when none has: call it every second or so.
    pub fn turn(&self, now: Timestamp, cumulative: Distribution) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.turn(now, cumulative, |new, old| {
            let delta = new.since(old);
            (delta.occupied().collect(), delta.raw_sum())
        });
    }

    /// The figures of the window that ends now; `None` if nothing was recorded in it.
    pub fn figures(&self, now: Timestamp, cumulative: &Distribution) -> Option<WindowFigures> {
        let window = self.distribution(now, cumulative);
        Some(WindowFigures {
            count: window.count(),
            mean: window.mean()?,
            p50: window.quantile(0.50)?,
            p95: window.quantile(0.95)?,
            p99: window.quantile(0.99)?,
        })
    }

    /// Everything recorded in the window that ends now.
    pub fn distribution(&self, now: Timestamp, cumulative: &Distribution) -> Distribution {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut window = match ring.partial(now) {
            Some(turned) => cumulative.since(turned),
            None => cumulative.since(cumulative),
        };
        for (occupied, raw_sum) in ring.closed(now) {
            window.add_occupied(occupied, *raw_sum);
        }
        window
    }

    /// Bytes it holds.
    pub fn heap_bytes(&self) -> usize {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let occupied: usize = ring
            .closed
            .iter()
            .map(|(_, (occupied, _))| size_of_val(&**occupied))
            .sum();
        ring.heap_bytes() + ring.turned.heap_bytes() + occupied
    }
}

/// The mean of the last minute, without quantiles: a few hundred bytes for what does not need more.
#[derive(Debug, Default)]
pub struct MeanWindow(Mutex<Ring<Totals, Totals>>);

/// Number of observations and their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Totals {
    count: u64,
    sum: f64,
}

impl Totals {
    fn of(distribution: &Distribution) -> Self {
        Self {
            count: distribution.count(),
            sum: distribution.sum(),
        }
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            count: self.count.saturating_sub(earlier.count),
            sum: (self.sum - earlier.sum).max(0.0),
        }
    }
}

impl MeanWindow {
    /// [`LatencyWindow::turn`].
    pub fn turn(&self, now: Timestamp, cumulative: &Distribution) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.turn(now, Totals::of(cumulative), |new, old| new.since(*old));
    }

    /// The mean over the window that ends now, in the exported unit; `None` if nothing was recorded in it.
    pub fn mean(&self, now: Timestamp, cumulative: &Distribution) -> Option<f64> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let partial = ring
            .partial(now)
            .map(|turned| Totals::of(cumulative).since(*turned));
        let totals = ring
            .closed(now)
            .chain(&partial)
            .fold(Totals::default(), |total, slot| Totals {
                count: total.count + slot.count,
                sum: total.sum + slot.sum,
            });
        (totals.count > 0).then(|| totals.sum / totals.count as f64)
    }

    /// Bytes it holds.
    pub fn heap_bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).heap_bytes()
    }
}

/// Closed slots of deltas `D` between cumulative states `C`.
#[derive(Debug, Default)]
struct Ring<C, D> {
    /// Number of the slot in which the ring was last turned.
    slot: u64,
    /// The state at that time.
    turned: C,
    /// Slot number and what it added, oldest first.
    closed: VecDeque<(u64, D)>,
}

impl<C, D> Ring<C, D> {
    fn new(now: Timestamp, turned: C) -> Self {
        Self {
            slot: slot_of(now),
            turned,
            closed: VecDeque::new(),
        }
    }

    fn turn(&mut self, now: Timestamp, cumulative: C, delta: impl FnOnce(&C, &C) -> D) {
        let slot = slot_of(now);
        if slot <= self.slot {
            return;
        }
        self.closed.retain(|(closed, _)| is_within(*closed, slot));
        if is_within(self.slot, slot) {
            self.closed
                .push_back((slot - 1, delta(&cumulative, &self.turned)));
        }
        self.slot = slot;
        self.turned = cumulative;
    }

    /// The closed slots that still belong to the window.
    fn closed(&self, now: Timestamp) -> impl Iterator<Item = &D> {
        let slot = slot_of(now);
        self.closed
            .iter()
            .filter(move |(closed, _)| is_within(*closed, slot))
            .map(|(_, delta)| delta)
    }

    /// The state that the current partial slot counts from; `None` if that was longer ago than the window.
    fn partial(&self, now: Timestamp) -> Option<&C> {
        is_within(self.slot, slot_of(now)).then_some(&self.turned)
    }

    fn heap_bytes(&self) -> usize {
        self.closed.capacity() * size_of::<(u64, D)>()
    }
}

fn slot_of(now: Timestamp) -> u64 {
    now.as_nanos() / SLOT_NANOS
}

/// Whether `slot` belongs to the window whose current slot is `current`.
fn is_within(slot: u64, current: u64) -> bool {
    current < slot + SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::grid::Latency;
    use crate::histogram::Histogram;

    /// `(seconds, observations recorded then, whether the housekeeping thread runs then, expected count)`.
    fn check(history: &[(u64, u64, bool, u64)]) {
        let latency = Histogram::<Latency>::default();
        let (window, mean) = (LatencyWindow::empty::<Latency>(), MeanWindow::default());
        for &(seconds, observations, turns, expected) in history {
            let now = Timestamp::from_nanos(seconds * 1_000_000_000);
            (0..observations).for_each(|_| latency.record(1_000_000));
            let cumulative = latency.distribution();
            if turns {
                window.turn(now, cumulative.clone());
                mean.turn(now, &cumulative);
            }
            let figures = window.figures(now, &cumulative);
            assert_eq!(
                figures.map_or(0, |figures| figures.count),
                expected,
                "after {seconds} s"
            );
            assert_eq!(
                mean.mean(now, &cumulative).is_some(),
                expected > 0,
                "mean after {seconds} s"
            );
            if expected > 0 {
                assert!((mean.mean(now, &cumulative).unwrap() - 0.001).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn observations_leave_after_a_minute() {
        check(&[
            (1, 10, true, 10),
            (4, 5, false, 15),
            (6, 0, true, 15),
            (12, 7, true, 22),
            (54, 0, true, 22),
            (60, 0, true, 7),
            (64, 1, true, 8),
            (70, 0, true, 1),
            (200, 0, true, 0),
        ]);
    }

    #[test]
    fn scrapes_alone_expire_slots_and_move_nothing() {
        check(&[
            (1, 10, true, 10),
            (6, 0, true, 10),
            (55, 0, false, 10),
            (60, 0, false, 0),
            (61, 0, true, 0),
        ]);
    }

    #[test]
    fn a_late_turn_loses_nothing_until_it_is_a_minute_late() {
        check(&[
            (1, 10, false, 10),
            (31, 1, true, 11),
            (80, 0, true, 11),
            (90, 0, true, 0),
        ]);
        check(&[
            (1, 10, false, 10),
            (59, 0, false, 10),
            (60, 0, false, 0),
            (61, 3, true, 0),
            (62, 2, true, 2),
        ]);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let (clock, _) = Clock::manual();
        let latency = Histogram::<Latency>::default();
        latency.record(5_000);
        let window = LatencyWindow::new(clock.now(), latency.distribution());
        assert_eq!(window.figures(clock.now(), &latency.distribution()), None);
    }
}
