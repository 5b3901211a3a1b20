//! What a collection is created with: its vectors, their dimensions and distances.

use std::collections::BTreeMap;

use omendb_distance::Distance;

use crate::{Error, limits};

/// The name of the vector of a collection that has only one and did not name it.
pub const UNNAMED: &str = "";

/// A collection's shape, fixed at its creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionConfig {
    /// The dense vectors by name: either only [`UNNAMED`], or some with names.
    pub vectors: BTreeMap<String, VectorConfig>,
    /// The sparse vectors by name, of which none is that of a dense one.
    pub sparse_vectors: BTreeMap<String, SparseConfig>,
}

/// One vector of every point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorConfig {
    /// Elements, 1 to [`limits::MAX_DIMENSION`].
    pub dimension: usize,
    /// How two of them are compared.
    pub distance: Distance,
}

/// One sparse vector of every point, compared by the dot product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SparseConfig {
    /// How the values of a query are weighed.
    pub modifier: Modifier,
    /// What the index was asked to be.
    pub index: SparseIndexOptions,
}

/// How the values of a query are weighed before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Modifier {
    /// They are taken as they are.
    #[default]
    None,
    /// Times the inverse document frequency of their term: `ln((points - with + 0.5) / (with + 0.5) + 1)`, where `with`
    /// is how many of the collection's points have the term.
    Idf,
}

/// What an index of a sparse vector was asked to be. It has no effect here, where every such index is exact and in
/// memory; a collection reports what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SparseIndexOptions {
    /// Points up to which another engine compares all.
    pub full_scan_threshold: Option<u64>,
    /// Whether to keep it on disk.
    pub on_disk: Option<bool>,
    /// Whether values of 32 bits were asked for by name.
    pub is_float32: bool,
    /// Where to keep it.
    pub memory: Option<Placement>,
}

/// Where another engine keeps a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On disk.
    Cold,
    /// On disk and in the cache.
    Cached,
    /// In memory.
    Pinned,
}

impl CollectionConfig {
    /// A collection of one unnamed vector.
    pub fn unnamed(dimension: usize, distance: Distance) -> Self {
        Self {
            vectors: BTreeMap::from([(UNNAMED.to_owned(), VectorConfig { dimension, distance })]),
            ..Self::default()
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

    /// The position of a sparse vector among the collection's, in order of names, and its configuration.
    pub fn sparse_vector(&self, name: &str) -> Option<(usize, SparseConfig)> {
        let mut known = self.sparse_vectors.iter().enumerate();
        let (position, (_, &config)) = known.find(|(_, (known, _))| *known == name)?;
        Some((position, config))
    }

    /// Checks that there is a vector of that name, dense or sparse.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming it, if there is none.
    pub fn check_vector(&self, name: &str) -> Result<(), Error> {
        if self.vectors.contains_key(name) || self.sparse_vectors.contains_key(name) {
            return Ok(());
        }
        Err(self.unknown_vector(name))
    }

    fn unknown_vector(&self, name: &str) -> Error {
        if self.sparse_vectors.contains_key(name) {
            return Error::invalid(format!("vector {name:?} is sparse, a dense one is expected"));
        }
        if name == UNNAMED {
            let dense = self.vectors.keys().chain(self.sparse_vectors.keys());
            let names: Vec<_> = dense.map(String::as_str).collect();
            return Error::invalid(format!(
                "the collection's vectors are named: say which of {names:?}"
            ));
        }
        if self.is_unnamed() && self.sparse_vectors.is_empty() {
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
        let count = self.vectors.len() + self.sparse_vectors.len();
        if count == 0 || count > limits::MAX_VECTORS_PER_COLLECTION {
            let most = limits::MAX_VECTORS_PER_COLLECTION;
            return Err(Error::invalid(format!(
                "vectors: {count} of them, not 1 to {most}"
            )));
        }
        if self.vectors.len() > 1 && self.is_unnamed() {
            return Err(Error::invalid("vectors: one without a name beside named ones"));
        }
        for name in self.vectors.keys().chain(self.sparse_vectors.keys()) {
            if name.len() > limits::MAX_NAME_BYTES {
                let most = limits::MAX_NAME_BYTES;
                return Err(Error::invalid(format!(
                    "vector name of {} bytes, more than {most}",
                    name.len()
                )));
            }
        }
        for name in self.sparse_vectors.keys() {
            if name == UNNAMED {
                return Err(Error::invalid("sparse_vectors: one without a name"));
            }
            if self.vectors.contains_key(name) {
                return Err(Error::invalid(format!(
                    "sparse_vectors: {name:?} is the name of a dense vector too"
                )));
            }
        }
        for (name, config) in &self.vectors {
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
