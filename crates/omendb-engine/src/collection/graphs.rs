//! Graphs that follow the collection in the background, while it is searched and written, and their files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use omendb_metrics::{Blocks, WorkerBlock};
use omendb_storage::{AtomicFile, FileSystem};

use crate::collection::{Collection, CollectionStatus};
use crate::config::GraphConfig;
use crate::graph::{Build, Graph, Graphs, Progress, Saved, Tuning, encode};
use crate::metrics::{Rebalance, WriteCells};
use crate::state::State;
use crate::{VectorConfig, limits};

const MAGIC: [u8; 8] = *b"OMENGRPH";
const VERSION: u32 = 1;

/// What the names of the files begin with; the number of the vector follows, in order of names.
pub(crate) const FILE_PREFIX: &str = "graph-";

/// A graph is written again when one in so many of its nodes is not in the file: a restart inserts the others.
const UNSAVED_SHARE: u64 = 16;

/// What is known between two passes over the graphs.
#[derive(Debug, Default)]
pub(crate) struct GraphTurn {
    cells: Option<WorkerBlock<WriteCells>>,
    /// By the names of the vectors whose file was looked at: nodes inserted or repaired since it was written.
    unsaved: BTreeMap<String, u64>,
}

/// One vector, and what its graph is built of.
struct Subject<'a> {
    name: &'a str,
    column: usize,
    vector: VectorConfig,
    state: &'a State,
    threads: usize,
}

impl Collection {
    /// Brings the graphs in line with the newest state, on so many threads; ends when they are, or it is closed.
    pub(crate) fn build_graphs(&self, threads: usize) {
        let mut turn = self.graph_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config();
        for (column, (name, &vector)) in config.vectors.iter().enumerate() {
            let begun = self.shared.services.clock.now();
            let mut has_grown = false;
            while self.shared.status() != CollectionStatus::Closed
                && let Ok(state) = self.snapshot()
            {
                let subject = Subject {
                    name,
                    column,
                    vector,
                    state: &state,
                    threads,
                };
                match self.build_step(&subject, &mut turn) {
                    Some(grown) => has_grown |= grown,
                    None => {
                        self.save_graph(&subject, &mut turn, UNSAVED_SHARE);
                        break;
                    }
                }
            }
            if has_grown {
                let nanos = self.shared.services.clock.now().nanos_since(begun);
                self.shared.services.metrics.build_seconds.record(nanos);
            }
        }
    }

    /// Writes down the graphs that are not, for the next start.
    pub(crate) fn save_graphs(&self) {
        let mut turn = self.graph_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.config();
        let state = self.shared.published();
        for (column, (name, &vector)) in config.vectors.iter().enumerate() {
            let subject = Subject {
                name,
                column,
                vector,
                state: &state,
                threads: 1,
            };
            self.save_graph(&subject, &mut turn, u64::MAX);
        }
    }

    /// Takes one graph a step towards a state: whether it has grown, `None` if there was nothing to do.
    fn build_step(&self, subject: &Subject<'_>, turn: &mut GraphTurn) -> Option<bool> {
        let Subject {
            name,
            column,
            vector: _,
            state,
            threads,
        } = *subject;
        let graphs = self.shared.graphs();
        let graph = graphs.get(name);
        let Some(tuning) = self.wanted(subject, graph.is_some()) else {
            if graph.is_some() {
                self.publish_graph(name, None);
            }
            return None;
        };
        let build = Build {
            state,
            ledger: &self.shared.ledger,
            threads,
            is_stopped: &|| self.shared.status() == CollectionStatus::Closed,
        };
        let begun = self.shared.services.clock.now();
        let progress = match graph {
            Some(graph) if graph.tuning == tuning => build.step(graph),
            Some(_) | None => {
                let fresh = Graph::new(&state.layout, column, tuning);
                match self.saved_graph(subject, turn) {
                    Some(content) => self.resume(&build, (fresh, name), &content),
                    None => build.step(&fresh),
                }
            }
        };
        let nanos = self.shared.services.clock.now().nanos_since(begun);
        self.note(name, progress, (turn, nanos))
    }

    /// Publishes what a step came to.
    fn note(&self, name: &str, progress: Progress, (turn, nanos): (&mut GraphTurn, u64)) -> Option<bool> {
        let cells = turn
            .cells
            .get_or_insert_with(|| Blocks::register(&self.shared.series.writes));
        let (newer, changed, has_grown) = match progress {
            Progress::Current | Progress::Stopped => return None,
            Progress::Extended(newer, changed) => {
                cells.graph_insertions.add(changed);
                (newer, changed, true)
            }
            Progress::Repaired(newer, changed) => {
                cells.rebalances.of(Rebalance::Repair).increment();
                self.shared
                    .services
                    .metrics
                    .rebalance_seconds
                    .of(Rebalance::Repair)
                    .record(nanos);
                (newer, changed, false)
            }
            Progress::Connected(newer) => (newer, 0, false),
        };
        *turn.unsaved.entry(name.to_owned()).or_default() += changed;
        self.publish_graph(name, Some(newer));
        Some(has_grown)
    }

    /// How a graph of this vector is to be built; `None` if there are too few points for one.
    fn wanted(&self, subject: &Subject<'_>, has_one: bool) -> Option<Tuning> {
        let least = self.config().graph_rows(&subject.vector)?;
        // Points that come and go about the threshold do not make a graph come and go.
        let least = if has_one { least / 2 } else { least };
        let GraphConfig { m, ef_construct } = self.config().graph_of(&subject.vector);
        let tuning = Tuning {
            degree: 2 * m,
            ef_construct,
        };
        (subject.state.rows(subject.column) >= least).then_some(tuning)
    }

    fn publish_graph(&self, name: &str, graph: Option<Graph>) {
        let mut graphs = Graphs::clone(&self.shared.graphs());
        match graph {
            Some(graph) => graphs.insert(name.to_owned(), Arc::new(graph)),
            None => graphs.remove(name),
        };
        self.shared.publish_graphs(graphs);
    }

    /// The content of a vector's file, the first time that it is asked for. A file that cannot be read is as good as
    /// none: the graph is built.
    fn saved_graph(&self, subject: &Subject<'_>, turn: &mut GraphTurn) -> Option<Vec<u8>> {
        if turn.unsaved.contains_key(subject.name) {
            return None;
        }
        turn.unsaved.insert(subject.name.to_owned(), 0);
        self.graph_file(subject.column)?.read().ok().flatten()
    }

    fn resume(&self, build: &Build<'_>, (fresh, name): (Graph, &str), content: &[u8]) -> Progress {
        let saved = Saved::decode(content, name).ok();
        match saved.filter(|saved| saved.has_degree(fresh.tuning.degree)) {
            Some(saved) => build.resume(fresh, &saved),
            None => build.step(&fresh),
        }
    }

    /// Writes a graph down if more than one in `share` of its nodes is not in the file.
    fn save_graph(&self, subject: &Subject<'_>, turn: &mut GraphTurn, share: u64) {
        let Some(unsaved) = turn.unsaved.get_mut(subject.name) else {
            return;
        };
        let graphs = self.shared.graphs();
        let (Some(graph), Some(file)) = (graphs.get(subject.name), self.graph_file(subject.column)) else {
            return;
        };
        if unsaved.saturating_mul(share) <= graph.nodes() {
            return;
        }
        // What fails now is tried again after the next pass.
        if file.replace(&encode(graph, subject.name, subject.state)).is_ok() {
            *unsaved = 0;
        }
    }

    fn graph_file(&self, column: usize) -> Option<AtomicFile> {
        let path: PathBuf = self.directory.get()?.join(format!("{FILE_PREFIX}{column}"));
        let fs: Arc<dyn FileSystem> = Arc::clone(&self.shared.services.fs);
        Some(AtomicFile::new(fs, &path, MAGIC, VERSION).with_room(limits::MAX_GRAPH_FILE_BYTES))
    }
}
