//! NaN, infinities, overflow and underflow.

use crate::vectors::Random;
use omendb_distance::Kernels;

type Pair = fn(&Kernels, &[f32], &[f32]) -> f32;

const PAIRS: [(&str, Pair); 4] = [
    ("dot", Kernels::dot),
    ("l2_squared", Kernels::l2_squared),
    ("manhattan", Kernels::manhattan),
    ("cosine", Kernels::cosine),
];

/// Lengths whose last element is in a full register, alone in a tail, or last of a tail, in every set.
const LENGTHS: [usize; 8] = [1, 7, 8, 15, 16, 17, 64, 95];

fn check(name: &str, a: &[f32], b: &[f32], accept: impl Fn(f32) -> bool) {
    for kernels in Kernels::usable() {
        let (_, pair) = PAIRS
            .into_iter()
            .find(|(pair, _)| *pair == name)
            .expect("a name of the table");
        let result = pair(kernels, a, b);
        assert!(
            accept(result),
            "{} {name} of {a:?} and {b:?} is {result}",
            kernels.isa()
        );
    }
}

#[test]
fn a_nan_anywhere_gives_nan() {
    let mut random = Random(11);
    for length in LENGTHS {
        for at in 0..length {
            let (clean, mut tainted) = (random.vector(length), random.vector(length));
            tainted[at] = f32::NAN;
            for (name, _) in PAIRS {
                check(name, &clean, &tainted, f32::is_nan);
                check(name, &tainted, &clean, f32::is_nan);
                check(name, &tainted, &vec![0.0; length], f32::is_nan);
            }
            for kernels in Kernels::usable() {
                assert!(kernels.norm(&tainted).is_nan(), "{}", kernels.isa());
            }
        }
    }
}

#[test]
fn an_infinity_never_gives_a_finite_number() {
    let mut random = Random(12);
    for length in LENGTHS {
        for infinity in [f32::INFINITY, f32::NEG_INFINITY] {
            let (clean, mut infinite) = (random.vector(length), random.vector(length));
            infinite[length - 1] = infinity;
            for (name, _) in PAIRS {
                check(name, &clean, &infinite, |result| !result.is_finite());
                check(name, &infinite, &infinite, |result| !result.is_finite());
            }
        }
    }
}

#[test]
fn sums_beyond_f32_are_infinite() {
    for length in LENGTHS {
        let (huge, opposite) = (vec![f32::MAX; length], vec![-f32::MAX; length]);
        check("dot", &huge, &huge, |result| result == f32::INFINITY);
        check("dot", &huge, &opposite, |result| result == f32::NEG_INFINITY);
        check("l2_squared", &huge, &opposite, |result| result == f32::INFINITY);
        check("manhattan", &huge, &opposite, |result| result == f32::INFINITY);
        check("l2_squared", &huge, &huge, |result| result == 0.0);
    }
}

#[test]
fn norm_and_cosine_hold_where_squares_do_not() {
    for scale in [f32::MIN_POSITIVE, 1e-45, 1e-25, 3e-22, 1e-20, 1.0, 1e25, 3e37] {
        for length in [1, 4, 16, 64] {
            let a = vec![scale; length];
            let opposite = vec![-scale; length];
            let norm = (f64::from(scale) * (length as f64).sqrt()) as f32;
            for kernels in Kernels::usable() {
                let (isa, result) = (kernels.isa(), kernels.norm(&a));
                assert!(
                    (result - norm).abs() <= norm * 1e-6,
                    "{isa} norm of {length} x {scale} is {result}"
                );
            }
            check("cosine", &a, &a, |result| (result - 1.0).abs() <= 1e-6);
            check("cosine", &a, &opposite, |result| (result + 1.0).abs() <= 1e-6);
        }
    }
    let (tiny, huge) = (vec![1e-44; 20], vec![1e38; 20]);
    check("cosine", &tiny, &huge, |result| (result - 1.0).abs() <= 1e-6);
}

#[test]
fn zero_and_empty_vectors_score_zero() {
    for length in LENGTHS {
        let (zero, other) = (vec![0.0; length], vec![2.0; length]);
        check("cosine", &zero, &other, |result| result == 0.0);
        check("cosine", &zero, &zero, |result| result == 0.0);
        check("dot", &zero, &other, |result| result == 0.0);
    }
    for (name, _) in PAIRS {
        check(name, &[], &[], |result| result == 0.0);
    }
}
