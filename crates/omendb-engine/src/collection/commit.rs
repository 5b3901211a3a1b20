//! A collection's commit turn: the one place where its state changes, by one thread at a time.
//!
//! A batch of waiting writes is applied to the working state, appended to the log with one write and one fsync, and
//! only then published: durable before visible. When the append fails, the working state is thrown away and the
//! published one goes on, which copy-on-write makes a matter of one clone.

use std::sync::Arc;

use omendb_metrics::{Blocks, Timestamp, WorkerBlock};
use omendb_storage::{AppendStats, Journal, SnapshotWriter};

use crate::collection::resolve::{Settled, Step, settle};
use crate::collection::{Poison, Shared};
use crate::ledger::Charge;
use crate::metrics::{Rebalance, WriteCells};
use crate::state::{Applied, Layout, State, Store};
use crate::{Error, ErrorKind, WriteOutcome, WriteStats, limits};

/// Bytes of vectors that one compaction step moves: a few milliseconds for which writes wait.
const COMPACTION_STEP_BYTES: usize = 4 << 20;

/// Elements that moving a sparse vector is taken to cost: indices and values of a hundred terms or so.
const EXPECTED_TERMS: usize = 256;

/// What may wait in a collection's queue.
#[derive(Debug)]
pub(crate) enum Op {
    Write(PendingWrite),
    /// Move the points of some sparse chunks.
    Compact,
    /// Begin a snapshot of the present state.
    BeginSnapshot,
    /// Give the points the vectors of another layout.
    Reshape(Box<Layout>),
    /// Look up how long the log is.
    MeasureLog,
    /// Close the log.
    Close,
}

/// A checked write on its way into the log.
#[derive(Debug)]
pub(crate) struct PendingWrite {
    pub(crate) steps: Vec<Step>,
    /// What they were checked against.
    pub(crate) layout: Arc<Layout>,
    /// Points that are known already; those that steps are resolved to come to them.
    pub(crate) points: u64,
    pub(crate) submitted: Timestamp,
    /// The memory of `steps`.
    pub(crate) _charge: Charge,
}

/// What became of an operation.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written(WriteOutcome),
    Compacted,
    SnapshotBegun(Box<SnapshotWriter>, Arc<State>),
    Done,
}

pub(crate) type OpResult = Result<Outcome, Error>;

impl Outcome {
    pub(crate) fn written(self) -> Result<WriteOutcome, Error> {
        match self {
            Self::Written(outcome) => Ok(outcome),
            Self::Compacted | Self::SnapshotBegun(..) | Self::Done => Err(fault()),
        }
    }
}

/// The writer of one collection.
pub(crate) struct Commit {
    shared: Arc<Shared>,
    store: Store,
    /// `None` once closed.
    journal: Option<Journal>,
    cells: WorkerBlock<WriteCells>,
}

impl Commit {
    pub(crate) fn new(shared: &Arc<Shared>, store: Store, journal: Journal) -> Self {
        let cells = Blocks::register(&shared.series.writes);
        let commit = Self {
            shared: Arc::clone(shared),
            store,
            journal: Some(journal),
            cells,
        };
        commit.note_log();
        commit
    }

    /// Carries out a batch: the writes as one commit, then the rest. One result for each operation, in order.
    pub(crate) fn process(&mut self, operations: Vec<Op>) -> Vec<OpResult> {
        let (mut writes, mut results) = (Vec::new(), Vec::with_capacity(operations.len()));
        let mut others = Vec::new();
        for (position, operation) in operations.into_iter().enumerate() {
            results.push(Err(fault()));
            match operation {
                Op::Write(write) => writes.push((position, write)),
                Op::Compact | Op::BeginSnapshot | Op::Reshape(_) | Op::MeasureLog | Op::Close => {
                    others.push((position, operation))
                }
            }
        }
        let (positions, writes): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        for (position, outcome) in positions.into_iter().zip(self.commit(&writes)) {
            results[position] = outcome.map(Outcome::Written);
        }
        for (position, operation) in others {
            results[position] = self.maintain(operation);
        }
        results
    }

    /// Commits the writes together, or a few after each other when what they come to is too long for one append.
    fn commit(&mut self, writes: &[PendingWrite]) -> Vec<Result<WriteOutcome, Error>> {
        let mut results = Vec::with_capacity(writes.len());
        while results.len() < writes.len() {
            results.extend(self.commit_first(&writes[results.len()..]));
        }
        results
    }

    /// Commits the first of the writes, at least one: as many as go into one append. How long a filter or a change of
    /// payloads becomes shows only here.
    fn commit_first(&mut self, writes: &[PendingWrite]) -> Vec<Result<WriteOutcome, Error>> {
        let clock = self.shared.services.clock.clone();
        let begun = clock.now();
        let indexes = self.shared.indexes();
        let (mut settled, mut bytes) = (Vec::new(), 0);
        for write in writes {
            // With the last one, of which this is the most as well, it is half of what an append takes.
            if bytes >= limits::MAX_BATCH_BYTES {
                break;
            }
            let outcome = settle(&mut self.store, (&indexes, &write.layout), &write.steps);
            bytes += outcome.as_ref().map_or(0, |settled| settled.record.len());
            settled.push(outcome);
        }
        let apply_ns = clock.now().nanos_since(begun);
        let accepted = settled.iter().filter_map(|settled| settled.as_ref().ok());
        let records: Vec<&[u8]> = accepted.map(|settled| &*settled.record).collect();
        if records.is_empty() {
            return settled
                .into_iter()
                .map(|settled| settled.and_then(|_| Err(fault())))
                .collect();
        }
        let append = match self.append(&records) {
            Ok(append) => append,
            Err(error) => {
                return settled
                    .into_iter()
                    .map(|settled| settled.and(Err(error.clone())))
                    .collect();
            }
        };
        self.store.set_sequence(append.last_sequence);
        self.shared.publish(self.store.state().clone());
        self.note_log();
        let batches = records.len();
        self.record_commit(&append, (batches, accepted_points(writes, &settled)));
        let mut sequence = append.first_sequence;
        let outcome = |(write, settled): (&PendingWrite, Result<Settled<'_>, Error>)| {
            let Settled {
                record,
                applied,
                resolved,
            } = settled?;
            let Applied {
                points_upserted,
                points_replaced,
                points_deleted,
                payloads_changed,
                vectors_written,
            } = applied;
            let stats = WriteStats {
                points_upserted,
                points_replaced,
                points_deleted,
                payloads_changed,
                vectors_written,
                log_bytes: record.len() as u64,
                batches: batches as u64,
                wait_ns: begun.nanos_since(write.submitted),
                apply_ns,
                append_ns: append.write_ns,
                fsync_ns: append.fsync_ns,
            };
            self.record_write(&stats, write.points + resolved);
            sequence += 1;
            Ok(WriteOutcome {
                sequence: sequence - 1,
                stats,
            })
        };
        writes.iter().zip(settled).map(outcome).collect()
    }

    /// Makes the records durable. On failure everything applied since the last publication is undone.
    fn append(&mut self, records: &[&[u8]]) -> Result<AppendStats, Error> {
        let Some(journal) = &mut self.journal else {
            return Err(self.undo(Error::unavailable("the log is closed")));
        };
        self.shared.append.advance(self.shared.services.clock.now());
        let appended = journal.append(records);
        self.shared.append.end();
        match appended {
            Ok(stats) => {
                self.shared.note_refusal(None);
                Ok(stats)
            }
            Err(error) => {
                self.note_log();
                let error = Error::from(error);
                // What is wrong with the write itself says nothing about the next one.
                if error.kind() != ErrorKind::Invalid {
                    self.shared.note_refusal(Some(error.clone()));
                }
                Err(self.undo(error))
            }
        }
    }

    fn undo(&mut self, error: Error) -> Error {
        self.store = Store::resume(State::clone(&self.shared.published()), &self.shared.ledger);
        error
    }

    fn maintain(&mut self, operation: Op) -> OpResult {
        match operation {
            Op::Compact => Ok(self.compact()),
            Op::BeginSnapshot => {
                let journal = self
                    .journal
                    .as_mut()
                    .ok_or_else(|| Error::unavailable("the log is closed"))?;
                let writer = journal.begin_snapshot()?;
                Ok(Outcome::SnapshotBegun(Box::new(writer), self.shared.published()))
            }
            Op::Reshape(layout) => {
                self.store.reshape(*layout);
                self.shared.publish(self.store.state().clone());
                self.note_log();
                Ok(Outcome::Done)
            }
            Op::MeasureLog => {
                self.note_log();
                Ok(Outcome::Done)
            }
            Op::Close => match self.journal.take() {
                Some(journal) if !journal.is_poisoned() => Ok(journal.close().map(|()| Outcome::Done)?),
                Some(_) | None => Ok(Outcome::Done),
            },
            Op::Write(_) => Err(fault()),
        }
    }

    fn compact(&mut self) -> Outcome {
        let clock = self.shared.services.clock.clone();
        let begun = clock.now();
        let layout = &self.store.state().layout;
        let dimensions: usize = layout.columns.iter().map(|column| column.dimension).sum();
        let elements = dimensions + layout.sparse.len() * EXPECTED_TERMS;
        let points = (COMPACTION_STEP_BYTES / (elements * size_of::<f32>())).max(1);
        let is_changed = self.store.has_sparse_chunks();
        self.store.compact(points);
        if is_changed {
            self.shared.publish(self.store.state().clone());
            self.cells.rebalances.of(Rebalance::Compaction).increment();
            self.shared
                .services
                .metrics
                .rebalance_seconds
                .of(Rebalance::Compaction)
                .record(clock.now().nanos_since(begun));
        }
        self.note_log();
        Outcome::Compacted
    }

    /// Tells the housekeeping what there is to do.
    fn note_log(&self) {
        self.shared.set_sparse_chunks(self.store.has_sparse_chunks());
        if let Some(journal) = &self.journal {
            self.shared.set_log_bytes(journal.log_bytes());
            // A snapshot's failed sync poisons the log too.
            if journal.is_poisoned() {
                self.shared.poison(Poison::Sync);
            }
        }
    }

    fn record_commit(&self, append: &AppendStats, (batches, points): (usize, u64)) {
        let AppendStats {
            first_sequence: _,
            last_sequence: _,
            bytes,
            write_ns: _,
            fsync_ns,
            segment_rolled: _,
        } = append;
        let metrics = &self.shared.services.metrics;
        metrics.commits_joined.record(batches as u64);
        metrics.commit_points.record(points);
        metrics.written_bytes.add(*bytes);
        metrics.fsync_seconds.record(*fsync_ns);
    }

    fn record_write(&self, stats: &WriteStats, points: u64) {
        let WriteStats {
            points_upserted: _,
            points_replaced: _,
            points_deleted: _,
            payloads_changed: _,
            vectors_written,
            log_bytes: _,
            batches: _,
            wait_ns: _,
            apply_ns: _,
            append_ns: _,
            fsync_ns: _,
        } = stats;
        self.cells.vectors_indexed.add(*vectors_written);
        self.shared.services.metrics.batch_points.record(points);
    }
}

/// Points of the writes that became part of a commit.
fn accepted_points(writes: &[PendingWrite], settled: &[Result<Settled<'_>, Error>]) -> u64 {
    let points = |(write, settled): (&PendingWrite, &Result<Settled<'_>, Error>)| {
        let resolved = settled.as_ref().ok()?.resolved;
        Some(write.points + resolved)
    };
    writes.iter().zip(settled).filter_map(points).sum()
}

fn fault() -> Error {
    Error::new(ErrorKind::Internal, "the commit queue mixed up its operations")
}
