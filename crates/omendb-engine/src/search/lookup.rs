//! Examples that are points of another collection.

use std::sync::Arc;

use crate::search::request::{ContextPair, Diverse, Example, Query, Recommend};
use crate::{
    Collection, Condition, Error, Filter, PayloadSelector, PointId, Record, Vector, VectorSelector, Vectors,
};

impl Query {
    /// The query with the vectors that the points of `place` have under `name` where it has their ids, and these ids.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a point that is not there or has no such vector;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that no vector has;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while `place` is loading.
    pub fn looked_up(mut self, place: &Collection, name: &str) -> Result<(Self, Vec<PointId>), Error> {
        let mut ids = Vec::new();
        if let Self::NearestTo(id) = self {
            ids.push(id);
            return Ok((Self::Nearest(vector_of(place, id, name)?), ids));
        }
        for example in self.examples() {
            if let Example::Point(id) = *example {
                *example = Example::Vector(vector_of(place, id, name)?);
                ids.push(id);
            }
        }
        Ok((self, ids))
    }

    /// The examples it goes by.
    fn examples(&mut self) -> Vec<&mut Example> {
        match self {
            Self::Diverse(Diverse { near, .. }) => vec![near],
            Self::Recommend(Recommend {
                positive, negative, ..
            }) => positive.iter_mut().chain(negative).collect(),
            Self::Discover(target, pairs) => {
                let pairs = pairs.iter_mut().flat_map(pair);
                std::iter::once(target).chain(pairs).collect()
            }
            Self::Context(pairs) => pairs.iter_mut().flat_map(pair).collect(),
            Self::Feedback(feedback) => {
                let examples = feedback.examples.iter_mut().map(|(example, _)| example);
                std::iter::once(&mut feedback.target).chain(examples).collect()
            }
            Self::Nearest(_)
            | Self::NearestTo(_)
            | Self::Fusion(_)
            | Self::Formula(_)
            | Self::Listed
            | Self::OrderBy(_)
            | Self::Sample => Vec::new(),
        }
    }
}

impl Filter {
    /// A filter that passes what `filter` does, but for these points.
    pub fn without(filter: Option<Arc<Self>>, ids: Vec<PointId>) -> Option<Arc<Self>> {
        if ids.is_empty() {
            return filter;
        }
        let passing = filter.map(|filter| Condition::Filter(Self::clone(&filter)));
        Some(Arc::new(Self {
            must: passing.into_iter().collect(),
            must_not: vec![Condition::HasId(ids.into_iter().collect())],
            ..Self::default()
        }))
    }
}

fn vector_of(place: &Collection, id: PointId, name: &str) -> Result<Vector, Error> {
    let selector = VectorSelector::Named(vec![name.to_owned()]);
    let records = place.retrieve(&[id], &PayloadSelector::None, &selector)?;
    let missing = |what: &str| {
        let collection = place.name();
        Error::not_found(format!("lookup_from: {what} in collection {collection:?}"))
    };
    let Some(Record { vectors, .. }) = records.into_iter().next() else {
        return Err(missing(&format!("no point with id {id} found")));
    };
    let vector = match vectors {
        Some(Vectors::Unnamed(elements)) => Some(Vector::Dense(elements)),
        Some(Vectors::Named(vectors)) => vectors.into_iter().next().map(|(_, vector)| vector),
        None => None,
    };
    vector.ok_or_else(|| missing(&format!("point {id} has no vector {name:?}")))
}

fn pair(ContextPair { positive, negative }: &mut ContextPair) -> [&mut Example; 2] {
    [positive, negative]
}
