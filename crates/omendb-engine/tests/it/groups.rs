//! Groups against a ranking read to its end: the first groups in order, each with its best points.

use std::sync::Arc;

use omendb_engine::{
    Admission, Condition, Distance, Filter, GroupKey, GroupRequest, Payload, Point, Query, SearchRequest,
    Value, Vectors, Worker, WriteBatch,
};
use omendb_engine::{Collection, ErrorKind, Fusion, PointId, Prefetch};
use omendb_metrics::Clock;
use omendb_sim::Rng;

use crate::fixtures::{ids, random_vector, with_main};

const DIMENSION: usize = 6;
const POINTS: u64 = 3_000;

/// The groups of a point. A few have most of the points, most have one or two; some are strings, some points have
/// several, and some none.
fn keys(id: u64) -> Vec<GroupKey> {
    let text = |number: u64| GroupKey::String(format!("s{number}"));
    match id % 10 {
        0..=5 => vec![GroupKey::Int(0)],
        6 => vec![GroupKey::Int(-7), text(0)],
        7 => vec![text(id / 20)],
        8 => vec![GroupKey::Int(id as i64), GroupKey::Int(id as i64), text(id % 3)],
        _ => Vec::new(),
    }
}

fn value(key: &GroupKey) -> Value {
    match key {
        GroupKey::Int(number) => Value::Int(*number),
        GroupKey::Uint(number) => Value::Uint(*number),
        GroupKey::String(text) => Value::String(text.clone()),
    }
}

fn fill(collection: &Collection, rng: &mut Rng) {
    let point = |id: u64| {
        let mut values: Vec<_> = keys(id).iter().map(value).collect();
        let group = match values.len() {
            1 => values.remove(0),
            _ => Value::List(values),
        };
        Point {
            id: id.into(),
            vectors: Vectors::Unnamed(random_vector(rng, DIMENSION)),
            payload: Payload::from_fields(&[("group", group)]).unwrap(),
        }
    };
    let points = (0..POINTS).map(point).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
}

fn grouped(search: SearchRequest, group_size: usize) -> GroupRequest {
    GroupRequest {
        search,
        group_by: "group".parse().unwrap(),
        group_size,
    }
}

fn found(
    worker: &mut Worker,
    collection: &Collection,
    request: &GroupRequest,
) -> Vec<(GroupKey, Vec<PointId>)> {
    let response = worker
        .search_groups(Admission::anonymous(Clock::instant().now()), collection, request)
        .unwrap();
    let hits = response.groups.iter().map(|group| group.hits.len() as u64);
    assert_eq!(response.stats.hits, hits.sum::<u64>());
    let groups = response.groups.into_iter();
    groups
        .map(|group| (group.key, group.hits.iter().map(|hit| hit.id).collect()))
        .collect()
}

/// Reads `ranking` from the top.
fn expected(ranking: &[PointId], limit: usize, size: usize) -> Vec<(GroupKey, Vec<PointId>)> {
    let mut groups: Vec<(GroupKey, Vec<PointId>)> = Vec::new();
    for &id in ranking {
        let PointId::Number(number) = id else {
            unreachable!("ids are numbers")
        };
        for key in keys(number) {
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, ids)) if !ids.contains(&id) => ids.push(id),
                Some(_) => {}
                None => groups.push((key, vec![id])),
            }
        }
    }
    groups.truncate(limit);
    groups.iter_mut().for_each(|(_, ids)| ids.truncate(size));
    groups
}

#[track_caller]
fn check(worker: &mut Worker, collection: &Collection, search: &SearchRequest, size: usize) {
    let whole = SearchRequest {
        limit: POINTS as usize,
        ..search.clone()
    };
    let ranking = worker.search(collection, &whole).unwrap().hits;
    let ranking: Vec<_> = ranking.iter().map(|hit| hit.id).collect();
    let groups = found(worker, collection, &grouped(search.clone(), size));
    assert_eq!(
        groups,
        expected(&ranking, search.limit, size),
        "{search:?}, {size}"
    );
}

#[test]
fn groups_are_what_the_whole_ranking_has() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Euclid);
    let mut rng = Rng::new(5);
    fill(&collection, &mut rng);
    let mut worker = engine.worker();
    let third = Filter::of(Condition::HasId(
        ids((0..POINTS).step_by(3)).into_iter().collect(),
    ));
    for (limit, size) in [(1, 1), (2, 3), (4, 2), (10, 3), (300, 1), (400, 2), (2_000, 5)] {
        for filter in [None, Some(Arc::new(third.clone()))] {
            let nearest = SearchRequest {
                filter,
                ..SearchRequest::nearest(random_vector(&mut rng, DIMENSION), limit)
            };
            check(&mut worker, &collection, &nearest, size);
            let listed = SearchRequest {
                query: Query::Listed,
                ..nearest.clone()
            };
            check(&mut worker, &collection, &listed, size);
            let near = SearchRequest {
                score_threshold: Some(1.0),
                ..nearest
            };
            check(&mut worker, &collection, &near, size);
        }
    }
}

#[test]
fn prefetches_find_enough_for_each_group() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Dot);
    let mut rng = Rng::new(6);
    fill(&collection, &mut rng);
    let mut worker = engine.worker();
    let vector = random_vector(&mut rng, DIMENSION);
    let prefetch = |limit| Prefetch {
        exact: false,
        ef: None,
        idf_corpus: None,
        using: String::new(),
        query: Query::Nearest(vector.clone().into()),
        limit,
        score_threshold: None,
        filter: None,
        prefetch: Vec::new(),
    };
    let fused = |limit| SearchRequest {
        query: Query::Fusion(Fusion::ReciprocalRank {
            k: 2,
            weights: Vec::new(),
        }),
        prefetch: vec![prefetch(limit)],
        ..SearchRequest::nearest(Vec::new(), 5)
    };
    let whole = SearchRequest {
        limit: 60,
        ..fused(60)
    };
    let ranking = worker.search(&collection, &whole).unwrap().hits;
    let ranking: Vec<_> = ranking.iter().map(|hit| hit.id).collect();
    let groups = found(&mut worker, &collection, &grouped(fused(20), 3));
    assert_eq!(groups, expected(&ranking, 5, 3));
}

#[test]
fn prefetches_find_more_for_groups_that_are_not_full() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Dot);
    let mut rng = Rng::new(8);
    fill(&collection, &mut rng);
    let mut worker = engine.worker();
    let members = |key: &GroupKey| (0..POINTS).filter(|id| keys(*id).contains(key)).count();
    let behind = |prefetch: Vec<Prefetch>, query: &Query, limit| Prefetch {
        exact: false,
        ef: None,
        idf_corpus: None,
        using: String::new(),
        query: query.clone(),
        limit,
        score_threshold: None,
        filter: None,
        prefetch,
    };
    let mut nearest = || Query::Nearest(random_vector(&mut rng, DIMENSION).into());
    let queries = [nearest(), nearest(), Query::Listed];
    for (query, limit, size) in [(0, 20, 5), (1, 20, 30), (2, 3, 1), (0, 1, 4), (1, 1_000, 2)] {
        let query = &queries[query];
        let inner = behind(Vec::new(), &queries[0], 2 * limit);
        let search = SearchRequest {
            prefetch: vec![
                behind(vec![inner], query, limit),
                behind(Vec::new(), query, limit),
            ],
            ..SearchRequest::nearest(random_vector(&mut Rng::new(9), DIMENSION), 7)
        };
        let groups = found(&mut worker, &collection, &grouped(search, size));
        assert_eq!(groups.len(), 7, "{query:?}, {limit}, {size}");
        for (key, hits) in groups {
            assert_eq!(
                hits.len(),
                members(&key).min(size),
                "{key:?}: {query:?}, {limit}, {size}"
            );
        }
    }
}

#[test]
fn groups_have_their_limits() {
    let (_fs, engine, collection) = with_main(DIMENSION, Distance::Dot);
    let mut worker = engine.worker();
    let nearest = |limit| SearchRequest::nearest(vec![0.0; DIMENSION], limit);
    let offset = SearchRequest {
        offset: 1,
        ..nearest(1)
    };
    for (request, part) in [
        (grouped(nearest(1), 0), "group_size: 0"),
        (
            grouped(nearest(1 << 11), 1 << 10),
            "limit 2048 and group_size 1024",
        ),
        (grouped(offset, 1), "offset 1"),
    ] {
        let refused = worker.search_groups(
            Admission::anonymous(Clock::instant().now()),
            &collection,
            &request,
        );
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(found(&mut worker, &collection, &grouped(nearest(0), 1)), []);
}
