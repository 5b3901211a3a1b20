//! When a traced request was in which stage: what its spans are made of.

use omendb_metrics::Timestamp;

use crate::telemetry::stages::Stage;

/// Most stays that are kept before the last, in which the answer is sent; further ones are [`Stage::Other`].
const MOST_STAYS: usize = 64;

/// One stay of a request in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) stage: Stage,
    /// When it began.
    pub(crate) began: Timestamp,
    /// How long it lasted.
    pub(crate) nanos: u64,
}

impl Stay {
    fn end(&self) -> Timestamp {
        Timestamp::from_nanos(self.began.as_nanos().saturating_add(self.nanos))
    }
}

/// The stays of one request, in the order in which it made them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline(Vec<Stay>);

impl Timeline {
    /// The request was in `stage` for `nanos` from `began` on. A stay that follows on one in the same stage prolongs it.
    pub(crate) fn add(&mut self, stage: Stage, began: Timestamp, nanos: u64) {
        if nanos == 0 {
            return;
        }
        let has_room = self.0.len() < MOST_STAYS || stage == Stage::Send;
        match self.0.last_mut() {
            Some(last) if last.stage == stage && last.end() == began => last.nanos += nanos,
            _ if has_room => self.0.push(Stay { stage, began, nanos }),
            _ => {}
        }
    }

    /// All stays of a request that lasted from `began` to `end`: the time between two of them was spent in
    /// [`Stage::Other`].
    pub(crate) fn without_gaps(&self, began: Timestamp, end: Timestamp) -> Vec<Stay> {
        let mut stays = Vec::with_capacity(self.0.len() * 2 + 1);
        let mut covered = began;
        let gap = |from: Timestamp, to: Timestamp| Stay {
            stage: Stage::Other,
            began: from,
            nanos: to.nanos_since(from),
        };
        for stay in &self.0 {
            stays.extend([gap(covered, stay.began), *stay]);
            covered = covered.max(stay.end());
        }
        stays.push(gap(covered, end));
        stays.retain(|stay| stay.nanos > 0);
        stays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// The stays (stage, began, nanoseconds) of a request from 0 to 100 that made `stays`.
    #[track_caller]
    fn check(stays: &[(Stage, u64, u64)], expected: &[(Stage, u64, u64)]) {
        let mut timeline = Timeline::default();
        for &(stage, began, nanos) in stays {
            timeline.add(stage, at(began), nanos);
        }
        let all = timeline.without_gaps(at(0), at(100));
        let all: Vec<_> = all
            .iter()
            .map(|stay| (stay.stage, stay.began.as_nanos(), stay.nanos))
            .collect();
        assert_eq!(all, expected, "{stays:?}");
    }

    #[test]
    fn what_is_between_stays_is_other() {
        use Stage::{Other, Parse, Queue, Receive, Search};
        check(&[], &[(Other, 0, 100)]);
        check(
            &[(Receive, 0, 10), (Queue, 20, 30), (Parse, 50, 50)],
            &[
                (Receive, 0, 10),
                (Other, 10, 10),
                (Queue, 20, 30),
                (Parse, 50, 50),
            ],
        );
        // Stays without time are none, and two that touch are one.
        check(
            &[(Search, 10, 5), (Search, 15, 5), (Parse, 20, 0), (Search, 21, 4)],
            &[
                (Other, 0, 10),
                (Search, 10, 10),
                (Other, 20, 1),
                (Search, 21, 4),
                (Other, 25, 75),
            ],
        );
    }

    #[test]
    fn the_stays_of_a_long_request_are_bounded_and_its_time_is_not_lost() {
        let mut timeline = Timeline::default();
        for step in 0..1_000 {
            timeline.add(Stage::Apply, at(step * 10), 4);
            timeline.add(Stage::Fsync, at(step * 10 + 4), 3);
        }
        timeline.add(Stage::Send, at(10_000), 7);
        let stays = timeline.without_gaps(at(0), at(10_007));
        let total = |stage: Stage| -> u64 {
            let stays = stays.iter().filter(|stay| stay.stage == stage);
            stays.map(|stay| stay.nanos).sum()
        };
        let (applied, synced) = (MOST_STAYS as u64 / 2 * 4, MOST_STAYS as u64 / 2 * 3);
        let other = 10_000 - applied - synced;
        assert_eq!(
            [Stage::Apply, Stage::Fsync, Stage::Other, Stage::Send].map(total),
            [applied, synced, other, 7]
        );
        assert!(stays.len() <= 2 * MOST_STAYS + 2, "{}", stays.len());
    }
}
