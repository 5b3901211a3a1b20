//! f32 kernels on 256-bit registers with fused multiply-add.

#![expect(unsafe_code, reason = "vector loads and stores")]

use super::{Ahead, BLOCK, DOT, L2, MANHATTAN, split_block};
use crate::kernels::F32Table;
use std::arch::x86_64::{
    __m128, __m256, _mm_add_ps, _mm_hadd_ps, _mm_setzero_ps, _mm_storeu_ps, _mm256_add_ps, _mm256_andnot_ps,
    _mm256_castps256_ps128, _mm256_cmpgt_epi32, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_maskload_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_setzero_ps,
    _mm256_sub_ps,
};

/// f32 elements in a register.
pub(super) const LANES: usize = 8;

pub(super) static TABLE: F32Table = F32Table {
    dot: pair::<DOT>,
    l2_squared: pair::<L2>,
    manhattan: pair::<MANHATTAN>,
    dot_rows: rows::<DOT>,
    l2_squared_rows: rows::<L2>,
    manhattan_rows: rows::<MANHATTAN>,
};

#[target_feature(enable = "avx2,fma")]
fn pair<const TERM: u8>(a: &[f32], b: &[f32]) -> f32 {
    let [sum] = block::<TERM, 1>(a, [b], Ahead::NOTHING);
    sum
}

#[target_feature(enable = "avx2,fma")]
fn rows<const TERM: u8>(query: &[f32], rows: &[f32], out: &mut [f32]) {
    let dimension = query.len();
    let (block_sums, rest_sums) = out.as_chunks_mut::<BLOCK>();
    let (blocks, rest) = rows.split_at(block_sums.len() * BLOCK * dimension);
    for (block_rows, sums) in blocks.chunks_exact(BLOCK * dimension).zip(block_sums) {
        let ahead = Ahead::of(block_rows, rows);
        *sums = block::<TERM, BLOCK>(query, split_block(block_rows, dimension), ahead);
    }
    for (row, sum) in rest.chunks_exact(dimension).zip(rest_sums) {
        *sum = pair::<TERM>(query, row);
    }
}

/// The sums of `query` with each of `ROWS` rows of its length.
///
/// Each row has two sums, of the even and of the odd registers, whatever `ROWS` is: that makes a row's result
/// independent of the rows beside it.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn block<const TERM: u8, const ROWS: usize>(
    query: &[f32],
    rows: [&[f32]; ROWS],
    ahead: Ahead,
) -> [f32; ROWS] {
    let (query_chunks, query_tail) = query.as_chunks::<LANES>();
    let full = query_chunks.len();
    let mut chunks: [&[[f32; LANES]]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks().0[..full];
    }
    let mut even = [_mm256_setzero_ps(); ROWS];
    let mut odd = [_mm256_setzero_ps(); ROWS];
    let mut at = 0;
    while at + 1 < full {
        let (query_even, query_odd) = (load(&query_chunks[at]), load(&query_chunks[at + 1]));
        for row in 0..ROWS {
            if ROWS > 1 {
                ahead.fetch((at * ROWS + row * 2) * size_of::<[f32; LANES]>());
            }
            even[row] = add_term::<TERM>(even[row], query_even, load(&chunks[row][at]));
            odd[row] = add_term::<TERM>(odd[row], query_odd, load(&chunks[row][at + 1]));
        }
        at += 2;
    }
    if at < full {
        let query = load(&query_chunks[at]);
        for row in 0..ROWS {
            even[row] = add_term::<TERM>(even[row], query, load(&chunks[row][at]));
        }
    }
    if !query_tail.is_empty() {
        let query = load_tail(query_tail);
        for row in 0..ROWS {
            odd[row] = add_term::<TERM>(odd[row], query, load_tail(rows[row].as_chunks::<LANES>().1));
        }
    }
    let mut quarters = [_mm_setzero_ps(); BLOCK];
    for row in 0..ROWS {
        quarters[row] = fold_256(_mm256_add_ps(even[row], odd[row]));
    }
    let mut sums = [0.0; ROWS];
    sums.copy_from_slice(&horizontal_sums(quarters)[..ROWS]);
    sums
}

/// `sum` plus the term of each pair of lanes.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn add_term<const TERM: u8>(sum: __m256, a: __m256, b: __m256) -> __m256 {
    match TERM {
        DOT => _mm256_fmadd_ps(a, b, sum),
        L2 => {
            let difference = _mm256_sub_ps(a, b);
            _mm256_fmadd_ps(difference, difference, sum)
        }
        _ => {
            let sign_bit = _mm256_set1_ps(-0.0);
            _mm256_add_ps(sum, _mm256_andnot_ps(sign_bit, _mm256_sub_ps(a, b)))
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(chunk: &[f32; LANES]) -> __m256 {
    // SAFETY: reads 32 bytes, and the argument's type is an array of 8 f32.
    unsafe { _mm256_loadu_ps(chunk.as_ptr()) }
}

/// Up to 7 elements; the lanes beyond them are zero, which adds nothing to any of the sums.
#[target_feature(enable = "avx2")]
#[inline]
fn load_tail(tail: &[f32]) -> __m256 {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let present = _mm256_cmpgt_epi32(_mm256_set1_epi32(tail.len().min(LANES) as i32), lanes);
    // SAFETY: the mask, made of the slice's length in the line above, keeps the load inside the slice.
    unsafe { _mm256_maskload_ps(tail.as_ptr(), present) }
}

/// The upper half added to the lower.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn fold_256(lanes: __m256) -> __m128 {
    _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes))
}

/// The sum of each register's lanes, in an order that is the same for all four.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn horizontal_sums(rows: [__m128; BLOCK]) -> [f32; BLOCK] {
    let [a, b, c, d] = rows;
    let sums = _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
    let mut out = [0.0; BLOCK];
    // SAFETY: writes 16 bytes, and `out` is an array of 4 f32.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) }
    out
}
