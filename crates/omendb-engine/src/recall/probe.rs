//! The low-priority thread that measures samples, and the token bucket in front of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use omendb_metrics::{Clock, Timestamp};

use crate::activity::Activity;
use crate::count;
use crate::recall::compare::{Comparison, compare};
use crate::recall::{Accuracy, QueryClass, Sample, WorstQuery};

/// Which part of the CPU time is for samples; the rest is for what is done aside.
const SAMPLES_PART: f64 = 0.75;
/// No draw until the sample in hand is dealt with.
const IN_HAND: u64 = u64::MAX;
/// After a draw that came to nothing, its collection waits this long, so that failing queries do not use up the draws.
const RETRY_NANOS: u64 = 1_000_000_000;

/// Draws queries and measures them.
#[derive(Debug)]
pub(crate) struct Probe {
    bucket: Arc<Bucket>,
    /// `None` once stopped.
    samples: Mutex<Option<SyncSender<Sample>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Bucket {
    clock: Clock,
    /// CPU seconds per second, for samples and for what is done aside.
    share: f64,
    /// No draw before this time, in nanoseconds of the clock.
    next_draw: AtomicU64,
    /// Collections that take part in the draws.
    sampled: AtomicU64,
    /// Nothing is done aside before this time, in nanoseconds of the clock.
    next_aside: AtomicU64,
    /// CPU time taken so far, in nanoseconds.
    spent: AtomicU64,
    is_stopped: AtomicBool,
    /// The sample that is in hand, from its draw until it is dealt with.
    in_hand: Activity,
}

/// A query that was drawn before it ran. Dropped without [`Probe::submit`], it counts as skipped.
#[derive(Debug)]
pub(crate) struct Ticket {
    bucket: Arc<Bucket>,
    accuracy: Arc<Accuracy>,
    is_used: bool,
}

impl Probe {
    /// Starts the thread. `share` is the CPU time it may take, in seconds per second; zero draws nothing.
    pub(crate) fn start(clock: Clock, share: f64) -> std::io::Result<Self> {
        let bucket = Arc::new(Bucket {
            clock,
            share,
            next_draw: AtomicU64::new(0),
            sampled: AtomicU64::new(1),
            next_aside: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            is_stopped: AtomicBool::new(share <= 0.0),
            in_hand: Activity::default(),
        });
        if bucket.is_stopped.load(Relaxed) {
            return Ok(Self {
                bucket,
                samples: Mutex::new(None),
                thread: Mutex::new(None),
            });
        }
        let (sender, receiver) = sync_channel(1);
        let at_work = Arc::clone(&bucket);
        let thread = thread::Builder::new()
            .name("recall-probe".to_owned())
            .spawn(move || at_work.run(&receiver))?;
        Ok(Self {
            bucket,
            samples: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Draws the query that is about to run, if its time has come: almost always two loads and a comparison.
    #[inline]
    pub(crate) fn draw(&self, accuracy: &Arc<Accuracy>, now: Timestamp) -> Option<Ticket> {
        let due = self.bucket.next_draw.load(Relaxed);
        if now.as_nanos() < due.max(accuracy.next_draw.load(Relaxed)) {
            return None;
        }
        self.bucket.draw(accuracy, due)
    }

    /// Hands over a drawn query with its answer.
    pub(crate) fn submit(&self, mut ticket: Ticket, sample: Sample) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(samples) = &*samples else { return };
        match samples.try_send(sample) {
            Ok(()) => ticket.is_used = true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// Nanoseconds since the sample in hand was drawn; `None` without one.
    pub(crate) fn in_hand(&self, now: Timestamp) -> Option<u64> {
        self.bucket.in_hand.age(now)
    }

    /// How many collections share the draws, counted by the housekeeping thread.
    pub(crate) fn set_sampled_collections(&self, count: usize) {
        self.bucket.sampled.store(count.max(1) as u64, Relaxed);
    }

    /// Does something beside the samples, on this thread, if there is CPU time for it again.
    pub(crate) fn aside(&self, work: impl FnOnce()) {
        let bucket = &self.bucket;
        let due = bucket.next_aside.load(Relaxed);
        if bucket.is_stopped.load(Relaxed) || bucket.clock.now().as_nanos() < due {
            return;
        }
        let started = CpuTime::now();
        work();
        let cost = started.elapsed_nanos();
        bucket.spent.fetch_add(cost, Relaxed);
        let wait = cost as f64 / (bucket.share * (1.0 - SAMPLES_PART));
        let next = bucket.clock.now().as_nanos().saturating_add(wait as u64);
        bucket.next_aside.store(next, Relaxed);
    }

    /// CPU time that measuring has taken.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.bucket.spent.load(Relaxed) as f64 / 1e9
    }

    /// Ends the thread, giving up what it has in hand.
    pub(crate) fn stop(&self) {
        self.bucket.is_stopped.store(true, Relaxed);
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It does not panic; if it did, there is nothing left to do for it.
            let _ = thread.join();
        }
    }
}

impl Bucket {
    #[cold]
    fn draw(self: &Arc<Self>, accuracy: &Arc<Accuracy>, due: u64) -> Option<Ticket> {
        if self.is_stopped.load(Relaxed) {
            return None;
        }
        self.next_draw
            .compare_exchange(due, IN_HAND, Relaxed, Relaxed)
            .ok()?;
        self.in_hand.advance(self.clock.now());
        Some(Ticket {
            bucket: Arc::clone(self),
            accuracy: Arc::clone(accuracy),
            is_used: false,
        })
    }

    fn run(&self, samples: &Receiver<Sample>) {
        lower_priority();
        while let Ok(sample) = samples.recv() {
            let started = CpuTime::now();
            let comparison = compare(&sample, || self.is_stopped.load(Relaxed));
            self.note(&sample, comparison);
            let accuracy = Arc::clone(&sample.accuracy);
            drop(sample);
            self.in_hand.end();
            let cost = started.elapsed_nanos();
            self.spent.fetch_add(cost, Relaxed);
            let cost_nanos = cost as f64 / (self.share * SAMPLES_PART);
            let now = self.clock.now().as_nanos();
            let sampled = self.sampled.load(Relaxed);
            accuracy
                .next_draw
                .store(now.saturating_add((cost_nanos * sampled as f64) as u64), Relaxed);
            self.next_draw
                .store(now.saturating_add(cost_nanos as u64), Relaxed);
        }
    }

    fn note(&self, sample: &Sample, comparison: Option<Comparison>) {
        let Some(Comparison {
            selectivity,
            expected,
            correct,
        }) = comparison
        else {
            sample.accuracy.counted.skipped();
            return;
        };
        let recall = correct as f64 / expected as f64;
        if let Some(origin) = sample.origin {
            sample.accuracy.note_origin(origin, recall);
        }
        let query = WorstQuery {
            recall,
            wall_nanos: self.clock.wall(),
            sequence: sample.state.sequence,
            class: QueryClass {
                plan: sample.plan,
                selectivity,
            },
            ef: count::value(sample.ef),
            limit: sample.limit,
            expected,
            missed: expected - correct,
            origin: sample.origin,
        };
        let class = query.class;
        sample.accuracy.window().record(self.clock.now(), query);
        sample.accuracy.counted.measured(class);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_used {
            return;
        }
        self.accuracy.counted.skipped();
        self.bucket.in_hand.end();
        let now = self.bucket.clock.now().as_nanos();
        self.accuracy
            .next_draw
            .store(now.saturating_add(RETRY_NANOS), Relaxed);
        self.bucket.next_draw.store(now, Relaxed);
    }
}

/// Runs this thread only when nothing else wants the processor.
fn lower_priority() {
    // On Linux the call without a process id changes the calling thread alone. Where it is refused, the share of CPU
    // still bounds the probe.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}

/// The CPU time of this thread, so that waiting for a busy processor does not count as work.
struct CpuTime(u64);

impl CpuTime {
    fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Self(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    fn elapsed_nanos(&self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_hand_from_its_draw_until_it_is_dealt_with() {
        let (clock, time) = Clock::manual();
        let probe = Probe::start(clock.clone(), 1.0).unwrap();
        let accuracy = Arc::default();
        assert_eq!(probe.in_hand(clock.now()), None);
        // A query that was drawn and has not ended.
        let ticket = probe.draw(&accuracy, clock.now());
        assert!(ticket.is_some());
        time.advance_nanos(70);
        assert_eq!(probe.in_hand(clock.now()), Some(70));
        drop(ticket);
        assert_eq!(probe.in_hand(clock.now()), None);
        probe.stop();
    }
}
