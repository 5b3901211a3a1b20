//! The simulated disk: what it may lose, what it must keep, how it fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

/// Errors, a full disk, time.
mod failing;
/// What a power cut leaves of contents and names.
mod power_cut;
