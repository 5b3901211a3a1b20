//! Pool "http": how many client connections are served at once, and the accepted ones that wait for their turn.

use std::sync::Arc;
use std::time::Duration;

use omendb_metrics::Clock;
use tokio::sync::oneshot;

use crate::pool::Rejected;
use crate::pool::turnstile::{Entered, Turnstile};
use crate::telemetry::web::{PoolMetrics, RejectReason};

/// The pool of client connections.
#[derive(Debug)]
pub struct ConnectionPool {
    turnstile: Arc<Turnstile<oneshot::Sender<ConnectionSlot>>>,
    queue_timeout: Duration,
    clock: Clock,
    metrics: PoolMetrics,
}

/// The right to serve one connection, given back when dropped.
#[derive(Debug)]
pub struct ConnectionSlot {
    turnstile: Arc<Turnstile<oneshot::Sender<Self>>>,
    is_held: bool,
}

impl ConnectionPool {
    /// `count` connections at once, `queue` waiting for at most `queue_timeout`.
    pub fn new(
        count: usize,
        queue: usize,
        queue_timeout: Duration,
        clock: Clock,
        metrics: PoolMetrics,
    ) -> Self {
        Self {
            turnstile: Arc::new(Turnstile::new(count, queue)),
            queue_timeout,
            clock,
            metrics,
        }
    }

    /// A slot, at once or when one comes free in time.
    ///
    /// # Errors
    /// Why the connection is refused.
    pub async fn enter(&self) -> Result<ConnectionSlot, Rejected> {
        let entered = self.clock.now();
        let (sender, mut receiver) = oneshot::channel();
        let retry_after = self.queue_timeout;
        let slot = match self.turnstile.enter(sender) {
            Entered::Started(_) => ConnectionSlot {
                turnstile: Arc::clone(&self.turnstile),
                is_held: true,
            },
            Entered::Queued(ticket) => match tokio::time::timeout(self.queue_timeout, &mut receiver).await {
                Ok(Ok(slot)) => slot,
                Ok(Err(_dropped)) => return self.rejected(RejectReason::Closed, Rejected::Closed),
                Err(_elapsed) => match self.turnstile.withdraw(ticket) {
                    Some(_) => {
                        return self.rejected(RejectReason::Timeout, Rejected::TimedOut { retry_after });
                    }
                    // It was given the slot at the last moment.
                    None => match receiver.await {
                        Ok(slot) => slot,
                        Err(_dropped) => return self.rejected(RejectReason::Closed, Rejected::Closed),
                    },
                },
            },
            Entered::Full(_) => return self.rejected(RejectReason::Full, Rejected::Full { retry_after }),
            Entered::Closed(_) => return self.rejected(RejectReason::Closed, Rejected::Closed),
        };
        self.metrics.waited(self.clock.now().nanos_since(entered));
        Ok(slot)
    }

    /// Connections being served and connections waiting.
    pub fn occupancy(&self) -> (usize, usize) {
        self.turnstile.occupancy()
    }

    /// How many connections are served at once.
    pub fn count(&self) -> usize {
        self.turnstile.slots()
    }

    /// Refuses what waits and what comes.
    pub fn close(&self) {
        self.turnstile.close();
    }

    fn rejected(&self, reason: RejectReason, rejected: Rejected) -> Result<ConnectionSlot, Rejected> {
        self.metrics.rejected(reason);
        Err(rejected)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        while let Some(next) = self.turnstile.leave() {
            let slot = Self {
                turnstile: Arc::clone(&self.turnstile),
                is_held: true,
            };
            match next.send(slot) {
                Ok(()) => return,
                // Whoever waited has gone: the slot, disarmed, goes to the next in line.
                Err(mut slot) => slot.is_held = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::web::{Pool, WebMetrics};

    fn pool(count: usize, queue: usize) -> (Arc<ConnectionPool>, Arc<WebMetrics>) {
        let web = Arc::new(WebMetrics::default());
        let metrics = PoolMetrics::new(Arc::clone(&web), Pool::Http);
        let timeout = Duration::from_millis(50);
        (
            Arc::new(ConnectionPool::new(
                count,
                queue,
                timeout,
                Clock::system(),
                metrics,
            )),
            web,
        )
    }

    async fn until_occupied(pool: &ConnectionPool, expected: (usize, usize)) {
        while pool.occupancy() != expected {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_slot_given_back_goes_to_whoever_waited_longest() {
        let (pool, web) = pool(1, 2);
        let first = pool.enter().await.unwrap();
        let enter = |pool: &Arc<ConnectionPool>| {
            let pool = Arc::clone(pool);
            tokio::spawn(async move { pool.enter().await })
        };
        let gone = enter(&pool);
        until_occupied(&pool, (1, 1)).await;
        let second = enter(&pool);
        until_occupied(&pool, (1, 2)).await;
        assert_eq!(
            pool.enter().await.unwrap_err(),
            Rejected::Full {
                retry_after: Duration::from_millis(50)
            }
        );
        gone.abort();
        let _ = gone.await;
        drop(first);
        let second = second.await.unwrap().unwrap();
        assert_eq!(pool.occupancy(), (1, 0));
        assert!(matches!(pool.enter().await, Err(Rejected::TimedOut { .. })));
        drop(second);
        assert_eq!(pool.occupancy(), (0, 0));
        assert_eq!(web.pool_rejected.get((Pool::Http, RejectReason::Full)), 1);
        assert_eq!(web.pool_rejected.get((Pool::Http, RejectReason::Timeout)), 1);
    }

    #[tokio::test]
    async fn a_closed_pool_takes_nobody() {
        let (pool, _) = pool(1, 1);
        let _held = pool.enter().await.unwrap();
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.enter().await }
        });
        until_occupied(&pool, (1, 1)).await;
        pool.close();
        assert_eq!(waiting.await.unwrap().unwrap_err(), Rejected::Closed);
        assert_eq!(pool.enter().await.unwrap_err(), Rejected::Closed);
    }
}
