//! What a metric says when it is asked: one value, none, or a distribution; and figures computed when asked.

use std::fmt;

use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::snapshot::Samples;

/// The value of one series at one moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A whole number that is never negative.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// A fractional number.
    Float(f64),
    /// The buckets of a histogram.
    Distribution(Box<Distribution>),
}

impl Reading {
    /// The value as a float; for a histogram the number of observations.
    pub fn as_f64(&self) -> f64 {
        match self {
            Self::Unsigned(value) => *value as f64,
            Self::Signed(value) => *value as f64,
            Self::Float(value) => *value,
            Self::Distribution(distribution) => distribution.count() as f64,
        }
    }

    /// Adds `other`, for series that stand for several things.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Unsigned(a), Self::Unsigned(b)) => *a = a.wrapping_add(*b),
            (Self::Signed(a), Self::Signed(b)) => *a = a.wrapping_add(*b),
            (Self::Distribution(a), Self::Distribution(b)) => a.add(b),
            (a, b) => *a = Self::Float(a.as_f64() + b.as_f64()),
        }
    }
}

/// One series' worth of storage: what [`crate::Family`] holds one of per combination of labels.
pub trait Instrument: 'static {
    /// What the page calls it.
    const KIND: Kind;

    /// The value now; `None` leaves the series off the page.
    fn read(&self) -> Option<Reading>;

    /// Whether nothing was ever recorded; a sparse family leaves such series out.
    fn is_untouched(&self) -> bool;

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// A field of a declared group: all series of one family that share the group's open label.
pub trait Metric: 'static {
    /// What the page calls it.
    const KIND: Kind;

    /// Keys of its closed labels.
    fn labels() -> Vec<&'static str> {
        Vec::new()
    }

    /// Upper bound of its series, for one value of the open label.
    fn cardinality() -> usize {
        1
    }

    /// Hands every series to `out`.
    fn collect(&self, out: &mut Samples<'_>);

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl<I: Instrument> Metric for I {
    const KIND: Kind = I::KIND;

    fn collect(&self, out: &mut Samples<'_>) {
        if let Some(reading) = self.read() {
            out.push(crate::label::NO_PIECES, reading);
        }
    }

    fn heap_bytes(&self) -> usize {
        Instrument::heap_bytes(self)
    }
}

macro_rules! computed {
    ($(#[$doc:meta])* $name:ident, $kind:expr) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq)]
        pub struct $name(Option<Reading>);

        impl $name {
            /// No value: the series is absent from the page.
            pub const ABSENT: Self = Self(None);

            /// The value as a float.
            pub fn get(&self) -> Option<f64> {
                self.0.as_ref().map(Reading::as_f64)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(Some(Reading::Unsigned(value)))
            }
        }

        impl From<usize> for $name {
            fn from(value: usize) -> Self {
                Self::from(value as u64)
            }
        }

        impl From<f64> for $name {
            fn from(value: f64) -> Self {
                Self(Some(Reading::Float(value)))
            }
        }

        impl<T: Into<Self>> From<Option<T>> for $name {
            fn from(value: Option<T>) -> Self {
                value.map_or(Self::ABSENT, Into::into)
            }
        }

        impl Instrument for $name {
            const KIND: Kind = $kind;

            fn read(&self) -> Option<Reading> {
                self.0.clone()
            }

            fn is_untouched(&self) -> bool {
                self.0.is_none()
            }
        }
    };
}

computed! {
    /// A gauge computed when asked: the field of a group that a collector builds for one scrape.
    ///
    /// ```
    /// use omendb_metrics::GaugeValue;
    /// assert_eq!(GaugeValue::from(2_u64).get(), Some(2.0));
    /// assert_eq!(GaugeValue::from(None::<f64>), GaugeValue::ABSENT);
    /// ```
    GaugeValue, Kind::Gauge
}

computed! {
    /// A counter whose true owner is elsewhere (the kernel, the allocator), read when asked.
    ///
    /// The owner must never let it go back, and must outlive every scrape that shows it.
    CounterValue, Kind::Counter
}

/// A histogram whose owner is elsewhere, read when asked; absent where the owner has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramValue(Option<Distribution>);

impl From<Distribution> for HistogramValue {
    fn from(distribution: Distribution) -> Self {
        Self(Some(distribution))
    }
}

impl Instrument for HistogramValue {
    const KIND: Kind = Kind::Histogram;

    fn read(&self) -> Option<Reading> {
        self.0
            .clone()
            .map(|distribution| Reading::Distribution(Box::new(distribution)))
    }

    fn is_untouched(&self) -> bool {
        self.0.is_none()
    }
}
