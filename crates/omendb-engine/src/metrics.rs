//! Every metric of the engine, declared once: field, name, labels and meaning.
//!
//! Blocks are written by their one owner without locks (an engine worker, a collection's commit turn); structs of
//! `...Value` fields are computed for a scrape from figures that live elsewhere.

use std::sync::Arc;

use omendb_distance::Kernels;
use omendb_metrics::{
    Blocks, Cell, Counter, CounterValue, Counters, Exemplars, Family, Fold, GaugeValue, Histogram,
    HistogramCells, Label, Latency, LatencyWindow, Size, SparseHistogramCells, labels, metrics,
};

use crate::counted::Counted;
use crate::quality::Defect;
use crate::recall::SelfHit;
use crate::{Component, ErrorKind, Plan, Selectivity};

labels! {
    /// Why a query failed.
    pub(crate) enum QueryError("kind") {
        /// The request was wrong.
        Invalid = "invalid",
        /// It named a point that does not exist, or the collection was deleted meanwhile.
        NotFound = "not_found",
        /// The collection was loading or closed.
        Unavailable = "unavailable",
        /// The collection could not be read from disk.
        Corrupt = "corrupt",
        /// A fault of ours.
        Internal = "internal",
    }
}

impl From<ErrorKind> for QueryError {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Conflict
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::ResourceExhausted
            | ErrorKind::Internal => Self::Internal,
        }
    }
}

labels! {
    /// What a rebalance was.
    pub(crate) enum Rebalance("kind") {
        /// Points moved out of chunks that were mostly deleted.
        Compaction = "compaction",
        /// Nodes that led to points compacted away led around them.
        Repair = "repair",
    }
}

labels! {
    /// What became of a query drawn for the recall probe.
    pub(crate) enum SampleOutcome("outcome") {
        /// Run again exactly and compared.
        Measured = "measured",
        /// Given up: the query failed, or the probe was still busy.
        Skipped = "skipped",
    }
}

labels! {
    /// How an attempt at a snapshot ended.
    pub(crate) enum SnapshotOutcome("outcome") {
        /// In force; the log before it was trimmed.
        Success = "success",
        /// Given up; the log goes on.
        Failure = "failure",
    }
}

metrics! {
    /// What a worker counts for one collection.
    pub(crate) block QueryCells by "db_id" {
        /// Queries handled, those that failed included.
        ///
        /// First, whenever something looks wrong: has the load changed? Its rate is also what every figure of work is
        /// divided by.
        pub(crate) queries: Cell = "omendb_engine_queries_total",
        /// Queries that failed, by what was wrong; they are in the queries too.
        ///
        /// When clients complain. `invalid` and `not_found` are theirs to mend, the other kinds are ours.
        pub(crate) errors: Family<QueryError, Cell> = "omendb_engine_query_errors_total",
        /// Time from admission granted (in a batch, from the query's turn) to hits ready, of queries that did not fail.
        ///
        /// For quantiles over any range of time and over several servers. Its count is smaller than the queries by
        /// those that failed.
        pub(crate) duration: HistogramCells = "omendb_query_duration_seconds",
        /// Distances computed.
        ///
        /// Per query, when latency grows. It follows the points scanned; a jump without more points means that more
        /// chunks are scanned than hold points.
        pub(crate) distances: Cell = "omendb_engine_distance_computations_total",
        /// Nodes of the graph whose links were followed.
        ///
        /// Per query, when latency grows or recall falls. It follows `ef` and filters that few points pass; a jump
        /// without either means that the graph has degraded.
        pub(crate) hops: Cell = "omendb_engine_hops_total",
        /// Nodes of the graph that walks compared with their queries.
        ///
        /// Per query, beside the distances: the others are those of scans, of collections and points without a graph,
        /// and under filters that a scan answers cheaper.
        pub(crate) visited: Cell = "omendb_engine_visited_total",
        /// Points scored in full because the bound of their coded distance did not rule them out.
        ///
        /// When scans cost more than their size explains: many of them for few hits mean that the codes say little
        /// about these vectors.
        pub(crate) rescored: Cell = "omendb_engine_rescored_total",
        /// Entries of inverted indexes of sparse vectors read: slots that have a term of the query.
        ///
        /// When sparse queries get slower: it follows the points and the terms that many of them have.
        pub(crate) postings: Cell = "omendb_engine_postings_total",
        /// Bytes of vectors, codes and postings read to compute distances: what a query costs.
        ///
        /// When queries get slower without more distances, and to see how near a server is to the memory bandwidth of
        /// its machine.
        pub(crate) bytes_touched: Cell = "omendb_engine_bytes_touched_total",
        /// Points tested against a query's filter that did not pass.
        ///
        /// When filtered queries are slow: it grows when filters select little and no payload index answers them.
        pub(crate) filter_rejected: Cell = "omendb_engine_filter_rejected_total",
    }
}

/// A worker's block for one collection: what is exported, and what figures are derived from.
#[derive(Debug, Default)]
pub(crate) struct QueryBlock {
    pub(crate) cells: QueryCells,
    /// Vector elements processed, and those of them in full vector registers.
    pub(crate) elements: Cell,
    pub(crate) elements_in_full_vectors: Cell,
}

impl Fold for QueryBlock {
    fn fold(&self, from: &Self) {
        let Self {
            cells,
            elements,
            elements_in_full_vectors,
        } = from;
        self.cells.fold(cells);
        self.elements.fold(elements);
        self.elements_in_full_vectors.fold(elements_in_full_vectors);
    }
}

metrics! {
    /// What a worker counts for all collections together.
    pub(crate) block BatchCells {
        /// Searches that one batch asked for; each of them is counted as a query too.
        ///
        /// When one request takes long: a batch occupies one slot for all its searches.
        pub(crate) batch_queries: SparseHistogramCells<Size> = "omendb_engine_batch_queries",
    }
}

metrics! {
    /// What the commits of one collection count.
    pub(crate) block WriteCells by "db_id" {
        /// Vectors made searchable: by writes, not by the reading of the log at start.
        ///
        /// For the rate of writes that became searchable, beside the rate clients believe to write at.
        pub(crate) vectors_indexed: Cell = "omendb_engine_vectors_indexed_total",
        /// Vectors made nodes of a graph. After a restart only those that its file did not have.
        ///
        /// During bulk loads, for the speed of building; and after a restart, where a jump means that graphs are built
        /// again.
        pub(crate) graph_insertions: Cell = "omendb_engine_graph_insertions_total",
        /// Reorganizations of the stored points and of their graphs.
        ///
        /// When tombstones grow or latency has short bumps: whether compaction and repair run at all, and how often.
        pub(crate) rebalances: Family<Rebalance, Cell> = "omendb_engine_index_rebalances_total",
    }
}

/// The metrics a collection owns, on the page under its name until it is deleted.
#[derive(Debug)]
pub(crate) struct CollectionSeries {
    pub(crate) queries: Arc<Blocks<QueryBlock>>,
    pub(crate) writes: Arc<Blocks<WriteCells>>,
    /// Of the duration of queries, for all workers.
    pub(crate) exemplars: Arc<Exemplars>,
    pub(crate) window: LatencyWindow,
    pub(crate) counted: Arc<Counted>,
}

impl Default for CollectionSeries {
    fn default() -> Self {
        Self {
            queries: Arc::default(),
            writes: Arc::default(),
            exemplars: Arc::default(),
            window: LatencyWindow::empty::<Latency>(),
            counted: Arc::default(),
        }
    }
}

metrics! {
    /// What the queries of one collection were like lately.
    pub(crate) struct QueryFigures by "db_id" {
        /// Mean duration of the queries of the last minute; absent without any.
        ///
        /// At a glance, without a query language; for anything else ask the histogram omendb_query_duration_seconds.
        pub(crate) mean: GaugeValue = "omendb_engine_query_duration_seconds",
        /// Half of the queries of the last minute took at most this, within 4.5 %; absent without any.
        ///
        /// To tell a change for all queries from one for a few: then p50 stays and p99 moves.
        pub(crate) p50: GaugeValue = "omendb_engine_query_latency_p50_seconds",
        /// 95 % of the queries of the last minute took at most this, within 4.5 %; absent without any.
        ///
        /// As the usual figure of what users feel, finer than quantiles of classic buckets.
        pub(crate) p95: GaugeValue = "omendb_engine_query_latency_p95_seconds",
        /// 99 % of the queries of the last minute took at most this, within 4.5 %; absent without any.
        ///
        /// When a few queries are slow: waiting for slots, large filters, a busy disk or processor.
        pub(crate) p99: GaugeValue = "omendb_engine_query_latency_p99_seconds",
        /// Share of elements of dense vectors compared in full vector registers. Absent before the first query.
        ///
        /// Once, when choosing a dimension: below 1 where it is not a multiple of the register's width.
        pub(crate) simd_utilization: GaugeValue = "omendb_engine_simd_utilization_ratio",
    }
}

metrics! {
    /// What one collection holds.
    pub(crate) struct CollectionFigures by "db_id" {
        /// Memory held, from the ledger of its structures; old versions that readers still use are in it.
        ///
        /// To find the collection that needs the memory, and to see growth that its number of points does not explain.
        pub(crate) memory: GaugeValue = "omendb_engine_memory_allocated_bytes",
        /// The most memory held at once since it was loaded or created.
        ///
        /// When sizing a machine or a memory limit: what is held now may be far less.
        pub(crate) memory_peak: GaugeValue = "omendb_engine_memory_peak_bytes",
        /// Memory held, by what for.
        ///
        /// When a collection needs more than expected: it says whether vectors, payloads, graph or indexes grew.
        pub(crate) components: Family<Component, GaugeValue> = "omendb_engine_memory_component_bytes",
        /// Memory a query may touch: vectors and their indexes, ids and the map between ids and slots, without payloads.
        ///
        /// When sizing memory: queries are fast as long as this much of every busy collection is resident.
        pub(crate) index_size: GaugeValue = "omendb_engine_index_size_bytes",
        /// Vectors that can be found.
        ///
        /// To see that writes and deletions arrive, and as what work and memory are compared with.
        pub(crate) vectors: GaugeValue = "omendb_engine_vectors",
        /// Vectors that are found through a graph; the others are compared one by one.
        ///
        /// After bulk loads: fewer than there are vectors for long means that building does not keep up.
        pub(crate) graph_vectors: GaugeValue = "omendb_engine_graph_vectors",
        /// Deleted or replaced points whose room is not free yet.
        ///
        /// When memory grows or scans slow down while the number of vectors does not: steady growth means that
        /// compaction does not keep up.
        pub(crate) tombstones: GaugeValue = "omendb_engine_tombstones",
        /// Share of the stored points that are deleted or replaced. Absent without points.
        ///
        /// When memory or scans cost more than the points explain: it is the part spent on what is gone. Up to a half is
        /// normal where much is overwritten.
        pub(crate) tombstone_ratio: GaugeValue = "omendb_engine_tombstone_ratio",
        /// Nodes of graphs that no walk comes by, because no link leads to them: only exact searches find their points.
        ///
        /// When recall is low or points are not found: more than a few mean that `m` is too small for these vectors.
        pub(crate) unreachable_nodes: GaugeValue = "omendb_engine_graph_unreachable_nodes",
        /// By which part vectors sent in the last 15 to 30 minutes are longer (shorter, below zero) than those before,
        /// since the start; of the vector that has changed most. Absent until there are both.
        ///
        /// After a change of what makes the vectors: another model shows here before users complain of their hits.
        pub(crate) norm_drift: GaugeValue = "omendb_engine_vector_norm_drift_ratio",
        /// Bytes of log that a restart would read.
        ///
        /// Before a planned restart, and when disk space runs out: it falls back with every snapshot, so steady growth
        /// means that snapshots fail.
        pub(crate) log_bytes: GaugeValue = "omendb_log_bytes",
        /// Mean recall of the sampled queries of the last 15 minutes: the share of the true nearest points among
        /// those returned. Absent without a sample.
        ///
        /// After every change of `ef`, `m`, of a filter or of a release: whether answers are still the right ones. With
        /// few samples the lower bound says how little is known.
        pub(crate) accuracy: GaugeValue = "omendb_engine_search_accuracy_ratio",
        /// What the recall is at least, with 95 % confidence, from the spread between the sampled queries. Absent
        /// with fewer than two samples.
        ///
        /// Before trusting the ratio: when this is much lower, there are too few samples to judge by.
        pub(crate) accuracy_lower_bound: GaugeValue = "omendb_engine_search_accuracy_lower_bound_ratio",
    }
}

metrics! {
    /// What is counted of one collection outside of queries and commits.
    pub(crate) struct CollectionCounts by "db_id" {
        /// Stored vectors that were searched for by themselves, one a second at most, by whether they were found; a
        /// vector without a nearest one (`Dot`) is not.
        ///
        /// When recall is low: misses of more than one in a hundred mean that the graph has degraded; without them it is
        /// the queries that are unlike the points.
        pub(crate) self_hits: Family<SelfHit, CounterValue> = "omendb_engine_self_hits_total",
        /// Dense vectors sent with a defect: refused as `not_finite` and `wrong_dimension`, stored as `zero_length`,
        /// which by angle is as far from every query.
        ///
        /// When writes fail or points are never found: what makes the vectors has a fault.
        pub(crate) defects: Family<Defect, CounterValue> = "omendb_engine_vector_defects_total",
        /// Queries drawn for the recall probe.
        ///
        /// When recall is absent or its bound is wide: `skipped` growing alone means that the probe does not come to
        /// its work.
        pub(crate) samples: Family<SampleOutcome, CounterValue> = "omendb_engine_accuracy_samples_total",
    }
}

metrics! {
    /// The recall of one collection's queries by the way they were answered.
    pub(crate) struct PlanFigures by "db_id" {
        /// Mean recall of the sampled queries of the last 15 minutes, by the plan that answered them and the share of
        /// points that passed their filter. Absent without a sample.
        ///
        /// When recall is low: which kind of query makes it so.
        pub(crate) accuracy: Family<(Plan, Selectivity), GaugeValue> = "omendb_engine_plan_accuracy_ratio",
        /// What that recall is at least, with 95 % confidence. Absent with fewer than two samples.
        ///
        /// Before trusting the ratio of one kind: when this is much lower, there are too few samples to judge by.
        pub(crate) lower_bound: Family<(Plan, Selectivity), GaugeValue> =
            "omendb_engine_plan_accuracy_lower_bound_ratio",
    }
}

metrics! {
    /// The sampled queries of one collection by the way they were answered.
    pub(crate) struct PlanCounts by "db_id" {
        /// Queries that the recall probe measured, by plan and share.
        ///
        /// Beside the recall by plan and its lower bound: how far they can be trusted. Its rate also tells how queries are answered.
        pub(crate) samples: Family<(Plan, Selectivity), CounterValue> =
            "omendb_engine_plan_accuracy_samples_total",
    }
}

metrics! {
    /// What commits and background work record, over all collections.
    pub(crate) struct LogMetrics {
        /// Points that one write batch upserted, deleted or changed the payload of.
        ///
        /// When writes are slow: many small batches pay an fsync for few points each.
        pub(crate) batch_points: Histogram<Size> = "omendb_engine_batch_points",
        /// Time of one pass that made vectors nodes of a graph, while reads and writes went on.
        ///
        /// When bulk loads use the processors for long, or when vectors wait for their graph.
        pub(crate) build_seconds: Histogram = "omendb_engine_index_build_seconds",
        /// Time of one reorganization step. While points are moved (`compaction`), writes to their collection wait.
        ///
        /// When writes have rare long waits: a step that moves points holds them up for as long.
        pub(crate) rebalance_seconds: Family<Rebalance, Histogram> = "omendb_engine_rebalance_seconds",
        /// Write batches that shared one write and one fsync.
        ///
        /// When writers wait for the disk: near 1 under many writers means that they do not write at the same time, a
        /// high figure that the disk is what they wait for.
        pub(crate) commits_joined: Histogram<Size> = "omendb_log_commits_joined",
        /// Points that one write and one fsync made durable.
        ///
        /// When writes are slow: few of them while writers wait for `omendb_log_fsync_seconds` mean that larger or more
        /// concurrent batches would be faster.
        pub(crate) commit_points: Histogram<Size> = "omendb_log_commit_points",
        /// Time of the fsync of one commit.
        ///
        /// When writes are slow: nothing is acknowledged before its fsync, so this is the floor of their latency.
        pub(crate) fsync_seconds: Histogram = "omendb_log_fsync_seconds",
        /// Bytes written to logs.
        ///
        /// To size a disk, or to see how much more is written than clients send.
        pub(crate) written_bytes: Counter = "omendb_log_written_bytes_total",
        /// Time to write a snapshot and put it in force.
        ///
        /// When latency has bumps minutes apart: a snapshot competes for the disk.
        pub(crate) snapshot_seconds: Histogram = "omendb_snapshot_seconds",
        /// Bytes of the snapshots that were put in force.
        ///
        /// When the disk writes more than the log does.
        pub(crate) snapshot_bytes: Counter = "omendb_snapshot_written_bytes_total",
        /// Bytes of log that snapshots made superfluous and removed.
        ///
        /// When the log does not get shorter though snapshots succeed.
        pub(crate) trimmed_bytes: Counter = "omendb_snapshot_trimmed_log_bytes_total",
        /// Snapshots attempted.
        ///
        /// When the log grows: failures name a full or failing disk before anything else does.
        pub(crate) snapshots: Counters<SnapshotOutcome> = "omendb_snapshot_attempts_total",
    }
}

metrics! {
    /// What the engine as a whole holds and has read and written.
    pub(crate) struct EngineFigures {
        /// Memory of superseded versions that readers still hold: what would be garbage elsewhere.
        ///
        /// When memory is higher than the collections explain: it is returned as soon as the last such reader is done,
        /// so growth means queries that do not end.
        pub(crate) retired: GaugeValue = "omendb_engine_retired_bytes",
        /// Processor time of the probes that measure recall: at most 0.3 % of the time that has passed.
        ///
        /// When somebody asks what measuring recall costs, or when samples are skipped because the budget is used up.
        pub(crate) probe_seconds: CounterValue = "omendb_engine_probe_cpu_seconds_total",
        /// The code that compares vectors on this processor; always 1.
        ///
        /// When one machine is slower than its peers: `scalar` there means that its processor, or its virtual machine,
        /// hides the vector instructions.
        pub(crate) kernel: Family<Kernel, GaugeValue> = "omendb_engine_kernel_info",
        /// Bytes read from files.
        ///
        /// At a start, for how far loading has come.
        pub(crate) read_bytes: CounterValue = "omendb_disk_read_bytes_total",
        /// Reads of files.
        ///
        /// With the bytes read: many small reads are slower than few large ones.
        pub(crate) read_operations: CounterValue = "omendb_disk_read_operations_total",
        /// Bytes written to files.
        ///
        /// To size a disk: the log, snapshots and graph files together.
        pub(crate) write_bytes: CounterValue = "omendb_disk_write_bytes_total",
        /// Writes to files.
        ///
        /// Against the limit of operations a second that many rented disks have.
        pub(crate) write_operations: CounterValue = "omendb_disk_write_operations_total",
    }
}

/// Plans have series when queries were answered by them.
impl Label for Plan {
    const KEYS: &'static [&'static str] = &["plan"];
    const SPARSE: bool = true;

    fn count() -> usize {
        Self::ALL.len()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
        Self::ALL.get(index).map(|plan| plan.name())
    }
}

/// The kernels in use: a set of one, known when the process starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel;

impl Label for Kernel {
    const KEYS: &'static [&'static str] = &["provider", "isa"];

    fn count() -> usize {
        1
    }

    fn index(self) -> usize {
        0
    }

    fn values(_index: usize) -> impl IntoIterator<Item = &'static str> {
        let kernels = Kernels::detected();
        [kernels.provider(), kernels.isa()]
    }
}
