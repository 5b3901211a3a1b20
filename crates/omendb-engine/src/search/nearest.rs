//! The points nearest to one vector, by the cheapest way: through the graph, or by a scan of all or of the matches.

use std::sync::Arc;

use crate::count;
use crate::filter::Filter;
use crate::graph::{Aim, Graph, Near, Origin, Steps};
use crate::search::Searcher;
use crate::search::among::Among;
use crate::search::cost::{Allowance, Prices};
use crate::search::coverage::Coverage;
use crate::search::filtered::FilteredScan;
use crate::search::find::{Ranking, Subject};
use crate::search::points::Points;
use crate::search::scan::{Comparison, Scratch, Target, may_enter, scan};
use crate::search::top_k::{Candidate, TopK};
use crate::state::Chunk;
use crate::{Reason, SearchStats, limits};

/// A search for the points nearest to a vector.
struct Nearest<'a> {
    searcher: &'a mut Searcher,
    among: Among<'a>,
    comparison: &'a Comparison<'a>,
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
        let state = subject.state;
        let target = Target {
            column: ranking.column,
            distance: ranking.objective.distance,
            query: &ranking.objective.vectors[0],
            excluded: ranking.excluded,
        };
        let graph = subject
            .graphs
            .get(&state.layout.columns[ranking.column].number)
            .filter(|_| !ranking.exact);
        stats.reason = if ranking.exact {
            Reason::AskedExact
        } else {
            Reason::NoGraph
        };
        let mut nearest = Nearest {
            comparison: &Comparison::new(self.kernels, state, &target, ranking.depth),
            searcher: self,
            among: Among::new(subject, filter),
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
        coverage.follow(graph, (self.among.state, ranking.column));
        let ef = ranking.ef.unwrap_or(limits::DEFAULT_EF).max(ranking.depth);
        let (extent, passing) = (self.among.extent(&coverage), self.among.passing());
        let allowance = Allowance::of(Prices::NEAREST, extent, ef, passing);
        self.stats.reason = match allowance {
            Some(_) => Reason::WalkGivenUp,
            None => Reason::ScanCheaper,
        };
        let is_done =
            allowance.is_some_and(|allowance| self.walk((graph, &coverage), allowance, (ef, ranking.depth)));
        if is_done {
            self.stats.reason = Reason::WalkCheaper;
            self.scan(coverage.others_of(self.among.state));
            self.stats.ef = count::of(ef as u64);
            self.stats.plan = self.among.walk_plan();
        }
        self.searcher.coverage = coverage;
        is_done
    }

    fn by_scan(&mut self) {
        self.stats.plan = self.among.scan_plan();
        self.scan(self.among.state.chunks());
    }

    fn scan<'c>(&mut self, chunks: impl Iterator<Item = (usize, &'c Arc<Chunk>)>) {
        let searcher = &mut *self.searcher;
        let mut scratch = Scratch {
            clock: &searcher.clock,
            ranks: &mut searcher.scores,
            dots: &mut searcher.dots,
        };
        let state = self.among.state;
        match self.among.filter {
            None => scan(
                (state, self.comparison),
                chunks,
                &mut self.top,
                (&mut scratch, self.stats),
            ),
            Some(filter) => {
                self.stats.filter_estimated = count::of(self.among.estimate());
                let work = (&mut scratch, &mut *self.stats);
                FilteredScan::new(state, self.comparison, work).run(
                    chunks,
                    (filter, self.among.selection.as_mut()),
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
        let mut origin = Origin::query(self.searcher.kernels, distance, (query, self.comparison.screen()));
        let mut walk = std::mem::take(&mut self.searcher.walk);
        let mut steps = Steps::default();
        let place = (&self.among, coverage, excluded);
        let mut points = Points::new(place, allowance, (&self.searcher.clock, self.stats));
        let is_whole = walk.run((graph, &mut origin), Aim::all(ef), &mut steps, &mut points);
        let Steps { hops, distances } = steps;
        self.stats.hops += hops;
        self.stats.visited += distances;
        self.comparison.count_walked(distances, self.stats);
        // If it ended with fewer than are asked for, there are no more, or they are out of its reach.
        let is_whole = is_whole && walk.count() >= depth;
        if is_whole {
            let begun = self.searcher.clock.now();
            let rescored_before = self.stats.rescored;
            walk.found().for_each(|near| self.offer(near));
            let rescored = self.stats.rescored - rescored_before;
            self.comparison.count_compared(rescored, self.stats);
            self.stats.rescore_ns += self.searcher.clock.now().nanos_since(begun);
        }
        self.searcher.walk = walk;
        is_whole
    }

    /// Scores a point that a walk found, unless it cannot be among the best.
    fn offer(&mut self, near: Near) {
        let Some((chunk, position)) = self.among.state.locate(near.node) else {
            return;
        };
        let rows = chunk.column(self.comparison.target.column);
        if may_enter(self.comparison.bound(rows, position), self.top.bound()) {
            let rank = self.comparison.rescore(rows, position, self.stats);
            self.top.offer(rank, chunk.id(position), near.node);
        }
    }

    fn is_coded(&self) -> bool {
        self.among.state.layout.columns[self.comparison.target.column].is_coded
    }
}
