//! The append-only log, snapshots and manifest of one directory, through a file-system trait.
