//! A row's result does not depend on its neighbours or on the form.

use crate::vectors::Random;
use omendb_distance::{Distance, Kernels};

#[test]
fn every_form_gives_the_same_bits() {
    let mut random = Random(31);
    for dimension in [1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 65, 100, 384] {
        for count in 0..=11 {
            let query = random.wide_vector(dimension, 10);
            let rows = random.wide_vector(dimension * count, 10);
            for kernels in Kernels::usable() {
                for distance in Distance::ALL {
                    check(kernels, distance, &query, &rows);
                }
            }
        }
    }
}

fn check(kernels: &Kernels, distance: Distance, query: &[f32], rows: &[f32]) {
    let (isa, dimension) = (kernels.isa(), query.len());
    let mut together = vec![f32::NAN; rows.len() / dimension];
    kernels.raw_rows(distance, query, rows, &mut together);
    for (at, row) in rows.chunks_exact(dimension).enumerate() {
        let pair = kernels.raw(distance, query, row);
        assert_eq!(
            together[at].to_bits(),
            pair.to_bits(),
            "{isa} {distance:?}, row {at}, {dimension} elements"
        );
    }
}

#[test]
fn a_nan_row_spoils_only_its_own_result() {
    let mut random = Random(32);
    for dimension in [5, 16, 40] {
        let (query, mut rows) = (random.vector(dimension), random.vector(dimension * 9));
        rows[5 * dimension] = f32::NAN;
        for kernels in Kernels::usable() {
            for distance in Distance::ALL {
                let mut results = [0.0; 9];
                kernels.raw_rows(distance, &query, &rows, &mut results);
                for (at, result) in results.into_iter().enumerate() {
                    assert_eq!(
                        result.is_nan(),
                        at == 5,
                        "{} {distance:?}, row {at}",
                        kernels.isa()
                    );
                }
            }
        }
    }
}

#[test]
fn rows_without_elements_score_zero() {
    for kernels in Kernels::usable() {
        let mut results = [f32::NAN; 3];
        kernels.dot_rows(&[], &[], &mut results);
        assert_eq!(results, [0.0; 3], "{}", kernels.isa());
    }
}

#[test]
#[should_panic(expected = "rows and results of different number")]
fn a_result_too_few_is_refused() {
    Kernels::detected().dot_rows(&[1.0, 2.0], &[1.0, 2.0, 3.0, 4.0], &mut [0.0]);
}

#[test]
#[should_panic(expected = "vectors of different dimensions")]
fn vectors_of_different_dimensions_are_refused() {
    Kernels::detected().dot(&[1.0, 2.0], &[1.0]);
}

#[test]
fn sets_are_listed_widest_first_and_end_with_the_reference() {
    let sets = Kernels::usable();
    assert!(std::ptr::eq(sets[0], Kernels::detected()));
    assert!(std::ptr::eq(
        *sets.last().expect("the scalar set at least"),
        Kernels::scalar()
    ));
    assert_eq!(Kernels::scalar().elements_in_full_vectors(384), 0);
    assert_eq!(Kernels::scalar().i8_elements_in_full_vectors(384), 0);
    for set in &sets[..sets.len() - 1] {
        assert_eq!(set.elements_in_full_vectors(384), 384, "{}", set.isa());
        assert_eq!(set.elements_in_full_vectors(385), 384, "{}", set.isa());
        assert_eq!(set.elements_in_full_vectors(5), 0, "{}", set.isa());
        assert_eq!(set.i8_elements_in_full_vectors(385), 384, "{}", set.isa());
    }
}
