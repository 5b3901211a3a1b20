//! Gauges for any thread: values that go up and down.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::descriptor::Kind;
use crate::reading::{Instrument, Reading};

/// A whole number that goes up and down, written by any thread.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Makes the value `value`.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Subtracts `n`.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one until the guard is dropped: for what is in flight, also when its future is cancelled.
    pub fn hold(&self) -> GaugeHold<'_> {
        self.add(1);
        GaugeHold(self)
    }
}

/// One in a [`Gauge`], for as long as it lives.
#[derive(Debug)]
#[must_use = "dropping it takes the one away again"]
pub struct GaugeHold<'a>(&'a Gauge);

impl Drop for GaugeHold<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

impl Instrument for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn read(&self) -> Option<Reading> {
        Some(Reading::Signed(self.get()))
    }

    fn is_untouched(&self) -> bool {
        self.get() == 0
    }
}

/// A fractional value, set by any thread and absent from the page until it is set.
#[derive(Debug)]
pub struct FloatGauge(AtomicU64);

/// The bits that stand for "never set": a NaN that no computation yields.
const UNSET: u64 = 0x7ff8_dead_0000_0000;

impl Default for FloatGauge {
    fn default() -> Self {
        Self(AtomicU64::new(UNSET))
    }
}

impl FloatGauge {
    /// Makes the value `value`.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Takes the series off the page again.
    pub fn clear(&self) {
        self.0.store(UNSET, Ordering::Relaxed);
    }

    /// The value, once it was set.
    pub fn get(&self) -> Option<f64> {
        let bits = self.0.load(Ordering::Relaxed);
        (bits != UNSET).then(|| f64::from_bits(bits))
    }
}

impl Instrument for FloatGauge {
    const KIND: Kind = Kind::Gauge;

    fn read(&self) -> Option<Reading> {
        self.get().map(Reading::Float)
    }

    fn is_untouched(&self) -> bool {
        self.get().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_given_back_whatever_happens() {
        let gauge = Gauge::default();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _hold = gauge.hold();
            assert_eq!(gauge.get(), 1);
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(outcome.is_err());
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_float_gauge_is_absent_until_set() {
        let gauge = FloatGauge::default();
        assert_eq!(gauge.get(), None);
        gauge.set(f64::NAN);
        assert!(gauge.get().is_some_and(f64::is_nan));
        gauge.clear();
        assert_eq!(gauge.get(), None);
    }
}
