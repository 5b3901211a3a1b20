//! The engine from outside: what a server sees of it, on a simulated disk.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it should be"
)]

/// Other names of collections: changed together or not at all.
mod aliases;
/// Collections come and go, by name, and a crash leaves no half of one.
mod collections;
/// Readers have whole batches while writers write and chunks are compacted.
mod concurrency;
/// What may change of a collection: kept, and refused whole.
mod configuration;
/// Random histories, a power cut after every operation of the disk: what was acknowledged is there, whole, once.
mod crash;
/// Close and open again: points, named vectors, payloads, snapshots.
mod durability;
/// Searches by several examples and behind prefetches, against the plain formulas.
mod examples;
/// Full disks, failed syncs, damaged files.
mod faults;
/// Filters in searches and scrolls, and writes by filter, against the plain predicate.
mod filters;
/// What the others share: engines, points, models.
mod fixtures;
/// Graphs: near answers from few comparisons, whatever is written, and after a restart without building again.
mod graph;
/// Hits in groups, against a ranking read to its end.
mod groups;
/// How the engine's parts do, why, and that they recover.
mod health;
/// What a collection is charged for, and that it gets it back.
mod memory;
/// Every family moves by exactly what happened.
mod metrics;
/// Payload indexes answer as no index does, whatever is written, and come back after a restart.
mod payload_index;
/// Upsert, replace, delete, retrieve, scroll, count.
mod points;
/// Vectors with a defect, lengths that drift, and stored vectors that find themselves.
mod quality;
/// Live recall: measured on the side, within its share of the processor.
mod recall;
/// The first pass over coded rows: same answers, fewer bytes.
mod screen;
/// Exact search against brute force, over all distances.
mod search;
/// Sparse vectors: written, read back, and refused by name and value.
mod sparse;
/// Searches by sparse vectors: against the plain formulas, and the same with an index as without.
mod sparse_search;
/// Orders by a payload key and random samples, against sorting and counting.
mod unranked;
/// What is refused, by name and value, and leaves no trace.
mod validation;
/// Vectors that are added to a collection and deleted from it: at once, for good, and no search goes wrong.
mod vector_names;
/// Vectors replaced and taken away, and upserts that ask what there is.
mod vectors;
