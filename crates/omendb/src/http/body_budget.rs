//! One budget for all request bodies: how many bytes of them may be in memory at once, whoever sends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::http::error::ApiError;

/// When whoever did not get room may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Room for bodies, in bytes.
#[derive(Debug)]
pub struct BodyBudget {
    limit: u64,
    held: AtomicU64,
}

impl BodyBudget {
    /// Room for `limit` bytes.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicU64::new(0),
        })
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<BodyBudget>,
    bytes: u64,
}

impl Share {
    /// Makes it `bytes` larger. Nobody waits here: of two bodies half of which have arrived, each might wait for the other.
    ///
    /// # Errors
    /// 503 when the budget has no room for that.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), ApiError> {
        let limit = self.budget.limit;
        let fits = |held: u64| held.checked_add(bytes).filter(|held| *held <= limit);
        match self
            .budget
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
        {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(ApiError::unavailable(
                format!("the bodies of other requests take {held} of {limit} bytes (http.max_bodies)"),
                RETRY_AFTER,
            )),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The bytes of a body with its share: both go at once.
#[derive(Debug)]
pub(crate) struct HeldBody {
    pub(crate) bytes: Vec<u8>,
    /// Only there to be dropped.
    pub(crate) _share: Share,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_one_budget_and_are_given_back() {
        let budget = BodyBudget::new(100);
        let (mut one, mut other) = (budget.share(), budget.share());
        one.grow(60).unwrap();
        other.grow(40).unwrap();
        let refused = other.grow(1).unwrap_err();
        assert_eq!(refused.status(), 503);
        assert!(
            refused.message().contains("100 of 100 bytes"),
            "{}",
            refused.message()
        );
        assert_eq!(budget.held(), 100);
        drop(one);
        assert_eq!(budget.held(), 40);
        other.grow(60).unwrap();
        assert!(other.grow(u64::MAX).is_err());
        drop(other);
        assert_eq!(budget.held(), 0);
    }
}
