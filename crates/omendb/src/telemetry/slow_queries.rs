//! The requests for data that somebody may want to look at later: the slow ones, those whose latency is shown as an
//! exemplar, and those whose recall was measured. All others cost one comparison.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use omendb_metrics::Clock;
use serde_json::Value;

use crate::telemetry::excerpt::excerpt;
use crate::telemetry::query_record::QueryRecord;
use crate::telemetry::query_report::QueryReport;

/// Requests kept for each power of two of their time that are not slow: the exemplars of one bucket are renewed every
/// second by as many series as have requests of that time.
const NAMED_PER_OCTAVE: usize = 8;
/// Powers of two, of microseconds, that are told apart.
const OCTAVES: usize = 32;
/// Slow requests that are logged in a second; further ones are counted and the count is logged.
const LOGGED_PER_SECOND: u64 = 10;

/// A request that was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) record: QueryRecord,
    /// When it began, nanoseconds since 1970-01-01 UTC.
    pub(crate) wall_nanos: u64,
    /// Whether it took the threshold or longer.
    pub(crate) is_slow: bool,
    /// What it asked for.
    pub(crate) request: Value,
}

/// The ring of slow requests, and a small one for each power of two of the time of others.
#[derive(Debug)]
pub(crate) struct SlowQueries {
    clock: Clock,
    /// None is slow if it is zero.
    threshold: Duration,
    /// Slow requests kept; at zero nothing is, and nothing logged.
    capacity: usize,
    kept: Mutex<Rings>,
    log: LogRate,
}

#[derive(Debug, Default)]
struct Rings {
    slow: VecDeque<Arc<Kept>>,
    named: [VecDeque<Arc<Kept>>; OCTAVES],
}

impl SlowQueries {
    pub(crate) fn new(clock: Clock, threshold: Duration, capacity: usize) -> Self {
        Self {
            clock,
            threshold,
            capacity,
            kept: Mutex::default(),
            log: LogRate::default(),
        }
    }

    /// Whether anything is kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.capacity > 0
    }

    /// From which time on a request is slow; nothing if none is.
    pub(crate) fn threshold(&self) -> Option<Duration> {
        (!self.threshold.is_zero()).then_some(self.threshold)
    }

    /// Keeps a request that was asked for with `body`, and logs it if it was slow.
    #[inline]
    pub(crate) fn offer(&self, record: &QueryRecord, body: &[u8]) {
        let whole = Duration::from_nanos(record.whole_nanos);
        let is_slow = self.threshold().is_some_and(|threshold| whole >= threshold);
        let is_named = record.is_exemplar || record.work.search.is_sampled;
        if self.is_on() && (is_slow || is_named) {
            self.keep(record, is_slow, body);
        }
    }

    #[cold]
    fn keep(&self, record: &QueryRecord, is_slow: bool, body: &[u8]) {
        let since = self.clock.now().nanos_since(record.began);
        let kept = Arc::new(Kept {
            record: record.clone(),
            wall_nanos: self.clock.wall().saturating_sub(since),
            is_slow,
            request: excerpt(body),
        });
        if is_slow {
            self.log.write(&self.clock, &kept);
        }
        let mut rings = self.rings();
        if is_slow {
            push(&mut rings.slow, kept, self.capacity);
        } else {
            let octave = (record.whole_nanos / 1_000).checked_ilog2().unwrap_or(0) as usize;
            push(&mut rings.named[octave.min(OCTAVES - 1)], kept, NAMED_PER_OCTAVE);
        }
    }

    /// What is kept, the newest first.
    pub(crate) fn kept(&self) -> Vec<Arc<Kept>> {
        let rings = self.rings();
        let rings = rings.named.iter().chain([&rings.slow]);
        let mut kept: Vec<_> = rings.flatten().cloned().collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.wall_nanos));
        kept
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        // Nothing that could panic happens under it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the newest and lets go of the oldest.
fn push(ring: &mut VecDeque<Arc<Kept>>, kept: Arc<Kept>, capacity: usize) {
    if ring.len() >= capacity {
        ring.pop_front();
    }
    ring.push_back(kept);
}

/// Keeps a burst of slow requests from flooding the log.
#[derive(Debug, Default)]
struct LogRate {
    /// The second that is counted.
    second: AtomicU64,
    logged: AtomicU64,
    omitted: AtomicU64,
}

impl LogRate {
    fn write(&self, clock: &Clock, kept: &Kept) {
        let second = clock.now().as_nanos() / 1_000_000_000;
        if self.second.swap(second, Relaxed) != second {
            self.logged.store(0, Relaxed);
        }
        if self.logged.fetch_add(1, Relaxed) >= LOGGED_PER_SECOND {
            self.omitted.fetch_add(1, Relaxed);
            return;
        }
        let report = serde_json::to_string(&QueryReport::new(kept, None));
        tracing::warn!(
            request_id = kept.record.identity.request_id(),
            milliseconds = kept.record.whole_nanos / 1_000_000,
            omitted_before = self.omitted.swap(0, Relaxed),
            record = report.unwrap_or_default(),
            "slow query"
        );
    }
}

#[cfg(test)]
mod tests {
    use omendb_metrics::{Origin, Timestamp};

    use super::*;
    use crate::http::identity::Identity;
    use crate::telemetry::query_record::Work;
    use crate::telemetry::requests::{EndpointLabel, Verb};
    use crate::telemetry::stages::StageTimes;

    fn record(id: &'static str, micros: u64, is_exemplar: bool) -> QueryRecord {
        QueryRecord {
            identity: Identity {
                request: Origin::request(id),
                parent: None,
            },
            origin: None,
            verb: Verb::Post,
            endpoint: EndpointLabel::UNMATCHED,
            db_id: None,
            status: 200,
            began: Timestamp::from_nanos(0),
            whole_nanos: micros * 1_000,
            stages: StageTimes::default(),
            request_bytes: 0,
            response_bytes: 0,
            work: Work::default(),
            is_exemplar,
        }
    }

    /// The names of what is kept after these requests (name, microseconds, exemplar), in order of names.
    #[track_caller]
    fn check(threshold: u64, capacity: usize, requests: &[(&'static str, u64, bool)], expected: &[&str]) {
        let (clock, _time) = Clock::manual();
        let ring = SlowQueries::new(clock, Duration::from_micros(threshold), capacity);
        for &(id, micros, is_exemplar) in requests {
            ring.offer(&record(id, micros, is_exemplar), b"{}");
        }
        let kept = ring.kept();
        let mut ids: Vec<_> = kept
            .iter()
            .map(|kept| kept.record.identity.request_id())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, expected, "{requests:?}");
    }

    #[test]
    fn slow_requests_and_exemplars_are_kept_within_bounds() {
        let slow = [
            ("a", 100, false),
            ("b", 99, false),
            ("c", 5_000, true),
            ("d", 101, false),
        ];
        check(100, 10, &slow, &["a", "c", "d"]);
        check(100, 2, &slow, &["c", "d"]);
        check(100, 0, &slow, &[]);
        check(0, 10, &slow, &["c"]);
        // Fast exemplars are replaced by others as fast, and by no others.
        let mut many = vec![("rare", 70, true), ("zero", 0, true)];
        many.extend([("busy", 10, true)].repeat(100));
        let mut expected = vec!["busy"; NAMED_PER_OCTAVE];
        expected.extend(["rare", "zero"]);
        check(100, 2, &many, &expected);
    }
}
