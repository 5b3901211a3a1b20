//! The one error of the engine: a kind that tells the caller what to do, and a message that names the culprit.

use std::fmt;

/// What the caller can do about an error. The server turns kinds into status codes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and stays wrong: change it.
    Invalid,
    /// What it names does not exist.
    NotFound,
    /// What it would create exists already, or another operation got there first.
    Conflict,
    /// No credential, or one that proves nothing. Never produced by the engine; part of the shared vocabulary.
    Unauthorized,
    /// A valid credential without the permission. Never produced by the engine.
    Forbidden,
    /// Not now: loading, shutting down, a queue full, or writes poisoned by a failed fsync. Try later.
    Unavailable,
    /// A bound of the machine or of the configuration was met: the disk is full, too many collections.
    ResourceExhausted,
    /// What came back from disk is not what was written.
    Corrupt,
    /// A fault of ours.
    Internal,
}

impl ErrorKind {
    /// Every kind, in order.
    pub const ALL: [Self; 9] = [
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Unavailable,
        Self::ResourceExhausted,
        Self::Corrupt,
        Self::Internal,
    ];

    /// The kind in snake case, as in the label `kind` of `omendb_engine_query_errors_total`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::ResourceExhausted => "resource_exhausted",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

/// An error of any engine operation. `Display` is the message: lower case, no full stop, with the offending value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of `kind`; `message` names the field and the value.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// [`ErrorKind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// [`ErrorKind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// [`ErrorKind::Corrupt`].
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// What storage could not do, in terms of what the caller can.
impl From<omendb_storage::Error> for Error {
    fn from(error: omendb_storage::Error) -> Self {
        use omendb_storage::Error as Storage;
        let kind = match &error {
            Storage::Poisoned => ErrorKind::Unavailable,
            Storage::Full { .. } => ErrorKind::ResourceExhausted,
            Storage::Corrupt { .. } | Storage::Unsupported { .. } => ErrorKind::Corrupt,
            Storage::Locked { .. } | Storage::Exists { .. } => ErrorKind::Conflict,
            Storage::TooLarge { .. } => ErrorKind::Invalid,
            Storage::Io { .. } => ErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}
