//! The table of kernels: which functions run on this processor, and the checks in front of them.

#![expect(
    unsafe_code,
    reason = "kernels compiled for a processor feature are called through these tables"
)]

use crate::normalize::{dot_f64, norm_f64};
use crate::{Distance, scalar};

/// Most elements for which the i8 kernels are exact: `65_536 * 255^2` still fits `u32`.
pub const MAX_I8_DIMENSION: usize = 65_536;

/// Sums of squares at or below this may have lost bits to underflow: `2^-149` is the smallest f32 and at most `2^16`
/// elements each lose less than that, so above `2^-100` the loss is below `2^-33` of the sum.
const SMALLEST_SOUND_SUM: f32 = f32::from_bits((127 - 100) << 23);

/// The largest distance between an f32 kernel's result and the exact one for `n` elements whose exact terms have
/// absolute values summing to `absolute_sum`; see the crate documentation. Holds where the result is finite.
pub fn error_bound(n: usize, absolute_sum: f64) -> f64 {
    const UNIT_ROUNDOFF: f64 = 1.0 / (1u64 << 24) as f64;
    let smallest = f64::from(f32::from_bits(1));
    1.01 * (n + 3) as f64 * UNIT_ROUNDOFF * absolute_sum + n as f64 * smallest
}

/// One instruction set's functions. Obtained by reference from [`detected`](Self::detected), [`scalar`](Self::scalar)
/// or [`usable`](Self::usable), never built by a caller.
///
/// Rows are row-major and contiguous: `rows.len() == query.len() * out.len()`.
///
/// # Panics
/// Every method panics if the lengths of its arguments do not fit together, or an i8 vector is longer than
/// [`MAX_I8_DIMENSION`]; the engine checks dimensions before it stores or searches anything.
#[derive(Debug)]
pub struct Kernels {
    pub(crate) isa: &'static str,
    pub(crate) f32_lanes: usize,
    pub(crate) i8_lanes: usize,
    pub(crate) f32: &'static F32Table,
    pub(crate) i8: &'static I8Table,
}

/// Functions on f32. Unsafe to call on a processor without the features they were compiled for; memory-safe for
/// arguments of any length.
#[derive(Debug)]
pub(crate) struct F32Table {
    pub(crate) dot: unsafe fn(&[f32], &[f32]) -> f32,
    pub(crate) l2_squared: unsafe fn(&[f32], &[f32]) -> f32,
    pub(crate) manhattan: unsafe fn(&[f32], &[f32]) -> f32,
    pub(crate) dot_rows: unsafe fn(&[f32], &[f32], &mut [f32]),
    pub(crate) l2_squared_rows: unsafe fn(&[f32], &[f32], &mut [f32]),
    pub(crate) manhattan_rows: unsafe fn(&[f32], &[f32], &mut [f32]),
}

/// Functions on i8, under the same rule.
#[derive(Debug)]
pub(crate) struct I8Table {
    pub(crate) dot: unsafe fn(&[i8], &[i8]) -> i32,
    pub(crate) l2_squared: unsafe fn(&[i8], &[i8]) -> u32,
    pub(crate) dot_rows: unsafe fn(&[i8], &[i8], &mut [i32]),
    pub(crate) l2_squared_rows: unsafe fn(&[i8], &[i8], &mut [u32]),
    pub(crate) dot_each: unsafe fn(&[i8], &[&[i8]], &mut [i32]),
}

static SCALAR: Kernels = Kernels {
    isa: "scalar",
    f32_lanes: 1,
    i8_lanes: 1,
    f32: &scalar::F32,
    i8: &scalar::I8,
};

impl Kernels {
    /// The widest set this processor can run.
    pub fn detected() -> &'static Self {
        Self::usable()[0]
    }

    /// The reference set, which runs everywhere.
    pub fn scalar() -> &'static Self {
        &SCALAR
    }

    /// Every set this processor can run, widest first; the scalar one is last.
    pub fn usable() -> Vec<&'static Self> {
        #[cfg(target_arch = "x86_64")]
        let mut sets = crate::x86::usable();
        #[cfg(not(target_arch = "x86_64"))]
        let mut sets = Vec::new();
        sets.push(&SCALAR);
        sets
    }

    /// Whose code this is, for `omendb_engine_kernel_info`: other providers may come to stand beside ours.
    pub fn provider(&self) -> &'static str {
        "omendb"
    }

    /// The instruction set: `avx512vnni`, `avx2` or `scalar`.
    pub fn isa(&self) -> &'static str {
        self.isa
    }

    /// How many of `dimension` f32 elements are processed in full vector registers, the rest being a tail that fills
    /// a register only in part. None for the scalar set.
    pub fn elements_in_full_vectors(&self, dimension: usize) -> usize {
        full(dimension, self.f32_lanes)
    }

    /// The same for the dot product of i8 elements.
    pub fn i8_elements_in_full_vectors(&self, dimension: usize) -> usize {
        full(dimension, self.i8_lanes)
    }

    /// Sum of products.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        check_pair(a, b);
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.f32.dot)(a, b) }
    }

    /// Sum of squared differences: the square of the Euclidean distance.
    pub fn l2_squared(&self, a: &[f32], b: &[f32]) -> f32 {
        check_pair(a, b);
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.f32.l2_squared)(a, b) }
    }

    /// Sum of absolute differences.
    pub fn manhattan(&self, a: &[f32], b: &[f32]) -> f32 {
        check_pair(a, b);
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.f32.manhattan)(a, b) }
    }

    /// Euclidean length. Infinite only if the length itself is beyond f32.
    pub fn norm(&self, a: &[f32]) -> f32 {
        let square = self.dot(a, a);
        if is_sound_sum(square) {
            square.sqrt()
        } else {
            norm_f64(a) as f32
        }
    }

    /// Cosine of the angle, in -1 ..= 1 but for rounding; 0 if either vector is zero.
    pub fn cosine(&self, a: &[f32], b: &[f32]) -> f32 {
        let (dot, a_square, b_square) = (self.dot(a, b), self.dot(a, a), self.dot(b, b));
        if is_sound_sum(a_square) && is_sound_sum(b_square) {
            // Two roots, not one of the product, which could overflow.
            return dot / a_square.sqrt() / b_square.sqrt();
        }
        cosine_f64(a, b)
    }

    /// [`dot`](Self::dot) of `query` with each row.
    pub fn dot_rows(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        if check_rows(query, rows, out) {
            // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
            unsafe { (self.f32.dot_rows)(query, rows, out) }
        }
    }

    /// [`l2_squared`](Self::l2_squared) of `query` with each row.
    pub fn l2_squared_rows(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        if check_rows(query, rows, out) {
            // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
            unsafe { (self.f32.l2_squared_rows)(query, rows, out) }
        }
    }

    /// [`manhattan`](Self::manhattan) of `query` with each row.
    pub fn manhattan_rows(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        if check_rows(query, rows, out) {
            // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
            unsafe { (self.f32.manhattan_rows)(query, rows, out) }
        }
    }

    /// The value a collection ranks by: the dot product for `Cosine` (both vectors at unit length) and `Dot`, the
    /// *squared* distance for `Euclid`. [`Distance::score_from_raw`] makes the user's score of it.
    pub fn raw(&self, distance: Distance, a: &[f32], b: &[f32]) -> f32 {
        match distance {
            Distance::Cosine | Distance::Dot => self.dot(a, b),
            Distance::Euclid => self.l2_squared(a, b),
            Distance::Manhattan => self.manhattan(a, b),
        }
    }

    /// [`raw`](Self::raw) of `query` with each row.
    pub fn raw_rows(&self, distance: Distance, query: &[f32], rows: &[f32], out: &mut [f32]) {
        match distance {
            Distance::Cosine | Distance::Dot => self.dot_rows(query, rows, out),
            Distance::Euclid => self.l2_squared_rows(query, rows, out),
            Distance::Manhattan => self.manhattan_rows(query, rows, out),
        }
    }

    /// Sum of products, exact.
    pub fn dot_i8(&self, a: &[i8], b: &[i8]) -> i32 {
        check_pair(a, b);
        check_i8(a);
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.i8.dot)(a, b) }
    }

    /// Sum of squared differences, exact.
    pub fn l2_squared_i8(&self, a: &[i8], b: &[i8]) -> u32 {
        check_pair(a, b);
        check_i8(a);
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.i8.l2_squared)(a, b) }
    }

    /// Cosine of the angle, rounded once to f32; 0 if either vector is zero.
    pub fn cosine_i8(&self, a: &[i8], b: &[i8]) -> f32 {
        let (dot, a_square, b_square) = (self.dot_i8(a, b), self.dot_i8(a, a), self.dot_i8(b, b));
        if a_square == 0 || b_square == 0 {
            return 0.0;
        }
        (f64::from(dot) / (f64::from(a_square) * f64::from(b_square)).sqrt()) as f32
    }

    /// [`dot_i8`](Self::dot_i8) of `query` with each row.
    pub fn dot_i8_rows(&self, query: &[i8], rows: &[i8], out: &mut [i32]) {
        check_i8(query);
        if check_rows(query, rows, out) {
            // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
            unsafe { (self.i8.dot_rows)(query, rows, out) }
        }
    }

    /// [`dot_i8`](Self::dot_i8) of `query` with each of some rows from anywhere.
    pub fn dot_i8_each(&self, query: &[i8], rows: &[&[i8]], out: &mut [i32]) {
        check_i8(query);
        assert_eq!(rows.len(), out.len(), "rows and results of different number");
        rows.iter().for_each(|row| check_pair(query, row));
        // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
        unsafe { (self.i8.dot_each)(query, rows, out) }
    }

    /// [`l2_squared_i8`](Self::l2_squared_i8) of `query` with each row.
    pub fn l2_squared_i8_rows(&self, query: &[i8], rows: &[i8], out: &mut [u32]) {
        check_i8(query);
        if check_rows(query, rows, out) {
            // SAFETY: a set is only handed out by `usable`, which asked the processor for its features.
            unsafe { (self.i8.l2_squared_rows)(query, rows, out) }
        }
    }
}

/// Whether a sum of squares neither overflowed nor lost bits to underflow (NaN counts as lost).
fn is_sound_sum(square: f32) -> bool {
    square > SMALLEST_SOUND_SUM && square < f32::INFINITY
}

/// The cosine where squares leave the range of f32.
#[cold]
fn cosine_f64(a: &[f32], b: &[f32]) -> f32 {
    let norms = norm_f64(a) * norm_f64(b);
    if norms == 0.0 {
        return 0.0;
    }
    (dot_f64(a, b) / norms) as f32
}

/// Elements in full registers of `lanes`; a register of one lane is none.
fn full(dimension: usize, lanes: usize) -> usize {
    if lanes == 1 {
        0
    } else {
        dimension - dimension % lanes
    }
}

fn check_pair<T>(a: &[T], b: &[T]) {
    assert_eq!(a.len(), b.len(), "vectors of different dimensions");
}

fn check_i8(vector: &[i8]) {
    assert!(
        vector.len() <= MAX_I8_DIMENSION,
        "i8 vector of {} elements, more than {MAX_I8_DIMENSION}",
        vector.len()
    );
}

/// Whether there is anything to compute. Rows without elements score zero.
fn check_rows<T, R: Default + Clone>(query: &[T], rows: &[T], out: &mut [R]) -> bool {
    assert_eq!(
        Some(rows.len()),
        query.len().checked_mul(out.len()),
        "rows and results of different number"
    );
    if query.is_empty() {
        out.fill(R::default());
    }
    !rows.is_empty()
}
