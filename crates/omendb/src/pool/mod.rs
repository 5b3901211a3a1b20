//! The two pools: execution slots of the engine ("main") and client connections ("http").

pub mod connections;
pub mod slots;
mod turnstile;

use std::time::Duration;

pub use connections::ConnectionPool;
pub use slots::Slots;

use crate::http::error::ApiError;

/// Why an operation or a connection got no slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// The queue was full.
    Full {
        /// When to try again.
        retry_after: Duration,
    },
    /// It waited as long as it may.
    TimedOut {
        /// When to try again.
        retry_after: Duration,
    },
    /// The server is shutting down.
    Closed,
    /// It ran and panicked; the log has the message.
    Panicked,
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Full { retry_after } => {
                Self::unavailable("the queue for an execution slot is full", retry_after)
            }
            Rejected::TimedOut { retry_after } => {
                Self::unavailable("no execution slot came free in time", retry_after)
            }
            Rejected::Closed => Self::unavailable("the server is shutting down", Duration::from_secs(1)),
            Rejected::Panicked => Self::internal("an operation panicked in its execution slot"),
        }
    }
}
