//! The storage crate against a simulated disk and the real one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

/// A replaced file is the old one or the new one.
mod atomic_file;
/// Acknowledged is durable, unacknowledged is whole or absent: histories cut at every operation.
mod crash;
/// An error at every operation, and what a restart makes of it.
mod errors;
/// A disk that fills up and gets its space back.
mod full;
/// Waiting writers share a write and a sync.
mod group_commit;
/// Random histories of appends, snapshots and restarts, and the model they are compared with.
mod history;
/// One process per directory.
mod lock;
/// The real file system.
mod real;
/// Damage is found, named and never skipped.
mod rot;
