//! The nodes of a graph as several vectors rank them: what a walk goes by when a query has examples.

use omendb_distance::{Distance, Kernels};

use crate::graph::{Aim, Block, Graph, Origin, Place, Sight, Steps, View, Walk};
use crate::search::objective::{Formula, Objective};
use crate::search::screen::Screen;

/// Nodes near to each example that a walk begins at, and candidates kept on the way to them.
const ENTRIES: usize = 4;
const ENTRY_EF: usize = 8;

/// The vectors of an objective, in codes where rows have them.
pub(super) struct Outlook<'a> {
    origins: Vec<Origin<'a>>,
    formula: &'a Formula,
    entries: Vec<u32>,
    comparisons: Vec<f32>,
}

/// The vectors of an objective in codes; `None` for those that have to be compared as they are.
pub(super) fn screens(objective: &Objective, is_coded: bool) -> Vec<Option<Screen>> {
    let screen = |vector: &Vec<f32>| Screen::new(objective.distance, vector).filter(|_| is_coded);
    objective.vectors.iter().map(screen).collect()
}

impl<'a> Outlook<'a> {
    pub(super) fn new(
        kernels: &'static Kernels,
        objective: &'a Objective,
        screens: &'a [Option<Screen>],
    ) -> Self {
        let distance: Distance = objective.distance;
        let vectors = objective.vectors.iter().zip(screens);
        let origin = |(vector, screen): (&'a Vec<f32>, &'a Option<Screen>)| {
            Origin::query(kernels, distance, (vector, screen.as_ref()))
        };
        Self {
            origins: vectors.map(origin).collect(),
            formula: &objective.formula,
            entries: Vec::new(),
            comparisons: Vec::new(),
        }
    }

    /// Finds the nodes to begin at: those near to what hits are like. Where ranks change slowly or not at all, nothing
    /// would lead there.
    pub(super) fn approach(&mut self, graph: &Graph, walk: &mut Walk, steps: &mut Steps) {
        for lead in self.formula.leads(self.origins.len()) {
            let way = (graph, &mut self.origins[lead]);
            walk.run(way, Aim::first(ENTRY_EF), steps, &mut |_| true);
            self.entries
                .extend(walk.found().take(ENTRIES).map(|near| near.node));
        }
        if self.entries.is_empty() {
            self.entries.extend(graph.entry());
        }
    }
}

impl View for Outlook<'_> {
    fn entries(&self, _graph: &Graph) -> impl Iterator<Item = u32> {
        self.entries.iter().copied()
    }

    fn sights(&mut self, places: &[Place<'_>], sights: &mut Vec<Sight>) {
        for &(block, position) in places {
            self.comparisons.clear();
            let comparisons = self
                .origins
                .iter()
                .map(|origin| origin.comparison(block, position));
            self.comparisons.extend(comparisons);
            sights.push(Sight {
                distance: -self.formula.rank(&self.comparisons),
                promise: -self.formula.promise(&self.comparisons),
            });
        }
    }

    fn expect(&self, block: &Block, position: usize) {
        // The others read the same, but for those that have no codes.
        self.origins[0].expect(block, position);
    }
}
