//! Behaviour of omendb-metrics as its users see it.
#![cfg_attr(
    not(loom),
    expect(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a failed fixture is a failed test, also outside of #[test]"
    )
)]

// A strict reader of text pages, which the other modules compare with.
#[cfg(not(loom))]
mod page;
// Chance that is the same on every run.
#[cfg(not(loom))]
mod chance;
// The messages of protocol buffers, for a library that is not ours.
#[cfg(not(loom))]
mod client_model;
// What a page looks like in every format: names, escapes, empty families, selection.
#[cfg(not(loom))]
mod exposition;
// Protocol buffers: native histograms, start timestamps, and that all formats say the same.
#[cfg(not(loom))]
mod protobuf;
// The `prometheus` and `prometheus-client` crates given the same observations.
#[cfg(not(loom))]
mod oracles;
// Declarations that must be refused, and the catalogue of those that are not.
#[cfg(not(loom))]
mod declarations;
// The open label: limits, shared series, removal.
#[cfg(not(loom))]
mod open_label;
// Quantiles and means against exact ones, for distributions of different shapes.
#[cfg(not(loom))]
mod quantiles;
// Workers, threads and scrapes at once: nothing lost, nothing twice, nothing going back.
#[cfg(not(loom))]
mod stress;
// How much memory series take.
#[cfg(not(loom))]
mod memory;

// Every interleaving of counting, folding and reading: RUSTFLAGS="--cfg loom" cargo test -p omendb-metrics --test it
#[cfg(loom)]
mod loom_blocks;
