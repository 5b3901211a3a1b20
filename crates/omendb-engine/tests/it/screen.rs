//! The first pass over coded rows changes what a search reads, never what it answers.

use omendb_engine::{Collection, Distance, SearchRequest, Worker, WriteBatch};
use omendb_sim::Rng;

use crate::fixtures::{ids, point, random_vector, with_main};

/// Hits asked for so that the collection is large enough for a first pass.
const FEW: usize = 10;

/// Ids and the bits of scores of the best `FEW`, found with the first pass and without: one that asks for most of the
/// points compares them all in full.
fn check(worker: &mut Worker, collection: &Collection, query: Vec<f32>) -> u64 {
    let points = usize::try_from(collection.count().unwrap()).unwrap();
    let mut best = |limit| {
        let response = worker
            .search(collection, &SearchRequest::nearest(query.clone(), limit))
            .unwrap();
        let hits = response
            .hits
            .iter()
            .take(FEW)
            .map(|hit| (hit.id, hit.score.to_bits()));
        (hits.collect::<Vec<_>>(), response.stats)
    };
    let (every, full) = best(points);
    let (few, screened) = best(FEW);
    assert_eq!(few, every, "{query:?}");
    assert_eq!(full.rescored, 0, "without a first pass nothing is scored again");
    assert_eq!(screened.distance_computations, full.distance_computations);
    screened.rescored
}

#[test]
fn answers_are_the_same_to_the_bit() {
    for distance in Distance::ALL {
        for dimension in [63, 64, 100, 384] {
            let (_fs, engine, collection) = with_main(dimension, distance);
            let (mut worker, mut rng) = (engine.worker(), Rng::new(7));
            let points = (0..900).map(|id| point(id, &random_vector(&mut rng, dimension)));
            collection.write(WriteBatch::upsert(points.collect())).unwrap();
            collection
                .write(WriteBatch::delete(ids((0..900).filter(|id| id % 3 == 0))))
                .unwrap();
            let rescored: u64 = (0..20)
                .map(|_| check(&mut worker, &collection, random_vector(&mut rng, dimension)))
                .sum();
            if dimension < 64 || distance == Distance::Manhattan {
                assert_eq!(rescored, 0, "{distance:?} {dimension}: there are no codes");
            } else {
                // Some enter while the top ten fills, some are near it; most are ruled out.
                let share = rescored as f64 / (20.0 * 600.0);
                assert!(
                    (0.01..0.2).contains(&share),
                    "{distance:?} {dimension}: {share} scored again"
                );
            }
        }
    }
}

#[test]
fn odd_rows_are_found_where_they_belong() {
    const DIMENSION: usize = 64;
    for distance in [Distance::Cosine, Distance::Dot, Distance::Euclid] {
        let (_fs, engine, collection) = with_main(DIMENSION, distance);
        let (mut worker, mut rng) = (engine.worker(), Rng::new(8));
        let scales = [0.0, 1e-45, 1e-38, 1e-20, 1e-9, 1.0, 1e9, 1e18, 1e30, 3e38];
        let mut points = Vec::new();
        for id in 0..1_000 {
            let scale = scales[(id % 10) as usize];
            let mut row = random_vector(&mut rng, DIMENSION);
            match id / 10 % 4 {
                // All the same, so that scores are equal and ids decide.
                0 => row.fill(1.0),
                // One element that leaves no bits for the others.
                1 => row[0] *= 1e4,
                _ => (),
            }
            points.push(point(
                id,
                &row.iter().map(|element| element * scale).collect::<Vec<_>>(),
            ));
        }
        let finite = points.into_iter().filter(is_finite).collect();
        collection.write(WriteBatch::upsert(finite)).unwrap();
        for scale in scales {
            for query in [vec![1.0; DIMENSION], random_vector(&mut rng, DIMENSION)] {
                check(
                    &mut worker,
                    &collection,
                    query.iter().map(|element| element * scale).collect(),
                );
            }
        }
    }
}

fn is_finite(point: &omendb_engine::Point) -> bool {
    let omendb_engine::Vectors::Unnamed(row) = &point.vectors else {
        return false;
    };
    row.iter().all(|element| element.is_finite())
}
