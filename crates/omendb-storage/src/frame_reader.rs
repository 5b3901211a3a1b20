//! Walks the frames of a file through one growing buffer.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::file_header::{FileIdentity, HEADER_BYTES as FILE_HEADER_BYTES};
use crate::frame::{self, ALIGNMENT, FrameHeader, HEADER_BYTES};
use crate::fs::File;
use crate::limits::READ_BYTES;

/// Reads the frames between the file's header and `end`.
#[derive(Debug)]
pub(crate) struct FrameReader {
    file: Box<dyn File>,
    path: PathBuf,
    identity: FileIdentity,
    /// Where the next frame begins.
    offset: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_offset: u64,
}

/// What is at the reader's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole frame beginning at `offset`; [`FrameReader::payload`] gives its contents.
    Frame { offset: u64, header: FrameHeader },
    /// Bytes that are no frame.
    Bad { offset: u64, what: &'static str },
    /// Nothing: the last frame ended exactly at the end.
    End,
}

impl FrameReader {
    pub(crate) fn new(file: Box<dyn File>, path: PathBuf, identity: FileIdentity, end: u64) -> Self {
        let offset = FILE_HEADER_BYTES as u64;
        Self {
            file,
            path,
            identity,
            offset,
            end,
            buffer: Vec::new(),
            buffer_offset: offset,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads on to where the file ends, which it returns.
    pub(crate) fn extend_to_file_end(&mut self) -> Result<u64, Error> {
        self.end = self
            .file
            .size()
            .map_err(|e| Error::io("measure", &self.path, e))?;
        Ok(self.end)
    }

    /// Goes back to a frame seen before.
    pub(crate) fn rewind(&mut self, frame_offset: u64) {
        self.offset = frame_offset;
    }

    /// Moves over the next frame.
    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        let offset = self.offset;
        if offset == self.end {
            return Ok(Step::End);
        }
        let bad = |what| Ok(Step::Bad { offset, what });
        if !self.fill(offset, HEADER_BYTES)? {
            return bad("the file ends inside a frame header");
        }
        let Some(header) = FrameHeader::decode(self.buffered(offset), &self.identity) else {
            return bad("frame header does not match its checksum");
        };
        if !self.fill(offset, header.frame_bytes())? {
            return bad("the file ends inside a frame");
        }
        if !header.matches(&self.buffered(offset)[HEADER_BYTES..header.frame_bytes()]) {
            return bad("frame payload does not match its checksum");
        }
        self.offset += header.frame_bytes() as u64;
        Ok(Step::Frame { offset, header })
    }

    /// The records of the frame that [`Self::step`] last moved over.
    pub(crate) fn payload(&self, frame_offset: u64, header: &FrameHeader) -> &[u8] {
        &self.buffered(frame_offset)[HEADER_BYTES..HEADER_BYTES + header.payload_bytes as usize]
    }

    /// Looks past a bad frame for the header of a later one, with a sequence beyond `sequence`. An append starts
    /// only when everything before it is synced, so such a header proves that what precedes it was intact once.
    pub(crate) fn find_later_frame(&mut self, sequence: u64) -> Result<Option<u64>, Error> {
        let mut offset = self.offset + ALIGNMENT as u64;
        while self.fill(offset, HEADER_BYTES)? {
            let available = self.buffered(offset);
            let positions = (0..available.len() - HEADER_BYTES + 1).step_by(ALIGNMENT);
            let searched = positions.len() * ALIGNMENT;
            for position in positions {
                let header = FrameHeader::decode(&available[position..], &self.identity);
                if header.is_some_and(|header| header.first_sequence > sequence) {
                    return Ok(Some(offset + position as u64));
                }
            }
            offset += searched as u64;
        }
        Ok(None)
    }

    /// Makes `bytes` at `offset` available in the buffer; false when they lie past the end.
    fn fill(&mut self, offset: u64, bytes: usize) -> Result<bool, Error> {
        if offset + bytes as u64 > self.end {
            return Ok(false);
        }
        let buffered = offset >= self.buffer_offset
            && offset + bytes as u64 <= self.buffer_offset + self.buffer.len() as u64;
        if buffered {
            return Ok(true);
        }
        let wanted = (bytes.max(READ_BYTES) as u64).min(self.end - offset);
        self.buffer.resize(
            usize::try_from(wanted).expect("at most a frame, which is in memory"),
            0,
        );
        self.buffer_offset = offset;
        let read = self
            .file
            .read_at(&mut self.buffer, offset)
            .map_err(|e| Error::io("read", &self.path, e))?;
        self.buffer.truncate(read);
        if read < bytes {
            return Err(Error::corrupt(
                &self.path,
                offset + read as u64,
                "the file is shorter than it was",
            ));
        }
        Ok(true)
    }

    fn buffered(&self, offset: u64) -> &[u8] {
        &self.buffer[(offset - self.buffer_offset) as usize..]
    }
}

/// Reads the records of a file in which every frame was synced, so that anything but a whole frame is damage.
#[derive(Debug)]
pub(crate) struct RecordReader {
    frames: FrameReader,
    /// The frame being read, where its unread part begins in the payload, and how many of its records remain.
    frame: Option<(u64, FrameHeader)>,
    position: usize,
    remaining: u32,
    next_sequence: u64,
    frames_read: u64,
}

impl RecordReader {
    /// Records of `frames`, numbered from `first_sequence`.
    pub(crate) fn new(frames: FrameReader, first_sequence: u64) -> Self {
        Self {
            frames,
            frame: None,
            position: 0,
            remaining: 0,
            next_sequence: first_sequence,
            frames_read: 0,
        }
    }

    /// Whether there is another record, which is checked (with its frame) on the way.
    pub(crate) fn has_more(&mut self) -> Result<bool, Error> {
        while self.remaining == 0 {
            if !self.next_frame()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next record with its number, `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<(u64, &[u8])>, Error> {
        if !self.has_more()? {
            return Ok(None);
        }
        let Some((offset, header)) = self.frame else {
            return Ok(None);
        };
        let payload = self.frames.payload(offset, &header);
        let mut rest = &payload[self.position..];
        let Some(record) = frame::take_record(&mut rest) else {
            return Err(Error::corrupt(
                &self.frames.path,
                offset,
                "record lengths do not fit their frame",
            ));
        };
        let sequence = self.next_sequence;
        self.position = payload.len() - rest.len();
        self.remaining -= 1;
        self.next_sequence += 1;
        Ok(Some((sequence, record)))
    }

    /// The number the next record would have.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Bytes of the file read so far, its header included.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.frames.offset()
    }

    /// Frames read so far.
    pub(crate) fn frames_read(&self) -> u64 {
        self.frames_read
    }

    pub(crate) fn path(&self) -> &Path {
        self.frames.path()
    }

    fn next_frame(&mut self) -> Result<bool, Error> {
        match self.frames.step()? {
            Step::End => Ok(false),
            Step::Bad { offset, what } => Err(Error::corrupt(self.frames.path(), offset, what)),
            Step::Frame { offset, header } => {
                if header.first_sequence != self.next_sequence {
                    return Err(Error::corrupt(
                        self.frames.path(),
                        offset,
                        "frame is out of sequence",
                    ));
                }
                self.frame = Some((offset, header));
                self.position = 0;
                self.remaining = header.records;
                self.frames_read += 1;
                Ok(true)
            }
        }
    }
}
