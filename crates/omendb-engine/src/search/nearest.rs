//! The points nearest to one vector, by the cheapest way: through the graph, or by a scan of all or of the matches.

use std::sync::Arc;

use omendb_metrics::Clock;

use crate::filter::{Filter, Subject as Tested};
use crate::graph::{Aim, Graph, Near, Origin, Seeker, Steps};
use crate::payload_index::Selection;
use crate::search::Searcher;
use crate::search::cost::{Allowance, Extent, Passing};
use crate::search::coverage::Coverage;
use crate::search::filtered::FilteredScan;
use crate::search::find::{Ranking, Subject};
use crate::search::scan::{Comparison, Scratch, Target, may_enter, scan};
use crate::search::top_k::{Candidate, TopK};
use crate::state::{Chunk, State};
use crate::{Plan, Reason, SearchStats, limits};

/// A search for the points nearest to a vector.
struct Nearest<'a> {
    searcher: &'a mut Searcher,
    state: &'a State,
    comparison: &'a Comparison<'a>,
    filter: Option<&'a Filter>,
    selection: Option<Selection<'a>>,
    top: TopK,
    stats: &'a mut SearchStats,
}

impl Searcher {
    pub(super) fn rank_nearest(
        &mut self,
        subject: Subject<'_>,
        ranking: &Ranking<'_>,
        filter: Option<&Filter>,
        stats: &mut SearchStats,
    ) -> Vec<Candidate> {
        let Subject {
            config: _,
            state,
            indexes,
            graphs,
            sparse: _,
        } = subject;
        let target = Target {
            column: ranking.column,
            distance: ranking.objective.distance,
            query: &ranking.objective.vectors[0],
            excluded: ranking.excluded,
        };
        let graph = graphs
            .get(&state.layout.columns[ranking.column].name)
            .filter(|_| !ranking.exact);
        stats.reason = if ranking.exact {
            Reason::AskedExact
        } else {
            Reason::NoGraph
        };
        let mut nearest = Nearest {
            comparison: &Comparison::new(self.kernels, state, &target, ranking.depth),
            searcher: self,
            state,
            filter,
            selection: filter.and_then(|filter| Selection::of(indexes, filter, state)),
            top: TopK::new(
                ranking.depth,
                usize::try_from(state.ids.len()).unwrap_or(usize::MAX),
            ),
            stats,
        };
        if !graph.is_some_and(|graph| nearest.by_graph(graph, ranking)) {
            nearest.by_scan();
        }
        nearest.stats.heap_pushes += nearest.top.pushes();
        nearest.top.into_sorted()
    }
}

impl Nearest<'_> {
    /// Finds the points through a graph, and those that it does not cover beside it; false, with nothing found, where a
    /// scan is cheaper.
    fn by_graph(&mut self, graph: &Arc<Graph>, ranking: &Ranking<'_>) -> bool {
        if ranking.depth == 0 || self.comparison.screen().is_none() && self.is_coded() {
            self.stats.reason = Reason::NoCodes;
            return false;
        }
        let mut coverage = std::mem::take(&mut self.searcher.coverage);
        coverage.follow(graph, self.state);
        let ef = ranking.ef.unwrap_or(limits::DEFAULT_EF).max(ranking.depth);
        let allowance = Allowance::of(self.extent(&coverage), ef, self.passing());
        self.stats.reason = match allowance {
            Some(_) => Reason::WalkGivenUp,
            None => Reason::ScanCheaper,
        };
        let is_done =
            allowance.is_some_and(|allowance| self.walk((graph, &coverage), allowance, (ef, ranking.depth)));
        if is_done {
            self.stats.reason = Reason::WalkCheaper;
            let others = coverage.others().iter();
            let state = self.state;
            let others = others.filter_map(|&number| Some((number, state.chunk(number)?)));
            self.scan(others);
            self.stats.ef = ef as u64;
            self.stats.plan = match self.filter {
                Some(_) => Plan::FilteredGraph,
                None => Plan::Graph,
            };
        }
        self.searcher.coverage = coverage;
        is_done
    }

    fn by_scan(&mut self) {
        self.stats.plan = match (&self.selection, self.filter) {
            (Some(_), _) => Plan::IndexedScan,
            (None, Some(_)) => Plan::FilteredScan,
            (None, None) => Plan::Exact,
        };
        self.scan(self.state.chunks());
    }

    fn scan<'c>(&mut self, chunks: impl Iterator<Item = (usize, &'c Arc<Chunk>)>) {
        let searcher = &mut *self.searcher;
        let mut scratch = Scratch {
            clock: &searcher.clock,
            ranks: &mut searcher.scores,
            dots: &mut searcher.dots,
        };
        match self.filter {
            None => scan(
                (self.state, self.comparison),
                chunks,
                &mut self.top,
                (&mut scratch, self.stats),
            ),
            Some(filter) => {
                self.stats.filter_estimated =
                    self.selection.as_ref().map_or(0, |selection| selection.estimate);
                let work = (&mut scratch, &mut *self.stats);
                FilteredScan::new(self.state, self.comparison, work).run(
                    chunks,
                    (filter, self.selection.as_mut()),
                    &mut self.top,
                );
            }
        }
    }

    /// Walks through the graph and offers what it finds; false if it was given up or did not find enough.
    fn walk(
        &mut self,
        (graph, coverage): (&Graph, &Coverage),
        allowance: Allowance,
        (ef, depth): (usize, usize),
    ) -> bool {
        let Target {
            column: _,
            distance,
            query,
            excluded,
        } = *self.comparison.target;
        let origin = Origin::query(self.searcher.kernels, distance, (query, self.comparison.screen()));
        let mut walk = std::mem::take(&mut self.searcher.walk);
        let mut steps = Steps::default();
        let aim = Aim {
            ef,
            with_copies: true,
        };
        let mut points = Points {
            state: self.state,
            coverage,
            excluded,
            filter: self.filter,
            allowance,
            clock: &self.searcher.clock,
            stats: self.stats,
            checked: 0,
            passed: 0,
        };
        let is_whole = walk.run((graph, &origin), aim, &mut steps, &mut points);
        let Steps { hops, distances } = steps;
        self.stats.hops += hops;
        self.stats.visited += distances;
        self.comparison.count_walked(distances, self.stats);
        // If it ended with fewer than are asked for, there are no more, or they are out of its reach.
        let is_whole = is_whole && walk.count() >= depth;
        if is_whole {
            let begun = self.searcher.clock.now();
            walk.found().for_each(|near| self.offer(near));
            self.stats.rescore_ns += self.searcher.clock.now().nanos_since(begun);
        }
        self.searcher.walk = walk;
        is_whole
    }

    /// Scores a point that a walk found, unless it cannot be among the best.
    fn offer(&mut self, near: Near) {
        let Some((chunk, position)) = self.state.locate(near.node) else {
            return;
        };
        let rows = chunk.column(self.comparison.target.column);
        if may_enter(self.comparison.bound(rows, position), self.top.bound()) {
            let rank = self.comparison.rescore(rows, position, self.stats);
            self.top.offer(rank, chunk.id(position), near.node);
        }
    }

    fn is_coded(&self) -> bool {
        self.state.layout.columns[self.comparison.target.column].is_coded
    }

    fn extent(&self, coverage: &Coverage) -> Extent {
        let chunks = self.state.chunk_count() as f64;
        Extent {
            points: self.state.ids.len() as f64,
            chunks,
            uncovered: (coverage.others().len() * self.state.layout.chunk_slots) as f64,
        }
    }

    fn passing(&self) -> Passing {
        match (self.filter, &self.selection) {
            (None, _) => Passing::All,
            (Some(_), Some(selection)) => Passing::Indexed(selection.estimate as f64),
            (Some(_), None) => Passing::Unknown,
        }
    }
}

/// The points that a walk is after.
struct Points<'a> {
    state: &'a State,
    coverage: &'a Coverage,
    excluded: &'a [u32],
    filter: Option<&'a Filter>,
    allowance: Allowance,
    clock: &'a Clock,
    stats: &'a mut SearchStats,
    /// Payloads tested in this walk, and those that passed.
    checked: u64,
    passed: u64,
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
        let Some(filter) = self.filter else {
            return true;
        };
        let begun = self.clock.now();
        let passes = Tested::point(&self.state.layout, chunk, position).passes(filter);
        self.stats.filter_ns += self.clock.now().nanos_since(begun);
        self.stats.filter_checked += 1;
        self.stats.filter_rejected += u64::from(!passes);
        self.checked += 1;
        self.passed += u64::from(passes);
        passes
    }

    fn goes_on(&self, steps: Steps) -> bool {
        self.allowance.goes_on(steps.distances, self.checked, self.passed)
    }
}
