//! Searches by several examples and behind prefetches against the plain formulas, over all distances.

use std::sync::Arc;

use omendb_engine::{
    Collection, Condition, Distance, ErrorKind, Example, Feedback, FeedbackStrategy, Filter, Fusion,
    Prefetch, Query, Recommend, SearchRequest, Strategy, Vectors, Worker, WriteBatch, limits,
};
use omendb_sim::Rng;

use crate::fixtures::{contents, ids, random_vector, upsert_random, with_main};

const DIMENSION: usize = 12;

/// How alike two vectors are, in f64; greater is more.
fn likeness(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    let dot = |pairs: &mut dyn Iterator<Item = (f64, f64)>| pairs.map(|(a, b)| a * b).sum::<f64>();
    let norm = |v: &[f32]| v.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    match distance {
        Distance::Dot => dot(&mut pairs()),
        Distance::Cosine => dot(&mut pairs()) / (norm(a) * norm(b)),
        Distance::Euclid => -pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>(),
        Distance::Manhattan => -pairs().map(|(a, b)| (a - b).abs()).sum::<f64>(),
    }
}

fn by_examples(positive: &[Vec<f32>], negative: &[Vec<f32>], strategy: Strategy) -> SearchRequest {
    let examples = |vectors: &[Vec<f32>]| {
        vectors
            .iter()
            .cloned()
            .map(|vector| Example::Vector(vector.into()))
            .collect()
    };
    SearchRequest {
        query: Query::Recommend(Recommend {
            positive: examples(positive),
            negative: examples(negative),
            strategy,
        }),
        ..SearchRequest::nearest(Vec::new(), 20)
    }
}

#[track_caller]
fn check(
    worker: &mut Worker,
    collection: &Collection,
    request: &SearchRequest,
    score: impl Fn(&[f32]) -> f64,
) {
    let response = worker.search(collection, request).unwrap();
    let mut expected: Vec<_> = contents(collection)
        .into_iter()
        .filter(|(id, _)| request.filter.is_none() || ids((0..1_000).step_by(3)).contains(id))
        .map(|(id, (_, vectors))| match vectors {
            Vectors::Unnamed(row) => (score(&row), id),
            Vectors::Named(_) => panic!("{vectors:?}"),
        })
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    assert_eq!(response.hits.len(), request.limit.min(expected.len()));
    for (hit, (score, _)) in response.hits.iter().zip(&expected) {
        let near = (f64::from(hit.score) - score).abs() < 1e-4 * score.abs().max(1.0);
        assert!(near, "{hit:?}, expected {score}");
        let (own, _) = expected.iter().find(|(_, id)| *id == hit.id).unwrap();
        assert!(
            (own - score).abs() < 1e-4 * score.abs().max(1.0),
            "{hit:?} scores {own}"
        );
    }
}

#[test]
fn recommendations_agree_with_their_formulas() {
    for distance in [
        Distance::Cosine,
        Distance::Dot,
        Distance::Euclid,
        Distance::Manhattan,
    ] {
        let (_fs, engine, collection) = with_main(DIMENSION, distance);
        let mut rng = Rng::new(11);
        upsert_random(&collection, &mut rng, 0..1_000);
        collection
            .write(WriteBatch::delete(ids((0..1_000).filter(|id| id % 5 == 1))))
            .unwrap();
        let mut worker = engine.worker();
        let third = Filter::of(Condition::HasId(ids((0..1_000).step_by(3)).into_iter().collect()));
        for filter in [None, Some(Arc::new(third))] {
            let mut vectors = || {
                [
                    random_vector(&mut rng, DIMENSION),
                    random_vector(&mut rng, DIMENSION),
                ]
            };
            let (positive, negative) = (vectors(), vectors());
            let like = |row: &[f32], examples: &[Vec<f32>]| {
                let likenesses = examples.iter().map(|example| likeness(distance, example, row));
                likenesses.collect::<Vec<_>>()
            };
            let sums = SearchRequest {
                filter: filter.clone(),
                ..by_examples(&positive, &negative, Strategy::SumScores)
            };
            check(&mut worker, &collection, &sums, |row| {
                like(row, &positive).iter().sum::<f64>() - like(row, &negative).iter().sum::<f64>()
            });
            let best = SearchRequest {
                filter: filter.clone(),
                ..by_examples(&positive, &negative, Strategy::BestScore)
            };
            check(&mut worker, &collection, &best, |row| {
                let greatest =
                    |likenesses: Vec<f64>| likenesses.into_iter().fold(f64::NEG_INFINITY, f64::max);
                let (good, bad) = (greatest(like(row, &positive)), greatest(like(row, &negative)));
                let squeezed = |x: f64| 0.5 * (x / (1.0 + x.abs()) + 1.0);
                if good > bad {
                    squeezed(good)
                } else {
                    -squeezed(bad)
                }
            });
        }
    }
}

#[test]
fn feedback_agrees_with_its_formula() {
    for distance in [
        Distance::Cosine,
        Distance::Dot,
        Distance::Euclid,
        Distance::Manhattan,
    ] {
        let (_fs, engine, collection) = with_main(DIMENSION, distance);
        let mut rng = Rng::new(13);
        upsert_random(&collection, &mut rng, 0..1_000);
        let mut worker = engine.worker();
        let mut vector = || random_vector(&mut rng, DIMENSION);
        let (target, examples) = (vector(), [(vector(), 0.9), (vector(), 0.2), (vector(), 0.6)]);
        let example = |vector: &[f32]| Example::Vector(vector.to_vec().into());
        let request = SearchRequest {
            query: Query::Feedback(Feedback {
                target: example(&target),
                examples: examples
                    .iter()
                    .map(|(vector, relevance)| (example(vector), *relevance))
                    .collect(),
                strategy: FeedbackStrategy {
                    a: 0.5,
                    b: 1.5,
                    c: 0.7,
                },
            }),
            ..SearchRequest::nearest(Vec::new(), 20)
        };
        check(&mut worker, &collection, &request, |row| {
            let like = |vector: &[f32]| likeness(distance, vector, row);
            let mut score = 0.5 * like(&target);
            for (better, more) in &examples {
                for (worse, less) in examples.iter().filter(|(_, less)| less < more) {
                    score += 0.7 * f64::from(more - less).powf(1.5) * (like(better) - like(worse));
                }
            }
            score
        });
    }
}

#[test]
fn a_query_behind_a_prefetch_ranks_what_that_found() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Euclid);
    let mut rng = Rng::new(12);
    upsert_random(&collection, &mut rng, 0..700);
    let mut worker = engine.worker();
    let (first, second) = (
        random_vector(&mut rng, DIMENSION),
        random_vector(&mut rng, DIMENSION),
    );
    let found = worker
        .search(&collection, &SearchRequest::nearest(first.clone(), 50))
        .unwrap();
    let only = Filter::of(Condition::HasId(found.hits.iter().map(|hit| hit.id).collect()));
    let expected = SearchRequest {
        filter: Some(Arc::new(only)),
        ..SearchRequest::nearest(second.clone(), 20)
    };
    let behind = SearchRequest {
        prefetch: vec![Prefetch {
            exact: false,
            ef: None,
            idf_corpus: None,
            using: String::new(),
            query: Query::Nearest(first.into()),
            limit: 50,
            score_threshold: None,
            filter: None,
            prefetch: Vec::new(),
        }],
        ..SearchRequest::nearest(second, 20)
    };
    let hits = |worker: &mut Worker, request| worker.search(&collection, request).unwrap().hits;
    assert_eq!(hits(&mut worker, &behind), hits(&mut worker, &expected));
}

#[test]
fn batches_examples_and_prefetches_have_their_limits() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Dot);
    let mut worker = engine.worker();
    let nearest = SearchRequest::nearest(vec![0.0; DIMENSION], 1);
    let requests = vec![nearest.clone(); limits::MAX_BATCH_SEARCHES + 1];
    let error = worker.search_batch(None, &collection, &requests).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(
        worker
            .search_batch(None, &collection, &requests[..7])
            .unwrap()
            .len(),
        7
    );

    let examples = vec![vec![0.0; DIMENSION]; limits::MAX_EXAMPLES + 1];
    let error = worker
        .search(&collection, &by_examples(&examples, &[], Strategy::BestScore))
        .unwrap_err();
    assert!(error.message().contains("1025 examples"), "{error}");

    let listed = Prefetch {
        exact: false,
        ef: None,
        idf_corpus: None,
        using: String::new(),
        query: Query::Listed,
        limit: 1,
        score_threshold: None,
        filter: None,
        prefetch: Vec::new(),
    };
    let fused = SearchRequest {
        query: Query::Fusion(Fusion::ScoreDistribution),
        prefetch: vec![listed; limits::MAX_PREFETCHES + 1],
        ..nearest
    };
    let error = worker.search(&collection, &fused).unwrap_err();
    assert!(error.message().contains("prefetch: 65"), "{error}");
}
