//! Unit length, computed the same way on every processor.
//!
//! A collection replays its log to the same state anywhere, so what is stored must not depend on the kernel set: the
//! sum runs in f64, in a fixed order, in plain Rust. f64 also cannot overflow or vanish on squares of f32.

/// Accumulators: enough to let the compiler use vector registers without changing the order of the additions.
const LANES: usize = 8;

/// Scales `vector` to unit length, to within 1.5 units in the last place of each element. A zero vector stays zero.
///
/// Elements must be finite (the engine checks them before they get here); otherwise the vector is left as it is.
pub fn normalize(vector: &mut [f32]) {
    let norm = norm_f64(vector);
    if norm == 0.0 || !norm.is_finite() {
        return;
    }
    for element in vector {
        *element = (f64::from(*element) / norm) as f32;
    }
}

/// Euclidean length in f64: finite for every finite f32 vector, zero only for the zero vector, NaN if an element is.
pub(crate) fn norm_f64(vector: &[f32]) -> f64 {
    dot_f64(vector, vector).sqrt()
}

/// Dot product in f64, in a fixed order of additions; the reference where f32 is too narrow.
pub(crate) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f64; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let tail: f64 = a_tail
        .iter()
        .zip(b_tail)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum();
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[f32], expected: &[f32]) {
        let mut vector = input.to_vec();
        normalize(&mut vector);
        assert_eq!(vector, expected, "normalize {input:?}");
    }

    #[test]
    fn length_becomes_one_over_the_whole_range() {
        check(&[3.0, 4.0], &[0.6, 0.8]);
        check(&[0.0, -2.0, 0.0], &[0.0, -1.0, 0.0]);
        check(&[3e38, 3e38, 3e38, 3e38], &[0.5; 4]);
        check(&[1e-45, 0.0], &[1.0, 0.0]);
        check(&[], &[]);
    }

    #[test]
    fn vectors_without_a_direction_stay_as_they_are() {
        check(&[0.0; 5], &[0.0; 5]);
        check(&[f32::INFINITY, 1.0], &[f32::INFINITY, 1.0]);
        let mut with_nan = [f32::NAN, 2.0];
        normalize(&mut with_nan);
        assert!(with_nan[0].is_nan());
        assert_eq!(with_nan[1], 2.0);
    }
}
