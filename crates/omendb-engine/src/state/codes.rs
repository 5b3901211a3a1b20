//! Rows in one byte an element, with a certificate of how far each is from the row it stands for.
//!
//! `code = round(element / scale)` with the row's own `scale = max |element| / 127`. The scan reads these first: a
//! quarter of the bytes, and the certificate bounds what the row itself can score (see `search::screen`).

use crate::state::chunk::with_room;

/// Elements below this in every place, or above the other in any, are not coded: with scales between them neither
/// products of scales nor sums of 65,536 products leave the range in which f32 is accurate.
const LEAST: f32 = 1e-12;
const MOST: f32 = 1e12;

/// `1.5 * 2^23`: added to a number of at most 22 bits, it leaves that number rounded to an integer, in two's complement,
/// in the low bits of the sum. Unlike `round`, it needs no instruction that some processors lack.
const ROUNDING: f32 = 12_582_912.0;

/// Running sums of an encoding.
const LANES: usize = 8;

/// Coded rows of one dimension, in the order in which they were pushed.
#[derive(Debug)]
pub(crate) struct Codes {
    dimension: usize,
    /// Row-major.
    codes: Vec<i8>,
    scales: Vec<f32>,
    norms: Vec<f32>,
    errors: Vec<f32>,
}

/// What is known of a coded vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Certificate {
    /// What a code of 1 stands for; an exact factor, not an approximation.
    pub(crate) scale: f32,
    /// Length of the vector the codes stand for, `|scale * codes|`, rounded to nearest.
    pub(crate) norm: f32,
    /// At least the distance between that vector and the one that was coded; infinite if it was not coded.
    pub(crate) error: f32,
}

impl Codes {
    /// Room for `rows` rows.
    pub(crate) fn with_capacity(dimension: usize, rows: usize) -> Self {
        Self {
            dimension,
            codes: Vec::with_capacity(rows * dimension),
            scales: Vec::with_capacity(rows),
            norms: Vec::with_capacity(rows),
            errors: Vec::with_capacity(rows),
        }
    }

    /// A copy with room for `rows` rows, which a derived clone would not have.
    pub(crate) fn with_room(&self, rows: usize) -> Self {
        let Self {
            dimension,
            codes,
            scales,
            norms,
            errors,
        } = self;
        Self {
            dimension: *dimension,
            codes: with_room(codes, rows * dimension),
            scales: with_room(scales, rows),
            norms: with_room(norms, rows),
            errors: with_room(errors, rows),
        }
    }

    /// Bytes of one coded row with its certificate.
    pub(crate) fn row_bytes(dimension: usize) -> usize {
        dimension + size_of::<Certificate>()
    }

    /// Codes a row and appends it.
    pub(crate) fn push(&mut self, row: &[f32]) {
        debug_assert_eq!(row.len(), self.dimension);
        let Certificate { scale, norm, error } = encode(row, &mut self.codes);
        self.scales.push(scale);
        self.norms.push(norm);
        self.errors.push(error);
    }

    /// One row's codes and what is known of them.
    #[inline]
    pub(crate) fn row(&self, position: usize) -> (&[i8], Certificate) {
        let codes = &self.codes[position * self.dimension..][..self.dimension];
        let certificate = Certificate {
            scale: self.scales[position],
            norm: self.norms[position],
            error: self.errors[position],
        };
        (codes, certificate)
    }

    /// Whether every row could be coded.
    pub(crate) fn is_complete(&self) -> bool {
        self.errors.iter().all(|error| error.is_finite())
    }

    /// All codes, row after row.
    pub(crate) fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The certificates' fields, each for all rows.
    pub(crate) fn certificates(&self) -> (&[f32], &[f32], &[f32]) {
        (&self.scales, &self.norms, &self.errors)
    }
}

/// Appends the codes of `vector` to `codes`. Zeros stand for a vector that cannot be coded.
pub(crate) fn encode(vector: &[f32], codes: &mut Vec<i8>) -> Certificate {
    // Bits of positive floats are ordered as the floats are, and integers compare several at a time.
    let magnitudes = vector.iter().map(|element| element.abs().to_bits());
    let largest = f32::from_bits(magnitudes.fold(0, u32::max));
    if !(LEAST..=MOST).contains(&largest) {
        codes.resize(codes.len() + vector.len(), 0);
        let error = if largest == 0.0 { 0.0 } else { f32::INFINITY };
        return Certificate {
            scale: 0.0,
            norm: 0.0,
            error,
        };
    }
    let (scale, per_scale) = (largest / 127.0, 127.0 / largest);
    let mut sums = Sums::default();
    let (eights, rest) = vector.as_chunks::<LANES>();
    for eight in eights {
        codes.extend(std::array::from_fn::<i8, LANES, _>(|lane| {
            sums.encode(lane, eight[lane], scale, per_scale)
        }));
    }
    codes.extend(
        rest.iter()
            .enumerate()
            .map(|(lane, &element)| sums.encode(lane, element, scale, per_scale)),
    );
    let norm = f64::from(scale) * (sums.squares.iter().map(|&sum| f64::from(sum)).sum::<f64>()).sqrt();
    Certificate {
        scale,
        norm: norm as f32,
        error: round_up(sums.errors.iter().sum::<f64>().sqrt()),
    }
}

/// Running sums in parallel, so that the compiler may use vector registers.
#[derive(Default)]
struct Sums {
    /// Of squared codes; 65,536 of them fit.
    squares: [i32; LANES],
    /// Of squared differences from what the codes stand for.
    errors: [f64; LANES],
}

impl Sums {
    #[inline]
    fn encode(&mut self, lane: usize, element: f32, scale: f32, per_scale: f32) -> i8 {
        let code = (element * per_scale + ROUNDING).to_bits() as i8;
        // The product is exact, 24 bits by 7: the error is that of the code as stored, whatever the rounding before.
        let error = f64::from(element) - f64::from(scale) * f64::from(code);
        self.squares[lane] += i32::from(code) * i32::from(code);
        self.errors[lane] += error * error;
        code
    }
}

/// An f32 that is not below `value`, which f64 arithmetic has left with a relative error of far less than 2^-30.
pub(crate) fn round_up(value: f64) -> f32 {
    (value * (1.0 + 2.0_f64.powi(-22))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance as Random;

    fn check(vector: &[f32]) {
        let mut codes = Vec::new();
        let Certificate { scale, norm, error } = encode(vector, &mut codes);
        let coded: Vec<f64> = codes
            .iter()
            .map(|&code| f64::from(scale) * f64::from(code))
            .collect();
        let length = |vector: &mut dyn Iterator<Item = f64>| {
            vector.map(|element| element * element).sum::<f64>().sqrt()
        };
        let exact_norm = length(&mut coded.iter().copied());
        let exact_error = length(
            &mut vector
                .iter()
                .zip(&coded)
                .map(|(&element, coded)| f64::from(element) - coded),
        );
        assert!(
            (f64::from(norm) - exact_norm).abs() <= exact_norm * 1e-7,
            "norm {norm}, not {exact_norm}"
        );
        assert!(
            f64::from(error) >= exact_error,
            "error {error} below {exact_error}"
        );
        if error.is_finite() {
            let step = f64::from(scale) * 0.5 * (vector.len() as f64).sqrt();
            assert!(
                f64::from(error) <= step * 1.001,
                "error {error}, more than rounding explains ({step})"
            );
        }
    }

    #[test]
    fn certificates_hold() {
        let mut random = Random::new(41);
        for dimension in [1, 2, 3, 16, 65, 384] {
            for exponent in [-30, -3, 0, 7, 30] {
                let element = |random: &mut Random| {
                    (random.below(2_000_001) as f32 / 1e6 - 1.0) * 2.0_f32.powi(exponent)
                };
                let vector: Vec<f32> = (0..dimension).map(|_| element(&mut random)).collect();
                check(&vector);
            }
        }
        check(&[1.0, -1.0, 0.5, 1e-9]);
        check(&[0.0; 7]);
    }

    #[test]
    fn what_f32_cannot_bound_is_not_coded() {
        for vector in [
            [1e-30, 0.0],
            [f32::MIN_POSITIVE, 1e-45],
            [1e20, 1.0],
            [f32::MAX, -f32::MAX],
        ] {
            let mut codes = Vec::new();
            assert_eq!(encode(&vector, &mut codes).error, f32::INFINITY, "{vector:?}");
            assert_eq!(codes, [0, 0]);
        }
    }
}
