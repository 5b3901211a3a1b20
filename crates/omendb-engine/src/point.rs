//! Points as they enter and leave the engine.

use crate::{Error, Payload, PointId, limits};

/// A point to upsert: it replaces the one with its id, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its identity.
    pub id: PointId,
    /// Its vectors. A collection with named vectors accepts a point that has only some of them.
    pub vectors: Vectors,
    /// Its payload.
    pub payload: Payload,
}

/// Vectors of a point that exists, to be replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct PointVectors {
    /// Its identity.
    pub id: PointId,
    /// Those to replace; the others stay.
    pub vectors: Vectors,
}

/// The vectors of one point.
#[derive(Clone, Debug, PartialEq)]
pub enum Vectors {
    /// The only vector of a point, of a collection that did not name it.
    Unnamed(Vec<f32>),
    /// By name, in any order; where a collection has sparse vectors beside one without a name, that is
    /// [`UNNAMED`](crate::config::UNNAMED) here.
    Named(Vec<(String, Vector)>),
}

/// One vector.
#[derive(Clone, Debug, PartialEq)]
pub enum Vector {
    /// All elements.
    Dense(Vec<f32>),
    /// Those that are not zero.
    Sparse(SparseVector),
}

impl From<Vec<f32>> for Vector {
    fn from(elements: Vec<f32>) -> Self {
        Self::Dense(elements)
    }
}

impl From<SparseVector> for Vector {
    fn from(vector: SparseVector) -> Self {
        Self::Sparse(vector)
    }
}

/// The terms of a vector of which most elements are zero: indices, each once, and the values there. Collections keep and
/// return them in order of indices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseVector {
    /// In any order.
    pub indices: Vec<u32>,
    /// As many as there are indices.
    pub values: Vec<f32>,
}

impl SparseVector {
    /// Checks it and puts its terms in order of indices.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field and the value, for lists of different lengths
    /// or beyond [`MAX_SPARSE_TERMS`](crate::limits::MAX_SPARSE_TERMS), an index given twice, or a value that is not
    /// finite.
    pub fn sort(&mut self) -> Result<(), Error> {
        let Self { indices, values } = self;
        let (count, most) = (indices.len(), limits::MAX_SPARSE_TERMS);
        if values.len() != count {
            let given = values.len();
            return Err(Error::invalid(format!(
                "values: {given} of them for {count} indices"
            )));
        }
        if count > most {
            return Err(Error::invalid(format!(
                "indices: {count} of them, more than {most}"
            )));
        }
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            let value = values[position];
            return Err(Error::invalid(format!(
                "values[{position}]: {value} is not a finite number"
            )));
        }
        if !indices.is_sorted_by(|a, b| a < b) {
            let mut terms: Vec<_> = indices.iter().copied().zip(values.iter().copied()).collect();
            terms.sort_unstable_by_key(|(index, _)| *index);
            if let Some(pair) = terms.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let index = pair[0].0;
                return Err(Error::invalid(format!(
                    "indices: {index} is given twice, they must be unique"
                )));
            }
            (*indices, *values) = terms.into_iter().unzip();
        }
        Ok(())
    }
}

/// A point as it is returned: what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its identity.
    pub id: PointId,
    /// Its payload, as selected; `None` when not asked for.
    pub payload: Option<Payload>,
    /// Its vectors, as selected; `None` when not asked for. Cosine vectors come back at unit length.
    pub vectors: Option<Vectors>,
}

/// Which vectors to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VectorSelector {
    /// None.
    #[default]
    None,
    /// All the point has.
    All,
    /// Those of these names, where the point has them.
    Named(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(indices: &[u32], values: &[f32], expected: Result<&[(u32, f32)], &str>) {
        let mut vector = SparseVector {
            indices: indices.to_vec(),
            values: values.to_vec(),
        };
        match (vector.sort(), expected) {
            (Ok(()), Ok(expected)) => {
                let terms: Vec<_> = vector.indices.into_iter().zip(vector.values).collect();
                assert_eq!(terms, expected);
            }
            (Err(error), Err(part)) => assert!(error.message().contains(part), "{error}"),
            (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn terms_are_sorted_and_wrong_ones_refused() {
        check(&[], &[], Ok(&[]));
        check(&[1, 7], &[0.5, -1.0], Ok(&[(1, 0.5), (7, -1.0)]));
        check(
            &[u32::MAX, 0, 7],
            &[1.0, 2.0, 3.0],
            Ok(&[(0, 2.0), (7, 3.0), (u32::MAX, 1.0)]),
        );
        check(&[1, 2], &[1.0], Err("values: 1 of them for 2 indices"));
        check(&[3, 1, 3], &[1.0; 3], Err("indices: 3 is given twice"));
        check(&[3, 3], &[1.0; 2], Err("indices: 3 is given twice"));
        check(&[1, 2], &[1.0, f32::NAN], Err("values[1]: NaN is not a finite"));
        let many: Vec<u32> = (0..=limits::MAX_SPARSE_TERMS as u32).collect();
        check(
            &many,
            &vec![1.0; many.len()],
            Err("65537 of them, more than 65536"),
        );
    }
}
