//! Snapshots: the state at one sequence as a stream of records, after which the older log is not needed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::file_header::{FileIdentity, HEADER_BYTES as FILE_HEADER_BYTES, Kind};
use crate::frame::{self, HEADER_BYTES};
use crate::frame_reader::{FrameReader, RecordReader};
use crate::fs::File;
use crate::limits::{SNAPSHOT_BLOCK_BYTES, SNAPSHOT_SYNC_BYTES};
use crate::manifest::{Manifest, SnapshotEntry};
use crate::store::Store;

/// Writes a snapshot. Dropping it unfinished removes what was written; the journal is as before.
#[derive(Debug)]
pub struct SnapshotWriter {
    store: Arc<Store>,
    file: Box<dyn File>,
    path: PathBuf,
    identity: FileIdentity,
    /// The block being gathered: room for a frame header, then records.
    block: Vec<u8>,
    block_records: u32,
    records: u64,
    written: u64,
    synced: u64,
    /// The manifest names the file, or may after a power cut.
    keep: bool,
}

/// What a finished snapshot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotStats {
    /// The last sequence it covers.
    pub sequence: u64,
    /// Records in it.
    pub records: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Files that it made superfluous (log segments, the snapshot before) and that were removed.
    pub removed_files: u64,
    /// Log bytes among them.
    pub trimmed_log_bytes: u64,
}

impl SnapshotWriter {
    pub(crate) fn create(store: Arc<Store>, sequence: u64) -> Result<Self, Error> {
        let identity = store.new_identity(sequence);
        let path = store.path(Kind::Snapshot, identity.number);
        let file = store.create(&path)?;
        let mut writer = Self {
            store,
            file,
            path,
            identity,
            block: Vec::new(),
            block_records: 0,
            records: 0,
            written: 0,
            synced: 0,
            keep: false,
        };
        writer.write(&identity.encode(Kind::Snapshot))?;
        writer.begin_block();
        Ok(writer)
    }

    /// The last sequence the snapshot covers: that of the journal when it was begun.
    pub fn sequence(&self) -> u64 {
        self.identity.sequence
    }

    /// Adds a record; they are read back in the order they were added.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a record beyond [`crate::MAX_FRAME_BYTES`]; after any other error the snapshot
    /// cannot be finished and is to be dropped.
    pub fn add(&mut self, record: &[u8]) -> Result<(), Error> {
        let record_bytes = frame::measure(&[record])? - HEADER_BYTES;
        let is_full = self.block.len() + record_bytes > HEADER_BYTES + SNAPSHOT_BLOCK_BYTES;
        if is_full && self.block_records > 0 {
            self.write_block()?;
        }
        frame::put_record(&mut self.block, record);
        self.block_records += 1;
        self.records += 1;
        Ok(())
    }

    /// Makes the snapshot durable, puts it in force and removes the log it covers. Of two finished snapshots the
    /// one with the higher sequence stays in force.
    ///
    /// # Errors
    /// On failure the journal goes on with its log and the snapshot before, unless a sync failed, which poisons it.
    pub fn finish(mut self) -> Result<SnapshotStats, Error> {
        if self.block_records > 0 {
            self.write_block()?;
        }
        self.store.sync_new(&*self.file, &self.path)?;
        self.store.sync_directory()?;

        let store = Arc::clone(&self.store);
        let mut current = store.manifest();
        store.check_not_poisoned()?;
        let mut stats = SnapshotStats {
            sequence: self.identity.sequence,
            records: self.records,
            bytes: self.written,
            removed_files: 0,
            trimmed_log_bytes: 0,
        };
        if current
            .snapshot
            .is_some_and(|newer| newer.identity.sequence > stats.sequence)
        {
            return Ok(stats);
        }
        let before = current.clone();
        let entry = SnapshotEntry {
            identity: self.identity,
            bytes: self.written,
            records: self.records,
        };
        let next = with_snapshot(&before, entry);
        // Whether it succeeds or leaves open which manifest is in force, the file stays; only a manifest that
        // certainly does not name it lets it go.
        let swapped = store.swap_manifest(&mut current, next);
        self.keep = swapped.is_ok() || store.is_poisoned();
        swapped?;
        trim(&store, &before, &current, &mut stats);
        Ok(stats)
    }

    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(HEADER_BYTES, 0);
        self.block_records = 0;
    }

    fn write_block(&mut self) -> Result<(), Error> {
        let first = self.records - u64::from(self.block_records) + 1;
        frame::seal(&mut self.block, 0, &self.identity, first, self.block_records);
        let block = std::mem::take(&mut self.block);
        self.write(&block)?;
        self.block = block;
        self.begin_block();
        if self.written - self.synced >= SNAPSHOT_SYNC_BYTES {
            self.store.sync_new(&*self.file, &self.path)?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.store.check_not_poisoned()?;
        self.file
            .write_at(bytes, self.written)
            .map_err(|e| Error::io("write", &self.path, e))?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.keep {
            self.store.discard(&self.path);
        }
    }
}

/// The manifest with this snapshot in force and without the segments it covers. The segment appends go to stays.
fn with_snapshot(manifest: &Manifest, entry: SnapshotEntry) -> Manifest {
    let mut next = manifest.clone();
    next.snapshot = Some(entry);
    next.segments
        .retain(|segment| !segment.sealed || segment.last_sequence > entry.identity.sequence);
    next
}

/// Removes the files that `after`, now durable, no longer names.
fn trim(store: &Store, before: &Manifest, after: &Manifest, stats: &mut SnapshotStats) {
    for segment in before
        .segments
        .iter()
        .filter(|segment| !after.names(segment.identity.number))
    {
        if store.discard(&store.path(Kind::Log, segment.identity.number)) {
            stats.removed_files += 1;
            stats.trimmed_log_bytes += segment.end;
        }
    }
    if let Some(old) = before.snapshot.filter(|old| !after.names(old.identity.number)) {
        stats.removed_files += u64::from(store.discard(&store.path(Kind::Snapshot, old.identity.number)));
    }
}

/// Reads the snapshot in force.
#[derive(Debug)]
pub struct SnapshotReader {
    reader: RecordReader,
    entry: SnapshotEntry,
}

impl SnapshotReader {
    pub(crate) fn open(store: &Store, entry: SnapshotEntry) -> Result<Self, Error> {
        let path = store.path(Kind::Snapshot, entry.identity.number);
        let file = store.open(&path)?;
        entry.identity.verify(Kind::Snapshot, &*file, &path)?;
        let length = file.size().map_err(|e| Error::io("measure", &path, e))?;
        if length < entry.bytes || entry.bytes < FILE_HEADER_BYTES as u64 {
            return Err(Error::corrupt(
                &path,
                length,
                "the file is shorter than what was synced",
            ));
        }
        let frames = FrameReader::new(file, path, entry.identity, entry.bytes);
        Ok(Self {
            reader: RecordReader::new(frames, 1),
            entry,
        })
    }

    /// The next record, `None` after the last.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the file and the offset of the damage.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, Error> {
        if !self.reader.has_more()? && self.reader.next_sequence() != self.entry.records + 1 {
            return Err(Error::corrupt(
                self.reader.path(),
                self.entry.bytes,
                "the snapshot lacks records",
            ));
        }
        Ok(self.reader.next_record()?.map(|(_, record)| record))
    }

    /// The last sequence of the log that it covers.
    pub fn sequence(&self) -> u64 {
        self.entry.identity.sequence
    }

    /// Records in it.
    pub fn records(&self) -> u64 {
        self.entry.records
    }

    /// Its size in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.entry.bytes
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read()
    }
}
