//! Exact search against brute force, over all distances.

use omendb_engine::{
    Collection, Distance, ErrorKind, Payload, PayloadSelector, Point, PointId, Query, SearchRequest, Value,
    VectorSelector, Vectors, Worker, WriteBatch,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{ids, open, point, random_vector, tagged, two_vectors, upsert_random, with_main};

/// The user's score, in f64.
fn score(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    match distance {
        Distance::Dot => dot,
        Distance::Cosine => dot / (norm(a) * norm(b)),
        Distance::Euclid => pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
        Distance::Manhattan => pairs().map(|(a, b)| (a - b).abs()).sum(),
    }
}

fn found(worker: &mut Worker, collection: &Collection, request: &SearchRequest) -> Vec<PointId> {
    worker
        .search(collection, request)
        .unwrap()
        .hits
        .into_iter()
        .map(|hit| hit.id)
        .collect()
}

fn check_against_brute_force(distance: Distance, dimension: usize, count: u64) {
    let (_fs, engine, collection) = with_main(dimension, distance);
    let mut rng = Rng::new(dimension as u64);
    let mut points = upsert_random(&collection, &mut rng, 0..count);
    // Some are replaced and some are gone, so that chunks have holes.
    let deleted = ids((0..count).filter(|id| id % 5 == 0));
    collection.write(WriteBatch::delete(deleted.clone())).unwrap();
    let replaced = upsert_random(&collection, &mut rng, 1..count.min(20));
    points.retain(|point| !deleted.contains(&point.id) && !replaced.iter().any(|other| other.id == point.id));
    points.extend(replaced);
    let mut worker = engine.worker();
    for _ in 0..20 {
        let query = random_vector(&mut rng, dimension);
        let response = worker
            .search(&collection, &SearchRequest::nearest(query.clone(), 10))
            .unwrap();
        let of = |point: &Point| {
            let Vectors::Unnamed(row) = &point.vectors else {
                panic!("{point:?}")
            };
            (score(distance, &query, row), point.id)
        };
        let mut expected: Vec<_> = points.iter().map(of).collect();
        expected.sort_by(|a, b| a.0.total_cmp(&b.0));
        if distance.higher_is_better() {
            expected.reverse();
        }
        assert_eq!(response.hits.len(), expected.len().min(10));
        for (hit, expected) in response.hits.iter().zip(&expected) {
            let error = (f64::from(hit.score) - expected.0).abs();
            let tolerance = 1e-5 * (1.0 + expected.0.abs()) * (dimension as f64 / 384.0).max(1.0);
            assert!(
                error < tolerance,
                "{distance:?} {dimension}: {hit:?} {expected:?}"
            );
        }
        // The ids agree too, but where two scores are too close to tell apart.
        let is_clear = |pair: &[(f64, PointId)]| (pair[0].0 - pair[1].0).abs() > 1e-4;
        if expected.windows(2).take(10).all(is_clear) {
            assert!(
                response
                    .hits
                    .iter()
                    .map(|hit| hit.id)
                    .eq(expected.iter().take(10).map(|(_, id)| *id))
            );
        }
        assert!(response.stats.distance_computations >= points.len() as u64);
        let stats = response.stats;
        let row_bytes = if stats.rescored == 0 {
            dimension * 4
        } else {
            dimension + 12
        };
        assert_eq!(
            stats.bytes_touched,
            stats.distance_computations * row_bytes as u64 + stats.rescored * dimension as u64 * 4
        );
        assert_eq!(
            stats.elements,
            (stats.distance_computations + stats.rescored) * dimension as u64
        );
    }
}

#[test]
fn results_equal_brute_force() {
    for distance in Distance::ALL {
        for (dimension, count) in [
            (1, 50),
            (3, 700),
            (17, 300),
            (100, 1_000),
            (384, 200),
            (20_000, 7),
        ] {
            check_against_brute_force(distance, dimension, count);
        }
    }
}

#[test]
fn equal_scores_come_in_order_of_ids_and_pages_join() {
    let (_fs, engine, collection) = with_main(2, Distance::Dot);
    // Inserted in descending order, so that slots and ids disagree.
    let points = (0..100).rev().map(|id| point(id, &[1.0, 0.0])).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
    let mut worker = engine.worker();
    let mut page = |offset, limit| {
        let request = SearchRequest {
            offset,
            ..SearchRequest::nearest(vec![1.0, 1.0], limit)
        };
        found(&mut worker, &collection, &request)
    };
    assert_eq!(page(0, 5), ids(0..5));
    assert_eq!(page(5, 90), ids(5..95));
    assert_eq!(page(95, 10), ids(95..100));
    assert_eq!(page(100, 10), []);
    assert_eq!(page(0, 0), []);
}

#[test]
fn thresholds_bound_the_scores_shown() {
    let check = |distance, threshold, expected: &[u64]| {
        let (_fs, engine, collection) = with_main(1, distance);
        let points = [1.0, 2.0, 3.0, 4.0]
            .iter()
            .zip(1..)
            .map(|(&x, id)| point(id, &[x]))
            .collect();
        collection.write(WriteBatch::upsert(points)).unwrap();
        let request = SearchRequest {
            score_threshold: Some(threshold),
            ..SearchRequest::nearest(vec![1.0], 10)
        };
        let found = found(&mut engine.worker(), &collection, &request);
        assert_eq!(found, ids(expected.iter().copied()), "{distance:?} {threshold}");
    };
    check(Distance::Dot, 3.0, &[4, 3]);
    check(Distance::Dot, 3.1, &[4]);
    check(Distance::Dot, 5.0, &[]);
    check(Distance::Euclid, 2.0, &[1, 2, 3]);
    check(Distance::Euclid, -1.0, &[]);
    check(Distance::Manhattan, 0.0, &[1]);
    check(Distance::Cosine, 0.9, &[1, 2, 3, 4]);
}

#[test]
fn a_point_can_be_searched_near() {
    let (_fs, engine, collection) = with_main(2, Distance::Euclid);
    let points = (0..10).map(|id| point(id, &[id as f32, 0.0])).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
    let mut worker = engine.worker();
    let near = |id: u64| SearchRequest {
        query: Query::NearestTo(id.into()),
        ..SearchRequest::nearest(vec![], 3)
    };
    assert_eq!(found(&mut worker, &collection, &near(5)), ids([4, 6, 3]));
    let error = worker.search(&collection, &near(77)).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::NotFound, "no point with id 77 found")
    );
}

#[test]
fn a_named_vector_is_searched_among_the_points_that_have_it() {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let image = |x: f32| ("image".to_owned(), vec![x, 1.0, 0.0].into());
    let text = |x: f32| ("text".to_owned(), vec![x, 0.0].into());
    let of = |id: u64, vectors| Point {
        vectors: Vectors::Named(vectors),
        ..point(id, &[])
    };
    let points = vec![
        of(1, vec![image(1.0), text(1.0)]),
        of(2, vec![text(2.0)]),
        of(3, vec![image(3.0)]),
        of(4, vec![]),
    ];
    collection.write(WriteBatch::upsert(points)).unwrap();
    let mut worker = engine.worker();
    let mut search = |using: &str, vector: Vec<f32>| {
        let request = SearchRequest {
            using: using.to_owned(),
            ..SearchRequest::nearest(vector, 10)
        };
        found(&mut worker, &collection, &request)
    };
    assert_eq!(search("image", vec![9.0, 1.0, 0.0]), ids([3, 1]));
    assert_eq!(search("text", vec![2.0, 0.0]), ids([2, 1]));
    let request = SearchRequest {
        using: "image".to_owned(),
        query: Query::NearestTo(2.into()),
        with_vector: VectorSelector::Named(vec!["text".to_owned()]),
        ..SearchRequest::nearest(vec![], 10)
    };
    let error = worker.search(&collection, &request).unwrap_err();
    assert_eq!(error.message(), "point 2 has no vector \"image\"");
    let request = SearchRequest {
        query: Query::NearestTo(3.into()),
        ..request
    };
    let hits = worker.search(&collection, &request).unwrap().hits;
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].vectors, Some(Vectors::Named(vec![text(1.0)])));
}

#[test]
fn hits_carry_what_was_asked_for() {
    let (_fs, engine, collection) = with_main(2, Distance::Cosine);
    collection
        .write(WriteBatch::upsert(vec![tagged(1, &[3.0, 4.0], 7)]))
        .unwrap();
    let mut worker = engine.worker();
    let mut hit = |with_payload, with_vector| {
        let request = SearchRequest {
            with_payload,
            with_vector,
            ..SearchRequest::nearest(vec![6.0, 8.0], 1)
        };
        worker.search(&collection, &request).unwrap().hits.remove(0)
    };
    let all = hit(PayloadSelector::All, VectorSelector::All);
    assert!((all.score - 1.0).abs() < 1e-6);
    assert_eq!(
        all.payload,
        Some(Payload::from_fields(&[("tag", Value::Int(7))]).unwrap())
    );
    assert_eq!(all.vectors, Some(Vectors::Unnamed(vec![0.6, 0.8])));
    let none = hit(PayloadSelector::None, VectorSelector::None);
    assert_eq!((none.payload, none.vectors), (None, None));
    let other = hit(
        PayloadSelector::Include(vec!["absent".parse().unwrap()]),
        VectorSelector::None,
    );
    assert_eq!(other.payload, Some(Payload::default()));
}

#[test]
fn extreme_values_rank_and_show_as_numbers() {
    let (_fs, engine, collection) = with_main(2, Distance::Dot);
    let (max, min) = (f32::MAX, f32::MIN);
    let points = vec![
        point(1, &[max, min]),
        point(2, &[max, max]),
        point(3, &[0.0, 0.0]),
        point(4, &[min, min]),
    ];
    collection.write(WriteBatch::upsert(points)).unwrap();
    let response = engine
        .worker()
        .search(&collection, &SearchRequest::nearest(vec![max, max], 4))
        .unwrap();
    // The products of the first point cancel between two infinities: no number, so it is among the last.
    let found: Vec<_> = response.hits.iter().map(|hit| (hit.id, hit.score)).collect();
    assert_eq!(
        found,
        [(2.into(), max), (3.into(), 0.0), (1.into(), min), (4.into(), min)]
    );
}
