//! The first 64 bytes of a log segment or snapshot: what the file is, and which one.

use std::path::Path;

use crate::error::Error;
use crate::fs::File;
use crate::little_endian::{u32_at, u64_at};

/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 64;

const VERSION: u32 = 1;

/// The two kinds of file that consist of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Log,
    Snapshot,
}

impl Kind {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Log => *b"OMENDLOG",
            Self::Snapshot => *b"OMENDSNP",
        }
    }

    /// The file name of the `number`th file of a journal.
    pub(crate) fn file_name(self, number: u64) -> String {
        match self {
            Self::Log => format!("{number:010}.log"),
            Self::Snapshot => format!("{number:010}.snapshot"),
        }
    }

    /// The number in a file name, when it is one of ours.
    pub(crate) fn number(name: &str) -> Option<u64> {
        let digits = name
            .strip_suffix(".log")
            .or_else(|| name.strip_suffix(".snapshot"))?;
        digits.parse().ok()
    }
}

/// Which file this is. Its frames are bound to `epoch` and `salt`, so that none can be mistaken for another file's,
/// and no client can send bytes that read as a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    /// Unique among the files of a journal, growing.
    pub(crate) number: u64,
    /// Grows each time a journal is opened.
    pub(crate) epoch: u64,
    /// Unpredictable to clients.
    pub(crate) salt: u64,
    /// The sequence of the first record of a segment; of a snapshot, that of the last record it covers.
    pub(crate) sequence: u64,
}

impl FileIdentity {
    /// ```text
    /// 0       8         12         16       24      32     40         48         64
    /// | magic | version | checksum | number | epoch | salt | sequence | zero ... |
    /// ```
    pub(crate) fn encode(&self, kind: Kind) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&kind.magic());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        for (index, field) in [self.number, self.epoch, self.salt, self.sequence]
            .iter()
            .enumerate()
        {
            bytes[16 + 8 * index..24 + 8 * index].copy_from_slice(&field.to_le_bytes());
        }
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the header of `file` and checks that it is the file the manifest speaks of.
    pub(crate) fn verify(&self, kind: Kind, file: &dyn File, path: &Path) -> Result<(), Error> {
        let corrupt = |offset, what| Err(Error::corrupt(path, offset, what));
        let mut bytes = [0; HEADER_BYTES];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(|e| Error::io("read", path, e))?;
        if read < HEADER_BYTES {
            return corrupt(read as u64, "shorter than its header");
        }
        if bytes[..8] != kind.magic() {
            return corrupt(0, "not the magic of this kind of file");
        }
        if u32_at(&bytes, 12) != checksum(&bytes) {
            return corrupt(12, "header checksum does not match");
        }
        let version = u32_at(&bytes, 8);
        if version > VERSION {
            return Err(Error::Unsupported {
                file: path.to_owned(),
                version,
            });
        }
        let found = Self {
            number: u64_at(&bytes, 16),
            epoch: u64_at(&bytes, 24),
            salt: u64_at(&bytes, 32),
            sequence: u64_at(&bytes, 40),
        };
        if found != *self {
            return corrupt(16, "not the file the manifest names");
        }
        Ok(())
    }
}

fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}
