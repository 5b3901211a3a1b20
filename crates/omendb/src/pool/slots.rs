//! Pool "main": a fixed number of threads, each with an engine worker of its own, and the queue in front of them.
//!
//! A job goes straight to an idle thread, or waits in the queue and is taken over by the thread that comes free first:
//! one hand-over in either case.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use omendb_metrics::{Clock, Timestamp};
use tokio::sync::oneshot;

use crate::log::scope::Scope;
use crate::pool::Rejected;
use crate::pool::turnstile::{Entered, Ticket, Turnstile};
use crate::telemetry::web::{PoolMetrics, RejectReason};

/// The execution slots. `W` is what each thread owns: the engine's worker, or something simpler under test.
pub struct Slots<W> {
    shared: Arc<Shared<W>>,
    queue_timeout: Duration,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How many slots there are and how long the line in front of them may be.
#[derive(Debug, Clone, Copy)]
pub struct SlotOptions {
    /// Threads.
    pub count: usize,
    /// Jobs that may wait.
    pub queue: usize,
    /// How long each of them may wait.
    pub queue_timeout: Duration,
}

struct Shared<W> {
    turnstile: Turnstile<Job<W>>,
    hand_over: Mutex<HandOver<W>>,
    is_waiting: Condvar,
    clock: Clock,
    metrics: PoolMetrics,
}

/// Jobs that hold a slot and have not been picked up by their thread yet: never more than there are idle threads.
struct HandOver<W> {
    jobs: VecDeque<Job<W>>,
    is_closed: bool,
}

struct Job<W> {
    entered: Timestamp,
    run: Box<Run<W>>,
}

/// Does the work, gives the slot back, and only then hands over the result: whoever gets it finds the slot free.
type Run<W> = dyn FnOnce(&mut W, &mut dyn FnMut()) + Send;

impl<W: 'static> Slots<W> {
    /// Starts the threads; `new_worker` runs on each of them, and again after a panic.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub fn start(
        options: SlotOptions,
        clock: Clock,
        metrics: PoolMetrics,
        new_worker: impl Fn() -> W + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            turnstile: Turnstile::new(options.count, options.queue),
            hand_over: Mutex::new(HandOver {
                jobs: VecDeque::new(),
                is_closed: false,
            }),
            is_waiting: Condvar::new(),
            clock,
            metrics,
        });
        let new_worker = Arc::new(new_worker);
        let threads = (0..options.count)
            .map(|number| {
                let (shared, new_worker) = (Arc::clone(&shared), Arc::clone(&new_worker));
                std::thread::Builder::new()
                    .name(format!("omendb-slot-{number}"))
                    .spawn(move || shared.work(&*new_worker))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            shared,
            queue_timeout: options.queue_timeout,
            threads: Mutex::new(threads),
        })
    }

    /// Runs `work` in a slot, waiting in line for one within the configured bounds. If the caller goes away while it
    /// waits, its place in the line is given up.
    ///
    /// # Errors
    /// Why it did not run, or that it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> T + Send + 'static,
    ) -> Result<T, Rejected> {
        let (sender, mut receiver) = oneshot::channel();
        let scope = Scope::current();
        let run = Box::new(move |worker: &mut W, leave: &mut dyn FnMut()| {
            let _entered = scope.enter();
            let result = work(worker);
            leave();
            // The caller may have gone away; then nobody wants the result.
            let _ = sender.send(result);
        });
        let shared = &self.shared;
        match shared.turnstile.enter(Job {
            entered: shared.clock.now(),
            run,
        }) {
            Entered::Started(job) => {
                shared.hand_over(job);
                receiver.await.map_err(|_| shared.why_dropped())
            }
            Entered::Queued(ticket) => {
                let mut place = Place {
                    shared,
                    ticket: Some(ticket),
                };
                if let Ok(result) = tokio::time::timeout(self.queue_timeout, &mut receiver).await {
                    place.ticket = None;
                    return result.map_err(|_| shared.why_dropped());
                }
                place.ticket = None;
                if shared.turnstile.withdraw(ticket).is_some() {
                    shared.metrics.rejected(RejectReason::Timeout);
                    return Err(Rejected::TimedOut {
                        retry_after: self.queue_timeout,
                    });
                }
                receiver.await.map_err(|_| shared.why_dropped())
            }
            Entered::Full(_) => {
                shared.metrics.rejected(RejectReason::Full);
                Err(Rejected::Full {
                    retry_after: self.queue_timeout,
                })
            }
            Entered::Closed(_) => {
                shared.metrics.rejected(RejectReason::Closed);
                Err(Rejected::Closed)
            }
        }
    }

    /// Slots in use and jobs waiting.
    pub fn occupancy(&self) -> (usize, usize) {
        self.shared.turnstile.occupancy()
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.shared.turnstile.slots()
    }

    /// Refuses new jobs and those that wait, lets those that run finish, and ends the threads.
    pub fn close(&self) {
        let refused = self.shared.turnstile.close();
        self.shared.lock().is_closed = true;
        // Dropped only now, so that whoever waits for one of them finds the pool closed.
        for _job in refused {
            self.shared.metrics.rejected(RejectReason::Closed);
        }
        self.shared.is_waiting.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("an execution slot's thread ended in a panic");
            }
        }
    }
}

impl<W> std::fmt::Debug for Slots<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Slots")
            .field("occupancy", &self.shared.turnstile.occupancy())
            .finish_non_exhaustive()
    }
}

impl<W> Shared<W> {
    /// Gives a job that holds a slot to an idle thread. Once closed there may be none left, and the job is dropped.
    fn hand_over(&self, job: Job<W>) {
        let mut hand_over = self.lock();
        if hand_over.is_closed {
            drop(hand_over);
            self.turnstile.leave();
            return;
        }
        hand_over.jobs.push_back(job);
        drop(hand_over);
        self.is_waiting.notify_one();
    }

    /// One thread's life.
    fn work(&self, new_worker: &dyn Fn() -> W) {
        let mut worker = new_worker();
        while let Some(mut job) = self.next_job() {
            loop {
                let waited = self.clock.now().nanos_since(job.entered);
                self.metrics.waited(waited);
                let mut next = None;
                let mut leave = || next = Some(self.turnstile.leave());
                let run = AssertUnwindSafe(|| (job.run)(&mut worker, &mut leave));
                if catch_unwind(run).is_err() {
                    tracing::error!("an operation panicked in its execution slot");
                    worker = new_worker();
                }
                let Some(next) = next.unwrap_or_else(|| self.turnstile.leave()) else {
                    break;
                };
                job = next;
            }
        }
    }

    fn next_job(&self) -> Option<Job<W>> {
        let mut hand_over = self.lock();
        loop {
            if let Some(job) = hand_over.jobs.pop_front() {
                return Some(job);
            }
            if hand_over.is_closed {
                return None;
            }
            hand_over = self
                .is_waiting
                .wait(hand_over)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Why a job's result never came: it was given out by `close`, or its closure panicked.
    fn why_dropped(&self) -> Rejected {
        if self.lock().is_closed {
            Rejected::Closed
        } else {
            Rejected::Panicked
        }
    }

    fn lock(&self) -> MutexGuard<'_, HandOver<W>> {
        // Jobs run outside the lock, so nothing can leave the queue half changed.
        self.hand_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given up when its owner is dropped: a client that hung up does no work here.
struct Place<'a, W> {
    shared: &'a Shared<W>,
    ticket: Option<Ticket>,
}

impl<W> Drop for Place<'_, W> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket
            && self.shared.turnstile.withdraw(ticket).is_some()
        {
            self.shared.metrics.rejected(RejectReason::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::telemetry::web::{Pool, WebMetrics};

    const QUEUE_TIMEOUT: Duration = Duration::from_millis(50);

    fn slots(count: usize, queue: usize) -> (Arc<Slots<u64>>, Arc<WebMetrics>) {
        let web = Arc::new(WebMetrics::default());
        let metrics = PoolMetrics::new(Arc::clone(&web), Pool::Main);
        let options = SlotOptions {
            count,
            queue,
            queue_timeout: QUEUE_TIMEOUT,
        };
        let slots = Slots::start(options, Clock::system(), metrics, || 0).unwrap();
        (Arc::new(slots), web)
    }

    /// Takes up a slot until the sender is dropped.
    fn occupy(slots: &Arc<Slots<u64>>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), Rejected>>) {
        let (sender, receiver) = mpsc::channel::<()>();
        let slots = Arc::clone(slots);
        let busy = tokio::spawn(async move {
            slots
                .run(move |_| {
                    let _ = receiver.recv();
                })
                .await
        });
        (sender, busy)
    }

    async fn until_occupied(slots: &Slots<u64>, expected: (usize, usize)) {
        while slots.occupancy() != expected {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn each_thread_keeps_its_worker_and_jobs_wait_their_turn() {
        let (slots, web) = slots(1, 100);
        let jobs: Vec<_> = (0..50)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move {
                    slots
                        .run(|worker| {
                            *worker += 1;
                            *worker
                        })
                        .await
                })
            })
            .collect();
        let mut results = Vec::new();
        for job in jobs {
            results.push(job.await.unwrap().unwrap());
        }
        assert_eq!(
            results,
            (1..=50).collect::<Vec<_>>(),
            "in the order in which they came"
        );
        assert_eq!(web.pool_wait.of(Pool::Main).distribution().count(), 50);
        assert_eq!(slots.occupancy(), (0, 0));
    }

    #[tokio::test]
    async fn what_finds_the_queue_full_or_waits_too_long_is_refused_and_counted() {
        let (slots, web) = slots(1, 1);
        let (release, busy) = occupy(&slots);
        until_occupied(&slots, (1, 0)).await;
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.run(|_| ()).await }
        });
        until_occupied(&slots, (1, 1)).await;
        assert!(matches!(slots.run(|_| ()).await, Err(Rejected::Full { .. })));
        assert!(matches!(waiting.await.unwrap(), Err(Rejected::TimedOut { .. })));
        assert_eq!(slots.occupancy(), (1, 0));
        drop(release);
        assert_eq!(busy.await.unwrap(), Ok(()));
        assert_eq!(web.pool_rejected.get((Pool::Main, RejectReason::Full)), 1);
        assert_eq!(web.pool_rejected.get((Pool::Main, RejectReason::Timeout)), 1);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_queue() {
        let (slots, web) = slots(1, 1);
        let (_release, _busy) = occupy(&slots);
        until_occupied(&slots, (1, 0)).await;
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.run(|_| ()).await }
        });
        until_occupied(&slots, (1, 1)).await;
        waiting.abort();
        until_occupied(&slots, (1, 0)).await;
        assert_eq!(web.pool_rejected.get((Pool::Main, RejectReason::Abandoned)), 1);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_job_only() {
        let (slots, _) = slots(1, 1);
        assert_eq!(slots.run(|worker| *worker = 7).await, Ok(()));
        let panicked = slots
            .run(|_| std::panic::resume_unwind(Box::new("as tests do")))
            .await;
        assert_eq!(panicked, Err::<(), _>(Rejected::Panicked));
        assert_eq!(
            slots.run(|worker| *worker).await,
            Ok(0),
            "a new worker on the same thread"
        );
        until_occupied(&slots, (0, 0)).await;
    }

    #[tokio::test]
    async fn closing_finishes_what_runs_and_refuses_the_rest() {
        let (slots, _) = slots(1, 1);
        let (release, busy) = occupy(&slots);
        until_occupied(&slots, (1, 0)).await;
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.run(|_| ()).await }
        });
        until_occupied(&slots, (1, 1)).await;
        let closing = tokio::task::spawn_blocking({
            let slots = Arc::clone(&slots);
            move || slots.close()
        });
        assert_eq!(waiting.await.unwrap(), Err(Rejected::Closed));
        assert_eq!(slots.run(|_| ()).await, Err(Rejected::Closed));
        drop(release);
        closing.await.unwrap();
        assert_eq!(busy.await.unwrap(), Ok(()));
    }
}
