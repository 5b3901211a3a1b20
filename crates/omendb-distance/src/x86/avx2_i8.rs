//! i8 kernels on 256-bit registers.
//!
//! Bytes widen to i16; `vpmaddwd` multiplies and adds neighbours into i32 lanes. Differences (at most 255) and products
//! (at most 2^14) fit. Lanes wrap modulo 2^32, which is exact because the final result fits (`MAX_I8_DIMENSION`).

#![expect(unsafe_code, reason = "vector loads and stores")]

use super::{Ahead, BLOCK, DOT, L2, split_block};
use crate::kernels::I8Table;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_hadd_epi32, _mm_loadu_si128, _mm_setzero_si128, _mm_storeu_si128,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256,
    _mm256_madd_epi16, _mm256_setzero_si256, _mm256_sub_epi16,
};

/// Elements that fill a register once widened to i16.
pub(super) const LANES: usize = 16;

pub(super) static TABLE: I8Table = I8Table {
    dot,
    l2_squared,
    dot_rows,
    l2_squared_rows,
    dot_each,
};

#[target_feature(enable = "avx2")]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    let [sum] = block::<DOT, 1>(a, [b], Ahead::NOTHING);
    sum
}

#[target_feature(enable = "avx2")]
fn l2_squared(a: &[i8], b: &[i8]) -> u32 {
    let [sum] = block::<L2, 1>(a, [b], Ahead::NOTHING);
    sum.cast_unsigned()
}

#[target_feature(enable = "avx2")]
fn dot_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let dimension = query.len();
    let (block_sums, rest_sums) = out.as_chunks_mut::<BLOCK>();
    let (blocks, rest) = rows.split_at(block_sums.len() * BLOCK * dimension);
    for (block_rows, sums) in blocks.chunks_exact(BLOCK * dimension).zip(block_sums) {
        let ahead = Ahead::of(block_rows, rows);
        *sums = block::<DOT, BLOCK>(query, split_block(block_rows, dimension), ahead);
    }
    for (row, sum) in rest.chunks_exact(dimension).zip(rest_sums) {
        *sum = dot(query, row);
    }
}

#[target_feature(enable = "avx2")]
fn dot_each(query: &[i8], rows: &[&[i8]], out: &mut [i32]) {
    let (blocks, rest) = rows.as_chunks::<BLOCK>();
    let (block_sums, rest_sums) = out.split_at_mut(blocks.len() * BLOCK);
    for (rows, sums) in blocks.iter().zip(block_sums.as_chunks_mut::<BLOCK>().0) {
        *sums = block::<DOT, BLOCK>(query, *rows, Ahead::NOTHING);
    }
    for (row, sum) in rest.iter().zip(rest_sums) {
        *sum = dot(query, row);
    }
}

#[target_feature(enable = "avx2")]
fn l2_squared_rows(query: &[i8], rows: &[i8], out: &mut [u32]) {
    let dimension = query.len();
    let (block_sums, rest_sums) = out.as_chunks_mut::<BLOCK>();
    let (blocks, rest) = rows.split_at(block_sums.len() * BLOCK * dimension);
    for (block_rows, sums) in blocks.chunks_exact(BLOCK * dimension).zip(block_sums) {
        let ahead = Ahead::of(block_rows, rows);
        *sums = block::<L2, BLOCK>(query, split_block(block_rows, dimension), ahead).map(i32::cast_unsigned);
    }
    for (row, sum) in rest.chunks_exact(dimension).zip(rest_sums) {
        *sum = l2_squared(query, row);
    }
}

/// The sums of `query` with each of `ROWS` rows of its length, modulo 2^32.
#[target_feature(enable = "avx2")]
#[inline]
fn block<const TERM: u8, const ROWS: usize>(query: &[i8], rows: [&[i8]; ROWS], ahead: Ahead) -> [i32; ROWS] {
    let (query_chunks, query_tail) = query.as_chunks::<LANES>();
    let full = query_chunks.len();
    let mut chunks: [&[[i8; LANES]]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks().0[..full];
    }
    let mut sums = [_mm256_setzero_si256(); ROWS];
    for at in 0..full {
        let query = load(&query_chunks[at]);
        if ROWS > 1 && ahead.is_something() {
            ahead.fetch(at * size_of::<[[i8; LANES]; BLOCK]>());
        }
        for row in 0..ROWS {
            sums[row] = add_term::<TERM>(sums[row], query, load(&chunks[row][at]));
        }
    }
    if !query_tail.is_empty() {
        let query = load(&padded(query_tail));
        for row in 0..ROWS {
            sums[row] = add_term::<TERM>(sums[row], query, load(&padded(rows[row].as_chunks::<LANES>().1)));
        }
    }
    let mut halves = [_mm_setzero_si128(); BLOCK];
    for row in 0..ROWS {
        halves[row] = fold_256(sums[row]);
    }
    let mut sums = [0; ROWS];
    sums.copy_from_slice(&horizontal_sums(halves)[..ROWS]);
    sums
}

/// `sums` plus the terms of 16 pairs, two to a lane.
#[target_feature(enable = "avx2")]
#[inline]
fn add_term<const TERM: u8>(sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
    let products = if TERM == DOT {
        _mm256_madd_epi16(a, b)
    } else {
        let difference = _mm256_sub_epi16(a, b);
        _mm256_madd_epi16(difference, difference)
    };
    _mm256_add_epi32(sums, products)
}

/// 16 elements, each widened to i16.
#[target_feature(enable = "avx2")]
#[inline]
fn load(chunk: &[i8; LANES]) -> __m256i {
    // SAFETY: reads 16 bytes, and the argument's type is an array of 16 i8.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(chunk.as_ptr().cast::<__m128i>()) })
}

/// Up to 15 elements and zeros, which add nothing to any of the sums.
#[inline]
fn padded(tail: &[i8]) -> [i8; LANES] {
    let mut chunk = [0; LANES];
    for (lane, &element) in chunk.iter_mut().zip(tail) {
        *lane = element;
    }
    chunk
}

/// The upper half added to the lower.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn fold_256(lanes: __m256i) -> __m128i {
    _mm_add_epi32(
        _mm256_castsi256_si128(lanes),
        _mm256_extracti128_si256::<1>(lanes),
    )
}

/// The sum of each register's lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn horizontal_sums(rows: [__m128i; BLOCK]) -> [i32; BLOCK] {
    let [a, b, c, d] = rows;
    let sums = _mm_hadd_epi32(_mm_hadd_epi32(a, b), _mm_hadd_epi32(c, d));
    let mut out = [0; BLOCK];
    // SAFETY: writes 16 bytes, and `out` is an array of 4 i32.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast::<__m128i>(), sums) }
    out
}
