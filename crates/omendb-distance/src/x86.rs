//! x86-64: which of the sets below this processor can run.

mod avx2_f32;
mod avx2_i8;
mod avx512_f32;
mod avx512_i8;

use crate::Kernels;

/// The term a sum is made of, as a parameter of generic kernels (a const parameter cannot be an enum of ours).
const DOT: u8 = 0;
/// `(a - b)^2`.
const L2: u8 = 1;
/// `|a - b|`.
const MANHATTAN: u8 = 2;

/// Rows a kernel works on at once: each load of the query then serves four rows, and four independent sums (two per
/// row for f32) hide the latency of the addition.
const BLOCK: usize = 4;

static AVX512VNNI: Kernels = Kernels {
    isa: "avx512vnni",
    f32_lanes: avx512_f32::LANES,
    f32: &avx512_f32::TABLE,
    i8: &avx512_i8::TABLE,
};

static AVX2: Kernels = Kernels {
    isa: "avx2",
    f32_lanes: avx2_f32::LANES,
    f32: &avx2_f32::TABLE,
    i8: &avx2_i8::TABLE,
};

/// The sets this processor can run, widest first. This is the check the calls in `kernels` rest on.
///
/// AVX-512 without VNNI (before Ice Lake and Zen 4) is not used: those processors lower their clock for 512-bit work.
pub(crate) fn usable() -> Vec<&'static Kernels> {
    let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let has_avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    let mut sets = Vec::new();
    if has_avx512 && has_avx2 {
        sets.push(&AVX512VNNI);
    }
    if has_avx2 {
        sets.push(&AVX2);
    }
    sets
}

/// The `BLOCK` rows that begin `rows`.
#[inline]
fn split_block<T>(rows: &[T], dimension: usize) -> [&[T]; BLOCK] {
    std::array::from_fn(|row| &rows[row * dimension..][..dimension])
}
