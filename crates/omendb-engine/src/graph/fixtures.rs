//! Small collections and their graphs, for the tests of this module.

use std::ops::Range;
use std::sync::Arc;

use omendb_distance::{Distance, Kernels};

use crate::chance::Chance;
use crate::graph::{Aim, Build, Graph, Origin, Progress, Saved, Steps, Tuning, Walk};
use crate::ledger::Ledger;
use crate::record::{Columns, put_delete, put_upsert};
use crate::state::{Layout, State, Store};
use crate::{CollectionConfig, Payload, PointId};

pub(super) const TUNING: Tuning = Tuning {
    degree: 8,
    ef_construct: 32,
};

/// Points that come and go, of one vector.
pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) ledger: Arc<Ledger>,
}

impl Ground {
    pub(super) fn new(dimension: usize, distance: Distance) -> Self {
        let ledger = Arc::new(Ledger::default());
        let layout = Layout::new(&CollectionConfig::unnamed(dimension, distance));
        Self {
            store: Store::new(Arc::new(layout), &ledger),
            ledger,
        }
    }

    /// Points of these numbers; the vector of each depends on its number alone.
    pub(super) fn with_points(dimension: usize, numbers: impl Iterator<Item = u64>) -> Self {
        let mut ground = Self::new(dimension, Distance::Euclid);
        for number in numbers {
            let mut chance = Chance::new(number);
            let row: Vec<f32> = (0..dimension)
                .map(|_| chance.below(2_001) as f32 / 1e3 - 1.0)
                .collect();
            ground.upsert(number, &[row.as_slice()]);
        }
        ground
    }

    pub(super) fn upsert(&mut self, first: u64, rows: &[&[f32]]) {
        let ids: Vec<PointId> = (first..).take(rows.len()).map(PointId::from).collect();
        let columns = Columns {
            dense: vec![rows.iter().map(|row| Some(*row)).collect()],
            ..Columns::default()
        };
        let payloads = vec![Payload::default(); rows.len()];
        let mut record = Vec::new();
        put_upsert(
            (&self.store.state().layout, &mut record),
            &ids,
            &columns,
            payloads.iter(),
        );
        self.store.apply(&record).unwrap();
    }

    pub(super) fn delete(&mut self, numbers: Range<u64>) {
        let mut record = Vec::new();
        put_delete(&mut record, &numbers.map(PointId::from).collect::<Vec<_>>());
        self.store.apply(&record).unwrap();
    }

    pub(super) fn state(&self) -> &State {
        self.store.state()
    }

    /// A graph without a node.
    pub(super) fn empty(&self) -> Graph {
        Graph::new(&self.state().layout, 0, TUNING)
    }

    /// Takes a graph all steps to the present state.
    pub(super) fn built(&self, mut graph: Graph) -> Graph {
        loop {
            match self.builder().step(&graph) {
                Progress::Current => return graph,
                Progress::Repaired(newer, _) | Progress::Extended(newer, _) | Progress::Connected(newer) => {
                    graph = newer;
                }
                Progress::Stopped => panic!("nobody stops it"),
            }
        }
    }

    /// What a file makes of an empty graph, and how many nodes were linked anew for it.
    pub(super) fn resumed(&self, saved: &Saved<'_>) -> (Graph, u64) {
        match self.builder().resume(self.empty(), saved) {
            Progress::Extended(graph, anew) => (graph, anew),
            other @ (Progress::Current
            | Progress::Repaired(..)
            | Progress::Connected(_)
            | Progress::Stopped) => panic!("{other:?}"),
        }
    }

    fn builder(&self) -> Build<'_> {
        Build {
            state: self.store.state(),
            column: 0,
            ledger: &self.ledger,
            threads: 1,
            is_stopped: &|| false,
        }
    }
}

/// Every node that a walk from the entry comes by, ascending.
pub(super) fn reached(graph: &Graph) -> Vec<u32> {
    let mut walk = Walk::default();
    let entry = graph.entry().and_then(|entry| graph.locate(entry));
    if let Some(place) = entry {
        let mut origin = Origin::node(Kernels::detected(), graph, place);
        let aim = Aim::all(graph.slots() + 1);
        walk.run((graph, &mut origin), aim, &mut Steps::default(), &mut |_| true);
    }
    let mut nodes: Vec<u32> = walk.found().map(|near| near.node).collect();
    nodes.sort_unstable();
    nodes
}
