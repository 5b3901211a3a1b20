//! x86-64: which of the sets below this processor can run.

mod avx2_f32;
mod avx2_i8;
mod avx512_f32;
mod avx512_i8;

use crate::Kernels;
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

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

/// How far ahead of its loads a block prefetches, unless the block itself is longer. On 50,000 x 384 f32 (Zen 5, one
/// thread) the scan ran at 32 GB/s without prefetching, 36 with 4 KiB, 40 with 8, 41 with 12 and 38 with 16: a block's
/// four streams are too short for the hardware's own prefetchers.
const PREFETCH_BYTES: usize = 12 * 1024;

/// Where a block's prefetches begin. They run in the order of the addresses, not of the loads. Only blocks prefetch:
/// what a caller reads after a lone row is not known here.
#[inline]
fn prefetch_start<T>(first_row: &[T]) -> *const u8 {
    let block_bytes = size_of_val(first_row) * BLOCK;
    first_row
        .as_ptr()
        .cast::<u8>()
        .wrapping_add(block_bytes.max(PREFETCH_BYTES))
}

/// Asks for the cache line `offset` bytes after `start`.
#[inline]
#[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
fn prefetch(start: *const u8, offset: usize) {
    // SAFETY: a prefetch is a hint: it cannot fault and has no effect on memory, whatever the address, and every
    // x86-64 processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(offset).cast()) }
}
