//! f32 kernels on 512-bit registers.

#![expect(unsafe_code, reason = "vector loads")]

use super::avx2_f32::{fold_256, horizontal_sums};
use super::{Ahead, BLOCK, DOT, L2, MANHATTAN, split_block};
use crate::kernels::F32Table;
use std::arch::x86_64::{
    __m128, __m512, __mmask16, _mm_setzero_ps, _mm256_add_ps, _mm256_castpd_ps, _mm512_abs_ps, _mm512_add_ps,
    _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_sub_ps,
};

/// f32 elements in a register.
pub(super) const LANES: usize = 16;

pub(super) static TABLE: F32Table = F32Table {
    dot: pair::<DOT>,
    l2_squared: pair::<L2>,
    manhattan: pair::<MANHATTAN>,
    dot_rows: rows::<DOT>,
    l2_squared_rows: rows::<L2>,
    manhattan_rows: rows::<MANHATTAN>,
};

#[target_feature(enable = "avx512f,avx2,fma")]
fn pair<const TERM: u8>(a: &[f32], b: &[f32]) -> f32 {
    let [sum] = block::<TERM, 1>(a, [b], Ahead::NOTHING);
    sum
}

#[target_feature(enable = "avx512f,avx2,fma")]
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
#[target_feature(enable = "avx512f,avx2,fma")]
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
    let mut even = [_mm512_setzero_ps(); ROWS];
    let mut odd = [_mm512_setzero_ps(); ROWS];
    let mut at = 0;
    while at + 1 < full {
        let (query_even, query_odd) = (load(&query_chunks[at]), load(&query_chunks[at + 1]));
        for row in 0..ROWS {
            if ROWS > 1 {
                ahead.fetch((at * ROWS + row * 2) * size_of::<[f32; LANES]>());
                ahead.fetch((at * ROWS + row * 2 + 1) * size_of::<[f32; LANES]>());
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
        quarters[row] = fold(_mm512_add_ps(even[row], odd[row]));
    }
    let mut sums = [0.0; ROWS];
    sums.copy_from_slice(&horizontal_sums(quarters)[..ROWS]);
    sums
}

/// `sum` plus the term of each pair of lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn add_term<const TERM: u8>(sum: __m512, a: __m512, b: __m512) -> __m512 {
    match TERM {
        DOT => _mm512_fmadd_ps(a, b, sum),
        L2 => {
            let difference = _mm512_sub_ps(a, b);
            _mm512_fmadd_ps(difference, difference, sum)
        }
        _ => _mm512_add_ps(sum, _mm512_abs_ps(_mm512_sub_ps(a, b))),
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(chunk: &[f32; LANES]) -> __m512 {
    // SAFETY: reads 64 bytes, and the argument's type is an array of 16 f32.
    unsafe { _mm512_loadu_ps(chunk.as_ptr()) }
}

/// Up to 15 elements; the lanes beyond them are zero, which adds nothing to any of the sums.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_tail(tail: &[f32]) -> __m512 {
    let present = ((1_u32 << tail.len().min(LANES)) - 1) as __mmask16;
    // SAFETY: the mask, made of the slice's length in the line above, keeps the load inside the slice.
    unsafe { _mm512_maskz_loadu_ps(present, tail.as_ptr()) }
}

/// The upper three quarters added to the lowest, in a fixed order, unlike `_mm512_reduce_add_ps`.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn fold(lanes: __m512) -> __m128 {
    let low = _mm512_castps512_ps256(lanes);
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
    fold_256(_mm256_add_ps(low, high))
}
