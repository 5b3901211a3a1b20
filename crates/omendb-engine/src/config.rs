//! What a collection is: its vectors, which may be added and deleted but not changed, and how it serves them.

use std::collections::BTreeMap;

use omendb_distance::Distance;

use crate::{Error, Payload, PayloadChange, limits};

/// The name of the vector of a collection that has only one and did not name it.
pub const UNNAMED: &str = "";

/// One version of a collection's configuration. Dimensions and distances of vectors stay, the rest may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionConfig {
    /// The dense vectors by name, of which one may be [`UNNAMED`].
    pub vectors: BTreeMap<String, VectorConfig>,
    /// The sparse vectors by name, of which none is that of a dense one.
    pub sparse_vectors: BTreeMap<String, SparseConfig>,
    /// How graphs are built, for vectors that do not say otherwise.
    pub graph: GraphConfig,
    /// Kilobytes of a vector's rows from which it has a graph; with 0 it never has one. `None` stands for
    /// [`limits::DEFAULT_GRAPH_ROWS`].
    pub graph_threshold_kb: Option<u64>,
    /// What clients keep with the collection; nothing reads it.
    pub metadata: Payload,
    /// Options of clients that have no effect here, kept to be told again.
    pub options: Payload,
}

/// One vector of every point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorConfig {
    /// Elements, 1 to [`limits::MAX_DIMENSION`].
    pub dimension: usize,
    /// How two of them are compared.
    pub distance: Distance,
    /// What its graph has of its own.
    pub graph: GraphOptions,
}

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphConfig {
    /// Links of a node, at most [`limits::MAX_GRAPH_M`]; with 0 there is no graph, and every search is exact.
    pub m: usize,
    /// Candidates that a node's links are chosen from, within [`limits::GRAPH_EF_CONSTRUCT`].
    pub ef_construct: usize,
}

/// What is said of a [`GraphConfig`]; the rest is as it is without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphOptions {
    /// See [`GraphConfig::m`].
    pub m: Option<usize>,
    /// See [`GraphConfig::ef_construct`].
    pub ef_construct: Option<usize>,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            m: 16,
            ef_construct: 100,
        }
    }
}

impl GraphOptions {
    /// `config` with what is said here.
    pub fn over(self, config: GraphConfig) -> GraphConfig {
        let Self { m, ef_construct } = self;
        GraphConfig {
            m: m.unwrap_or(config.m),
            ef_construct: ef_construct.unwrap_or(config.ef_construct),
        }
    }
}

impl VectorConfig {
    /// A vector whose graph is built like those of the collection.
    pub fn new(dimension: usize, distance: Distance) -> Self {
        Self {
            dimension,
            distance,
            graph: GraphOptions::default(),
        }
    }
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
    /// A collection of these vectors, the rest as it is when nothing is said of it.
    pub fn new(vectors: BTreeMap<String, VectorConfig>) -> Self {
        Self {
            vectors,
            ..Self::default()
        }
    }

    /// A collection of one unnamed vector.
    pub fn unnamed(dimension: usize, distance: Distance) -> Self {
        let vector = VectorConfig::new(dimension, distance);
        Self::new(BTreeMap::from([(UNNAMED.to_owned(), vector)]))
    }

    /// How the graph of one of the vectors is built.
    pub fn graph_of(&self, vector: &VectorConfig) -> GraphConfig {
        vector.graph.over(self.graph)
    }

    /// Rows of one of the vectors from which it has a graph; `None` if it never has one.
    pub fn graph_rows(&self, vector: &VectorConfig) -> Option<u64> {
        if self.graph_of(vector).m == 0 {
            return None;
        }
        let row = (vector.dimension * size_of::<f32>()) as u64;
        match self.graph_threshold_kb {
            None => Some(limits::DEFAULT_GRAPH_ROWS),
            Some(0) => None,
            Some(kilobytes) => Some(kilobytes.saturating_mul(1024).div_ceil(row)),
        }
    }

    /// Sets the fields of `fields` in the metadata, where a null removes its field; an empty object removes all.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it becomes too deep for a payload.
    pub fn merge_metadata(&mut self, fields: Payload) -> Result<(), Error> {
        let change = if fields.is_empty() {
            PayloadChange::Clear
        } else {
            PayloadChange::Set { at: None, fields }
        };
        self.metadata = change.apply(&self.metadata)?;
        Ok(())
    }

    /// Whether the collection has a vector without a name.
    pub fn is_unnamed(&self) -> bool {
        self.vectors.contains_key(UNNAMED)
    }

    /// The configuration of a dense vector.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the vector, if there is none of that name.
    pub fn vector(&self, name: &str) -> Result<VectorConfig, Error> {
        let found = self.vectors.get(name).copied();
        found.ok_or_else(|| self.unknown_vector(name))
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
        no_vector(
            name,
            self.vectors
                .keys()
                .chain(self.sparse_vectors.keys())
                .map(String::as_str),
        )
    }

    /// Adds a dense vector; false, and nothing is changed, if there is this very one.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming it, if there is another one of that name or the name is
    /// empty.
    pub fn add_vector(&mut self, name: &str, vector: VectorConfig) -> Result<bool, Error> {
        check_new_name(name)?;
        if self.sparse_vectors.contains_key(name) {
            return Err(exists(name, "as a sparse vector"));
        }
        match self.vectors.get(name) {
            Some(known) if (known.dimension, known.distance) == (vector.dimension, vector.distance) => {
                Ok(false)
            }
            Some(_) => Err(exists(name, "with a different configuration")),
            None => {
                self.vectors.insert(name.to_owned(), vector);
                Ok(true)
            }
        }
    }

    /// Adds a sparse vector; as [`add_vector`](Self::add_vector).
    ///
    /// # Errors
    /// As there.
    pub fn add_sparse_vector(&mut self, name: &str, vector: SparseConfig) -> Result<bool, Error> {
        check_new_name(name)?;
        if self.vectors.contains_key(name) {
            return Err(exists(name, "as a dense vector"));
        }
        match self.sparse_vectors.get(name) {
            Some(known) if known.modifier == vector.modifier => Ok(false),
            Some(_) => Err(exists(name, "with a different configuration")),
            None => {
                self.sparse_vectors.insert(name.to_owned(), vector);
                Ok(true)
            }
        }
    }

    /// Removes a vector, dense or sparse.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming it, if there is none of that name.
    pub fn remove_vector(&mut self, name: &str) -> Result<(), Error> {
        self.check_vector(name)?;
        self.vectors.remove(name);
        self.sparse_vectors.remove(name);
        Ok(())
    }

    /// Checks names and bounds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the offending value.
    pub fn validate(&self) -> Result<(), Error> {
        let count = self.vectors.len() + self.sparse_vectors.len();
        if count > limits::MAX_VECTORS_PER_COLLECTION {
            let most = limits::MAX_VECTORS_PER_COLLECTION;
            return Err(Error::invalid(format!(
                "vectors: {count} of them, more than {most}"
            )));
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
                graph,
            } = *config;
            if dimension == 0 || dimension > limits::MAX_DIMENSION {
                let most = limits::MAX_DIMENSION;
                return Err(Error::invalid(format!(
                    "vector {name:?}: size {dimension}, not 1 to {most}"
                )));
            }
            let within = |error: Error| Error::invalid(format!("vector {name:?}: {error}"));
            graph.over(self.graph).validate().map_err(within)?;
        }
        self.graph.validate()?;
        check_metadata("metadata", &self.metadata)?;
        check_metadata("options", &self.options)
    }

    /// Checks that the vectors which `newer` has as well are the same there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) otherwise.
    pub(crate) fn check_kept_vectors(&self, newer: &Self) -> Result<(), Error> {
        for (name, vector) in &newer.vectors {
            let is_other = |known: &VectorConfig| {
                (known.dimension, known.distance) != (vector.dimension, vector.distance)
            };
            if self.sparse_vectors.contains_key(name) || self.vectors.get(name).is_some_and(is_other) {
                return Err(Error::invalid(format!(
                    "vector {name:?}: its size and distance cannot be changed"
                )));
            }
        }
        for (name, vector) in &newer.sparse_vectors {
            let is_other = |known: &SparseConfig| known != vector;
            if self.vectors.contains_key(name) || self.sparse_vectors.get(name).is_some_and(is_other) {
                return Err(Error::invalid(format!("vector {name:?}: it cannot be changed")));
            }
        }
        Ok(())
    }

    /// Whether `newer` has the vectors that this has, and no others.
    pub(crate) fn has_same_names(&self, newer: &Self) -> bool {
        self.vectors.keys().eq(newer.vectors.keys())
            && self.sparse_vectors.keys().eq(newer.sparse_vectors.keys())
    }
}

impl GraphConfig {
    fn validate(self) -> Result<(), Error> {
        let Self { m, ef_construct } = self;
        if m > limits::MAX_GRAPH_M {
            let most = limits::MAX_GRAPH_M;
            return Err(Error::invalid(format!("m {m}, more than {most}")));
        }
        let bounds = limits::GRAPH_EF_CONSTRUCT;
        if !bounds.contains(&ef_construct) {
            let (least, most) = (bounds.start(), bounds.end());
            return Err(Error::invalid(format!(
                "ef_construct {ef_construct}, not {least} to {most}"
            )));
        }
        Ok(())
    }
}

/// No vector has `name`: the words are those that clients of the dialect look for.
pub(crate) fn no_vector<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let error = format!("Wrong input: Not existing vector name error: {name}");
    if name != UNNAMED {
        return Error::invalid(error);
    }
    let known: Vec<_> = known.collect();
    Error::invalid(format!("{error}(none is unnamed: say which of {known:?})"))
}

fn exists(name: &str, how: &str) -> Error {
    Error::invalid(format!("Wrong input: Vector `{name}` already exists {how}"))
}

fn check_new_name(name: &str) -> Result<(), Error> {
    if name == UNNAMED {
        return Err(Error::invalid("a vector can only be added with a name"));
    }
    Ok(())
}

fn check_metadata(field: &str, metadata: &Payload) -> Result<(), Error> {
    let (bytes, most) = (metadata.as_bytes().len(), limits::MAX_METADATA_BYTES);
    if bytes > most {
        return Err(Error::invalid(format!(
            "{field} of {bytes} bytes, more than {most}"
        )));
    }
    Ok(())
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
