//! Writes that keep part of a point, or depend on it: in their turn they become upserts of whole points.

use std::collections::HashMap;

use crate::config::UNNAMED;
use crate::filter::{Filter, Subject};
use crate::record::{Columns, put_upsert};
use crate::search::no_point;
use crate::state::{Chunk, Layout, State, Terms};
use crate::validation::{check_size, put_points};
use crate::{Error, Payload, Point, PointId, PointVectors, UpdateMode, UpsertRule, Vector, Vectors};

/// Appends an upsert of those of `points` that `rule` lets through; returns how many they are.
pub(super) fn upsert_by_rule(
    (state, checked): (&State, &Layout),
    points: &[Point],
    rule: &UpsertRule,
    record: &mut Vec<u8>,
) -> u64 {
    let UpsertRule { mode, filter } = rule;
    let is_let_through = |point: &&Point| match (place(state, point.id), mode) {
        (None, UpdateMode::Upsert | UpdateMode::InsertOnly) => true,
        (None, UpdateMode::UpdateOnly) | (Some(_), UpdateMode::InsertOnly) => false,
        (Some(place), UpdateMode::Upsert | UpdateMode::UpdateOnly) => passes(state, place, filter.as_ref()),
    };
    let points: Vec<&Point> = points.iter().filter(is_let_through).collect();
    put_points((&state.layout, checked), &points, record);
    points.len() as u64
}

/// Appends an upsert of the points whose vectors `changes` replace, with what else they have; returns how many they
/// are.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an id without a point.
pub(super) fn update_vectors(
    (state, checked): (&State, &Layout),
    changes: &[PointVectors],
    filter: Option<&Filter>,
    record: &mut Vec<u8>,
) -> Result<u64, Error> {
    let mut points = Rewritten::new(state);
    for PointVectors { id, vectors } in changes {
        let place = place(state, *id).ok_or_else(|| no_point(*id))?;
        if !passes(state, place, filter) {
            continue;
        }
        let row = points.add(*id, place);
        match vectors {
            Vectors::Unnamed(elements) => points.set_dense((row, checked), UNNAMED, Some(elements)),
            Vectors::Named(vectors) => {
                for (name, vector) in vectors {
                    match vector {
                        Vector::Dense(elements) => points.set_dense((row, checked), name, Some(elements)),
                        Vector::Sparse(vector) => {
                            points.set_sparse((row, checked), name, Some(vector.into()))
                        }
                    }
                }
            }
        }
    }
    points.put(record)
}

/// Appends an upsert of those of `ids` that have one of the vectors `names`, without them; returns how many they are.
/// Ids without a point are passed over.
pub(super) fn delete_vectors(
    state: &State,
    ids: &[PointId],
    names: &[String],
    record: &mut Vec<u8>,
) -> Result<u64, Error> {
    let mut points = Rewritten::new(state);
    for &id in ids {
        let Some(place) = place(state, id) else { continue };
        if !names.iter().any(|name| has_vector(&state.layout, place, name)) {
            continue;
        }
        let row = points.add(id, place);
        for name in names {
            points.set_dense((row, &state.layout), name, None);
            points.set_sparse((row, &state.layout), name, None);
        }
    }
    points.put(record)
}

/// The chunk of a point, and its position there.
type Place<'a> = (&'a Chunk, usize);

fn place(state: &State, id: PointId) -> Option<Place<'_>> {
    let (chunk, position) = state.locate(state.ids.get(id)?)?;
    Some((chunk, position))
}

fn passes(state: &State, (chunk, position): Place<'_>, filter: Option<&Filter>) -> bool {
    filter.is_none_or(|filter| Subject::point(&state.layout, chunk, position).passes(filter))
}

fn has_vector(layout: &Layout, (chunk, position): Place<'_>, name: &str) -> bool {
    let dense = layout.columns.iter().position(|column| column.name == name);
    let sparse = layout.sparse.iter().position(|column| column.name == name);
    dense.is_some_and(|column| chunk.column(column).row(position).is_some())
        || sparse.is_some_and(|column| chunk.sparse(column).row(position).is_some())
}

/// Points as they will be: what they keep is borrowed from the state.
struct Rewritten<'a> {
    layout: &'a Layout,
    /// Where a point stands below: one may be changed twice.
    rows: HashMap<PointId, usize>,
    ids: Vec<PointId>,
    columns: Columns<'a>,
    payloads: Vec<&'a Payload>,
}

impl<'a> Rewritten<'a> {
    fn new(state: &'a State) -> Self {
        let layout = &*state.layout;
        Self {
            layout,
            rows: HashMap::new(),
            ids: Vec::new(),
            columns: Columns {
                dense: vec![Vec::new(); layout.columns.len()],
                sparse: vec![Vec::new(); layout.sparse.len()],
            },
            payloads: Vec::new(),
        }
    }

    /// Adds the point `id` as it is, unless that was done; returns its row.
    fn add(&mut self, id: PointId, (chunk, position): Place<'a>) -> usize {
        if let Some(&row) = self.rows.get(&id) {
            return row;
        }
        let row = self.ids.len();
        self.rows.insert(id, row);
        self.ids.push(id);
        for (column, rows) in self.columns.dense.iter_mut().enumerate() {
            rows.push(chunk.column(column).row(position));
        }
        for (column, rows) in self.columns.sparse.iter_mut().enumerate() {
            rows.push(chunk.sparse(column).row(position));
        }
        self.payloads.push(chunk.payload(position));
        row
    }

    /// Does nothing when no dense vector has that name, or another one than when the change was `checked`.
    fn set_dense(&mut self, (row, checked): (usize, &Layout), name: &str, elements: Option<&'a [f32]>) {
        let mut columns = self.layout.columns.iter();
        if let Some(column) =
            columns.position(|column| column.name == name && checked.has_number(column.number))
        {
            self.columns.dense[column][row] = elements;
        }
    }

    /// Does nothing when no sparse vector has that name, or another one than when the change was `checked`.
    fn set_sparse(&mut self, (row, checked): (usize, &Layout), name: &str, terms: Option<Terms<'a>>) {
        let mut columns = self.layout.sparse.iter();
        if let Some(column) =
            columns.position(|column| column.name == name && checked.has_number(column.number))
        {
            self.columns.sparse[column][row] = terms;
        }
    }

    fn put(&self, record: &mut Vec<u8>) -> Result<u64, Error> {
        let Columns { dense, sparse } = &self.columns;
        let dense: usize = dense
            .iter()
            .flatten()
            .flatten()
            .map(|row| size_of_val(*row))
            .sum();
        let sparse: usize = sparse.iter().flatten().flatten().map(Terms::bytes).sum();
        let payloads: usize = self.payloads.iter().map(|payload| payload.as_bytes().len()).sum();
        // Before they are encoded, so that a change of many is refused before it takes their memory again.
        check_size(record.len() + dense + sparse + payloads)?;
        put_upsert(
            (self.layout, record),
            &self.ids,
            &self.columns,
            self.payloads.iter().copied(),
        );
        Ok(self.ids.len() as u64)
    }
}
