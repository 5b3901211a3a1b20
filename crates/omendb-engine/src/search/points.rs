//! Which nodes of a graph a search is after, and how long it walks for them.

use omendb_metrics::Clock;

use crate::SearchStats;
use crate::count;
use crate::filter::{Filter, Subject as Tested};
use crate::graph::{Near, Seeker, Steps};
use crate::search::among::Among;
use crate::search::cost::Allowance;
use crate::search::coverage::Coverage;
use crate::state::{Chunk, State};

/// The points that a walk may find.
pub(super) struct Points<'a> {
    state: &'a State,
    filter: Option<&'a Filter>,
    coverage: &'a Coverage,
    excluded: &'a [u32],
    allowance: Allowance,
    clock: &'a Clock,
    stats: &'a mut SearchStats,
    /// Payloads tested in this walk, and those that passed.
    checked: u64,
    passed: u64,
}

impl<'a> Points<'a> {
    /// Points that are nodes by `coverage`, and not `excluded`.
    pub(super) fn new(
        (among, coverage, excluded): (&Among<'a>, &'a Coverage, &'a [u32]),
        allowance: Allowance,
        (clock, stats): (&'a Clock, &'a mut SearchStats),
    ) -> Self {
        Self {
            state: among.state,
            filter: among.filter,
            coverage,
            excluded,
            allowance,
            clock,
            stats,
            checked: 0,
            passed: 0,
        }
    }
}

impl Seeker for Points<'_> {
    /// A node is a point of this state if the state has its chunk as the graph does, and the point in it.
    fn accepts(&mut self, near: Near) -> bool {
        let (number, position) = self.state.layout.locate(near.node);
        let Some(chunk) = self
            .state
            .chunk(number)
            .filter(|_| self.coverage.contains(number))
        else {
            return false;
        };
        if !chunk.alive.contains(position) || self.excluded.contains(&near.node) {
            return false;
        }
        match self.filter {
            Some(filter) => self.test(filter, chunk, position),
            None => true,
        }
    }

    fn goes_on(&self, steps: Steps) -> bool {
        let seen = count::value(steps.distances);
        self.allowance.goes_on(seen, self.checked, self.passed)
    }
}

impl Points<'_> {
    /// Whether a point passes the filter, counted and timed. Apart, so that walks without a filter do not make room for it.
    #[inline(never)]
    fn test(&mut self, filter: &Filter, chunk: &Chunk, position: usize) -> bool {
        let begun = self.clock.now();
        let passes = Tested::point(&self.state.layout, chunk, position).passes(filter);
        self.stats.filter_ns += self.clock.now().nanos_since(begun);
        self.stats.filter_checked += 1;
        self.stats.filter_rejected += u64::from(!passes);
        self.checked += 1;
        self.passed += u64::from(passes);
        passes
    }
}
