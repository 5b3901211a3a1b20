//! What the benchmarks and the demo data's generator share: the data set.

pub mod dataset;
mod npy;
