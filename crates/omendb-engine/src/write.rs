//! What a client asks to be written, and what became of it.

use crate::{Filter, IndexKind, PayloadChange, Point, PointId, PointVectors};

/// Operations that become durable and visible together, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteBatch {
    /// In the order they take effect.
    pub operations: Vec<Operation>,
}

/// One change of a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Inserts points, or replaces those whose ids exist. Of two with one id the later wins.
    Upsert(Vec<Point>),
    /// The same for those of the points that the rule lets through when the write has its turn.
    UpsertByRule(Vec<Point>, UpsertRule),
    /// Replaces vectors of points, whose payload and other vectors stay: of all, or of those that pass when the write
    /// has its turn. An id that does not exist makes the write fail.
    UpdateVectors(Vec<PointVectors>, Option<Filter>),
    /// Takes the vectors of these names from points; ids that do not exist are passed over.
    DeleteVectors(Vec<String>, PointSelector),
    /// Deletes points; ids that do not exist are passed over.
    Delete(Vec<PointId>),
    /// Deletes the points that pass a filter when the write has its turn.
    DeleteMatching(Filter),
    /// Changes the payloads of points, whose vectors stay.
    Payload(PayloadChange, PointSelector),
    /// Keeps an index of the values at a payload key, built in the background.
    CreateIndex(String, IndexKind),
    /// Keeps no index of a payload key any more; one that has none is passed over.
    DropIndex(String),
}

/// Which points an upsert is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpsertRule {
    /// New ones, existing ones, or both.
    pub mode: UpdateMode,
    /// What existing ones have to pass to be replaced.
    pub filter: Option<Filter>,
}

/// Whether an upsert inserts, replaces, or does both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateMode {
    /// Both.
    #[default]
    Upsert,
    /// Points that exist are left as they are.
    InsertOnly,
    /// Points that do not exist are not inserted.
    UpdateOnly,
}

/// Points that an operation is about.
#[derive(Clone, Debug, PartialEq)]
pub enum PointSelector {
    /// Those of these ids; one that does not exist makes a change of payloads fail.
    Ids(Vec<PointId>),
    /// Those that pass when the write has its turn.
    Filter(Filter),
}

impl WriteBatch {
    /// A batch of one upsert.
    pub fn upsert(points: Vec<Point>) -> Self {
        Self {
            operations: vec![Operation::Upsert(points)],
        }
    }

    /// A batch of one deletion.
    pub fn delete(ids: Vec<PointId>) -> Self {
        Self {
            operations: vec![Operation::Delete(ids)],
        }
    }
}

/// A write that is durable and visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOutcome {
    /// Its place in the collection's log: greater than that of every write acknowledged before it was submitted.
    pub sequence: u64,
    /// What it did.
    pub stats: WriteStats,
}

/// What one write batch did and what it took. Durations are of the whole commit it shared with `batches - 1` others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Points upserted, those that replaced one included.
    pub points_upserted: u64,
    /// Upserts that replaced a point.
    pub points_replaced: u64,
    /// Points deleted; ids that did not exist not counted.
    pub points_deleted: u64,
    /// Points whose payload was changed on its own.
    pub payloads_changed: u64,
    /// Vectors stored: a point of a collection with named vectors has several.
    pub vectors_written: u64,
    /// Bytes of this batch in the log.
    pub log_bytes: u64,
    /// Write batches in the commit.
    pub batches: u64,
    /// Nanoseconds from submission until the commit began.
    pub wait_ns: u64,
    /// Nanoseconds to resolve and apply the commit to memory.
    pub apply_ns: u64,
    /// Nanoseconds to write it to the log.
    pub append_ns: u64,
    /// Nanoseconds of the fsync that made it durable.
    pub fsync_ns: u64,
}
