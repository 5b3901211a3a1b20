//! An interval with open or closed ends, or none.

/// An interval: a value lies in it when it is on the right side of every bound that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// Values below this.
    pub lt: Option<T>,
    /// Values below this, or equal to it.
    pub lte: Option<T>,
    /// Values above this.
    pub gt: Option<T>,
    /// Values above this, or equal to it.
    pub gte: Option<T>,
}

/// Without bounds.
impl<T> Default for Range<T> {
    fn default() -> Self {
        Self {
            lt: None,
            lte: None,
            gt: None,
            gte: None,
        }
    }
}

impl<T: PartialOrd + Copy> Range<T> {
    /// Whether `value` lies in the interval; one without bounds holds everything.
    pub fn contains(&self, value: T) -> bool {
        let Self { lt, lte, gt, gte } = *self;
        lt.is_none_or(|bound| value < bound)
            && lte.is_none_or(|bound| value <= bound)
            && gt.is_none_or(|bound| value > bound)
            && gte.is_none_or(|bound| value >= bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: Range<f64>, expected: &[f64]) {
        let inside: Vec<_> = [1.0, 2.0, 3.0]
            .into_iter()
            .filter(|&value| range.contains(value))
            .collect();
        assert_eq!(inside, expected, "{range:?}");
    }

    #[test]
    fn every_bound_counts() {
        let all = Range::default();
        let two = Some(2.0);
        check(all, &[1.0, 2.0, 3.0]);
        check(Range { lt: two, ..all }, &[1.0]);
        check(Range { lte: two, ..all }, &[1.0, 2.0]);
        check(Range { gt: two, ..all }, &[3.0]);
        check(Range { gte: two, ..all }, &[2.0, 3.0]);
        let point = Range {
            gte: two,
            lte: two,
            ..all
        };
        check(point, &[2.0]);
        check(
            Range {
                lt: two,
                gt: two,
                ..all
            },
            &[],
        );
        assert!(!point.contains(f64::NAN));
    }
}
