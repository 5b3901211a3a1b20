//! The manifest: which files make up a journal, and how far each is known to be synced.
//!
//! A file the manifest does not name is debris of something that did not finish; a file it names is complete up to
//! the recorded end. It is an [`crate::AtomicFile`] whose content is drawn in `docs/file-format.md`.

use std::path::Path;

use crate::error::Error;
use crate::file_header::{FileIdentity, HEADER_BYTES};
use crate::little_endian::{u32_at, u64_at};

pub(crate) const FILE: &str = "MANIFEST";
pub(crate) const TEMPORARY_FILE: &str = "MANIFEST.tmp";
pub(crate) const MAGIC: [u8; 8] = *b"OMENDMAN";
pub(crate) const VERSION: u32 = 1;

const PREFIX_BYTES: usize = 16;
const SNAPSHOT_BYTES: usize = 48;
const SEGMENT_BYTES: usize = 56;

/// The content of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Of the process life that wrote it.
    pub(crate) epoch: u64,
    pub(crate) snapshot: Option<SnapshotEntry>,
    /// In order of their sequences, without gaps. Only the last may be unsealed.
    pub(crate) segments: Vec<SegmentEntry>,
}

/// A finished snapshot; the identity's sequence is that of the last record it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotEntry {
    pub(crate) identity: FileIdentity,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
}

/// A log segment. `end` and `last_sequence` say what is known to be synced; when `sealed`, also that nothing counts
/// beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) identity: FileIdentity,
    pub(crate) end: u64,
    pub(crate) last_sequence: u64,
    pub(crate) sealed: bool,
}

impl SegmentEntry {
    /// A segment without frames.
    pub(crate) fn empty(identity: FileIdentity) -> Self {
        let last_sequence = identity.sequence.wrapping_sub(1);
        Self {
            identity,
            end: HEADER_BYTES as u64,
            last_sequence,
            sealed: false,
        }
    }
}

impl Manifest {
    /// The manifest of a new journal.
    pub(crate) fn empty(epoch: u64) -> Self {
        Self {
            epoch,
            snapshot: None,
            segments: Vec::new(),
        }
    }

    /// The last sequence known to be synced.
    pub(crate) fn last_sequence(&self) -> u64 {
        let covered = self.snapshot.map_or(0, |snapshot| snapshot.identity.sequence);
        self.segments
            .last()
            .map_or(covered, |segment| segment.last_sequence)
    }

    /// Whether a file of this number belongs to the journal.
    pub(crate) fn names(&self, number: u64) -> bool {
        self.snapshot
            .is_some_and(|snapshot| snapshot.identity.number == number)
            || self
                .segments
                .iter()
                .any(|segment| segment.identity.number == number)
    }

    /// The highest file number named, 0 without files.
    pub(crate) fn highest_number(&self) -> u64 {
        let snapshot = self.snapshot.iter().map(|snapshot| snapshot.identity.number);
        snapshot
            .chain(self.segments.iter().map(|segment| segment.identity.number))
            .max()
            .unwrap_or(0)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PREFIX_BYTES + SNAPSHOT_BYTES + SEGMENT_BYTES * self.segments.len());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&u32::from(self.snapshot.is_some()).to_le_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        if let Some(SnapshotEntry {
            identity,
            bytes,
            records,
        }) = self.snapshot
        {
            put_identity(&mut out, &identity);
            out.extend_from_slice(&bytes.to_le_bytes());
            out.extend_from_slice(&records.to_le_bytes());
        }
        for SegmentEntry {
            identity,
            end,
            last_sequence,
            sealed,
        } in &self.segments
        {
            put_identity(&mut out, identity);
            out.extend_from_slice(&end.to_le_bytes());
            out.extend_from_slice(&last_sequence.to_le_bytes());
            out.extend_from_slice(&u64::from(*sealed).to_le_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote, and checks that the sequences join up.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let corrupt = |what| Error::corrupt(path, 0, what);
        if bytes.len() < PREFIX_BYTES {
            return Err(corrupt("too short"));
        }
        let (prefix, rest) = bytes.split_at(PREFIX_BYTES);
        let (snapshots, segments) = (u32_at(prefix, 8) as usize, u32_at(prefix, 12) as usize);
        if snapshots > 1 || rest.len() != snapshots * SNAPSHOT_BYTES + segments * SEGMENT_BYTES {
            return Err(corrupt("its counts do not match its length"));
        }
        let (snapshot, segments) = rest.split_at(snapshots * SNAPSHOT_BYTES);
        let snapshot = (snapshots == 1).then(|| SnapshotEntry {
            identity: identity_at(snapshot),
            bytes: u64_at(snapshot, 32),
            records: u64_at(snapshot, 40),
        });
        let segments = segments
            .chunks_exact(SEGMENT_BYTES)
            .map(|entry| SegmentEntry {
                identity: identity_at(entry),
                end: u64_at(entry, 32),
                last_sequence: u64_at(entry, 40),
                sealed: u64_at(entry, 48) != 0,
            })
            .collect();
        let manifest = Self {
            epoch: u64_at(prefix, 0),
            snapshot,
            segments,
        };
        if !manifest.is_chain() {
            return Err(corrupt("its segments do not follow one another"));
        }
        Ok(manifest)
    }

    /// Whether every record after the snapshot is in some segment, once.
    fn is_chain(&self) -> bool {
        let covered = self.snapshot.map_or(0, |snapshot| snapshot.identity.sequence);
        let starts = self
            .segments
            .first()
            .is_none_or(|first| first.identity.sequence <= covered + 1);
        let follows = self.segments.windows(2).all(|pair| {
            pair[0].sealed && pair[0].last_sequence.checked_add(1) == Some(pair[1].identity.sequence)
        });
        let reaches = self
            .segments
            .last()
            .is_none_or(|last| last.last_sequence >= covered);
        starts && follows && reaches
    }
}

fn put_identity(out: &mut Vec<u8>, identity: &FileIdentity) {
    let FileIdentity {
        number,
        epoch,
        salt,
        sequence,
    } = identity;
    for field in [number, epoch, salt, sequence] {
        out.extend_from_slice(&field.to_le_bytes());
    }
}

fn identity_at(bytes: &[u8]) -> FileIdentity {
    FileIdentity {
        number: u64_at(bytes, 0),
        epoch: u64_at(bytes, 8),
        salt: u64_at(bytes, 16),
        sequence: u64_at(bytes, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: u64, sequence: u64) -> FileIdentity {
        FileIdentity {
            number,
            epoch: 3,
            salt: 7 * number,
            sequence,
        }
    }

    fn segment(number: u64, first: u64, last: u64, sealed: bool) -> SegmentEntry {
        SegmentEntry {
            identity: identity(number, first),
            end: 64 + last,
            last_sequence: last,
            sealed,
        }
    }

    #[test]
    fn reads_back_what_it_wrote_and_refuses_gaps() {
        let snapshot = SnapshotEntry {
            identity: identity(4, 20),
            bytes: 900,
            records: 12,
        };
        let cases = [
            (None, vec![], true),
            (Some(snapshot), vec![], true),
            (None, vec![segment(1, 1, 9, true), segment(2, 10, 9, false)], true),
            (
                Some(snapshot),
                vec![segment(5, 21, 30, true), segment(6, 31, 31, false)],
                true,
            ),
            (Some(snapshot), vec![segment(5, 15, 30, true)], true),
            // A gap after the snapshot, between segments, an overlap, an open segment in the middle.
            (Some(snapshot), vec![segment(5, 22, 30, true)], false),
            (
                None,
                vec![segment(1, 1, 9, true), segment(2, 11, 12, true)],
                false,
            ),
            (None, vec![segment(1, 1, 9, true), segment(2, 9, 12, true)], false),
            (
                None,
                vec![segment(1, 1, 9, false), segment(2, 10, 12, true)],
                false,
            ),
            // Segments that end before what the snapshot covers.
            (Some(snapshot), vec![segment(1, 1, 9, true)], false),
        ];
        for (snapshot, segments, accepted) in cases {
            let manifest = Manifest {
                epoch: 3,
                snapshot,
                segments,
            };
            let read = Manifest::decode(&manifest.encode(), Path::new("MANIFEST"));
            assert_eq!(read.is_ok(), accepted, "{manifest:?}");
            if let Ok(read) = read {
                assert_eq!(read, manifest);
            }
        }
    }

    #[test]
    fn every_shorter_manifest_is_refused() {
        let manifest = Manifest {
            epoch: 1,
            snapshot: None,
            segments: vec![segment(1, 1, 9, true)],
        };
        let bytes = manifest.encode();
        for length in 0..bytes.len() {
            assert!(
                Manifest::decode(&bytes[..length], Path::new("MANIFEST")).is_err(),
                "{length} bytes"
            );
        }
    }
}
