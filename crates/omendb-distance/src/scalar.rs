//! The scalar twins: what every other set is compared with, and what runs where there is no other set.
//!
//! Sums run in a few parallel lanes, which is as exact as one lane or better and lets the compiler use whatever vector
//! unit the target has.

use crate::kernels::{F32Table, I8Table};

/// Parallel sums: two 128-bit registers of f32.
const LANES: usize = 8;

/// f32 kernels in plain Rust.
pub(crate) static F32: F32Table = F32Table {
    dot,
    l2_squared,
    manhattan,
    dot_rows: |query, rows, out| each_row(query, rows, out, dot),
    l2_squared_rows: |query, rows, out| each_row(query, rows, out, l2_squared),
    manhattan_rows: |query, rows, out| each_row(query, rows, out, manhattan),
};

/// i8 kernels in plain Rust.
pub(crate) static I8: I8Table = I8Table {
    dot: dot_i8,
    l2_squared: l2_squared_i8,
    dot_rows: |query, rows, out| each_row(query, rows, out, dot_i8),
    l2_squared_rows: |query, rows, out| each_row(query, rows, out, l2_squared_i8),
    dot_each: |query, rows, out| {
        for (row, out) in rows.iter().zip(out) {
            *out = dot_i8(query, row);
        }
    },
};

fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| a * b)
}

fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

fn manhattan(a: &[f32], b: &[f32]) -> f32 {
    sum(a, b, |a, b| (a - b).abs())
}

/// Sum of `term` over the pairs of elements.
#[inline]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    let tail: f32 = a_tail.iter().zip(b_tail).map(|(&a, &b)| term(a, b)).sum();
    sums.iter().sum::<f32>() + tail
}

fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

fn l2_squared_i8(a: &[i8], b: &[i8]) -> u32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2))
        .sum()
}

/// Applies a pair kernel to each row of `rows`.
#[inline]
fn each_row<T, R>(query: &[T], rows: &[T], out: &mut [R], pair: impl Fn(&[T], &[T]) -> R) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = pair(query, row);
    }
}
