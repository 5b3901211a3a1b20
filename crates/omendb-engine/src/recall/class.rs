//! What sampled queries are told apart by: the way they were answered, and how much their filter lets through.

use omendb_metrics::labels;

use crate::Plan;

labels! {
    /// Which share of the points that have the vector passes a query's filter.
    pub enum Selectivity("selectivity") {
        /// There is no filter.
        Unfiltered = "unfiltered",
        /// A tenth of the points or more.
        Tenths = "over_10_percent",
        /// A hundredth or more.
        Hundredths = "1_to_10_percent",
        /// A thousandth or more.
        Thousandths = "0.1_to_1_percent",
        /// Fewer.
        Few = "under_0.1_percent",
    }
}

/// Queries that are expected to have about the same recall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryClass {
    /// How they were answered.
    pub plan: Plan,
    /// How much their filter lets through.
    pub selectivity: Selectivity,
}

impl Selectivity {
    /// That of a filter which `passed` of `points` points pass.
    pub(crate) fn of(passed: usize, points: usize) -> Self {
        let passes_one_in = |share: usize| passed.saturating_mul(share) >= points;
        if passes_one_in(10) {
            Self::Tenths
        } else if passes_one_in(100) {
            Self::Hundredths
        } else if passes_one_in(1_000) {
            Self::Thousandths
        } else {
            Self::Few
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_begin_at_their_bound() {
        let check = |passed, points, expected| assert_eq!(Selectivity::of(passed, points), expected);
        check(50_000, 50_000, Selectivity::Tenths);
        check(5_000, 50_000, Selectivity::Tenths);
        check(4_999, 50_000, Selectivity::Hundredths);
        check(500, 50_000, Selectivity::Hundredths);
        check(499, 50_000, Selectivity::Thousandths);
        check(50, 50_000, Selectivity::Thousandths);
        check(49, 50_000, Selectivity::Few);
        check(0, 1, Selectivity::Few);
    }
}
