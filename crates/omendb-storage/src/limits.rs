//! The upper bounds of what is written, in one place.

/// Payload of one frame, so of one append or one block of a snapshot, in bytes. A length field beyond it is damage,
/// whatever its checksum says; it also bounds what a reader allocates.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// Records in one frame.
pub const MAX_RECORDS_PER_FRAME: usize = 1 << 20;

/// Size at which an append moves on to a new segment, unless [`crate::JournalOptions`] says otherwise. Large enough
/// that the two directory syncs of a roll are not felt, small enough that a trim gives space back soon.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Records are gathered into blocks of this size before a snapshot is written.
pub(crate) const SNAPSHOT_BLOCK_BYTES: usize = 1 << 20;

/// A snapshot is synced each time this much was written, so that its last sync does not hold up the log's.
pub(crate) const SNAPSHOT_SYNC_BYTES: u64 = 16 << 20;

/// What a reader fetches at once, frames permitting.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Content of an atomically replaced file, in bytes.
pub(crate) const MAX_ATOMIC_FILE_BYTES: usize = 64 << 20;

/// Buffers that grew past this for one large append are given back afterwards.
pub(crate) const KEPT_BUFFER_BYTES: usize = 8 << 20;
