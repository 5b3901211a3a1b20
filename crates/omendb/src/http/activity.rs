//! What a connection is doing, as far as its time-outs are concerned.
//!
//! The socket and the service write it, the connection's one timer reads it: a request costs a few relaxed stores
//! instead of arming and disarming timers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use omendb_metrics::Timestamp;

use crate::http::exchange::{Exchange, Outgoing};

/// Times are nanoseconds of the server's clock; zero stands for "not now". All of it is written and read by the one
/// task that drives the connection, so relaxed atomics are plain memory that the compiler knows to be shareable.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    last_progress: AtomicU64,
    head_since: AtomicU64,
    write_blocked_since: AtomicU64,
    in_service: AtomicBool,
    left_body_unread: AtomicBool,
    outgoing: Outgoing,
}

/// How long each kind of waiting may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub(crate) header: Duration,
    /// Without a byte between two requests.
    pub(crate) idle: Duration,
    /// Without the client taking a byte of the answer.
    pub(crate) write: Duration,
}

/// What a connection's time-outs have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again in this time.
    Wait(Duration),
    /// Part of a head came, the rest did not.
    HeadTooSlow,
    /// Nothing came.
    Idle,
    /// The client does not read.
    WriteStalled,
}

impl Activity {
    pub(crate) fn new(now: Timestamp) -> Self {
        let activity = Self::default();
        activity.last_progress.store(now.as_nanos(), Relaxed);
        activity
    }

    /// Bytes arrived.
    pub(crate) fn received(&self, now: Timestamp) {
        self.last_progress.store(now.as_nanos(), Relaxed);
        if !self.in_service.load(Relaxed) && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(now.as_nanos().max(1), Relaxed);
        }
    }

    /// Bytes were taken by the client's side.
    pub(crate) fn sent(&self, now: Timestamp) {
        self.last_progress.store(now.as_nanos(), Relaxed);
        self.write_blocked_since.store(0, Relaxed);
    }

    /// The client's side takes no more for the moment.
    pub(crate) fn write_blocked(&self, now: Timestamp) {
        if self.write_blocked_since.load(Relaxed) == 0 {
            self.write_blocked_since.store(now.as_nanos().max(1), Relaxed);
        }
    }

    /// A head is complete and its request is being served. When its first byte arrived; none if that came together with
    /// the request before.
    pub(crate) fn service_began(&self) -> Option<Timestamp> {
        self.in_service.store(true, Relaxed);
        let since = self.head_since.swap(0, Relaxed);
        (since != 0).then(|| Timestamp::from_nanos(since))
    }

    /// The answer is ready to be sent.
    pub(crate) fn service_ended(&self, now: Timestamp) {
        self.last_progress.store(now.as_nanos(), Relaxed);
        self.in_service.store(false, Relaxed);
    }

    /// What is sent next is the answer of this exchange.
    pub(crate) fn answers(&self, exchange: Option<Exchange>) {
        self.outgoing.put(exchange);
    }

    /// Everything there was to send was sent.
    #[inline]
    pub(crate) fn flushed(&self) {
        self.outgoing
            .flushed(Timestamp::from_nanos(self.last_progress.load(Relaxed)));
    }

    /// A request was answered before its body had been read: closing must wait for what is still on the way.
    pub(crate) fn set_left_body_unread(&self) {
        self.left_body_unread.store(true, Relaxed);
    }

    pub(crate) fn left_body_unread(&self) -> bool {
        self.left_body_unread.load(Relaxed)
    }

    /// Whether a head has begun to arrive and is not complete.
    pub(crate) fn is_reading_head(&self) -> bool {
        self.head_since.load(Relaxed) != 0
    }

    /// What the time-outs say at `now`.
    pub(crate) fn verdict(&self, now: Timestamp, patience: Patience) -> Verdict {
        let blocked = self.write_blocked_since.load(Relaxed);
        let head = self.head_since.load(Relaxed);
        let (since, limit, overdue) = if blocked != 0 {
            (blocked, patience.write, Verdict::WriteStalled)
        } else if self.in_service.load(Relaxed) {
            // The request's own limits apply; it is over before this matters.
            return Verdict::Wait(patience.idle.min(patience.header));
        } else if head != 0 {
            (head, patience.header, Verdict::HeadTooSlow)
        } else {
            (self.last_progress.load(Relaxed), patience.idle, Verdict::Idle)
        };
        let left = limit.saturating_sub(now.since(Timestamp::from_nanos(since)));
        if left.is_zero() {
            overdue
        } else {
            Verdict::Wait(left.min(patience.shortest()))
        }
    }
}

impl Patience {
    /// The timer must fire at least this often, or a shorter limit that begins meanwhile is noticed late.
    pub(crate) fn shortest(self) -> Duration {
        self.header.min(self.idle).min(self.write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(60),
        write: Duration::from_secs(30),
    };

    fn second(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_head_must_be_complete_in_time_however_it_trickles() {
        let activity = Activity::new(second(100));
        for at in 110..120 {
            activity.received(second(at));
        }
        assert!(matches!(
            activity.verdict(second(119), PATIENCE),
            Verdict::Wait(_)
        ));
        assert_eq!(activity.verdict(second(120), PATIENCE), Verdict::HeadTooSlow);
    }

    #[test]
    fn silence_between_requests_is_bounded_and_service_time_is_not_silence() {
        let activity = Activity::new(second(100));
        assert_eq!(activity.verdict(second(160), PATIENCE), Verdict::Idle);
        activity.received(second(110));
        activity.service_began();
        assert!(matches!(
            activity.verdict(second(900), PATIENCE),
            Verdict::Wait(_)
        ));
        activity.service_ended(second(900));
        assert_eq!(
            activity.verdict(second(959), PATIENCE),
            Verdict::Wait(Duration::from_secs(1))
        );
        assert_eq!(activity.verdict(second(960), PATIENCE), Verdict::Idle);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let activity = Activity::new(second(100));
        activity.write_blocked(second(100));
        activity.write_blocked(second(120));
        assert_eq!(activity.verdict(second(130), PATIENCE), Verdict::WriteStalled);
        activity.sent(second(129));
        assert!(matches!(
            activity.verdict(second(130), PATIENCE),
            Verdict::Wait(_)
        ));
    }
}
