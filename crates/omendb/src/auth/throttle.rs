//! How often something may be tried: one bucket of tries for each key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use omendb_metrics::Timestamp;

/// Most keys remembered. When there are more, those that are full again are forgotten, and if none is, new keys wait.
const MAX_KEYS: usize = 4096;

/// Token buckets by key: `burst` tries at once, refilled at `burst` a minute.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    burst: u64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

/// The moment until which the tries taken so far are paid for: the whole state of a token bucket (GCRA).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    paid_until: u64,
}

impl<K: Hash + Eq> Throttle<K> {
    /// Allows `per_minute` tries a minute for one key.
    pub(crate) fn new(per_minute: usize) -> Self {
        Self {
            burst: per_minute.max(1) as u64,
            buckets: Mutex::default(),
        }
    }

    /// Takes one try.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(crate) fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        const MINUTE: u64 = 60_000_000_000;
        let price = MINUTE / self.burst;
        let now = now.as_nanos();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_KEYS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| bucket.paid_until > now);
            if buckets.len() >= MAX_KEYS {
                return Err(Duration::from_nanos(price));
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { paid_until: now });
        let paid_until = bucket.paid_until.max(now) + price;
        if paid_until > now + MINUTE {
            return Err(Duration::from_nanos(paid_until - now - MINUTE));
        }
        bucket.paid_until = paid_until;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn remembers(&self, key: &K) -> bool {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_burst_then_one_by_one_and_each_key_for_itself() {
        let throttle = Throttle::new(3);
        for _ in 0..3 {
            assert_eq!(throttle.take("a", second(100)), Ok(()));
        }
        assert_eq!(throttle.take("a", second(100)), Err(Duration::from_secs(20)));
        assert_eq!(throttle.take("b", second(100)), Ok(()));
        assert_eq!(throttle.take("a", second(120)), Ok(()));
        assert!(throttle.take("a", second(121)).is_err());
        for _ in 0..3 {
            assert_eq!(throttle.take("a", second(1000)), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded_and_old_keys_make_room() {
        let throttle = Throttle::new(60);
        for key in 0..MAX_KEYS {
            assert!(throttle.take(key, second(1)).is_ok());
        }
        assert!(
            throttle.take(MAX_KEYS, second(1)).is_err(),
            "all of them are recent"
        );
        assert!(throttle.take(MAX_KEYS, second(100)).is_ok());
        assert!(throttle.buckets.lock().unwrap().len() <= MAX_KEYS);
    }
}
