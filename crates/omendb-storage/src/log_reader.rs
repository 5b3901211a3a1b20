//! Reads the log after the snapshot, record by record, across segments.

use std::sync::Arc;
use std::vec;

use crate::error::Error;
use crate::file_header::{HEADER_BYTES, Kind};
use crate::frame_reader::{FrameReader, RecordReader};
use crate::manifest::SegmentEntry;
use crate::store::Store;

/// A record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log, without gaps.
    pub sequence: u64,
    /// What was appended.
    pub bytes: &'a [u8],
}

/// The records after the snapshot, in order. All of them were synced, so anything unreadable is damage.
#[derive(Debug)]
pub struct LogReader {
    store: Arc<Store>,
    waiting: vec::IntoIter<SegmentEntry>,
    current: Option<(SegmentEntry, RecordReader)>,
    /// Records up to here are in the snapshot.
    covered: u64,
    total_bytes: u64,
    finished_bytes: u64,
    finished_frames: u64,
}

impl LogReader {
    pub(crate) fn new(store: Arc<Store>, segments: Vec<SegmentEntry>, covered: u64) -> Self {
        let total_bytes = segments.iter().map(|segment| segment.end).sum();
        Self {
            store,
            waiting: segments.into_iter(),
            current: None,
            covered,
            total_bytes,
            finished_bytes: 0,
            finished_frames: 0,
        }
    }

    /// The next record, `None` after the last.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the file and the offset of the damage. Reading does not go on after it.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        while self.is_at_segment_end()? {
            if !self.open_next()? {
                return Ok(None);
            }
        }
        let Some((_, reader)) = &mut self.current else {
            return Ok(None);
        };
        Ok(reader
            .next_record()?
            .map(|(sequence, bytes)| Record { sequence, bytes }))
    }

    /// Bytes of log there are to read.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes of log read so far.
    pub fn bytes_read(&self) -> u64 {
        self.finished_bytes + self.current.as_ref().map_or(0, |(_, reader)| reader.bytes_read())
    }

    /// Frames (that is, appends) read so far.
    pub fn frames_read(&self) -> u64 {
        self.finished_frames
            + self
                .current
                .as_ref()
                .map_or(0, |(_, reader)| reader.frames_read())
    }

    /// Moves to a record beyond the snapshot; true when this segment has none left.
    fn is_at_segment_end(&mut self) -> Result<bool, Error> {
        let Some((_, reader)) = &mut self.current else {
            return Ok(true);
        };
        while reader.next_sequence() <= self.covered {
            if reader.next_record()?.is_none() {
                return Ok(true);
            }
        }
        Ok(!reader.has_more()?)
    }

    /// Opens the next segment; false when there is none. The one before must have ended where the manifest says.
    fn open_next(&mut self) -> Result<bool, Error> {
        if let Some((entry, reader)) = self.current.take() {
            if reader.next_sequence() != entry.last_sequence + 1 {
                return Err(Error::corrupt(
                    reader.path(),
                    entry.end,
                    "the segment lacks records",
                ));
            }
            self.finished_bytes += reader.bytes_read();
            self.finished_frames += reader.frames_read();
        }
        let Some(entry) = self.waiting.next() else {
            return Ok(false);
        };
        self.current = Some((entry, open_segment(&self.store, &entry)?));
        Ok(true)
    }
}

fn open_segment(store: &Store, entry: &SegmentEntry) -> Result<RecordReader, Error> {
    let frames = open_frames(store, entry, entry.end)?;
    Ok(RecordReader::new(frames, entry.identity.sequence))
}

/// The frames of a segment up to `end`, after checking that it is the right file and reaches that far.
pub(crate) fn open_frames(store: &Store, entry: &SegmentEntry, end: u64) -> Result<FrameReader, Error> {
    let path = store.path(Kind::Log, entry.identity.number);
    let file = store.open(&path)?;
    entry.identity.verify(Kind::Log, &*file, &path)?;
    let length = file.size().map_err(|e| Error::io("measure", &path, e))?;
    if length < end || end < HEADER_BYTES as u64 {
        return Err(Error::corrupt(
            &path,
            length,
            "the file is shorter than what was synced",
        ));
    }
    Ok(FrameReader::new(file, path, entry.identity, end))
}
