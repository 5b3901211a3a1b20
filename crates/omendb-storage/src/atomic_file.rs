//! A small file that is replaced as a whole: after any crash it holds the old content or the new.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;
use crate::fs::{Access, FileSystem};
use crate::limits::MAX_ATOMIC_FILE_BYTES;
use crate::little_endian::{u32_at, u64_at};

const HEADER_BYTES: usize = 24;

/// A file with a magic, a format version, a length and a checksum around its content.
///
/// ```text
/// 0       8         12         16        24
/// | magic | version | checksum | length  | content ...
/// ```
/// The checksum is CRC-32C over everything but itself.
#[derive(Debug)]
pub struct AtomicFile {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    temporary: PathBuf,
    magic: [u8; 8],
    version: u32,
    most_bytes: usize,
    poisoned: AtomicBool,
}

impl AtomicFile {
    /// The file at `path`, whether or not it exists. Its temporary sibling is `path` with `.tmp` appended.
    pub fn new(fs: Arc<dyn FileSystem>, path: &Path, magic: [u8; 8], version: u32) -> Self {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let (path, temporary) = (path.to_owned(), PathBuf::from(temporary));
        Self {
            fs,
            path,
            temporary,
            magic,
            version,
            most_bytes: MAX_ATOMIC_FILE_BYTES,
            poisoned: AtomicBool::new(false),
        }
    }

    /// The same, with room for this much content instead of what is enough for lists of a few thousand entries.
    #[must_use]
    pub fn with_room(self, bytes: usize) -> Self {
        Self {
            most_bytes: bytes,
            ..self
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a sync failed, so that it is unknown which content a power cut would leave. [`Self::replace`] then
    /// refuses; opening the file anew and [`Self::recover`] settle it.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// The content, `None` when the file does not exist.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when magic, length or checksum do not hold, [`Error::Unsupported`] for a later version.
    pub fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read_versioned()?.map(|(_, content)| content))
    }

    /// The version the content was written in, at most that of this build, and the content.
    fn read_versioned(&self) -> Result<Option<(u32, Vec<u8>)>, Error> {
        let file = match self.fs.open(&self.path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &self.path, error)),
        };
        let length = file.size().map_err(|e| Error::io("measure", &self.path, e))?;
        if length < HEADER_BYTES as u64 {
            return Err(Error::corrupt(&self.path, length, "shorter than its header"));
        }
        if length > (HEADER_BYTES + self.most_bytes) as u64 {
            return Err(Error::corrupt(&self.path, 0, "longer than such a file may be"));
        }
        let mut bytes = vec![0; usize::try_from(length).expect("bounded above")];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(|e| Error::io("read", &self.path, e))?;
        bytes.truncate(read);
        self.check(&bytes)?;
        let version = u32_at(&bytes, 8);
        Ok(Some((version, bytes.split_off(HEADER_BYTES))))
    }

    /// The content and the version it was written in, for the start of a process: what a predecessor may have renamed
    /// without a successful sync is written again, in the same version, and synced before anybody acts on it.
    ///
    /// # Errors
    /// As for [`Self::read`] and [`Self::replace`].
    pub fn recover(&self) -> Result<Option<(u32, Vec<u8>)>, Error> {
        let found = self.read_versioned()?;
        if let Some((version, content)) = &found {
            self.replace_as(*version, content)?;
        }
        Ok(found)
    }

    /// Replaces the content: writes a temporary file, syncs it, renames it over the old one and syncs the directory.
    /// Durable on return.
    ///
    /// # Errors
    /// After [`Error::Full`], and every other error that leaves [`Self::is_poisoned`] false, the old content stands
    /// and the call may be repeated. [`Error::Poisoned`] when an earlier sync failed.
    pub fn replace(&self, content: &[u8]) -> Result<(), Error> {
        self.replace_as(self.version, content)
    }

    fn replace_as(&self, version: u32, content: &[u8]) -> Result<(), Error> {
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        if content.len() > self.most_bytes {
            return Err(Error::TooLarge {
                size: content.len() as u64,
                limit: self.most_bytes as u64,
            });
        }
        if let Err(error) = self.write_temporary(&self.encode(version, content)) {
            if !self.is_poisoned() {
                // Best effort: a file left behind is removed by the next call, but its space may be wanted.
                let _ = self.fs.remove_file(&self.temporary);
            }
            return Err(error);
        }
        // From here on, a failure leaves open which of the two a power cut would leave.
        self.fs
            .rename(&self.temporary, &self.path)
            .map_err(|e| self.poison(Error::io("rename", &self.temporary, e)))?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        self.fs
            .sync_directory(directory)
            .map_err(|e| self.poison(Error::io("sync", directory, e)))
    }

    fn write_temporary(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = &self.temporary;
        // A new file, never an emptied one: after a power cut in the middle of a rename, the name of the temporary
        // file may stand for the very file that is in force.
        let file = match self.fs.open(path, Access::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .fs
                .remove_file(path)
                .and_then(|()| self.fs.open(path, Access::CreateNew)),
            created => created,
        };
        let file = file.map_err(|e| Error::io("create", path, e))?;
        file.write_at(bytes, 0).map_err(|e| Error::io("write", path, e))?;
        file.sync_all().map_err(|e| {
            let error = Error::io("sync", path, e);
            // Nothing refers to this file yet, so running out of space here leaves nothing in doubt.
            if error.is_full() {
                error
            } else {
                self.poison(error)
            }
        })
    }

    fn poison(&self, error: Error) -> Error {
        self.poisoned.store(true, Ordering::Release);
        error
    }

    fn encode(&self, version: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + content.len());
        bytes.extend_from_slice(&self.magic);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend_from_slice(content);
        let checksum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        let corrupt = |offset, what| Err(Error::corrupt(&self.path, offset, what));
        let Some((header, content)) = bytes.split_at_checked(HEADER_BYTES) else {
            return corrupt(bytes.len() as u64, "shorter than its header");
        };
        if header[..8] != self.magic {
            return corrupt(0, "not the magic of this kind of file");
        }
        if u32_at(header, 12) != checksum(bytes) {
            return corrupt(12, "checksum does not match");
        }
        let version = u32_at(header, 8);
        if version > self.version {
            return Err(Error::Unsupported {
                file: self.path.clone(),
                version,
            });
        }
        if u64_at(header, 16) != content.len() as u64 {
            return corrupt(16, "length does not match the file's");
        }
        Ok(())
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}
