//! Which operations fail, and how.

use std::io;
use std::ops::Range;

/// An error for the operations of some numbers, counted from 0 by [`crate::SimFs::operations`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The numbers of the operations that fail.
    pub operations: Range<u64>,
    /// How.
    pub error: Injected,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// Whatever it is, with an input/output error. Part of a write may be there, or all of it; a sync makes nothing
    /// certain; a rename may have happened.
    Io,
    /// Writes and creations find no space, part of a write is there; other operations succeed.
    NoSpace,
    /// Syncs of files find no space, as on file systems that allocate late; other operations succeed.
    NoSpaceAtSync,
    /// It does not come back: a panic, as a mistake in the code around it would be.
    Panic,
}

/// What an operation does, as far as faults are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Write,
    SyncFile,
    SyncDirectory,
    Rename,
    Remove,
    /// Reading, listing, cutting: may fail, but needs no space.
    Other,
}

impl Fault {
    /// An input/output error at one operation.
    pub fn io(operation: u64) -> Self {
        Self {
            operations: operation..operation + 1,
            error: Injected::Io,
        }
    }

    /// A panic at one operation.
    pub fn panic(operation: u64) -> Self {
        Self {
            operations: operation..operation + 1,
            error: Injected::Panic,
        }
    }

    /// No space for some operations.
    pub fn no_space(operations: Range<u64>) -> Self {
        Self {
            operations,
            error: Injected::NoSpace,
        }
    }

    pub(crate) fn is_panic_at(&self, number: u64) -> bool {
        self.error == Injected::Panic && self.operations.contains(&number)
    }

    /// What this operation is answered, if the fault concerns it.
    pub(crate) fn answer(&self, number: u64, operation: Operation) -> Option<io::Error> {
        let needs_space = matches!(operation, Operation::Create | Operation::Write);
        let error = match self.error {
            Injected::Io => io::Error::other("injected input/output error"),
            Injected::NoSpace if needs_space => io::ErrorKind::StorageFull.into(),
            Injected::NoSpaceAtSync if operation == Operation::SyncFile => io::ErrorKind::StorageFull.into(),
            Injected::NoSpace | Injected::NoSpaceAtSync | Injected::Panic => return None,
        };
        self.operations.contains(&number).then_some(error)
    }
}
