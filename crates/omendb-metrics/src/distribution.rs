//! The buckets of a histogram at one moment: counts, sums, differences and quantiles.

use crate::exemplar::{Exemplar, Exemplars};
use crate::grid::{Grid, GridSpec, LATENCY_BUCKETS};

/// What a histogram held when it was read, or what was added between two readings.
///
/// The number of observations is the sum of the buckets and nothing else, so every format, every quantile and every
/// native bucket of one scrape agrees about it.
#[derive(Debug, Clone)]
pub struct Distribution {
    spec: &'static GridSpec,
    /// One count per bucket, not cumulative; empty if nothing was ever recorded.
    buckets: Box<[u64]>,
    /// In recorded units.
    sum: u64,
    /// One recent observation for some of the classic buckets, by position of the bucket.
    exemplars: Box<[(usize, Exemplar)]>,
}

impl PartialEq for Distribution {
    fn eq(&self, other: &Self) -> bool {
        self.spec.buckets == other.spec.buckets
            && self.sum == other.sum
            && (0..self.spec.buckets).all(|bucket| self.bucket(bucket) == other.bucket(bucket))
    }
}

impl Distribution {
    /// Without observations, on grid `G`.
    pub fn empty<G: Grid>() -> Self {
        Self {
            spec: G::SPEC,
            buckets: Box::default(),
            sum: 0,
            exemplars: Box::default(),
        }
    }

    /// With the given count per bucket and sum in recorded units.
    pub(crate) fn new(spec: &'static GridSpec, buckets: Box<[u64]>, sum: u64) -> Self {
        debug_assert!(buckets.is_empty() || buckets.len() == spec.buckets);
        Self {
            spec,
            buckets,
            sum,
            exemplars: Box::default(),
        }
    }

    /// Records `value` as the shared and the single-writer histograms do: for owners that are one thread and need
    /// neither, such as a benchmark or a report.
    pub fn record<G: Grid>(&mut self, value: u64) {
        debug_assert!(std::ptr::eq(self.spec, G::SPEC));
        self.buckets_mut()[G::bucket(value)] += 1;
        self.sum = self.sum.wrapping_add(value);
    }

    /// With what `exemplars` has now.
    pub(crate) fn with(self, exemplars: &Exemplars) -> Self {
        Self {
            exemplars: exemplars.now(),
            ..self
        }
    }

    /// The exemplar of the classic bucket at `index`.
    pub(crate) fn exemplar(&self, index: usize) -> Option<&Exemplar> {
        let of_bucket = self.exemplars.iter().find(|(bucket, _)| *bucket == index);
        of_bucket.map(|(_, exemplar)| exemplar)
    }

    /// Every exemplar, in the order of the buckets.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = &Exemplar> {
        self.exemplars.iter().map(|(_, exemplar)| exemplar)
    }

    /// The grid.
    pub fn spec(&self) -> &'static GridSpec {
        self.spec
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Sum of the observations in the exported unit.
    pub fn sum(&self) -> f64 {
        // A division by 1e9 is correctly rounded; a multiplication by 1e-9, which is not representable, is not.
        self.sum as f64 / (1.0 / self.spec.scale).round()
    }

    /// Mean in the exported unit; `None` without observations.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum() / count as f64)
    }

    /// The `q`-quantile (nearest rank) in the exported unit: the geometric middle of the bucket it falls into, within
    /// 4.5 % of the true value on the duration grid. `None` without observations.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|&in_bucket| {
            seen += in_bucket;
            seen >= rank
        })?;
        Some(self.spec.representative(bucket))
    }

    /// Observations by bucket, or nothing if nothing was ever recorded.
    pub(crate) fn buckets(&self) -> &[u64] {
        &self.buckets
    }

    /// Observations in `bucket`.
    pub fn bucket(&self, bucket: usize) -> u64 {
        self.buckets.get(bucket).copied().unwrap_or(0)
    }

    /// The classic buckets: upper bound as text, and how many observations are at or below it; `+Inf` comes last.
    pub fn classic(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        static NOTHING: [u64; LATENCY_BUCKETS] = [0; LATENCY_BUCKETS];
        let buckets = match &*self.buckets {
            [] => &NOTHING[..self.spec.buckets],
            buckets => buckets,
        };
        // What is at or below the first bound, octave after octave, and what is above the last.
        let (first, rest) = buckets.split_at(1);
        let mut total = 0;
        let cumulative = first
            .chunks(1)
            .chain(rest.chunks(self.spec.per_octave))
            .map(move |buckets| {
                total += buckets.iter().sum::<u64>();
                total
            });
        self.spec.classic.iter().copied().chain(["+Inf"]).zip(cumulative)
    }

    /// Adds every observation of `other`, which is on the same grid.
    pub fn add(&mut self, other: &Self) {
        if other.buckets.is_empty() {
            return;
        }
        for (own, more) in self.buckets_mut().iter_mut().zip(&other.buckets) {
            *own += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// What was recorded since `earlier`, an older reading of the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut delta = self.clone();
        for (now, then) in delta.buckets.iter_mut().zip(&earlier.buckets) {
            *now = now.saturating_sub(*then);
        }
        delta.sum = delta.sum.wrapping_sub(earlier.sum);
        delta
    }

    /// The buckets that are not empty.
    pub(crate) fn occupied(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        // Most buckets are empty, and so are most stretches of them.
        const STRETCH: usize = 8;
        let stretches = self.buckets.chunks(STRETCH).enumerate();
        let occupied = stretches.filter(|(_, counts)| counts.iter().fold(0, |all, count| all | count) != 0);
        let numbered = occupied.flat_map(|(stretch, counts)| (stretch * STRETCH..).zip(counts));
        numbered
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (bucket as u16, *count))
    }

    pub(crate) fn raw_sum(&self) -> u64 {
        self.sum
    }

    /// Adds what [`Distribution::occupied`] and [`Distribution::raw_sum`] gave.
    pub(crate) fn add_occupied(&mut self, occupied: &[(u16, u64)], raw_sum: u64) {
        if !occupied.is_empty() {
            let buckets = self.buckets_mut();
            for &(bucket, count) in occupied {
                buckets[bucket as usize] += count;
            }
        }
        self.sum = self.sum.wrapping_add(raw_sum);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    fn buckets_mut(&mut self) -> &mut [u64] {
        if self.buckets.is_empty() {
            self.buckets = vec![0; self.spec.buckets].into();
        }
        &mut self.buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Latency, Size};

    #[test]
    fn classic_buckets_accumulate_and_end_with_everything() {
        let mut sizes = Distribution::empty::<Size>();
        for value in [1, 1, 3, 500, u64::MAX / 4] {
            sizes.record::<Size>(value);
        }
        let classic: Vec<_> = sizes.classic().collect();
        assert_eq!(classic[..3], [("1.0", 2), ("2.0", 2), ("4.0", 3)]);
        assert_eq!(classic[classic.len() - 2..], [("1048576.0", 4), ("+Inf", 5)]);
        assert_eq!(
            Distribution::empty::<Latency>().classic().last(),
            Some(("+Inf", 0))
        );
    }

    #[test]
    fn nothing_recorded_has_neither_mean_nor_quantile() {
        let mut distribution = Distribution::empty::<Latency>();
        assert_eq!((distribution.mean(), distribution.quantile(0.5)), (None, None));
        distribution.record::<Latency>(1_000_000);
        let none = distribution.since(&distribution);
        assert_eq!((none.count(), none.mean(), none.quantile(0.5)), (0, None, None));
    }

    #[test]
    fn differences_add_up_again() {
        let mut early = Distribution::empty::<Latency>();
        early.record::<Latency>(5_000);
        let mut late = early.clone();
        late.record::<Latency>(7_000_000);
        late.record::<Latency>(5_000);
        let delta = late.since(&early);
        assert_eq!(delta.count(), 2);
        early.add_occupied(&delta.occupied().collect::<Vec<_>>(), delta.raw_sum());
        assert_eq!(early, late);
    }
}
