//! What can go wrong on the way to the disk and back, told apart by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::{error, fmt};

/// A failed storage operation.
#[derive(Debug)]
pub enum Error {
    /// A sync failed earlier, so nobody knows what the disk holds: writes are refused until the directory is opened
    /// again. Reading goes on.
    Poisoned,
    /// No space (or quota) left. Nothing acknowledged was lost, and the operation may be tried again once there is.
    Full {
        /// The file or directory that could not grow.
        path: PathBuf,
    },
    /// What the disk returned is not what was written and synced there. Nothing is guessed or skipped.
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What did not hold.
        what: &'static str,
    },
    /// Written by a later version of the format than this build reads.
    Unsupported {
        /// The file in question.
        file: PathBuf,
        /// Its format version.
        version: u32,
    },
    /// Another process has the directory.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// More than one frame or file may hold; see the limits of this crate.
    TooLarge {
        /// What was asked for, in the unit of `limit`.
        size: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The directory for a new journal is already there.
    Exists {
        /// Its directory.
        path: PathBuf,
    },
    /// Anything else the operating system refused.
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// Whether the operating system refused for want of room: on the disk, in a quota, or under the limit of a file's length.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl Error {
    /// Sorts an answer of the operating system: no space is [`Error::Full`], the rest [`Error::Io`].
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        if is_full(&source) {
            Self::Full {
                path: path.to_owned(),
            }
        } else {
            Self::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, what: &'static str) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            what,
        }
    }

    /// Whether trying again can help once there is space.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned => write!(
                f,
                "writes are refused after a failed sync until the data is opened again"
            ),
            Self::Full { path } => write!(f, "no space left for {}", path.display()),
            Self::Corrupt { file, offset, what } => {
                write!(f, "{} is damaged at byte {offset}: {what}", file.display())
            }
            Self::Unsupported { file, version } => {
                write!(
                    f,
                    "{} has format version {version}, which this build does not read",
                    file.display()
                )
            }
            Self::Locked { path } => write!(f, "another process holds {}", path.display()),
            Self::TooLarge { size, limit } => write!(f, "{size} is more than the {limit} accepted at once"),
            Self::Exists { path } => write!(f, "{} is already there", path.display()),
            Self::Io {
                operation,
                path,
                source,
            } => {
                write!(f, "could not {operation} {}: {source}", path.display())
            }
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Poisoned
            | Self::Full { .. }
            | Self::Corrupt { .. }
            | Self::Unsupported { .. }
            | Self::Locked { .. }
            | Self::TooLarge { .. }
            | Self::Exists { .. } => None,
        }
    }
}
