//! Since when something has been under way without a step forward: what never ends is told from what takes its time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use omendb_metrics::Timestamp;

/// One thing at a time that may be under way. Whoever panics leaves it under way, as it is for whoever waits.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Nanoseconds of the clock and one; zero while nothing is under way.
    since: AtomicU64,
}

impl Activity {
    /// It begins, or has come a step forward.
    pub(crate) fn advance(&self, now: Timestamp) {
        self.since.store(now.as_nanos().saturating_add(1), Relaxed);
    }

    /// It is over.
    pub(crate) fn end(&self) {
        self.since.store(0, Relaxed);
    }

    /// Nanoseconds since it came forward; `None` while nothing is under way.
    pub(crate) fn age(&self, now: Timestamp) -> Option<u64> {
        let since = self.since.load(Relaxed).checked_sub(1)?;
        Some(now.nanos_since(Timestamp::from_nanos(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ages_from_its_last_step_until_it_ends() {
        let (activity, at) = (Activity::default(), Timestamp::from_nanos);
        assert_eq!(activity.age(at(5)), None);
        activity.advance(at(0));
        assert_eq!(activity.age(at(5)), Some(5));
        activity.advance(at(4));
        assert_eq!(activity.age(at(5)), Some(1));
        activity.end();
        assert_eq!(activity.age(at(9)), None);
    }
}
