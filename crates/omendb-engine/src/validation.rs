//! The edge: what a client wants written is checked here, once, and leaves as a record of concrete effects.

use omendb_distance::{Distance, normalize};

use crate::collection::Step;
use crate::config::UNNAMED;
use crate::record::{Columns, put_delete, put_index, put_upsert};
use crate::state::{ColumnLayout, Layout, SparseLayout, Terms};
use crate::{
    Error, Filter, Operation, PayloadPath, Point, PointId, PointSelector, PointVectors, Vector, Vectors,
    WriteBatch, limits,
};

/// A checked batch, ready for its turn.
#[derive(Debug)]
pub(crate) struct CheckedBatch {
    /// Effects that are concrete are encoded, those next to each other as one step.
    pub(crate) steps: Vec<Step>,
    /// Points upserted and ids deleted.
    pub(crate) points: u64,
    /// Memory of the steps, without that of filters.
    pub(crate) bytes: usize,
}

/// Checks a batch against the collection and encodes it.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the point, the vector and the value that is wrong.
pub(crate) fn encode(layout: &Layout, batch: WriteBatch) -> Result<CheckedBatch, Error> {
    let points = point_count(&batch)?;
    let (mut steps, mut record, mut bytes, mut by_ids) = (Vec::new(), Vec::new(), 0, 0);
    for operation in batch.operations {
        let step = match operation {
            Operation::Upsert(points) => {
                encode_upsert(layout, points, &mut record)?;
                None
            }
            Operation::UpsertByRule(mut points, rule) => {
                by_ids += points.len();
                bytes += check_points(layout, &mut points)?;
                rule.filter.as_ref().map_or(Ok(()), Filter::check)?;
                Some(Step::Upsert(points, rule))
            }
            Operation::UpdateVectors(mut changes, filter) => {
                by_ids += changes.len();
                bytes += check_changes(layout, &mut changes)?;
                filter.as_ref().map_or(Ok(()), Filter::check)?;
                Some(Step::UpdateVectors(changes, filter))
            }
            Operation::DeleteVectors(names, selector) => {
                by_ids += check_selector(&selector)?;
                names.iter().try_for_each(|name| layout.check_vector(name))?;
                Some(Step::DeleteVectors(names, selector))
            }
            Operation::Delete(ids) => {
                put_delete(&mut record, &ids);
                None
            }
            Operation::DeleteMatching(filter) => {
                filter.check()?;
                Some(Step::Delete(filter))
            }
            Operation::CreateIndex(key, kind) => {
                check_index_key(&key)?;
                Some(Step::CreateIndex(key, kind))
            }
            Operation::DropIndex(key) => {
                check_index_key(&key)?;
                put_index(&mut record, &key, None);
                None
            }
            Operation::Payload(change, selector) => {
                by_ids += check_selector(&selector)?;
                Some(Step::Payload(change, selector))
            }
        };
        check_size(bytes + record.len())?;
        if let Some(step) = step {
            bytes += record.capacity();
            if !record.is_empty() {
                steps.push(Step::Record(std::mem::take(&mut record)));
            }
            steps.push(step);
        }
    }
    if !record.is_empty() || steps.is_empty() {
        bytes += record.capacity();
        steps.push(Step::Record(record));
    }
    Ok(CheckedBatch {
        steps,
        // The others are counted when they are resolved.
        points: (points - by_ids) as u64,
        bytes,
    })
}

/// Points of the operations that say how many they are for.
fn point_count(batch: &WriteBatch) -> Result<usize, Error> {
    let points = batch.operations.iter().map(|operation| match operation {
        Operation::Upsert(points) | Operation::UpsertByRule(points, _) => points.len(),
        Operation::UpdateVectors(changes, _) => changes.len(),
        Operation::Delete(ids)
        | Operation::Payload(_, PointSelector::Ids(ids))
        | Operation::DeleteVectors(_, PointSelector::Ids(ids)) => ids.len(),
        Operation::DeleteMatching(_)
        | Operation::Payload(_, PointSelector::Filter(_))
        | Operation::DeleteVectors(_, PointSelector::Filter(_))
        | Operation::CreateIndex(..)
        | Operation::DropIndex(_) => 0,
    });
    let points: usize = points.sum();
    if points > limits::MAX_POINTS_PER_BATCH {
        let most = limits::MAX_POINTS_PER_BATCH;
        return Err(Error::invalid(format!(
            "batch of {points} points, more than {most}"
        )));
    }
    Ok(points)
}

/// Checks a selector; returns how many ids it has.
fn check_selector(selector: &PointSelector) -> Result<usize, Error> {
    match selector {
        PointSelector::Ids(ids) => Ok(ids.len()),
        PointSelector::Filter(filter) => filter.check().map(|()| 0),
    }
}

fn check_index_key(key: &str) -> Result<(), Error> {
    if key.len() > limits::MAX_INDEX_KEY_BYTES {
        let (bytes, most) = (key.len(), limits::MAX_INDEX_KEY_BYTES);
        return Err(Error::invalid(format!(
            "index key of {bytes} bytes, more than {most}"
        )));
    }
    key.parse::<PayloadPath>().map(drop)
}

fn encode_upsert(layout: &Layout, mut points: Vec<Point>, record: &mut Vec<u8>) -> Result<(), Error> {
    record.reserve(check_points(layout, &mut points)?);
    let points: Vec<&Point> = points.iter().collect();
    put_points((layout, layout), &points, record);
    Ok(())
}

/// Checks points and makes their vectors what is stored; returns about how many bytes they have in the record.
fn check_points(layout: &Layout, points: &mut [Point]) -> Result<usize, Error> {
    let mut bytes = 0;
    for Point { id, vectors, payload } in points {
        check_vectors(layout, *id, vectors)?;
        bytes += vectors_bytes(vectors) + payload.as_bytes().len();
        // Before anything is encoded, so that a batch of many does not take twice the memory to be refused.
        check_size(bytes)?;
    }
    Ok(bytes)
}

/// As [`check_points`].
fn check_changes(layout: &Layout, changes: &mut [PointVectors]) -> Result<usize, Error> {
    let mut bytes = 0;
    for PointVectors { id, vectors } in changes {
        check_vectors(layout, *id, vectors)?;
        bytes += vectors_bytes(vectors);
        check_size(bytes)?;
    }
    Ok(bytes)
}

/// Appends an upsert of points to `record`, with those of their vectors that `layout` has and had when it was what the
/// points were `checked` against.
pub(crate) fn put_points((layout, checked): (&Layout, &Layout), points: &[&Point], record: &mut Vec<u8>) {
    let ids: Vec<PointId> = points.iter().map(|point| point.id).collect();
    let rows = |column: &ColumnLayout| {
        let is_checked = checked.has_number(column.number);
        let rows = points
            .iter()
            .map(|point| row(point, &column.name).filter(|_| is_checked));
        rows.collect()
    };
    let terms = |column: &SparseLayout| {
        let is_checked = checked.has_number(column.number);
        let rows = points
            .iter()
            .map(|point| terms(point, &column.name).filter(|_| is_checked));
        rows.collect()
    };
    let columns = Columns {
        dense: layout.columns.iter().map(rows).collect(),
        sparse: layout.sparse.iter().map(terms).collect(),
    };
    put_upsert(
        (layout, record),
        &ids,
        &columns,
        points.iter().map(|point| &point.payload),
    );
}

/// Checks one point's vectors, brings those compared by angle to unit length and sorts sparse ones.
fn check_vectors(layout: &Layout, id: PointId, vectors: &mut Vectors) -> Result<(), Error> {
    match vectors {
        // Of a collection without vectors.
        Vectors::Unnamed(row) if row.is_empty() && layout.forms().next().is_none() => {
            *vectors = Vectors::Named(Vec::new());
            Ok(())
        }
        Vectors::Unnamed(row) => {
            let column = layout
                .dense_column(UNNAMED)
                .map_err(|error| of_point(id, &error))?;
            check_row(&layout.columns[column], id, row)
        }
        Vectors::Named(rows) => {
            for position in 0..rows.len() {
                let (earlier, later) = rows.split_at_mut(position);
                let (name, vector) = &mut later[0];
                check_vector(layout, id, (name, vector))?;
                if earlier.iter().any(|(other, _)| other == name) {
                    return Err(Error::invalid(format!(
                        "point {id}: vector {name:?} appears twice"
                    )));
                }
            }
            Ok(())
        }
    }
}

fn check_vector(layout: &Layout, id: PointId, (name, vector): (&str, &mut Vector)) -> Result<(), Error> {
    let column = layout.columns.iter().find(|column| column.name == name);
    let is_sparse = layout.sparse.iter().any(|column| column.name == name);
    match (vector, column, is_sparse) {
        (Vector::Dense(row), Some(column), _) => check_row(column, id, row),
        (Vector::Sparse(terms), None, true) => terms
            .sort()
            .map_err(|error| Error::invalid(format!("point {id}: vector {name:?}: {error}"))),
        (Vector::Sparse(_), Some(_), _) => Err(Error::invalid(format!(
            "point {id}: vector {name:?} is dense, this one is sparse"
        ))),
        (Vector::Dense(_), None, true) => Err(Error::invalid(format!(
            "point {id}: vector {name:?} is sparse, this one is dense"
        ))),
        (_, None, false) => layout.check_vector(name).map_err(|error| of_point(id, &error)),
    }
}

/// An error that begins with what clients look for, and ends with the point that it is about.
fn of_point(id: PointId, error: &Error) -> Error {
    Error::invalid(format!("{error} (point {id})"))
}

fn check_row(column: &ColumnLayout, id: PointId, row: &mut [f32]) -> Result<(), Error> {
    let name = || format!("point {id}: vector {:?}", column.name);
    check_dimension(row, column.dimension, name)?;
    check_finite(row, name)?;
    if column.distance == Distance::Cosine {
        normalize(row);
    }
    Ok(())
}

fn row<'a>(point: &'a Point, name: &str) -> Option<&'a [f32]> {
    match &point.vectors {
        Vectors::Unnamed(row) => (name == UNNAMED).then_some(row.as_slice()),
        Vectors::Named(vectors) => match vector(vectors, name)? {
            Vector::Dense(row) => Some(row),
            Vector::Sparse(_) => None,
        },
    }
}

fn terms<'a>(point: &'a Point, name: &str) -> Option<Terms<'a>> {
    match &point.vectors {
        Vectors::Unnamed(_) => None,
        Vectors::Named(vectors) => match vector(vectors, name)? {
            Vector::Dense(_) => None,
            Vector::Sparse(vector) => Some(vector.into()),
        },
    }
}

fn vector<'a>(vectors: &'a [(String, Vector)], name: &str) -> Option<&'a Vector> {
    let mut vectors = vectors.iter();
    vectors.find(|(other, _)| other == name).map(|(_, vector)| vector)
}

/// Bytes of an id and its vectors in the record, to within the few that count and mark them.
fn vectors_bytes(vectors: &Vectors) -> usize {
    let vectors = match vectors {
        Vectors::Unnamed(row) => size_of_val(row.as_slice()),
        Vectors::Named(vectors) => vectors.iter().map(|(_, vector)| vector_bytes(vector)).sum(),
    };
    size_of::<PointId>() + vectors
}

fn vector_bytes(vector: &Vector) -> usize {
    match vector {
        Vector::Dense(row) => size_of_val(row.as_slice()),
        Vector::Sparse(vector) => size_of::<u32>() + Terms::from(vector).bytes(),
    }
}

/// Refuses more than a batch may have in the log.
pub(crate) fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > limits::MAX_BATCH_BYTES {
        let most = limits::MAX_BATCH_BYTES;
        return Err(Error::invalid(format!("batch of more than {most} bytes")));
    }
    Ok(())
}

/// Refuses a vector of the wrong length; `name` says which.
pub(crate) fn check_dimension(
    vector: &[f32],
    dimension: usize,
    name: impl Fn() -> String,
) -> Result<(), Error> {
    if vector.len() != dimension {
        let (name, got) = (name(), vector.len());
        return Err(Error::invalid(format!(
            "{name}: vector dimension error: expected dim: {dimension}, got {got}"
        )));
    }
    Ok(())
}

/// Refuses NaN and infinities; `name` says which vector.
pub(crate) fn check_finite(vector: &[f32], name: impl Fn() -> String) -> Result<(), Error> {
    match vector.iter().position(|element| !element.is_finite()) {
        Some(position) => {
            let (name, element) = (name(), vector[position]);
            Err(Error::invalid(format!(
                "{name}: element {position} is {element}, not a finite number"
            )))
        }
        None => Ok(()),
    }
}
