//! x86-64: which of the sets below this processor can run.
//!
//! Kernels go over arrays of registers in loops. `map` and `from_fn` are not compiled for the processor's features, so
//! that nothing is inlined through them: a few calls for each row, which took a third of the time of a short kernel.

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
    i8_lanes: avx512_i8::LANES,
    f32: &avx512_f32::TABLE,
    i8: &avx512_i8::TABLE,
};

static AVX2: Kernels = Kernels {
    isa: "avx2",
    f32_lanes: avx2_f32::LANES,
    i8_lanes: avx2_i8::LANES,
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

/// Asks for one cache line.
#[inline]
#[expect(unsafe_code, reason = "the intrinsic takes a raw pointer")]
pub(crate) fn prefetch_line(address: *const i8) {
    // SAFETY: a prefetch is a hint: it cannot fault and has no effect on memory, whatever the address, and every
    // x86-64 processor has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

/// What a block prefetches while it computes: as many bytes as it has, in the order of the addresses.
#[derive(Clone, Copy)]
struct Ahead(*const u8);

impl Ahead {
    /// For a lone row: what its caller reads next is not known here.
    const NOTHING: Self = Self(std::ptr::null());

    /// For `block`, one of several that end with `rows`. Near the end it fetches itself, which costs next to nothing:
    /// what lies beyond would take the place of something useful (with 32 rows of 384 i8 at a time, half the speed).
    #[inline]
    fn of<T>(block: &[T], rows: &[T]) -> Self {
        let start = block.as_ptr().cast::<u8>();
        let ahead = start.wrapping_add(size_of_val(block).max(PREFETCH_BYTES));
        let is_inside = ahead.wrapping_add(size_of_val(block)) <= rows.as_ptr_range().end.cast();
        Self(if is_inside { ahead } else { start })
    }

    /// Whether there is anything to fetch.
    #[inline]
    fn is_something(self) -> bool {
        !self.0.is_null()
    }

    /// Asks for the cache line at `offset` bytes.
    #[inline]
    fn fetch(self, offset: usize) {
        prefetch_line(self.0.wrapping_add(offset).cast());
    }
}
