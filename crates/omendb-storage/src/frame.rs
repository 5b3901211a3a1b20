//! A frame: the records of one append (or one block of a snapshot) under one length and checksum, so that they are
//! there together or not at all.
//!
//! ```text
//! 0                 4               8       16         24        28                 32
//! | header checksum | payload bytes | epoch | sequence | records | payload checksum | payload ... | zeros to 8 |
//! payload: (length: u32, bytes) for each record
//! ```
//! The header checksum covers the rest of the header and starts from the file's salt. The payload checksum covers
//! the padding too, so every bit of the file is under a checksum.

use crate::error::Error;
use crate::file_header::FileIdentity;
use crate::limits::{MAX_FRAME_BYTES, MAX_RECORDS_PER_FRAME};
use crate::little_endian::{u32_at, u64_at};

/// Bytes before a frame's payload.
pub(crate) const HEADER_BYTES: usize = 32;

/// Frames begin at multiples of this, which is what a search for a later frame steps by.
pub(crate) const ALIGNMENT: usize = 8;

const RECORD_PREFIX_BYTES: usize = 4;

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) payload_bytes: u32,
    pub(crate) first_sequence: u64,
    pub(crate) records: u32,
    payload_checksum: u32,
}

impl FrameHeader {
    /// The header at the start of `bytes`, `None` unless every bit of it is right for this file.
    pub(crate) fn decode(bytes: &[u8], file: &FileIdentity) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        // The epoch first: it alone rules out nearly every position of a search.
        if u64_at(bytes, 8) != file.epoch || u32_at(bytes, 0) != header_checksum(bytes, file.salt) {
            return None;
        }
        let header = Self {
            payload_bytes: u32_at(bytes, 4),
            first_sequence: u64_at(bytes, 16),
            records: u32_at(bytes, 24),
            payload_checksum: u32_at(bytes, 28),
        };
        (header.payload_bytes as usize <= MAX_FRAME_BYTES).then_some(header)
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// Whether `payload` (with its padding) is what was written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        self.payload_checksum == crc32c::crc32c(payload)
    }
}

/// Bytes that [`encode`] will produce for these records.
///
/// # Errors
/// [`Error::TooLarge`] past the limits of a frame.
pub(crate) fn measure<R: AsRef<[u8]>>(records: &[R]) -> Result<usize, Error> {
    if records.len() > MAX_RECORDS_PER_FRAME {
        return Err(Error::TooLarge {
            size: records.len() as u64,
            limit: MAX_RECORDS_PER_FRAME as u64,
        });
    }
    let payload: usize = records
        .iter()
        .map(|record| RECORD_PREFIX_BYTES + record.as_ref().len())
        .sum();
    if payload > MAX_FRAME_BYTES {
        return Err(Error::TooLarge {
            size: payload as u64,
            limit: MAX_FRAME_BYTES as u64,
        });
    }
    Ok(frame_bytes(payload))
}

/// Appends the frame of these records, which [`measure`] accepted, to `out`.
pub(crate) fn encode<R: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    file: &FileIdentity,
    first_sequence: u64,
    records: &[R],
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    for record in records {
        put_record(out, record.as_ref());
    }
    seal(out, start, file, first_sequence, records.len() as u32);
}

/// Appends a record to the payload at the end of `out`.
pub(crate) fn put_record(out: &mut Vec<u8>, record: &[u8]) {
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(record);
}

/// Completes a frame that begins at `start` of `out` with room for its header, followed by its payload.
pub(crate) fn seal(out: &mut Vec<u8>, start: usize, file: &FileIdentity, first_sequence: u64, records: u32) {
    let payload_start = start + HEADER_BYTES;
    let payload_bytes = (out.len() - payload_start) as u32;
    out.resize(start + frame_bytes(payload_bytes as usize), 0);
    let payload_checksum = crc32c::crc32c(&out[payload_start..]);
    let header: &mut [u8; HEADER_BYTES] = out[start..]
        .first_chunk_mut()
        .expect("room was left for the header");
    header[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
    header[8..16].copy_from_slice(&file.epoch.to_le_bytes());
    header[16..24].copy_from_slice(&first_sequence.to_le_bytes());
    header[24..28].copy_from_slice(&records.to_le_bytes());
    header[28..32].copy_from_slice(&payload_checksum.to_le_bytes());
    let checksum = header_checksum(header, file.salt);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
}

/// Takes the record at the front of `payload` off it; `None` when its length cannot be true.
pub(crate) fn take_record<'a>(payload: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (prefix, rest) = payload.split_at_checked(RECORD_PREFIX_BYTES)?;
    let (record, rest) = rest.split_at_checked(u32_at(prefix, 0) as usize)?;
    *payload = rest;
    Some(record)
}

fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

fn header_checksum(header: &[u8; HEADER_BYTES], salt: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &header[4..])
}
