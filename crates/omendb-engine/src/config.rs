//! What a collection is created with: its vectors, their dimensions and distances.

use std::collections::BTreeMap;

use omendb_distance::Distance;

use crate::{Error, limits};

/// The name of the vector of a collection that has only one and did not name it.
pub const UNNAMED: &str = "";

/// A collection's shape, fixed at its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionConfig {
    /// The vectors by name: either only [`UNNAMED`], or one or several with names.
    pub vectors: BTreeMap<String, VectorConfig>,
}

/// One vector of every point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorConfig {
    /// Elements, 1 to [`limits::MAX_DIMENSION`].
    pub dimension: usize,
    /// How two of them are compared.
    pub distance: Distance,
}

impl CollectionConfig {
    /// A collection of one unnamed vector.
    pub fn unnamed(dimension: usize, distance: Distance) -> Self {
        Self {
            vectors: BTreeMap::from([(UNNAMED.to_owned(), VectorConfig { dimension, distance })]),
        }
    }

    /// Whether the collection has one vector without a name.
    pub fn is_unnamed(&self) -> bool {
        self.vectors.contains_key(UNNAMED)
    }

    /// The position of a vector among the collection's, in order of names, and its configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the vector, if there is none of that name.
    pub fn vector(&self, name: &str) -> Result<(usize, VectorConfig), Error> {
        let found = self
            .vectors
            .iter()
            .enumerate()
            .find(|(_, (known, _))| *known == name);
        let (position, (_, &config)) = found.ok_or_else(|| self.unknown_vector(name))?;
        Ok((position, config))
    }

    fn unknown_vector(&self, name: &str) -> Error {
        if name == UNNAMED {
            let names: Vec<_> = self.vectors.keys().map(String::as_str).collect();
            return Error::invalid(format!(
                "the collection's vectors are named: say which of {names:?}"
            ));
        }
        if self.is_unnamed() {
            return Error::invalid(format!(
                "not existing vector name {name:?}: the collection has one unnamed vector"
            ));
        }
        Error::invalid(format!("not existing vector name {name:?}"))
    }

    /// Checks names and bounds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the offending value.
    pub fn validate(&self) -> Result<(), Error> {
        let count = self.vectors.len();
        if count == 0 || count > limits::MAX_VECTORS_PER_COLLECTION {
            let most = limits::MAX_VECTORS_PER_COLLECTION;
            return Err(Error::invalid(format!(
                "vectors: {count} of them, not 1 to {most}"
            )));
        }
        if count > 1 && self.is_unnamed() {
            return Err(Error::invalid("vectors: one without a name beside named ones"));
        }
        for (name, config) in &self.vectors {
            if name.len() > limits::MAX_NAME_BYTES {
                let most = limits::MAX_NAME_BYTES;
                return Err(Error::invalid(format!(
                    "vector name of {} bytes, more than {most}",
                    name.len()
                )));
            }
            let VectorConfig {
                dimension,
                distance: _,
            } = *config;
            if dimension == 0 || dimension > limits::MAX_DIMENSION {
                let most = limits::MAX_DIMENSION;
                return Err(Error::invalid(format!(
                    "vector {name:?}: size {dimension}, not 1 to {most}"
                )));
            }
        }
        Ok(())
    }
}

/// Checks a collection's name: 1 to 255 bytes, no control characters. It is never part of a path.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the name.
pub fn validate_collection_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > limits::MAX_NAME_BYTES {
        let most = limits::MAX_NAME_BYTES;
        return Err(Error::invalid(format!(
            "collection name of {} bytes, not 1 to {most}",
            name.len()
        )));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "collection name {name:?} with a control character"
        )));
    }
    Ok(())
}
