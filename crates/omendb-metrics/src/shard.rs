//! Which shard of a [`crate::Counters`] the current thread writes.
//!
//! The first threads of a process each lease a shard to themselves and may write it without a lock prefix; the lease
//! ends with the thread and the next one takes the shard over. Threads beyond them share the last shard and pay for a
//! locked add. The mutex around the leases orders the last write of one owner before the first of the next.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

/// Rows of every counter page: seven threads with a row of their own, one row for all others.
pub(crate) const SHARDS: usize = 8;
const SHARED: usize = SHARDS - 1;
const UNASSIGNED: usize = usize::MAX;

/// One bit per shard that is leased to a living thread.
static LEASED: Mutex<u8> = Mutex::new(0);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(UNASSIGNED) };
    static LEASE: Lease = Lease::take();
}

/// The shard of this thread, and whether it is the thread's alone.
#[inline]
pub(crate) fn current() -> (usize, bool) {
    let shard = SHARD.get();
    if shard == UNASSIGNED {
        return assign();
    }
    (shard, shard != SHARED)
}

#[cold]
fn assign() -> (usize, bool) {
    // Fails while the thread's destructors run: the thread then counts in the shared row.
    let shard = LEASE.try_with(|lease| lease.0).unwrap_or(SHARED);
    SHARD.set(shard);
    (shard, shard != SHARED)
}

struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let mut leased = LEASED.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = (leased.trailing_ones() as usize).min(SHARED);
        if shard != SHARED {
            *leased |= 1 << shard;
        }
        Self(shard)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0 == SHARED {
            return;
        }
        // Destructors that run after this one may still count: from now on in the shared row.
        SHARD.set(SHARED);
        *LEASED.lock().unwrap_or_else(PoisonError::into_inner) &= !(1 << self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_one_living_owner_and_is_leased_again() {
        let count = 3 * SHARDS;
        let barrier = std::sync::Barrier::new(count);
        let mut shards: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count)
                .map(|_| {
                    scope.spawn(|| {
                        let (shard, exclusive) = current();
                        barrier.wait();
                        assert_eq!(exclusive, shard != SHARED);
                        shard
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        shards.retain(|&shard| shard != SHARED);
        let alone = shards.len();
        shards.sort_unstable();
        shards.dedup();
        assert_eq!(shards.len(), alone, "two living threads leased one shard");
        assert!(alone < SHARDS);
    }
}
