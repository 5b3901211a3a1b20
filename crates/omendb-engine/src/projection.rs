//! Points as answers carry them: the selected part of the payload, the selected vectors.

use crate::config::UNNAMED;
use crate::state::{Chunk, Layout, State};
use crate::{Error, PayloadSelector, PointId, Record, Vector, VectorSelector, Vectors};

/// What to carry, its vector names checked against the collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Projection<'a> {
    payload: &'a PayloadSelector,
    vectors: &'a VectorSelector,
}

impl<'a> Projection<'a> {
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a vector that the collection does not have.
    pub(crate) fn new(
        layout: &Layout,
        payload: &'a PayloadSelector,
        vectors: &'a VectorSelector,
    ) -> Result<Self, Error> {
        if let VectorSelector::Named(names) = vectors {
            for name in names {
                layout.check_vector(name)?;
            }
        }
        Ok(Self { payload, vectors })
    }

    /// The point at `slot`, which holds one.
    pub(crate) fn record(&self, state: &State, slot: u32) -> Result<Option<Record>, Error> {
        let Some((chunk, position)) = state.locate(slot) else {
            return Ok(None);
        };
        let id: PointId = chunk.id(position);
        let payload = self.payload.select(chunk.payload(position))?;
        let vectors = self.vectors(&state.layout, chunk, position);
        Ok(Some(Record { id, payload, vectors }))
    }

    fn vectors(&self, layout: &Layout, chunk: &Chunk, position: usize) -> Option<Vectors> {
        let wanted = |name: &str| match self.vectors {
            VectorSelector::None => false,
            VectorSelector::All => true,
            VectorSelector::Named(names) => names.iter().any(|wanted| wanted == name),
        };
        if matches!(self.vectors, VectorSelector::None) {
            return None;
        }
        let columns = layout
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| wanted(&column.name));
        let dense = columns.filter_map(|(number, column)| {
            let row = chunk.column(number).row(position)?;
            Some((column.name.clone(), Vector::Dense(row.to_vec())))
        });
        let columns = layout.sparse.iter().enumerate();
        let sparse = columns.filter(|(_, column)| wanted(&column.name));
        let sparse = sparse.filter_map(|(number, column)| {
            let row = chunk.sparse(number).row(position)?;
            Some((column.name.clone(), Vector::Sparse(row.to_vector())))
        });
        let mut vectors: Vec<_> = dense.chain(sparse).collect();
        match vectors.as_mut_slice() {
            [(name, Vector::Dense(row))] if name == UNNAMED => Some(Vectors::Unnamed(std::mem::take(row))),
            _ => Some(Vectors::Named(vectors)),
        }
    }
}
