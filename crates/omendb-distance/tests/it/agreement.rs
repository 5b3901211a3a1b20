//! Results against exact ones, over every tail length and extreme elements.

use crate::vectors::{Random, lengths};
use omendb_distance::{Kernels, error_bound};

/// Compares the four sums with f64, whose own error is 2^29 times smaller than the bound.
fn check(a: &[f32], b: &[f32]) {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let products: Vec<f64> = pairs().map(|(a, b)| a * b).collect();
    let squares: Vec<f64> = pairs().map(|(a, b)| (a - b) * (a - b)).collect();
    let absolutes: Vec<f64> = pairs().map(|(a, b)| (a - b).abs()).collect();
    for kernels in Kernels::usable() {
        check_sum(kernels, "dot", kernels.dot(a, b), &products);
        check_sum(kernels, "l2_squared", kernels.l2_squared(a, b), &squares);
        check_sum(kernels, "manhattan", kernels.manhattan(a, b), &absolutes);
    }
}

fn check_sum(kernels: &Kernels, function: &str, result: f32, terms: &[f64]) {
    let exact: f64 = terms.iter().sum();
    let bound = error_bound(terms.len(), terms.iter().map(|term| term.abs()).sum());
    let error = (f64::from(result) - exact).abs();
    assert!(
        error <= bound,
        "{} {function} of {} elements: {result} for {exact}, off by {error}, more than {bound}",
        kernels.isa(),
        terms.len()
    );
}

#[test]
fn ordinary_elements_of_every_length() {
    let mut random = Random(1);
    for length in lengths() {
        check(&random.vector(length), &random.vector(length));
    }
}

#[test]
fn elements_of_very_different_size() {
    let mut random = Random(2);
    for length in lengths() {
        check(&random.wide_vector(length, 40), &random.wide_vector(length, 40));
    }
}

#[test]
fn elements_whose_products_underflow() {
    let mut random = Random(3);
    for length in lengths() {
        let tiny: Vec<f32> = random
            .vector(length)
            .iter()
            .map(|element| element * 1e-38)
            .collect();
        check(&tiny, &random.vector(length));
        check(&tiny, &tiny);
    }
}

#[test]
fn sums_that_cancel() {
    let mut random = Random(4);
    for length in lengths() {
        let a = random.vector(length);
        let signs: Vec<f32> = (0..length)
            .map(|at| if at % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let ordered: Vec<f32> = a.iter().map(|element| element.abs()).collect();
        check(&ordered, &signs);
        check(&a, &a);
    }
}

#[test]
fn every_element_counts() {
    for length in lengths().filter(|&length| length <= 300) {
        let zeros = vec![0.0; length];
        for at in 0..length {
            let mut one = zeros.clone();
            one[at] = 3.0;
            for kernels in Kernels::usable() {
                let isa = kernels.isa();
                assert_eq!(
                    kernels.dot(&one, &one),
                    9.0,
                    "{isa} dot, element {at} of {length}"
                );
                assert_eq!(
                    kernels.l2_squared(&zeros, &one),
                    9.0,
                    "{isa} l2_squared, element {at} of {length}"
                );
                assert_eq!(
                    kernels.manhattan(&zeros, &one),
                    3.0,
                    "{isa} manhattan, element {at} of {length}"
                );
                assert_eq!(kernels.norm(&one), 3.0, "{isa} norm, element {at} of {length}");
            }
        }
    }
}

#[test]
fn cosine_is_that_of_f64() {
    let mut random = Random(5);
    for length in lengths().filter(|&length| length > 0) {
        let (a, b) = (random.vector(length), random.vector(length));
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let exact = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        // The absolute terms of the product sum to at most the product of the lengths, so the bound of the dot
        // product carries over; the norms and the divisions add one more of the same size.
        let bound = 2.0 * error_bound(length, 1.0);
        for kernels in Kernels::usable() {
            let result = kernels.cosine(&a, &b);
            let error = (f64::from(result) - exact).abs();
            assert!(
                error <= bound,
                "{}, {length} elements: {result} for {exact}",
                kernels.isa()
            );
        }
    }
}
