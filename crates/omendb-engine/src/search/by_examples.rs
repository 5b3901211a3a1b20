//! The points that rank best by several vectors, by the cheaper way: through the graph, or by comparing all.

use std::sync::Arc;

use crate::count;
use crate::filter::{Filter, Subject as Tested};
use crate::graph::{Aim, Graph, Near, Steps};
use crate::search::Searcher;
use crate::search::among::Among;
use crate::search::cost::{Allowance, Prices};
use crate::search::coverage::Coverage;
use crate::search::find::{Ranking, Subject};
use crate::search::outlook::{Outlook, screens};
use crate::search::points::Points;
use crate::search::top_k::{Candidate, TopK};
use crate::state::Chunk;
use crate::{Reason, SearchStats, limits};

/// A search for the points that rank best by several vectors.
struct ByExamples<'a> {
    searcher: &'a mut Searcher,
    among: Among<'a>,
    ranking: &'a Ranking<'a>,
    top: TopK,
    stats: &'a mut SearchStats,
}

impl Searcher {
    pub(super) fn rank_by_examples(
        &mut self,
        subject: Subject<'_>,
        ranking: &Ranking<'_>,
        filter: Option<&Filter>,
        stats: &mut SearchStats,
    ) -> Vec<Candidate> {
        let state = subject.state;
        let graph = subject
            .graphs
            .get(&state.layout.columns[ranking.column].number)
            .filter(|_| !ranking.exact);
        let points = usize::try_from(state.ids.len()).unwrap_or(usize::MAX);
        let mut search = ByExamples {
            searcher: self,
            among: Among::new(subject, filter),
            ranking,
            top: TopK::new(ranking.depth, points),
            stats,
        };
        search.stats.filter_estimated = count::of(search.among.estimate());
        search.stats.reason = if ranking.exact {
            Reason::AskedExact
        } else {
            Reason::NoGraph
        };
        if !graph.is_some_and(|graph| search.by_graph(graph)) {
            search.stats.plan = search.among.scan_plan();
            search.scan(state.chunks());
        }
        search.stats.heap_pushes += search.top.pushes();
        search.top.into_sorted()
    }
}

impl ByExamples<'_> {
    /// Finds the points through a graph, and those that it does not cover beside it; false, with nothing found, where
    /// comparing all is cheaper.
    fn by_graph(&mut self, graph: &Arc<Graph>) -> bool {
        let objective = self.ranking.objective;
        let vectors = objective.vectors.len();
        let leads = objective.formula.leads(vectors).len();
        // Without a lead there is nowhere to walk to.
        if self.ranking.depth == 0 || leads == 0 {
            self.stats.reason = Reason::Kind;
            return false;
        }
        let mut coverage = std::mem::take(&mut self.searcher.coverage);
        coverage.follow(graph, (self.among.state, self.ranking.column));
        let prices = Prices::of_examples(vectors, leads);
        let ef = self
            .ranking
            .ef
            .unwrap_or(limits::DEFAULT_EF)
            .max(self.ranking.depth);
        let (extent, passing) = (self.among.extent(&coverage), self.among.passing());
        let allowance = Allowance::of(prices, extent, ef, passing);
        self.stats.reason = match allowance {
            Some(_) => Reason::WalkGivenUp,
            None => Reason::ScanCheaper,
        };
        let is_done = allowance.is_some_and(|allowance| self.walk((graph, &coverage), allowance, ef));
        if is_done {
            self.scan(coverage.others_of(self.among.state));
            self.stats.reason = Reason::WalkCheaper;
            self.stats.ef = count::of(ef as u64);
            self.stats.plan = self.among.walk_plan();
        }
        self.searcher.coverage = coverage;
        is_done
    }

    /// Walks through the graph and offers what it finds; false if it was given up or did not find enough.
    fn walk(&mut self, (graph, coverage): (&Graph, &Coverage), allowance: Allowance, ef: usize) -> bool {
        let (kernels, objective) = (self.searcher.kernels, self.ranking.objective);
        let layout = &self.among.state.layout.columns[self.ranking.column];
        let screens = screens(objective, layout.is_coded);
        let mut outlook = Outlook::new(kernels, objective, &screens);
        let mut walk = std::mem::take(&mut self.searcher.walk);
        let (mut lead, mut steps) = (Steps::default(), Steps::default());
        outlook.approach(graph, &mut walk, &mut lead);
        let place = (&self.among, coverage, self.ranking.excluded);
        let mut points = Points::new(place, allowance, (&self.searcher.clock, self.stats));
        let aim = Aim {
            least: -objective.formula.best(),
            ..Aim::all(ef)
        };
        let is_whole = walk.run((graph, &mut outlook), aim, &mut steps, &mut points);
        self.stats.hops += lead.hops + steps.hops;
        let visited = lead.distances + steps.distances;
        let compared = lead.distances + steps.distances * objective.vectors.len() as u64;
        self.stats.visited += visited;
        objective.count_walked(kernels, layout, (visited, compared), self.stats);
        // If it ended with fewer than are asked for, there are no more, or they are out of its reach.
        let is_whole = is_whole && walk.count() >= self.ranking.depth;
        if is_whole {
            let begun = self.searcher.clock.now();
            walk.found().for_each(|near| self.offer(near));
            self.stats.rescore_ns += self.searcher.clock.now().nanos_since(begun);
        }
        self.searcher.walk = walk;
        is_whole
    }

    /// Ranks a point that a walk found by its row.
    fn offer(&mut self, near: Near) {
        if let Some((chunk, position)) = self.among.state.locate(near.node) {
            self.stats.rescored += 1;
            self.rank(chunk, position, near.node);
        }
    }

    fn scan<'c>(&mut self, chunks: impl Iterator<Item = (usize, &'c Arc<Chunk>)>) {
        let state = self.among.state;
        for (number, chunk) in chunks {
            let mut candidates = chunk.alive.and(&chunk.column(self.ranking.column).present);
            if let Some(selection) = &mut self.among.selection {
                candidates = selection.narrow(number, chunk, candidates);
                self.stats.filter_candidates += candidates.count() as u64;
            }
            self.stats.chunks += 1;
            for position in candidates.iter() {
                let slot = state.layout.slot(number, position);
                if self.ranking.excluded.contains(&slot) {
                    continue;
                }
                if let Some(filter) = self.among.filter {
                    self.stats.filter_checked += 1;
                    if !Tested::point(&state.layout, chunk, position).passes(filter) {
                        self.stats.filter_rejected += 1;
                        continue;
                    }
                }
                self.stats.distance_computations += self.ranking.objective.vectors.len() as u64;
                self.rank(chunk, position, slot);
            }
        }
    }

    fn rank(&mut self, chunk: &Chunk, position: usize, slot: u32) {
        let row = chunk.column(self.ranking.column).slot(position);
        let work = (&mut self.searcher.scores, &mut *self.stats);
        let rank = self.ranking.objective.rank(self.searcher.kernels, row, work);
        self.top.offer(rank, chunk.id(position), slot);
    }
}
