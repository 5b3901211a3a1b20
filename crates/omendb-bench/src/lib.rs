//! What the benchmarks and the demo data's generator share: the data set and the clocks.

pub mod dataset;
mod npy;
pub mod stopwatch;
