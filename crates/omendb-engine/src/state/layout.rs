//! A collection's vectors as columns, and how many slots one chunk has.

use omendb_distance::Distance;

use crate::payload_index::{IndexKind, Schema};
use crate::{CollectionConfig, Modifier, PayloadPath};

/// Bytes of rows that one chunk's largest column aims at. A commit copies the open chunk, half of this on average: some
/// ten microseconds, small beside its fsync. With 64 KiB a scan of 50,000 x 384 takes 1.2 times as long over rows and
/// 2.5 times over their codes, which are a quarter as long: the memory is read fast only from long runs.
const CHUNK_BYTES: usize = 256 << 10;

/// Most slots of a chunk: copying its ids and payload references must stay cheap for short vectors too.
pub(crate) const MAX_CHUNK_SLOTS: usize = 256;

/// Shorter rows are not coded: what is known of each code is as long as a good part of the row. Nor are those compared
/// by `Manhattan`, for which no bound as tight is known.
const LEAST_CODED_DIMENSION: usize = 64;

/// The shape of every chunk of a collection, and how its payloads are read.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The dense vectors, in order of names.
    pub(crate) columns: Vec<ColumnLayout>,
    /// The sparse vectors, in order of names.
    pub(crate) sparse: Vec<SparseLayout>,
    /// A power of two.
    pub(crate) chunk_slots: usize,
    /// The keys with a text index: their strings are matched by words.
    worded: Vec<PayloadPath>,
}

/// One dense vector.
#[derive(Clone, Debug)]
pub(crate) struct ColumnLayout {
    pub(crate) name: String,
    pub(crate) dimension: usize,
    pub(crate) distance: Distance,
    /// Whether rows are kept as codes too, which a scan reads first.
    pub(crate) is_coded: bool,
}

/// One sparse vector.
#[derive(Clone, Debug)]
pub(crate) struct SparseLayout {
    pub(crate) name: String,
    pub(crate) modifier: Modifier,
}

impl Layout {
    pub(crate) fn new(config: &CollectionConfig) -> Self {
        let columns: Vec<_> = config
            .vectors
            .iter()
            .map(|(name, vector)| ColumnLayout {
                name: name.clone(),
                dimension: vector.dimension,
                distance: vector.distance,
                is_coded: vector.dimension >= LEAST_CODED_DIMENSION && vector.distance != Distance::Manhattan,
            })
            .collect();
        let sparse = config.sparse_vectors.iter().map(|(name, sparse)| SparseLayout {
            name: name.clone(),
            modifier: sparse.modifier,
        });
        let widest = columns.iter().map(|column| column.dimension).max().unwrap_or(1);
        let slots = CHUNK_BYTES / (widest * size_of::<f32>());
        let chunk_slots = if slots == 0 { 1 } else { 1 << slots.ilog2() };
        Self {
            columns,
            sparse: sparse.collect(),
            chunk_slots: chunk_slots.min(MAX_CHUNK_SLOTS),
            worded: Vec::new(),
        }
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
