//! The numbers by which files know a collection's vectors: a name that goes and comes back is another vector, and has
//! another number.

use std::collections::BTreeMap;

use crate::{CollectionConfig, Error, ErrorKind, limits};

/// What a record holds of one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Rows of so many elements.
    Dense(usize),
    /// Terms.
    Sparse,
}

/// The numbers of a collection's vectors, and what vectors it began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// The vectors that the collection was created with, whose numbers are their places here: dense ones in order of
    /// names, then sparse ones.
    pub(crate) first: Vec<Form>,
    /// The numbers of the present vectors, by name.
    pub(crate) numbers: BTreeMap<String, u32>,
    /// The number of the next vector; those of vectors that are gone are not given again.
    pub(crate) next: u32,
}

impl Numbering {
    /// Of a collection whose vectors are those it was created with.
    pub(crate) fn of(config: &CollectionConfig) -> Self {
        let dense = config
            .vectors
            .iter()
            .map(|(name, vector)| (name, Form::Dense(vector.dimension)));
        let sparse = config.sparse_vectors.keys().map(|name| (name, Form::Sparse));
        let vectors: Vec<_> = dense.chain(sparse).collect();
        Self {
            first: vectors.iter().map(|(_, form)| *form).collect(),
            next: vectors.len() as u32,
            numbers: vectors
                .into_iter()
                .map(|(name, _)| name.clone())
                .zip(0..)
                .collect(),
        }
    }

    /// Forgets the vectors that `config` does not have, and gives numbers to those that are new.
    ///
    /// # Errors
    /// [`ErrorKind::ResourceExhausted`](crate::ErrorKind::ResourceExhausted) when there are no more numbers.
    pub(crate) fn follow(&mut self, config: &CollectionConfig) -> Result<(), Error> {
        self.numbers.retain(|name, _| config.check_vector(name).is_ok());
        for name in config.vectors.keys().chain(config.sparse_vectors.keys()) {
            if self.numbers.contains_key(name) {
                continue;
            }
            if self.next >= limits::MAX_VECTORS_EVER {
                let most = limits::MAX_VECTORS_EVER;
                return Err(Error::new(
                    ErrorKind::ResourceExhausted,
                    format!("vector {name:?}: the collection has had {most} vectors, and no more than that"),
                ));
            }
            self.numbers.insert(name.clone(), self.next);
            self.next += 1;
        }
        Ok(())
    }

    /// The number of a vector that the collection has.
    pub(crate) fn number(&self, name: &str) -> u32 {
        // `follow` was called with every configuration there was.
        self.numbers.get(name).copied().unwrap_or(u32::MAX)
    }

    /// Whether the vectors are still those that the collection was created with.
    pub(crate) fn is_first(&self) -> bool {
        let count = self.first.len();
        self.next as usize == count && self.numbers.len() == count
    }
}
