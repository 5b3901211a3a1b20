//! Where the server is between its start and its end: loading, serving, draining.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Shared by the accept loop, every connection and the health endpoints.
#[derive(Debug)]
pub struct Lifecycle {
    /// The engine has loaded everything.
    is_loaded: AtomicBool,
    phase: watch::Sender<Phase>,
}

/// What connections do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Take requests.
    Serving,
    /// Take requests, but ask load balancers to send no more: `/readyz` answers 503.
    Leaving,
    /// Finish the request in hand and close.
    Draining,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            is_loaded: AtomicBool::new(false),
            phase: watch::Sender::new(Phase::Serving),
        }
    }
}

impl Lifecycle {
    /// Whether requests for data should be sent here.
    pub fn is_ready(&self) -> bool {
        self.is_loaded() && self.phase() == Phase::Serving
    }

    /// Whether the engine has loaded everything.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Comes back when the server drains.
    pub(crate) async fn draining(&self) {
        let mut phases = self.phase.subscribe();
        // An error would mean that the sender, which this borrows, is gone.
        let _ = phases.wait_for(|phase| *phase == Phase::Draining).await;
    }

    pub(crate) fn set_loaded(&self) {
        self.is_loaded.store(true, Ordering::Release);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_loaded_and_not_leaving() {
        let lifecycle = Lifecycle::default();
        assert!(!lifecycle.is_ready());
        lifecycle.set_loaded();
        assert!(lifecycle.is_ready());
        lifecycle.enter(Phase::Leaving);
        assert!(!lifecycle.is_ready() && lifecycle.is_loaded());
    }
}
