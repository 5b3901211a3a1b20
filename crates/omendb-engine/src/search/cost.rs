//! What each way to the nearest points costs, so that the cheapest is taken.
//!
//! The unit is a row compared in a scan, in long runs; figures are of 384-dimensional codes, where a row takes about
//! 15 ns, and rounded, since a plan that is off by a tenth is as good.

/// A node of a walk: its row is fetched from anywhere, it is looked up and queued.
const WALKED: f64 = 4.0;
/// A row that an index points at.
const POINTED_AT: f64 = 3.0;
/// A chunk looked into, whatever is in it.
const CHUNK: f64 = 2.0;
/// A payload tested against a filter.
const TESTED: f64 = 15.0;

/// Nodes that a walk sees for each candidate it keeps, and on its way to the first of them.
const SEEN_PER_CANDIDATE: f64 = 14.0;
const SEEN_ON_THE_WAY: f64 = 300.0;

/// How much of what a scan would cost a walk may take before it is given up, where nobody knows how many points pass.
const ADVANCE: f64 = 0.5;

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

/// Nodes that a walk may see before a scan would have been cheaper; `None` if it is so from the start.
pub(crate) fn walk_allowance(extent: Extent, ef: usize, passing: Passing) -> Option<u64> {
    let Extent {
        points,
        chunks,
        uncovered,
    } = extent;
    let scan = match passing {
        Passing::All | Passing::Unknown => points + chunks * CHUNK,
        Passing::Indexed(matches) => matches * POINTED_AT + chunks * CHUNK,
    };
    let share = match passing {
        Passing::All | Passing::Unknown => 1.0,
        Passing::Indexed(matches) => (matches / points).clamp(f64::MIN_POSITIVE, 1.0),
    };
    let tests = match passing {
        Passing::All => 0.0,
        Passing::Indexed(_) | Passing::Unknown => ef as f64 / share * TESTED,
    };
    let seen = SEEN_ON_THE_WAY + SEEN_PER_CANDIDATE * ef as f64 / share;
    let walk = seen * WALKED + tests + uncovered;
    if walk >= scan {
        return None;
    }
    let most = match passing {
        // It ends by itself.
        Passing::All => return Some(u64::MAX),
        Passing::Indexed(_) | Passing::Unknown => ADVANCE * scan / WALKED,
    };
    Some(most.max(seen) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(points: f64, passing: Passing, walks: bool) {
        let extent = Extent {
            points,
            chunks: points / 128.0,
            uncovered: 100.0,
        };
        let allowance = walk_allowance(extent, 100, passing);
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
        let extent = Extent {
            points: 50_000.0,
            chunks: 400.0,
            uncovered: 50_000.0,
        };
        assert_eq!(walk_allowance(extent, 100, Passing::All), None);
    }
}
