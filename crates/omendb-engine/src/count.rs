//! The numbers that a search counts only to say what it did.
//!
//! They have a name of their own so that a build can do without them: what it then takes less of is what counting
//! costs (`cargo x bench overhead`).

/// A number in a [`SearchStats`](crate::SearchStats): an integer, or nothing at all in the build with the feature
/// `unmeasured`.
#[cfg(not(feature = "unmeasured"))]
pub type Count = u64;

/// `n` as a count.
#[cfg(not(feature = "unmeasured"))]
#[inline]
pub(crate) fn of(n: u64) -> Count {
    n
}

/// `count` as an integer.
#[cfg(not(feature = "unmeasured"))]
#[inline]
pub(crate) fn value(count: Count) -> u64 {
    count
}

#[cfg(feature = "unmeasured")]
pub use nothing::Count;
#[cfg(feature = "unmeasured")]
pub(crate) use nothing::{of, value};

#[cfg(feature = "unmeasured")]
mod nothing {
    use std::cmp::Ordering;
    use std::ops::{Add, AddAssign, Div, Mul, Sub};

    /// A number that nobody keeps: zero, whatever is added to it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Count;

    /// Nothing, whatever `_n` is.
    #[inline]
    pub(crate) fn of(_n: u64) -> Count {
        Count
    }

    /// Zero.
    #[inline]
    pub(crate) fn value(_count: Count) -> u64 {
        0
    }

    impl PartialEq<u64> for Count {
        fn eq(&self, other: &u64) -> bool {
            *other == 0
        }
    }

    impl PartialOrd<u64> for Count {
        fn partial_cmp(&self, other: &u64) -> Option<Ordering> {
            0.partial_cmp(other)
        }
    }

    impl AddAssign<u64> for Count {
        #[inline]
        fn add_assign(&mut self, _more: u64) {}
    }

    impl AddAssign for Count {
        #[inline]
        fn add_assign(&mut self, _more: Self) {}
    }

    impl AddAssign<&Self> for Count {
        #[inline]
        fn add_assign(&mut self, _more: &Self) {}
    }

    macro_rules! arithmetic {
        ($($trait:ident $method:ident,)+) => {$(
            impl $trait for Count {
                type Output = Self;

                #[inline]
                fn $method(self, _other: Self) -> Self {
                    self
                }
            }
        )+};
    }

    arithmetic! { Add add, Sub sub, Div div, }

    impl Mul<u64> for Count {
        type Output = Self;

        #[inline]
        fn mul(self, _other: u64) -> Self {
            self
        }
    }

    impl Mul<Count> for u64 {
        type Output = Count;

        #[inline]
        fn mul(self, other: Count) -> Count {
            other
        }
    }
}
