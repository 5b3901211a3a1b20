//! The i8 kernels against arithmetic in i64.

use crate::vectors::{Random, lengths};
use omendb_distance::{Kernels, MAX_I8_DIMENSION};

fn check(a: &[i8], b: &[i8]) {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (i64::from(a), i64::from(b)));
    let dot: i64 = pairs().map(|(a, b)| a * b).sum();
    let l2_squared: i64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
    let (a_square, b_square) = pairs().fold((0, 0), |(x, y), (a, b)| (x + a * a, y + b * b));
    let cosine = if a_square == 0 || b_square == 0 {
        0.0
    } else {
        dot as f64 / ((a_square * b_square) as f64).sqrt()
    };
    for kernels in Kernels::usable() {
        let (isa, length) = (kernels.isa(), a.len());
        assert_eq!(i64::from(kernels.dot_i8(a, b)), dot, "{isa} dot of {length}");
        assert_eq!(
            i64::from(kernels.l2_squared_i8(a, b)),
            l2_squared,
            "{isa} l2_squared of {length}"
        );
        assert_eq!(kernels.cosine_i8(a, b), cosine as f32, "{isa} cosine of {length}");
    }
}

#[test]
fn ordinary_elements_of_every_length() {
    let mut random = Random(21);
    for length in lengths() {
        check(&random.bytes(length), &random.bytes(length));
    }
}

#[test]
fn extreme_elements_up_to_the_largest_dimension() {
    for length in [
        1,
        31,
        32,
        33,
        63,
        64,
        65,
        300,
        MAX_I8_DIMENSION - 1,
        MAX_I8_DIMENSION,
    ] {
        for (a, b) in [
            (-128, -128),
            (-128, 127),
            (127, 127),
            (127, -128),
            (0, -128),
            (-128, 0),
        ] {
            check(&vec![a; length], &vec![b; length]);
        }
    }
}

#[test]
fn rows_equal_pairs() {
    let mut random = Random(22);
    for dimension in [1, 15, 16, 17, 31, 33, 63, 64, 65, 129, 384] {
        for count in 0..=9 {
            let (query, rows) = (random.bytes(dimension), random.bytes(dimension * count));
            let pairs = || rows.chunks_exact(dimension);
            for kernels in Kernels::usable() {
                let isa = kernels.isa();
                let mut dots = vec![7; count];
                kernels.dot_i8_rows(&query, &rows, &mut dots);
                let expected: Vec<i32> = pairs().map(|row| kernels.dot_i8(&query, row)).collect();
                assert_eq!(dots, expected, "{isa} dot_i8_rows, {count} x {dimension}");
                dots.fill(7);
                let apart: Vec<&[i8]> = pairs().collect();
                kernels.dot_i8_each(&query, &apart, &mut dots);
                assert_eq!(dots, expected, "{isa} dot_i8_each, {count} x {dimension}");
                let mut squares = vec![7; count];
                kernels.l2_squared_i8_rows(&query, &rows, &mut squares);
                let expected: Vec<u32> = pairs().map(|row| kernels.l2_squared_i8(&query, row)).collect();
                assert_eq!(
                    squares, expected,
                    "{isa} l2_squared_i8_rows, {count} x {dimension}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "different dimensions")]
fn a_row_of_another_dimension_is_refused() {
    Kernels::detected().dot_i8_each(&[1, 2], &[&[1, 2], &[1, 2, 3]], &mut [0, 0]);
}

#[test]
#[should_panic(expected = "more than 65536")]
fn a_longer_vector_is_refused() {
    let long = vec![0; MAX_I8_DIMENSION + 1];
    Kernels::detected().dot_i8(&long, &long);
}
