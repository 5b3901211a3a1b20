//! i8 kernels on 512-bit registers with the VNNI multiply-add.
//!
//! `vpdpbusd` multiplies unsigned by signed bytes, and adds four products to each i32 lane without saturating. For the
//! dot product the row is made unsigned by adding 128 to each element (flipping its top bit), and
//! `sum((row + 128) * query) - 128 * sum(query)` is the product wanted; the second sum is shared by a block's rows.
//! For the distance, differences need nine bits, so bytes widen to i16 and `vpdpwssd` squares and adds them.
//!
//! Lanes wrap modulo 2^32, which is exact because the final result fits (`MAX_I8_DIMENSION`).

#![expect(unsafe_code, reason = "vector loads")]

use super::avx2_i8::{fold_256, horizontal_sums};
use super::{Ahead, BLOCK, split_block};
use crate::kernels::I8Table;
use std::arch::x86_64::{
    __m128i, __m256i, __m512i, __mmask64, _mm256_add_epi32, _mm256_loadu_si256, _mm512_castsi512_si256,
    _mm512_cvtepi8_epi16, _mm512_dpbusd_epi32, _mm512_dpwssd_epi32, _mm512_extracti64x4_epi64,
    _mm512_loadu_si512, _mm512_maskz_loadu_epi8, _mm512_reduce_add_epi32, _mm512_set1_epi8,
    _mm512_setzero_si512, _mm512_sub_epi16, _mm512_sub_epi32, _mm512_xor_si512,
};

/// Elements in a register.
pub(super) const LANES: usize = 64;

/// Elements that fill a register once widened to i16.
const WIDE_LANES: usize = 32;

pub(super) static TABLE: I8Table = I8Table {
    dot,
    l2_squared,
    dot_rows,
    l2_squared_rows,
    dot_each,
};

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn dot(a: &[i8], b: &[i8]) -> i32 {
    let [sum] = dot_block(a, [b], Ahead::NOTHING);
    sum
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn l2_squared(a: &[i8], b: &[i8]) -> u32 {
    let [sum] = l2_squared_block(a, [b], Ahead::NOTHING);
    sum
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn dot_rows(query: &[i8], rows: &[i8], out: &mut [i32]) {
    let dimension = query.len();
    let (block_sums, rest_sums) = out.as_chunks_mut::<BLOCK>();
    let (blocks, rest) = rows.split_at(block_sums.len() * BLOCK * dimension);
    for (block_rows, sums) in blocks.chunks_exact(BLOCK * dimension).zip(block_sums) {
        let ahead = Ahead::of(block_rows, rows);
        *sums = dot_block(query, split_block(block_rows, dimension), ahead);
    }
    for (row, sum) in rest.chunks_exact(dimension).zip(rest_sums) {
        *sum = dot(query, row);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn dot_each(query: &[i8], rows: &[&[i8]], out: &mut [i32]) {
    let (blocks, rest) = rows.as_chunks::<BLOCK>();
    let (block_sums, rest_sums) = out.split_at_mut(blocks.len() * BLOCK);
    for (rows, sums) in blocks.iter().zip(block_sums.as_chunks_mut::<BLOCK>().0) {
        *sums = dot_block(query, *rows, Ahead::NOTHING);
    }
    for (row, sum) in rest.iter().zip(rest_sums) {
        *sum = dot(query, row);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
fn l2_squared_rows(query: &[i8], rows: &[i8], out: &mut [u32]) {
    let dimension = query.len();
    let (block_sums, rest_sums) = out.as_chunks_mut::<BLOCK>();
    let (blocks, rest) = rows.split_at(block_sums.len() * BLOCK * dimension);
    for (block_rows, sums) in blocks.chunks_exact(BLOCK * dimension).zip(block_sums) {
        let ahead = Ahead::of(block_rows, rows);
        *sums = l2_squared_block(query, split_block(block_rows, dimension), ahead);
    }
    for (row, sum) in rest.chunks_exact(dimension).zip(rest_sums) {
        *sum = l2_squared(query, row);
    }
}

/// The dot products of `query` with each of `ROWS` rows of its length.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
#[inline]
fn dot_block<const ROWS: usize>(query: &[i8], rows: [&[i8]; ROWS], ahead: Ahead) -> [i32; ROWS] {
    let (query_chunks, query_tail) = query.as_chunks::<LANES>();
    let full = query_chunks.len();
    let mut chunks: [&[[i8; LANES]]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks().0[..full];
    }
    let top_bits = _mm512_set1_epi8(i8::MIN);
    let mut sums = [_mm512_setzero_si512(); ROWS];
    let mut excess = _mm512_setzero_si512();
    for at in 0..full {
        let query = load(&query_chunks[at]);
        // As an unsigned byte, a lone top bit is the 128 that was added to each element of the rows.
        excess = _mm512_dpbusd_epi32(excess, top_bits, query);
        for row in 0..ROWS {
            if ROWS > 1 && ahead.is_something() {
                ahead.fetch((at * ROWS + row) * LANES);
            }
            let unsigned = _mm512_xor_si512(load(&chunks[row][at]), top_bits);
            sums[row] = _mm512_dpbusd_epi32(sums[row], unsigned, query);
        }
    }
    if !query_tail.is_empty() {
        let query = load_tail(query_tail);
        excess = _mm512_dpbusd_epi32(excess, top_bits, query);
        for row in 0..ROWS {
            let unsigned = _mm512_xor_si512(load_tail(rows[row].as_chunks::<LANES>().1), top_bits);
            sums[row] = _mm512_dpbusd_epi32(sums[row], unsigned, query);
        }
    }
    // Lane by lane, so that one horizontal sum serves both.
    for sum in &mut sums {
        *sum = _mm512_sub_epi32(*sum, excess);
    }
    horizontal_sums_512(sums)
}

/// The squared distances of `query` from each of `ROWS` rows of its length.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
#[inline]
fn l2_squared_block<const ROWS: usize>(query: &[i8], rows: [&[i8]; ROWS], ahead: Ahead) -> [u32; ROWS] {
    let (query_chunks, query_tail) = query.as_chunks::<WIDE_LANES>();
    let full = query_chunks.len();
    let mut chunks: [&[[i8; WIDE_LANES]]; ROWS] = [&[]; ROWS];
    for row in 0..ROWS {
        chunks[row] = &rows[row].as_chunks().0[..full];
    }
    let mut sums = [_mm512_setzero_si512(); ROWS];
    for at in 0..full {
        let query = load_wide(&query_chunks[at]);
        for row in 0..ROWS {
            if ROWS > 1 && row % 2 == 0 {
                ahead.fetch((at * ROWS + row) * WIDE_LANES);
            }
            let difference = _mm512_sub_epi16(query, load_wide(&chunks[row][at]));
            sums[row] = _mm512_dpwssd_epi32(sums[row], difference, difference);
        }
    }
    if !query_tail.is_empty() {
        let query = load_wide_tail(query_tail);
        for row in 0..ROWS {
            let difference = _mm512_sub_epi16(query, load_wide_tail(rows[row].as_chunks::<WIDE_LANES>().1));
            sums[row] = _mm512_dpwssd_epi32(sums[row], difference, difference);
        }
    }
    horizontal_sums_512(sums).map(i32::cast_unsigned)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(chunk: &[i8; LANES]) -> __m512i {
    // SAFETY: reads 64 bytes, and the argument's type is an array of 64 i8.
    unsafe { _mm512_loadu_si512(chunk.as_ptr().cast::<__m512i>()) }
}

/// Up to 63 elements; the lanes beyond them are zero. Both factors being padded, they add nothing.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_tail(tail: &[i8]) -> __m512i {
    let present: __mmask64 = (1 << tail.len().min(LANES - 1)) - 1;
    // SAFETY: the mask, made of the slice's length in the line above, keeps the load inside the slice.
    unsafe { _mm512_maskz_loadu_epi8(present, tail.as_ptr()) }
}

/// 32 elements, each widened to i16.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_wide(chunk: &[i8; WIDE_LANES]) -> __m512i {
    // SAFETY: reads 32 bytes, and the argument's type is an array of 32 i8.
    _mm512_cvtepi8_epi16(unsafe { _mm256_loadu_si256(chunk.as_ptr().cast::<__m256i>()) })
}

/// Up to 31 elements and zeros, each widened to i16.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_wide_tail(tail: &[i8]) -> __m512i {
    _mm512_cvtepi8_epi16(_mm512_castsi512_si256(load_tail(tail)))
}

/// The sum of each register's lanes.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn horizontal_sums_512<const ROWS: usize>(rows: [__m512i; ROWS]) -> [i32; ROWS] {
    let mut sums = [0; ROWS];
    if ROWS == BLOCK {
        let quarters = [
            fold_512(rows[0]),
            fold_512(rows[1 % ROWS]),
            fold_512(rows[2 % ROWS]),
            fold_512(rows[3 % ROWS]),
        ];
        sums.copy_from_slice(&horizontal_sums(quarters)[..ROWS]);
    } else {
        for row in 0..ROWS {
            sums[row] = _mm512_reduce_add_epi32(rows[row]);
        }
    }
    sums
}

/// The upper three quarters added to the lowest.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn fold_512(lanes: __m512i) -> __m128i {
    let (low, high) = (
        _mm512_castsi512_si256(lanes),
        _mm512_extracti64x4_epi64::<1>(lanes),
    );
    fold_256(_mm256_add_epi32(low, high))
}
