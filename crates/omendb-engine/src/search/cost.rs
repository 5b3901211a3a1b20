//! What each way to the nearest points costs, so that the cheapest is taken.
//!
//! The unit is a row compared in a scan, in long runs: about 20 ns for codes of 384 dimensions. The figures were measured
//! there (`cargo x bench filters`) and rounded, since a plan that is off by a tenth is as good.

/// A node of a walk: its row is fetched from anywhere, it is looked up and queued.
const WALKED: f64 = 5.0;
/// Comparing a row of a walk, which is close by then, once more.
const COMPARED: f64 = 1.0;
/// A row compared in a scan by several vectors, as it is and not by its codes, and comparing it with each of them.
const ROW: f64 = 2.0;
const ROW_COMPARED: f64 = 2.0;
/// A row that an index points at.
const POINTED_AT: f64 = 3.0;
/// A chunk looked into, whatever is in it.
const CHUNK: f64 = 2.0;
/// A payload tested against a filter.
const TESTED: f64 = 20.0;

/// Nodes that a walk sees for each candidate it keeps or would keep if it passed, and on its way to the first of them.
const SEEN_PER_CANDIDATE: f64 = 14.0;
const SEEN_ON_THE_WAY: f64 = 300.0;
/// Nodes that are tested for each of these candidates: those that are replaced by nearer ones later, too.
const TESTED_PER_CANDIDATE: f64 = 3.0;

/// So many tests tell how many points pass where the walk is, for better or worse.
const TELLING_TESTS: u64 = 48;

/// What comparing a row costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    /// In a scan.
    scanned: f64,
    /// In a walk.
    walked: f64,
    /// Walks with one vector, to where the walk begins.
    leads: f64,
    /// Whether a walk ends when nothing nearer is left. Ranks by several vectors may be alike far around.
    ends_by_itself: bool,
}

impl Prices {
    /// With the vector that is searched for.
    pub(crate) const NEAREST: Self = Self {
        scanned: 1.0,
        walked: WALKED,
        leads: 0.0,
        ends_by_itself: true,
    };

    /// With so many vectors, from so many of which a walk begins.
    pub(crate) fn of_examples(vectors: usize, leads: usize) -> Self {
        let vectors = vectors as f64;
        Self {
            scanned: ROW + ROW_COMPARED * vectors,
            walked: WALKED + COMPARED * (vectors - 1.0),
            leads: leads as f64,
            ends_by_itself: false,
        }
    }
}

/// What there is to search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) points: f64,
    pub(crate) chunks: f64,
    /// Points that a graph does not lead to; all of them without one.
    pub(crate) uncovered: f64,
}

/// How many of the points pass a filter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Passing {
    /// There is no filter.
    All,
    /// As many as an index says.
    Indexed(f64),
    Unknown,
}

/// What a walk may cost before a scan would have been cheaper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    prices: Prices,
    ef: f64,
    scan: f64,
    is_filtered: bool,
}

impl Allowance {
    /// `None` if a scan is cheaper from the start.
    pub(crate) fn of(prices: Prices, extent: Extent, ef: usize, passing: Passing) -> Option<Self> {
        let Extent {
            points,
            chunks,
            uncovered,
        } = extent;
        let (scan, share) = match passing {
            Passing::All | Passing::Unknown => (points * prices.scanned, 1.0),
            Passing::Indexed(matches) => {
                let scan = matches * (POINTED_AT + prices.scanned - 1.0);
                (scan, (matches / points).clamp(1e-9, 1.0))
            }
        };
        let allowance = Self {
            prices,
            ef: ef as f64,
            // Points beside the graph are scanned either way.
            scan: scan + chunks * CHUNK - uncovered * prices.scanned,
            is_filtered: !matches!(passing, Passing::All),
        };
        (allowance.walk(share) < allowance.scan).then_some(allowance)
    }

    /// Whether to go on after so many nodes seen, payloads tested and payloads that passed.
    pub(crate) fn goes_on(self, seen: u64, tested: u64, passed: u64) -> bool {
        let spent = seen as f64 * self.prices.walked + tested as f64 * TESTED;
        if !self.is_filtered {
            return self.prices.ends_by_itself || spent < self.scan;
        }
        let share = passed.max(1) as f64 / tested.max(1) as f64;
        let is_told = tested >= TELLING_TESTS;
        spent < self.scan && (!is_told || self.walk(share) < self.scan)
    }

    /// What a walk costs where this share of the points passes.
    fn walk(self, share: f64) -> f64 {
        let candidates = self.ef / share;
        let tests = if self.is_filtered {
            candidates * TESTED_PER_CANDIDATE * TESTED
        } else {
            0.0
        };
        let seen = SEEN_ON_THE_WAY + SEEN_PER_CANDIDATE * candidates;
        self.prices.leads * SEEN_ON_THE_WAY * WALKED + seen * self.prices.walked + tests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(points: f64, uncovered: f64) -> Extent {
        Extent {
            points,
            chunks: points / 128.0,
            uncovered,
        }
    }

    #[track_caller]
    fn check(points: f64, passing: Passing, walks: bool) {
        let allowance = Allowance::of(Prices::NEAREST, extent(points, 100.0), 100, passing);
        assert_eq!(allowance.is_some(), walks, "{points} {passing:?}: {allowance:?}");
    }

    #[test]
    fn small_collections_and_selective_filters_are_scanned() {
        check(5_000.0, Passing::All, false);
        check(20_000.0, Passing::All, true);
        check(1e6, Passing::All, true);
        check(50_000.0, Passing::Unknown, true);
        check(50_000.0, Passing::Indexed(20.0), false);
        check(50_000.0, Passing::Indexed(5_000.0), false);
        check(1e6, Passing::Indexed(10_000.0), false);
        check(1e6, Passing::Indexed(300_000.0), true);
        check(1e7, Passing::Indexed(1e6), true);
    }

    #[test]
    fn what_the_graph_does_not_cover_counts() {
        assert!(Allowance::of(Prices::NEAREST, extent(50_000.0, 49_000.0), 100, Passing::All).is_none());
    }

    #[test]
    fn a_walk_that_meets_too_few_points_that_pass_is_given_up() {
        let allowance = Allowance::of(Prices::NEAREST, extent(50_000.0, 0.0), 100, Passing::Unknown)
            .expect("worth a try");
        assert!(allowance.goes_on(500, 10, 0), "nothing is told yet");
        assert!(allowance.goes_on(500, 60, 40));
        assert!(!allowance.goes_on(500, 60, 6));
        assert!(!allowance.goes_on(12_000, 40, 30), "a scan would be done by now");
        let unfiltered =
            Allowance::of(Prices::NEAREST, extent(50_000.0, 0.0), 100, Passing::All).expect("worth it");
        assert!(unfiltered.goes_on(1 << 40, 0, 0));
    }

    #[test]
    fn examples_are_compared_in_walks_as_long_as_scans_cost_more() {
        let check = |points: f64, (vectors, leads): (usize, usize), walks: bool| {
            let prices = Prices::of_examples(vectors, leads);
            let allowance = Allowance::of(prices, extent(points, 100.0), 100, Passing::All);
            assert_eq!(allowance.is_some(), walks, "{points} by {vectors}: {allowance:?}");
            if let Some(allowance) = allowance {
                assert!(allowance.goes_on(2_000, 0, 0));
                assert!(
                    !allowance.goes_on(points as u64 * 4, 0, 0),
                    "ranks may be alike everywhere"
                );
            }
        };
        check(1_000.0, (2, 1), false);
        check(50_000.0, (2, 1), true);
        check(50_000.0, (1_024, 512), true);
        check(1_000.0, (1_024, 1_024), false);
    }
}
