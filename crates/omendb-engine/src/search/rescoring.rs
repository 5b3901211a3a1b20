//! How long rows scored in full took, without a reading of the clock for each: the first run of rows is timed, and tells
//! the time of the others.

use omendb_metrics::Clock;

use crate::{Count, SearchStats};

/// The time of the rows that one scan rescores.
#[derive(Debug)]
pub(crate) struct Rescoring<'a> {
    clock: &'a Clock,
    /// Rows rescored when the scan began.
    before: Count,
    /// Rows of the run that was timed, and its nanoseconds.
    timed: Option<(Count, u64)>,
}

impl<'a> Rescoring<'a> {
    /// Before the first row of a scan.
    pub(crate) fn new(clock: &'a Clock, stats: &SearchStats) -> Self {
        Self {
            clock,
            before: stats.rescored,
            timed: None,
        }
    }

    /// Carries out a run, in which rows are rescored only if they are coded.
    #[inline]
    pub(crate) fn run(
        &mut self,
        is_coded: bool,
        stats: &mut SearchStats,
        run: impl FnOnce(&mut SearchStats),
    ) {
        if self.timed.is_some() || !is_coded {
            return run(stats);
        }
        let (begun, before) = (self.clock.now(), stats.rescored);
        run(stats);
        let rows = stats.rescored - before;
        if rows > 0 {
            self.timed = Some((rows, self.clock.now().nanos_since(begun)));
        }
    }

    /// Adds what all rows of the scan took.
    pub(crate) fn finish(self, stats: &mut SearchStats) {
        if let Some((rows, nanos)) = self.timed {
            stats.rescore_ns += nanos * (stats.rescored - self.before) / rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_with_rows_tells_the_time_of_all() {
        let (clock, time) = Clock::manual();
        let check = |runs: &[(u64, u64)], expected: u64| {
            let mut stats = SearchStats {
                rescored: 7,
                rescore_ns: 1,
                ..SearchStats::default()
            };
            let mut rescoring = Rescoring::new(&clock, &stats);
            for &(rows, nanos) in runs {
                rescoring.run(true, &mut stats, |stats| {
                    stats.rescored += rows;
                    time.advance_nanos(nanos);
                });
            }
            rescoring.finish(&mut stats);
            assert_eq!(stats.rescore_ns, 1 + expected, "{runs:?}");
        };
        check(&[], 0);
        check(&[(0, 50)], 0);
        check(&[(0, 50), (10, 1_000)], 1_000);
        check(&[(10, 1_000), (20, 9_999), (0, 70)], 3_000);
    }
}
