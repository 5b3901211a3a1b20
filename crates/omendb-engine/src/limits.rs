//! Every upper bound of the engine, in one place. Beyond one of them an operation is refused, with the value named.

/// Elements of one vector.
pub const MAX_DIMENSION: usize = 65_536;
/// Terms of one sparse vector: elements that are not zero.
pub const MAX_SPARSE_TERMS: usize = 65_536;
/// Vectors of one collection, dense and sparse ones together.
pub const MAX_VECTORS_PER_COLLECTION: usize = 32;
/// Vectors that one collection may have one after another, those deleted since included.
pub const MAX_VECTORS_EVER: u32 = 1 << 24;
/// Links of a node of a graph.
pub const MAX_GRAPH_M: usize = 1_024;
/// Candidates a node's links are chosen from while a graph is built: fewer make no graph worth searching, more only time.
pub const GRAPH_EF_CONSTRUCT: std::ops::RangeInclusive<usize> = 4..=10_000;
/// Rows of a vector from which it has a graph, unless its collection says otherwise: a scan of fewer is as fast, and exact.
pub const DEFAULT_GRAPH_ROWS: u64 = 10_000;
/// Bytes of the metadata, encoded, that clients keep with a collection, and of the options without effect.
pub const MAX_METADATA_BYTES: usize = 64 << 10;
/// Bytes of a collection's or a vector's name.
pub const MAX_NAME_BYTES: usize = 255;
/// Collections of one engine; the metrics' bound on `db_id` is lower and separate.
pub const MAX_COLLECTIONS: usize = 10_000;
/// Aliases of all collections of one engine.
pub const MAX_ALIASES: usize = 10_000;
/// Points, alive or not yet compacted, of one collection: slots are 32 bits, and one value is kept back.
pub const MAX_SLOTS: usize = u32::MAX as usize;
/// Points of one write batch, over all its operations; also the ids of its deletions.
pub const MAX_POINTS_PER_BATCH: usize = 100_000;
/// Bytes of one write batch as it is written to the log.
pub const MAX_BATCH_BYTES: usize = 64 << 20;
/// Bytes of a record of a snapshot, give or take a point: a chunk that holds more is written as several.
pub(crate) const SNAPSHOT_RECORD_BYTES: usize = 16 << 20;
/// Bytes of one point's encoded payload.
pub const MAX_PAYLOAD_BYTES: usize = 8 << 20;
/// Nesting of lists and objects in a payload.
pub const MAX_PAYLOAD_DEPTH: usize = 64;
/// Hits of one search, `offset` included: what the heap of one query may hold.
pub const MAX_SEARCH_DEPTH: usize = 1 << 20;
/// Candidates that a search through a graph keeps unless it says otherwise.
pub const DEFAULT_EF: usize = 100;
/// Most candidates that a search through a graph may ask for.
pub const MAX_EF: usize = 1 << 16;
/// Bytes of the file of one graph.
pub const MAX_GRAPH_FILE_BYTES: usize = 32 << 30;
/// Searches of one batch.
pub const MAX_BATCH_SEARCHES: usize = 1_000;
/// Vectors and points that one query compares with, its prefetches not included.
pub const MAX_EXAMPLES: usize = 1_024;
/// Terms of all sparse vectors that one query compares with.
pub const MAX_QUERY_TERMS: usize = 1 << 20;
/// Points that a diverse query chooses from: it compares them with one another.
pub const MAX_DIVERSE_CANDIDATES: usize = 16_384;
/// Prefetches of one query, those in front of others included.
pub const MAX_PREFETCHES: usize = 64;
/// Points of a sample that are compared with one another.
pub const MAX_MATRIX_SAMPLE: usize = 2_048;
/// Expressions of one formula, those inside others included.
pub const MAX_EXPRESSIONS: usize = 1_024;
/// Points of one page of a scroll, and ids of one retrieval.
pub const MAX_PAGE: usize = 1 << 20;
/// Keys of one payload path.
pub const MAX_PATH_KEYS: usize = 32;
/// Payload keys with an index in one collection.
pub const MAX_INDEXES: usize = 64;
/// Bytes of an indexed key's path.
pub const MAX_INDEX_KEY_BYTES: usize = 1_024;
/// Filters nested in one another.
pub const MAX_FILTER_DEPTH: usize = 32;
/// Conditions of one filter, those of filters inside it included.
pub const MAX_FILTER_CONDITIONS: usize = 4_096;
/// Values of one filter: to match, ids, words and corners of polygons.
pub const MAX_FILTER_VALUES: usize = 100_000;
/// Collections with metric series of their own, unless the options say otherwise; the rest share one.
pub const DEFAULT_MAX_SERIES: usize = 1_000;
