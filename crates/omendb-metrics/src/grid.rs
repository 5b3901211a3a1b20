//! Bucket grids: which bucket a value belongs to, and where the buckets end.
//!
//! Durations use the grid of Prometheus's native histograms with schema 3: eight buckets to an octave, bounds at
//! `2^(k/8)` seconds. Every eighth bound is a power of two, so the classic `le` buckets are sums of whole grid buckets
//! and both forms agree exactly. Sizes (points in a batch, waiters in a commit) use the powers of two alone.
//! (Prometheus, "Native histograms" specification, section on standard exponential schemas.)

use std::fmt;

/// Where a grid's buckets lie; one static per grid.
///
/// Bucket 0 holds everything up to [`GridSpec::lowest_log2`]; the last bucket everything above the last bound.
pub struct GridSpec {
    /// Number of buckets, the unbounded one included.
    pub buckets: usize,
    /// Grid buckets to one classic bucket.
    pub per_octave: usize,
    /// Binary logarithm of the first upper bound, in the exported unit.
    pub lowest_log2: i32,
    /// What one recorded unit is in the exported unit: 1e-9 for nanoseconds shown as seconds.
    pub scale: f64,
    /// The classic upper bounds as Prometheus spells them, in ascending order, without `+Inf`.
    pub classic: &'static [&'static str],
}

impl GridSpec {
    /// Upper bound of `bucket` in the exported unit; infinite for the last.
    pub fn upper_bound(&self, bucket: usize) -> f64 {
        if bucket + 1 == self.buckets {
            return f64::INFINITY;
        }
        (f64::from(self.lowest_log2) + bucket as f64 / self.per_octave as f64).exp2()
    }

    /// Upper bound of classic bucket `index` in the exported unit; infinite for the one after the last.
    pub(crate) fn classic_bound(&self, index: usize) -> f64 {
        if index == self.classic.len() {
            return f64::INFINITY;
        }
        // Two to the power of a whole number of the normal range: its exponent and no mantissa.
        f64::from_bits(((1_023 + self.lowest_log2 + index as i32) as u64) << (f64::MANTISSA_DIGITS - 1))
    }

    /// The value that stands for `bucket`: the geometric middle, so that no member is more than a 16th of an octave
    /// (4.4 %) away on the duration grid. The unbounded bucket is represented by its lower bound.
    pub fn representative(&self, bucket: usize) -> f64 {
        let position = if bucket + 1 == self.buckets {
            bucket as f64 - 1.0
        } else {
            bucket as f64 - 0.5
        };
        (f64::from(self.lowest_log2) + position / self.per_octave as f64).exp2()
    }
}

impl fmt::Debug for GridSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GridSpec({} buckets from 2^{})",
            self.buckets, self.lowest_log2
        )
    }
}

/// A grid known at compile time, so that finding a bucket is inlined into the recording.
pub trait Grid: 'static {
    /// Where the buckets lie.
    const SPEC: &'static GridSpec;

    /// The bucket of `value`, below `SPEC.buckets`.
    fn bucket(value: u64) -> usize;
}

/// Durations in nanoseconds, shown in seconds: `2^-20` s (0.95 us) to 64 s in steps of `2^(1/8)`.
#[derive(Debug)]
pub struct Latency;

/// Octaves of the duration grid.
const OCTAVES: usize = 26;
/// Buckets of [`Latency`]: everything up to the first bound, 26 octaves of 8, everything above.
pub(crate) const LATENCY_BUCKETS: usize = OCTAVES * 8 + 2;
const LAST_BOUNDED: usize = LATENCY_BUCKETS - 2;

static LATENCY: GridSpec = GridSpec {
    buckets: LATENCY_BUCKETS,
    per_octave: 8,
    lowest_log2: -20,
    scale: 1e-9,
    classic: &[
        "9.5367431640625e-07",
        "1.9073486328125e-06",
        "3.814697265625e-06",
        "7.62939453125e-06",
        "1.52587890625e-05",
        "3.0517578125e-05",
        "6.103515625e-05",
        "0.0001220703125",
        "0.000244140625",
        "0.00048828125",
        "0.0009765625",
        "0.001953125",
        "0.00390625",
        "0.0078125",
        "0.015625",
        "0.03125",
        "0.0625",
        "0.125",
        "0.25",
        "0.5",
        "1.0",
        "2.0",
        "4.0",
        "8.0",
        "16.0",
        "32.0",
        "64.0",
    ],
};

/// `2^(k/8)` for k in 0..8.
const EIGHTHS: [f64; 8] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    std::f64::consts::SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];

/// Largest whole number of nanoseconds in each bucket; as long as any index of one byte.
static BOUND_NANOS: [u64; 256] = {
    let mut bounds = [u64::MAX; 256];
    let mut bucket = 0;
    while bucket <= LAST_BOUNDED {
        bounds[bucket] = (EIGHTHS[bucket % 8] * 1e9 * (1_u64 << (bucket / 8)) as f64 / 1_048_576.0) as u64;
        bucket += 1;
    }
    bounds
};

/// Bits of a floating-point number below its exponent and the first four of its mantissa.
const BELOW_SIXTEENTH: u32 = 48;
/// `2^9` ns, where the table of sixteenths begins, and one nanosecond above the last bound, in its last octave.
const LOWEST: u64 = 512;
const HIGHEST: u64 = 64_000_000_001;
const FIRST_SIXTEENTH: u64 = (LOWEST as f64).to_bits() >> BELOW_SIXTEENTH;

/// The bucket of the beginning of each sixteenth of an octave of nanoseconds. A sixteenth is at most 6.3 % wide and a
/// bucket 9 %, so no sixteenth holds two bounds: the bucket of a value is that of the beginning or the next.
static BUCKET_OF_SIXTEENTH: [u8; 512] = {
    let mut table = [0; 512];
    let (mut sixteenth, mut bucket) = (0, 0);
    while sixteenth < 512 {
        let beginning = f64::from_bits((FIRST_SIXTEENTH + sixteenth) << BELOW_SIXTEENTH) as u64;
        while BOUND_NANOS[bucket] < beginning {
            bucket += 1;
        }
        table[sixteenth as usize] = bucket as u8;
        sixteenth += 1;
    }
    table
};

impl Grid for Latency {
    const SPEC: &'static GridSpec = &LATENCY;

    /// Reads octave and sixteenth off the floating-point form of the value and corrects by one comparison: about
    /// fifteen instructions, none of them a jump.
    #[inline]
    fn bucket(value: u64) -> usize {
        let bits = (value.clamp(LOWEST, HIGHEST) as i64 as f64).to_bits();
        let sixteenth = (bits >> BELOW_SIXTEENTH).wrapping_sub(FIRST_SIXTEENTH);
        let guess = usize::from(BUCKET_OF_SIXTEENTH[sixteenth as usize & 511]);
        guess + usize::from(value > BOUND_NANOS[guess])
    }
}

/// Counts of things, at powers of two from 1 to 2^20.
#[derive(Debug)]
pub struct Size;

static SIZE: GridSpec = GridSpec {
    buckets: 22,
    per_octave: 1,
    lowest_log2: 0,
    scale: 1.0,
    classic: &[
        "1.0",
        "2.0",
        "4.0",
        "8.0",
        "16.0",
        "32.0",
        "64.0",
        "128.0",
        "256.0",
        "512.0",
        "1024.0",
        "2048.0",
        "4096.0",
        "8192.0",
        "16384.0",
        "32768.0",
        "65536.0",
        "131072.0",
        "262144.0",
        "524288.0",
        "1048576.0",
    ],
};

impl Grid for Size {
    const SPEC: &'static GridSpec = &SIZE;

    #[inline]
    fn bucket(value: u64) -> usize {
        // ceil(log2(value)): 0 and 1 in the first, 2 in the second, 3 and 4 in the third.
        let log2 = u64::BITS - value.saturating_sub(1).leading_zeros();
        (log2 as usize).min(SIZE.buckets - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket by definition: the first whose bound is not below the value.
    fn bucket_by_definition<G: Grid>(value: u64) -> usize {
        let exported = value as f64 * G::SPEC.scale;
        (0..G::SPEC.buckets)
            .find(|&bucket| exported <= G::SPEC.upper_bound(bucket))
            .unwrap()
    }

    #[test]
    fn every_bound_and_its_neighbours_land_where_the_definition_says() {
        for bucket in 0..=LAST_BOUNDED {
            let bound = (LATENCY.upper_bound(bucket) * 1e9) as u64;
            for value in bound.saturating_sub(2)..=bound + 2 {
                assert_eq!(
                    Latency::bucket(value),
                    bucket_by_definition::<Latency>(value),
                    "{value} ns"
                );
            }
        }
        let mut value = 1_u64;
        while value < 200_000_000_000 {
            assert_eq!(
                Latency::bucket(value),
                bucket_by_definition::<Latency>(value),
                "{value} ns"
            );
            value += value / 97 + 1;
        }
    }

    #[test]
    fn the_ends_of_both_grids() {
        let check =
            |value, latency, size| assert_eq!((Latency::bucket(value), Size::bucket(value)), (latency, size));
        check(0, 0, 0);
        check(1, 0, 0);
        check(2, 0, 1);
        check(3, 0, 2);
        check(953, 0, 10);
        check(954, 1, 10);
        check(1_000_000_000, 160, 21);
        check(64_000_000_000, 208, 21);
        check(64_000_000_001, 209, 21);
        check(u64::MAX, 209, 21);
    }

    #[test]
    fn classic_bounds_are_grid_bounds_spelt_as_prometheus_does() {
        for spec in [&LATENCY, &SIZE] {
            for (index, le) in spec.classic.iter().enumerate() {
                let bound = le.parse::<f64>().unwrap();
                assert_eq!(bound, spec.upper_bound(index * spec.per_octave));
                assert_eq!(bound, spec.classic_bound(index));
            }
            assert_eq!(spec.classic_bound(spec.classic.len()), f64::INFINITY);
            assert_eq!(spec.buckets, (spec.classic.len() - 1) * spec.per_octave + 2);
        }
    }
}
