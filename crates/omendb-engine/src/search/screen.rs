//! The first pass of an exact search: a quarter of the bytes tell which rows may still win.
//!
//! For a query `q` and a row `x`, coded as `q'` and `x'` with errors `|q - q'| <= f` and `|x - x'| <= e`:
//! * `q.x <= q'.x' + f |x'| + |q| e`, by Cauchy and Schwarz, since `q.x - q'.x' = (q - q').x' + q.(x - x')`;
//! * `|q - x| >= |q' - x'| - f - e`, by the triangle inequality.
//!
//! `q'.x'` is a product of integers, exact, times two scales. What remains are the roundings of this module's f32
//! arithmetic and of the kernel that computes the score itself, and the bounds are widened by both. A row whose bound
//! cannot enter the top k is passed over, every other one is scored by the f32 kernel: the answer is, bit for bit,
//! that of scoring every row.

use omendb_distance::{Distance, Kernels, error_bound};

use crate::state::{Certificate, Codes, encode, round_up};

/// Half a unit in the last place of f32, relative.
const UNIT_ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// A query prepared for the first pass.
#[derive(Debug)]
pub(crate) struct Screen {
    distance: Distance,
    codes: Vec<i8>,
    certificate: Certificate,
    /// Bound of the dot product: what a unit of the row's norm adds, and what a unit of its error adds.
    per_norm: f32,
    per_error: f32,
    /// Relative error of a squared distance, of the kernel's and of ours.
    distance_slack: f32,
}

impl Screen {
    /// `None` if the distance has no such bound or the query cannot be coded; every row has to be scored then.
    pub(crate) fn new(distance: Distance, query: &[f32]) -> Option<Self> {
        if distance == Distance::Manhattan {
            return None;
        }
        let mut codes = Vec::with_capacity(query.len());
        let certificate = encode(query, &mut codes);
        if certificate.scale == 0.0 {
            return None;
        }
        let error = f64::from(certificate.error);
        let norm = f64::from(certificate.norm) * (1.0 + UNIT_ROUNDOFF) + error;
        // The kernel's error relative to |q| |x|, and at most 16 roundings here, each relative to |q'| |x'| or less.
        let slack = error_bound(query.len(), 1.0) + 16.0 * UNIT_ROUNDOFF;
        Some(Self {
            distance,
            codes,
            certificate,
            per_norm: round_up(error + slack * norm),
            per_error: round_up((1.0 + slack) * norm),
            distance_slack: round_up(2.0 * slack),
        })
    }

    /// For each row of `rows`, a rank (the raw value, negated where lower is better) that its own does not exceed; not
    /// a number or infinite if nothing is known. `dots` is scratch of the same length as `optimistic`.
    pub(crate) fn ranks(&self, kernels: &Kernels, rows: &Codes, dots: &mut [i32], optimistic: &mut [f32]) {
        kernels.dot_i8_rows(&self.codes, rows.codes(), dots);
        match self.distance {
            Distance::Cosine | Distance::Dot => self.highest_products(rows, dots, optimistic),
            Distance::Euclid | Distance::Manhattan => self.lowest_distances(rows, dots, optimistic),
        }
    }

    /// The query's codes.
    pub(crate) fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// What is known of them.
    pub(crate) fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// [`ranks`](Self::ranks) of one row.
    pub(crate) fn rank(&self, kernels: &Kernels, rows: &Codes, position: usize) -> f32 {
        let (codes, certificate) = rows.row(position);
        let dot = kernels.dot_i8(&self.codes, codes);
        match self.distance {
            Distance::Cosine | Distance::Dot => self.highest_product(dot, certificate),
            Distance::Euclid | Distance::Manhattan => self.lowest_distance(dot, certificate),
        }
    }

    fn highest_products(&self, rows: &Codes, dots: &[i32], optimistic: &mut [f32]) {
        let (scales, norms, errors) = rows.certificates();
        for (row, rank) in optimistic.iter_mut().enumerate() {
            let (scale, norm, error) = (scales[row], norms[row], errors[row]);
            *rank = self.highest_product(dots[row], Certificate { scale, norm, error });
        }
    }

    #[inline]
    fn highest_product(&self, dot: i32, row: Certificate) -> f32 {
        let product = dot as f32 * (self.certificate.scale * row.scale);
        product + (self.per_norm * row.norm + self.per_error * row.error)
    }

    fn lowest_distances(&self, rows: &Codes, dots: &[i32], optimistic: &mut [f32]) {
        let (scales, norms, errors) = rows.certificates();
        for (row, rank) in optimistic.iter_mut().enumerate() {
            let (scale, norm, error) = (scales[row], norms[row], errors[row]);
            *rank = self.lowest_distance(dots[row], Certificate { scale, norm, error });
        }
    }

    #[inline]
    fn lowest_distance(&self, dot: i32, row: Certificate) -> f32 {
        let Certificate { scale, norm, error } = self.certificate;
        let product = dot as f32 * (scale * row.scale);
        let squares = norm * norm + row.norm * row.norm;
        let least_square = squares - 2.0 * product - self.distance_slack * squares;
        // Of a negative number the root is NaN and the greater of that and zero is zero.
        let least = (least_square.sqrt() - (error + row.error)).max(0.0);
        -(least * least) * (1.0 - self.distance_slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance as Random;

    fn vector(random: &mut Random, dimension: usize, exponent: i32) -> Vec<f32> {
        let mut unit = || random.below(2_000_001) as f32 / 1e6 - 1.0;
        (0..dimension).map(|_| unit() * 2.0_f32.powi(exponent)).collect()
    }

    fn rank(kernels: &Kernels, distance: Distance, query: &[f32], row: &[f32]) -> f32 {
        let raw = kernels.raw(distance, query, row);
        if distance.higher_is_better() { raw } else { -raw }
    }

    /// No row ranks above its optimistic rank, on any kernel set. Returns how far the ranks are above, on average.
    fn check(distance: Distance, query: &[f32], rows: &[Vec<f32>]) -> f32 {
        let Some(screen) = Screen::new(distance, query) else {
            return f32::INFINITY;
        };
        let mut codes = Codes::with_capacity(query.len(), rows.len());
        rows.iter().for_each(|row| codes.push(row));
        let mut excess = 0.0;
        for kernels in Kernels::usable() {
            let (mut dots, mut optimistic) = (vec![0; rows.len()], vec![0.0; rows.len()]);
            screen.ranks(kernels, &codes, &mut dots, &mut optimistic);
            excess = 0.0;
            for (row, bound) in rows.iter().zip(optimistic) {
                let rank = rank(kernels, distance, query, row);
                // As the scan asks: may a row with this bound still rank that high?
                assert!(
                    bound.is_nan() || bound >= rank,
                    "{distance:?}: {rank} above {bound} for {query:?}, {row:?}"
                );
                excess += (bound - rank) / rows.len() as f32;
            }
        }
        excess
    }

    #[test]
    fn no_row_ranks_above_its_bound() {
        let mut random = Random::new(51);
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            for dimension in [1, 2, 3, 8, 17, 64, 384] {
                for exponent in [-39, -20, 0, 20, 39] {
                    let query = vector(&mut random, dimension, exponent);
                    let rows =
                        [exponent, exponent - 8, 0, 45, -45].map(|at| vector(&mut random, dimension, at));
                    check(distance, &query, &rows);
                }
            }
        }
    }

    #[test]
    fn no_row_near_the_query_ranks_above_its_bound() {
        let mut random = Random::new(52);
        for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
            for dimension in [1, 5, 96] {
                for closeness in -30..2 {
                    let query = vector(&mut random, dimension, 0);
                    let near = |random: &mut Random| -> Vec<f32> {
                        let offsets = vector(random, dimension, closeness);
                        query
                            .iter()
                            .zip(offsets)
                            .map(|(element, offset)| element + offset)
                            .collect()
                    };
                    let mut rows: Vec<_> = (0..20).map(|_| near(&mut random)).collect();
                    rows.extend([
                        query.clone(),
                        query.iter().map(|element| -element).collect(),
                        vec![0.0; dimension],
                    ]);
                    check(distance, &query, &rows);
                }
            }
        }
    }

    #[test]
    fn bounds_are_tight_enough_to_be_worth_it() {
        let mut random = Random::new(53);
        let normalized = |random: &mut Random| {
            let mut vector = vector(random, 384, 0);
            omendb_distance::normalize(&mut vector);
            vector
        };
        let query = normalized(&mut random);
        let rows: Vec<_> = (0..100).map(|_| normalized(&mut random)).collect();
        // Rounding to 127ths of the largest element costs a unit vector of this kind about 0.004 of its length.
        assert!(check(Distance::Cosine, &query, &rows) < 0.01);
        assert!(check(Distance::Euclid, &query, &rows) < 0.03);
    }

    #[test]
    fn what_has_no_bound_is_not_screened() {
        assert!(Screen::new(Distance::Manhattan, &[1.0, 2.0]).is_none());
        for query in [[0.0, 0.0], [1e-30, 0.0], [1e30, 1.0]] {
            assert!(Screen::new(Distance::Dot, &query).is_none(), "{query:?}");
        }
    }
}
