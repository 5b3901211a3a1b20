//! The stages of a request for data, which add up to the whole of it.

use omendb_metrics::labels;

labels! {
    /// A part of the time from the first byte of a request read to the last byte of its answer written, in the order in
    /// which a request goes through them.
    pub enum Stage("stage") {
        /// Head and body arrive.
        Receive = "receive",
        /// Waiting for an execution slot, and of a write for its turn in the log.
        Queue = "queue",
        /// JSON is read and checked.
        Parse = "parse",
        /// Points are tested against filters.
        Filter = "filter",
        /// The best candidates are found.
        Search = "search",
        /// Candidates are scored again, in full or by a formula.
        Rescore = "rescore",
        /// Payloads, vectors and ids of hits are gathered.
        Fetch = "fetch",
        /// A write is applied to memory and written to the log.
        Apply = "apply",
        /// The log is synced.
        Fsync = "fsync",
        /// The answer is turned into JSON.
        Serialise = "serialise",
        /// The answer goes out.
        Send = "send",
        /// All the rest: credentials, routing, hand-overs between threads.
        Other = "other",
    }
}

/// Nanoseconds of each stage of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes([u64; Stage::ALL.len()]);

impl StageTimes {
    /// Nanoseconds of one stage; zero if the request did not go through it.
    pub fn of(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    /// Adds to a stage.
    pub fn add(&mut self, stage: Stage, nanos: u64) {
        self.0[stage as usize] += nanos;
    }

    /// Every stage that the request went through, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, u64)> + '_ {
        let stages = Stage::ALL.iter().copied().zip(self.0);
        stages.filter(|(_, nanos)| *nanos > 0)
    }

    /// Nanoseconds of all stages.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
