//! The simulated disk: what it may lose, what it must keep, how it fails.

/// Errors, a full disk, time.
mod failing;
/// What a power cut leaves of contents and names.
mod power_cut;
