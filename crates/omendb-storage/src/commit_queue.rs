//! Group commit: operations that wait for one journal are handed over together, so that they share a write and a
//! sync. A few threads serve all queues; one queue is served by one thread at a time, and the queues take turns.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

/// Told the result of one operation, on a commit thread; it must not block there.
pub type Done<R> = Box<dyn FnOnce(R) + Send>;

/// How much may wait in a queue, and how much of it is handed over at once. One operation is always accepted,
/// whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Operations waiting.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// Operations in one batch.
    pub batch: usize,
    /// Their bytes.
    pub batch_bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            waiting: 1024,
            waiting_bytes: 64 << 20,
            batch: 256,
            batch_bytes: 16 << 20,
        }
    }
}

/// Why an operation was not carried out by its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As much waits as is allowed; later there may be room.
    Full,
    /// The queue, or the pool under it, was closed.
    Closed,
    /// The processing of its batch panicked. Whether the operation took effect is unknown.
    Abandoned,
}

/// An operation that was not accepted, given back.
pub struct Rejected<Op, R> {
    /// Why.
    pub refusal: Refusal,
    /// What was submitted.
    pub operation: Op,
    /// Who was to be told.
    pub done: Done<R>,
}

impl<Op, R> fmt::Debug for Rejected<Op, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

/// The threads that serve the queues. Dropping it finishes what waits and then ends them.
#[derive(Debug)]
pub struct CommitPool {
    ready: Arc<ReadyList>,
    threads: Vec<JoinHandle<()>>,
}

impl CommitPool {
    /// Starts `threads` threads named `commit-0` and so on. They spend their time waiting for the disk, so there may
    /// be more of them than processors; more than there are busy queues are of no use.
    pub fn start(threads: usize) -> io::Result<Self> {
        let mut pool = Self {
            ready: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..threads.max(1) {
            let ready = Arc::clone(&pool.ready);
            let thread = thread::Builder::new()
                .name(format!("commit-{number}"))
                .spawn(move || ready.serve())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// A queue whose batches `process` carries out. It returns one result for each operation, in order.
    pub fn queue<Op, R>(
        &self,
        limits: QueueLimits,
        process: impl FnMut(Vec<Op>) -> Vec<R> + Send + 'static,
    ) -> CommitQueue<Op, R>
    where
        Op: Send + 'static,
        R: Send + 'static,
    {
        let waiting = Waiting {
            entries: VecDeque::new(),
            bytes: 0,
            is_scheduled: false,
            is_closed: false,
        };
        let lane = Lane {
            limits,
            waiting: Mutex::new(waiting),
            idle: Condvar::new(),
            process: Mutex::new(Box::new(process)),
        };
        CommitQueue {
            ready: Arc::clone(&self.ready),
            lane: Arc::new(lane),
        }
    }
}

impl Drop for CommitPool {
    fn drop(&mut self) {
        lock(&self.ready.lanes).is_stopped = true;
        self.ready.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A commit thread does not panic: what it calls is caught. If it did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Where operations of one kind wait for their turn. Clones are handles to the same queue.
#[derive(Debug)]
pub struct CommitQueue<Op, R> {
    ready: Arc<ReadyList>,
    lane: Arc<Lane<Op, R>>,
}

impl<Op, R> Clone for CommitQueue<Op, R> {
    fn clone(&self) -> Self {
        Self {
            ready: Arc::clone(&self.ready),
            lane: Arc::clone(&self.lane),
        }
    }
}

impl<Op: Send + 'static, R: Send + 'static> CommitQueue<Op, R> {
    /// Leaves an operation of about `bytes` bytes in the queue and returns. `done` is called once it was carried
    /// out, and dropped without a call if the processing panicked.
    ///
    /// # Errors
    /// Gives the operation back when the queue is full or closed.
    pub fn submit(&self, operation: Op, bytes: usize, done: Done<R>) -> Result<(), Rejected<Op, R>> {
        self.submit_within(&self.lane.limits, (operation, bytes), done)
    }

    fn submit_within(
        &self,
        limits: &QueueLimits,
        (operation, bytes): (Op, usize),
        done: Done<R>,
    ) -> Result<(), Rejected<Op, R>> {
        let mut waiting = lock(&self.lane.waiting);
        let is_full = waiting.entries.len() >= limits.waiting
            || (!waiting.entries.is_empty() && waiting.bytes.saturating_add(bytes) > limits.waiting_bytes);
        if waiting.is_closed {
            return Err(Rejected {
                refusal: Refusal::Closed,
                operation,
                done,
            });
        }
        if is_full {
            return Err(Rejected {
                refusal: Refusal::Full,
                operation,
                done,
            });
        }
        if !waiting.is_scheduled {
            let lane: Arc<dyn Serve> = Arc::clone(&self.lane) as Arc<dyn Serve>;
            if !self.ready.schedule(lane) {
                return Err(Rejected {
                    refusal: Refusal::Closed,
                    operation,
                    done,
                });
            }
            waiting.is_scheduled = true;
        }
        waiting.bytes += bytes;
        waiting.entries.push_back(Entry {
            operation,
            bytes,
            done,
        });
        Ok(())
    }

    /// Submits an operation and waits for its result.
    pub fn run(&self, operation: Op, bytes: usize) -> Result<R, Refusal> {
        self.run_within(&self.lane.limits, (operation, bytes))
    }

    /// [`run`](Self::run) for one of the owner's own operations, which has its turn however much waits.
    pub fn run_unbounded(&self, operation: Op) -> Result<R, Refusal> {
        let limits = QueueLimits {
            waiting: usize::MAX,
            waiting_bytes: usize::MAX,
            ..self.lane.limits
        };
        self.run_within(&limits, (operation, 0))
    }

    fn run_within(&self, limits: &QueueLimits, operation: (Op, usize)) -> Result<R, Refusal> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = Box::new(move |result| {
            // The receiver waits below for as long as this closure lives.
            let _ = sender.send(result);
        });
        self.submit_within(limits, operation, done)
            .map_err(|rejected| rejected.refusal)?;
        receiver.recv().map_err(|_| Refusal::Abandoned)
    }

    /// Accepts nothing more and returns when nothing waits and nothing is being carried out. Not to be called on a
    /// commit thread.
    pub fn close(&self) {
        let mut waiting = lock(&self.lane.waiting);
        waiting.is_closed = true;
        while waiting.is_scheduled {
            waiting = self
                .lane
                .idle
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Operations waiting, those being carried out not counted.
    pub fn depth(&self) -> usize {
        lock(&self.lane.waiting).entries.len()
    }
}

/// The queues with something waiting, in the order of their turns.
#[derive(Debug, Default)]
struct ReadyList {
    lanes: Mutex<ReadyLanes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct ReadyLanes {
    lanes: VecDeque<Arc<dyn Serve>>,
    is_stopped: bool,
}

impl ReadyList {
    /// Gives a queue its turn after those that wait for theirs; false once the pool is gone.
    fn schedule(&self, lane: Arc<dyn Serve>) -> bool {
        let mut ready = lock(&self.lanes);
        if ready.is_stopped {
            return false;
        }
        ready.lanes.push_back(lane);
        self.changed.notify_one();
        true
    }

    /// The life of a commit thread.
    fn serve(&self) {
        while let Some(lane) = self.next() {
            if lane.serve_batch() {
                // Back in line also while stopping: what was accepted is carried out.
                lock(&self.lanes).lanes.push_back(lane);
                self.changed.notify_one();
            }
        }
    }

    fn next(&self) -> Option<Arc<dyn Serve>> {
        let mut ready = lock(&self.lanes);
        loop {
            if let Some(lane) = ready.lanes.pop_front() {
                return Some(lane);
            }
            if ready.is_stopped {
                return None;
            }
            ready = self.changed.wait(ready).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A queue, whatever its operations are.
trait Serve: fmt::Debug + Send + Sync {
    /// Carries out one batch; true when more waits.
    fn serve_batch(&self) -> bool;
}

type Process<Op, R> = Box<dyn FnMut(Vec<Op>) -> Vec<R> + Send>;

struct Lane<Op, R> {
    limits: QueueLimits,
    waiting: Mutex<Waiting<Op, R>>,
    idle: Condvar,
    /// Never contended: a queue is scheduled once at a time.
    process: Mutex<Process<Op, R>>,
}

impl<Op, R> fmt::Debug for Lane<Op, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

struct Waiting<Op, R> {
    entries: VecDeque<Entry<Op, R>>,
    bytes: usize,
    /// In the ready list, or being served.
    is_scheduled: bool,
    is_closed: bool,
}

struct Entry<Op, R> {
    operation: Op,
    bytes: usize,
    done: Done<R>,
}

impl<Op: Send, R: Send> Serve for Lane<Op, R> {
    fn serve_batch(&self) -> bool {
        let (operations, dones) = lock(&self.waiting).take_batch(&self.limits);
        // A `done` that panics is caught as well, and treated alike: the thread must live for the other queues.
        let mut dones = dones.into_iter();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let results = lock(&self.process)(operations);
            for (done, result) in dones.by_ref().zip(results) {
                done(result);
            }
        }));
        let mut abandoned = VecDeque::new();
        let mut waiting = lock(&self.waiting);
        if outcome.is_err() {
            // Nobody knows in what state the panic left what `process` works on.
            waiting.is_closed = true;
            waiting.bytes = 0;
            abandoned = std::mem::take(&mut waiting.entries);
        }
        waiting.is_scheduled = !waiting.entries.is_empty();
        if !waiting.is_scheduled {
            self.idle.notify_all();
        }
        let more = waiting.is_scheduled;
        drop(waiting);
        // Those who were not called learn it from this, when the queue is already closed; and without the lock, as
        // dropping a `done` may run foreign code.
        drop(dones);
        drop(abandoned);
        more
    }
}

impl<Op, R> Waiting<Op, R> {
    fn take_batch(&mut self, limits: &QueueLimits) -> (Vec<Op>, Vec<Done<R>>) {
        let mut batch = (Vec::new(), Vec::new());
        let mut batch_bytes = 0;
        while let Some(entry) = self.entries.front() {
            let is_full = batch.0.len() >= limits.batch || batch_bytes + entry.bytes > limits.batch_bytes;
            if is_full && !batch.0.is_empty() {
                break;
            }
            let Some(Entry {
                operation,
                bytes,
                done,
            }) = self.entries.pop_front()
            else {
                break;
            };
            batch_bytes += bytes;
            self.bytes -= bytes;
            batch.0.push(operation);
            batch.1.push(done);
        }
        batch
    }
}

/// No lock here is held while foreign code runs that could panic, but for `process`, whose queue closes then.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
