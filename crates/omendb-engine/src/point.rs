//! Points as they enter and leave the engine.

use crate::{Payload, PointId};

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

/// The vectors of one point.
#[derive(Clone, Debug, PartialEq)]
pub enum Vectors {
    /// The only vector of a collection that did not name it.
    Unnamed(Vec<f32>),
    /// By name, in any order.
    Named(Vec<(String, Vec<f32>)>),
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
