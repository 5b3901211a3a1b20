//! Graphs that follow the collection in the background, while it is searched and written, and their files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use omendb_metrics::{Blocks, WorkerBlock};
use omendb_storage::{AtomicFile, FileSystem};

use crate::collection::{Collection, CollectionStatus};
use crate::config::GraphConfig;
use crate::graph::{Build, Graph, Progress, Saved, Tuning, encode};
use crate::metrics::{Rebalance, WriteCells};
use crate::state::State;
use crate::{CollectionConfig, VectorConfig, limits};

const MAGIC: [u8; 8] = *b"OMENGRPH";
const VERSION: u32 = 1;

/// What the names of the files begin with; the number of the vector follows.
pub(crate) const FILE_PREFIX: &str = "graph-";

/// A graph is written again when one in so many of its nodes is not in the file: a restart inserts the others.
const UNSAVED_SHARE: u64 = 16;

/// What is known between two passes over the graphs.
#[derive(Debug, Default)]
pub(crate) struct GraphTurn {
    cells: Option<WorkerBlock<WriteCells>>,
    /// By the numbers of the vectors whose file was looked at: nodes inserted or repaired since it was written.
    unsaved: BTreeMap<u32, u64>,
}

/// One vector, and what its graph is built of.
struct Subject<'a> {
    name: &'a str,
    number: u32,
    column: usize,
    vector: VectorConfig,
    state: &'a State,
    threads: usize,
}

impl<'a> Subject<'a> {
    /// The vector of that number; `None` if there is none in the state, or none any more.
    fn new(number: u32, (state, config): (&'a State, &CollectionConfig), threads: usize) -> Option<Self> {
        let column = state
            .layout
            .columns
            .iter()
            .position(|column| column.number == number)?;
        let name = state.layout.columns[column].name.as_str();
        Some(Self {
            name,
            number,
            column,
            vector: config.vector(name).ok()?,
            state,
            threads,
        })
    }
}

impl Collection {
    /// Brings the graphs in line with the newest state, on so many threads; ends when they are, or it is closed.
    pub(crate) fn build_graphs(&self, threads: usize) {
        let mut turn = self.graph_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let layout = Arc::clone(&self.shared.published().layout);
        let numbers: Vec<u32> = layout.columns.iter().map(|column| column.number).collect();
        // A pass that began before a vector went may have published its graph since.
        turn.unsaved.retain(|number, _| numbers.contains(number));
        self.shared
            .change_graphs(|graphs| graphs.retain(|number, _| numbers.contains(number)));
        for number in numbers {
            let begun = self.shared.services.clock.now();
            let mut has_grown = false;
            while self.shared.status() != CollectionStatus::Closed
                && let Ok(state) = self.snapshot()
                && let config = self.config()
                && let Some(subject) = Subject::new(number, (&state, &config), threads)
            {
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
        let (config, state) = (self.config(), self.shared.published());
        for column in &state.layout.columns {
            if let Some(subject) = Subject::new(column.number, (&state, &config), 1) {
                self.save_graph(&subject, &mut turn, u64::MAX);
            }
        }
    }

    /// Removes the files of vectors that are gone, as far as the disk lets it: the next start tries again.
    pub(crate) fn remove_stray_graph_files(&self) {
        let Some(directory) = self.directory.get() else {
            return;
        };
        let (fs, layout) = (&self.shared.services.fs, &self.shared.published().layout);
        for entry in fs.list(directory).unwrap_or_default() {
            let number = entry.name.strip_prefix(FILE_PREFIX).map(str::parse::<u32>);
            let is_stray = |number| layout.columns.iter().all(|column| column.number != number);
            if let Some(Ok(number)) = number
                && is_stray(number)
            {
                let _ = fs.remove_file(&directory.join(&entry.name));
            }
        }
    }

    /// Takes one graph a step towards a state: whether it has grown, `None` if there was nothing to do.
    fn build_step(&self, subject: &Subject<'_>, turn: &mut GraphTurn) -> Option<bool> {
        let Subject {
            name,
            number,
            column,
            vector: _,
            state,
            threads,
        } = *subject;
        let graphs = self.shared.graphs();
        let graph = graphs.get(&number);
        let Some(tuning) = self.wanted(subject, graph.is_some()) else {
            if graph.is_some() {
                self.publish_graph(number, None);
            }
            return None;
        };
        let build = Build {
            state,
            column,
            ledger: &self.shared.ledger,
            threads,
            is_stopped: &|| self.shared.status() == CollectionStatus::Closed,
        };
        let begun = self.shared.services.clock.now();
        let progress = match graph {
            Some(graph) if graph.tuning == tuning && graph.is_numbered_like(&state.layout) => {
                build.step(graph)
            }
            Some(_) | None => {
                let fresh = Graph::new(&state.layout, column, tuning);
                match self.saved_graph(subject, turn) {
                    Some(content) => self.resume(&build, (fresh, name), &content),
                    None => build.step(&fresh),
                }
            }
        };
        let nanos = self.shared.services.clock.now().nanos_since(begun);
        self.note(number, progress, (turn, nanos))
    }

    /// Publishes what a step came to.
    fn note(&self, number: u32, progress: Progress, (turn, nanos): (&mut GraphTurn, u64)) -> Option<bool> {
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
        *turn.unsaved.entry(number).or_default() += changed;
        self.publish_graph(number, Some(newer));
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

    fn publish_graph(&self, number: u32, graph: Option<Graph>) {
        self.shared.change_graphs(|graphs| {
            match graph {
                Some(graph) => graphs.insert(number, Arc::new(graph)),
                None => graphs.remove(&number),
            };
        });
    }

    /// The content of a vector's file, the first time that it is asked for. A file that cannot be read is as good as
    /// none: the graph is built.
    fn saved_graph(&self, subject: &Subject<'_>, turn: &mut GraphTurn) -> Option<Vec<u8>> {
        if turn.unsaved.contains_key(&subject.number) {
            return None;
        }
        turn.unsaved.insert(subject.number, 0);
        self.graph_file(subject.number)?.read().ok().flatten()
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
        let Some(unsaved) = turn.unsaved.get_mut(&subject.number) else {
            return;
        };
        let graphs = self.shared.graphs();
        let (Some(graph), Some(file)) = (graphs.get(&subject.number), self.graph_file(subject.number)) else {
            return;
        };
        if unsaved.saturating_mul(share) <= graph.nodes() {
            return;
        }
        // What fails now is tried again after the next pass.
        if file
            .replace(&encode(graph, (subject.name, subject.column), subject.state))
            .is_ok()
        {
            *unsaved = 0;
        }
    }

    fn graph_file(&self, number: u32) -> Option<AtomicFile> {
        let path: PathBuf = self.directory.get()?.join(format!("{FILE_PREFIX}{number}"));
        let fs: Arc<dyn FileSystem> = Arc::clone(&self.shared.services.fs);
        Some(AtomicFile::new(fs, &path, MAGIC, VERSION).with_room(limits::MAX_GRAPH_FILE_BYTES))
    }
}
