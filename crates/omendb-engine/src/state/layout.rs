//! A collection's vectors as columns, and how many slots one chunk has.

use std::sync::Arc;

use omendb_distance::Distance;

use crate::numbering::{Form, Numbering};
use crate::payload_index::{IndexKind, Schema};
use crate::{CollectionConfig, Error, Modifier, PayloadPath, config};

/// Bytes of rows that one chunk's largest column aims at. A commit copies the open chunk, half of this on average: some
/// ten microseconds, small beside its fsync. With 64 KiB a scan of 50,000 x 384 takes 1.2 times as long over rows and
/// 2.5 times over their codes, which are a quarter as long: the memory is read fast only from long runs.
const CHUNK_BYTES: usize = 256 << 10;

/// Most slots of a chunk: copying its ids and payload references must stay cheap for short vectors too.
pub(crate) const MAX_CHUNK_SLOTS: usize = 256;

/// Shorter rows are not coded: what is known of each code is as long as a good part of the row. Nor are those compared
/// by `Manhattan`, for which no bound as tight is known.
const LEAST_CODED_DIMENSION: usize = 64;

/// The shape of a collection's chunks, and how its payloads are read.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The dense vectors, in order of names.
    pub(crate) columns: Vec<ColumnLayout>,
    /// The sparse vectors, in order of names.
    pub(crate) sparse: Vec<SparseLayout>,
    /// What slots are numbered by, and the most that a chunk has: a power of two.
    pub(crate) chunk_slots: usize,
    /// Slots of a chunk that is begun now, which vectors added later may make fewer: a power of two.
    pub(crate) new_chunk_slots: usize,
    /// The vectors that the collection was created with; records of the first kind have their columns.
    pub(crate) first: Arc<[Form]>,
    /// Whether it has these very vectors now.
    pub(crate) is_first: bool,
    /// The keys with a text index: their strings are matched by words.
    worded: Vec<PayloadPath>,
}

/// One dense vector.
#[derive(Clone, Debug)]
pub(crate) struct ColumnLayout {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) dimension: usize,
    pub(crate) distance: Distance,
    /// Whether rows are kept as codes too, which a scan reads first.
    pub(crate) is_coded: bool,
}

/// One sparse vector.
#[derive(Clone, Debug)]
pub(crate) struct SparseLayout {
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) modifier: Modifier,
}

impl Layout {
    /// Of a collection whose vectors are those it was created with.
    #[cfg(test)]
    pub(crate) fn new(config: &CollectionConfig) -> Self {
        Self::numbered(config, &Numbering::of(config))
    }

    pub(crate) fn numbered(config: &CollectionConfig, numbering: &Numbering) -> Self {
        let columns: Vec<_> = config
            .vectors
            .iter()
            .map(|(name, vector)| ColumnLayout {
                name: name.clone(),
                number: numbering.number(name),
                dimension: vector.dimension,
                distance: vector.distance,
                is_coded: vector.dimension >= LEAST_CODED_DIMENSION && vector.distance != Distance::Manhattan,
            })
            .collect();
        let sparse = config.sparse_vectors.iter().map(|(name, sparse)| SparseLayout {
            name: name.clone(),
            number: numbering.number(name),
            modifier: sparse.modifier,
        });
        let widest = columns.iter().map(|column| column.dimension).max().unwrap_or(1);
        let slots = CHUNK_BYTES / (widest * size_of::<f32>());
        let chunk_slots = if slots == 0 { 1 } else { 1 << slots.ilog2() };
        let chunk_slots = chunk_slots.min(MAX_CHUNK_SLOTS);
        Self {
            columns,
            sparse: sparse.collect(),
            chunk_slots,
            new_chunk_slots: chunk_slots,
            first: numbering.first.as_slice().into(),
            is_first: numbering.is_first(),
            worded: Vec::new(),
        }
    }

    /// The same for points whose slots are numbered as in `other`.
    pub(crate) fn numbered_like(self, other: &Self) -> Self {
        Self {
            chunk_slots: other.chunk_slots,
            new_chunk_slots: self.new_chunk_slots.min(other.chunk_slots),
            ..self
        }
    }

    /// Whether there is a vector of that number.
    pub(crate) fn has_number(&self, number: u32) -> bool {
        self.forms().any(|(known, _)| known == number)
    }

    /// The vectors' numbers, and what records hold of them, in the order of columns.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (u32, Form)> {
        let dense = self
            .columns
            .iter()
            .map(|column| (column.number, Form::Dense(column.dimension)));
        dense.chain(self.sparse.iter().map(|column| (column.number, Form::Sparse)))
    }

    /// The column of a dense vector.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming it, if there is none of that name.
    pub(crate) fn dense_column(&self, name: &str) -> Result<usize, Error> {
        let column = self.columns.iter().position(|column| column.name == name);
        column.ok_or_else(|| match self.sparse_column(name) {
            Some(_) => Error::invalid(format!("vector {name:?} is sparse, a dense one is expected")),
            None => self.no_vector(name),
        })
    }

    /// The column of a sparse vector, if there is one of that name.
    pub(crate) fn sparse_column(&self, name: &str) -> Option<usize> {
        self.sparse.iter().position(|column| column.name == name)
    }

    /// Checks that there is a vector of that name, dense or sparse.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming it, if there is none.
    pub(crate) fn check_vector(&self, name: &str) -> Result<(), Error> {
        match self.sparse_column(name) {
            Some(_) => Ok(()),
            None => self.dense_column(name).map(drop),
        }
    }

    fn no_vector(&self, name: &str) -> Error {
        let dense = self.columns.iter().map(|column| column.name.as_str());
        config::no_vector(
            name,
            dense.chain(self.sparse.iter().map(|column| column.name.as_str())),
        )
    }

    /// Takes note of the keys that have a text index.
    pub(crate) fn follow(&mut self, schema: &Schema) {
        let texts = schema.iter().filter(|(_, kind)| **kind == IndexKind::Text);
        // Keys were checked when they entered the schema, so all of them are paths.
        self.worded = texts.filter_map(|(key, _)| key.parse().ok()).collect();
    }

    /// Whether strings at `key` are matched by words.
    pub(crate) fn is_worded(&self, key: &PayloadPath) -> bool {
        self.worded.contains(key)
    }

    /// The chunk of a slot, and the position in it.
    pub(crate) fn locate(&self, slot: u32) -> (usize, usize) {
        (slot as usize / self.chunk_slots, slot as usize % self.chunk_slots)
    }

    /// The slot at `position` of `chunk`.
    pub(crate) fn slot(&self, chunk: usize, position: usize) -> u32 {
        // Chunks are only added while their slots fit 32 bits.
        (chunk * self.chunk_slots + position) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dimension: usize, chunk_slots: usize) {
        let layout = Layout::new(&CollectionConfig::unnamed(dimension, Distance::Dot));
        assert_eq!(layout.chunk_slots, chunk_slots, "dimension {dimension}");
    }

    #[test]
    fn wider_rows_make_smaller_chunks() {
        check(1, 256);
        check(256, 256);
        check(257, 128);
        check(384, 128);
        check(1_536, 32);
        check(16_384, 4);
        check(65_536, 1);
    }
}
