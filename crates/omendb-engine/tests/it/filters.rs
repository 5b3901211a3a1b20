//! Filters in searches, counts and scrolls against the plain predicate, and writes that depend on what they match.

use std::sync::Arc;

use omendb_engine::filter::{Match, Range, Test};
use omendb_engine::{
    Collection, Condition, Distance, Engine, ErrorKind, Filter, Operation, Payload, PayloadChange,
    PayloadSelector, Plan, Point, PointId, PointSelector, ScrollPage, SearchRequest, SearchStats, Value,
    VectorSelector, WriteBatch,
};
use omendb_sim::Rng;

use crate::fixtures::{Scrape, contents, ids, open, point, random_vector, tagged, with_main};

const DIMENSION: usize = 24;

/// Points with `n` of 0 to `count`, in an order that has nothing to do with their vectors.
fn numbered(count: u64) -> (omendb_sim::SimFs, Arc<Engine>, Arc<Collection>) {
    let (fs, engine, collection) = with_main(DIMENSION, Distance::Euclid);
    let mut rng = Rng::new(7);
    let numbered = |id| {
        let payload = Payload::from_fields(&[("n", Value::Int(id as i64))]).unwrap();
        Point {
            payload,
            ..point(id, &random_vector(&mut rng, DIMENSION))
        }
    };
    let points = (0..count).map(numbered).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
    // Holes, and points that moved to other slots.
    collection
        .write(WriteBatch::delete(ids((0..count).filter(|id| id % 7 == 3))))
        .unwrap();
    let moved = (0..count)
        .filter(|id| id % 11 == 5)
        .map(|id| tagged(id, &random_vector(&mut rng, DIMENSION), 0))
        .collect();
    collection.write(WriteBatch::upsert(moved)).unwrap();
    (fs, engine, collection)
}

/// `n` below `bound`.
fn below(bound: u64) -> Filter {
    let range = Range {
        lt: Some(bound as f64),
        ..Range::default()
    };
    Filter::of(Condition::Field("n".parse().unwrap(), Test::Range(range)))
}

fn has_tag(tag: i64) -> Filter {
    Filter::of(Condition::Field(
        "tag".parse().unwrap(),
        Test::Match(Match::Integer(tag)),
    ))
}

/// Whether a point of [`numbered`] passes [`below`]: those that moved have no `n`.
fn is_below(id: PointId, bound: u64) -> bool {
    matches!(id, PointId::Number(id) if id < bound && id % 11 != 5)
}

#[test]
fn a_filtered_search_finds_what_filtering_all_hits_finds() {
    let (_fs, engine, collection) = numbered(3_000);
    let mut worker = engine.worker();
    let mut rng = Rng::new(8);
    for bound in [0, 1, 2, 30, 300, 1_500, 2_999, 4_000] {
        for k in [1, 10, 500] {
            let vector = random_vector(&mut rng, DIMENSION);
            let all = SearchRequest::nearest(vector.clone(), 3_000);
            let all = worker.search(&collection, &all).unwrap().hits;
            let expected: Vec<_> = all
                .into_iter()
                .filter(|hit| is_below(hit.id, bound))
                .skip(2)
                .take(k)
                .collect();
            let request = SearchRequest {
                offset: 2,
                filter: Some(Arc::new(below(bound))),
                ..SearchRequest::nearest(vector, k)
            };
            let found = worker.search(&collection, &request).unwrap();
            assert_eq!(found.hits, expected, "n < {bound}, k = {k}");
            assert_eq!(found.stats.plan, Plan::FilteredScan);
            assert!(found.stats.filter_checked >= found.stats.filter_rejected + found.stats.hits);
        }
    }
}

#[test]
fn an_unselective_filter_tests_few_points_and_a_selective_one_compares_few() {
    let (_fs, engine, collection) = numbered(3_000);
    let mut worker = engine.worker();
    let scrape = Scrape::of(&engine);
    let mut search = |bound| {
        let before = scrape.main("omendb_engine_filter_rejected_total");
        let request = SearchRequest {
            filter: Some(Arc::new(below(bound))),
            ..SearchRequest::nearest(vec![0.0; DIMENSION], 10)
        };
        let stats = worker.search(&collection, &request).unwrap().stats;
        let moved = scrape.main("omendb_engine_filter_rejected_total") - before;
        assert_eq!(moved, stats.filter_rejected as f64);
        stats
    };
    let nearly_all = search(2_900);
    assert!(nearly_all.filter_checked < 1_000, "{nearly_all:?}");
    let hardly_any = search(3);
    assert!(hardly_any.distance_computations < 10, "{hardly_any:?}");
    assert_eq!(hardly_any.filter_checked, collection.count().unwrap());
    assert!(
        nearly_all.filter_ns > 0 && hardly_any.filter_ns > 0,
        "{hardly_any:?}"
    );
    let unfiltered = SearchRequest::nearest(vec![0.0; DIMENSION], 10);
    let stats = worker.search(&collection, &unfiltered).unwrap().stats;
    assert_eq!((stats.filter_checked, stats.filter_ns), (0, 0), "{stats:?}");
}

#[test]
fn counts_and_scrolls_see_what_passes() {
    let (_fs, _engine, collection) = numbered(1_000);
    let expected: Vec<_> = contents(&collection)
        .into_keys()
        .filter(|id| is_below(*id, 500))
        .collect();
    assert_eq!(
        collection.count_matching(&below(500)).unwrap(),
        expected.len() as u64
    );
    assert_eq!(
        collection.count_matching(&Filter::default()).unwrap(),
        collection.count().unwrap()
    );
    let (mut seen, mut offset) = (Vec::new(), None);
    let mut stats = SearchStats::default();
    loop {
        let (records, next) = collection
            .scroll_page(
                &ScrollPage {
                    offset,
                    limit: 37,
                    filter: Some(&below(500)),
                    with_payload: &PayloadSelector::None,
                    with_vector: &VectorSelector::None,
                },
                &mut stats,
            )
            .unwrap();
        assert!(records.len() == 37 || next.is_none());
        seen.extend(records.into_iter().map(|record| record.id));
        offset = next;
        if next.is_none() {
            // Every page tests points up to the first that the next one begins with.
            assert!(
                stats.filter_checked - stats.filter_rejected >= expected.len() as u64,
                "{stats:?}"
            );
            assert!(stats.filter_ns > 0 && stats.gather_ns > 0, "{stats:?}");
            break;
        }
    }
    assert_eq!(seen, expected);
}

#[test]
fn a_deletion_by_filter_takes_what_passes_in_its_turn_and_stays_after_a_restart() {
    let (fs, engine, collection) = numbered(1_000);
    let mut expected = contents(&collection);
    expected.retain(|id, _| !is_below(*id, 500));
    let batch = WriteBatch {
        operations: vec![
            Operation::DeleteMatching(below(500)),
            Operation::Upsert(vec![tagged(5_000, &[0.0; DIMENSION], 1)]),
            Operation::DeleteMatching(has_tag(1)),
            Operation::DeleteMatching(has_tag(2)),
        ],
    };
    let deleted = collection.count_matching(&below(500)).unwrap() + 1;
    let stats = collection.write(batch).unwrap().stats;
    assert_eq!((stats.points_deleted, stats.points_upserted), (deleted, 1));
    assert_eq!(contents(&collection), expected);
    engine.close();
    let engine = open(&fs);
    assert_eq!(contents(&engine.collection("main").unwrap()), expected);
}

#[test]
fn payloads_change_without_their_vectors_and_stay_after_a_restart() {
    let (fs, engine, collection) = numbered(300);
    let fields = Payload::from_fields(&[("tag", Value::Int(9))]).unwrap();
    let set = PayloadChange::Set { at: None, fields };
    let mut expected = contents(&collection);
    let vectors = collection.info().vectors;
    for (id, (payload, _)) in &mut expected {
        if *payload == Payload::from_fields(&[("tag", Value::Int(0))]).unwrap() {
            *payload = Payload::from_fields(&[("tag", Value::Int(9))]).unwrap();
        }
        if *id == PointId::Number(1) {
            *payload = Payload::default();
        }
    }
    let snapshot = {
        let mut worker = engine.worker();
        let request = SearchRequest {
            with_payload: PayloadSelector::All,
            ..SearchRequest::nearest(vec![0.0; DIMENSION], 300)
        };
        worker.search(&collection, &request).unwrap()
    };
    let batch = WriteBatch {
        operations: vec![
            Operation::Payload(set, PointSelector::Filter(has_tag(0))),
            Operation::Payload(PayloadChange::Clear, PointSelector::Ids(ids([1]))),
        ],
    };
    let changed = collection.count_matching(&has_tag(0)).unwrap() + 1;
    let stats = collection.write(batch).unwrap().stats;
    assert_eq!((stats.payloads_changed, stats.vectors_written), (changed, 0));
    assert_eq!(contents(&collection), expected);
    assert_eq!(collection.info().vectors, vectors);
    assert!(
        snapshot.hits.iter().any(|hit| hit.id == PointId::Number(1)
            && hit.payload.as_ref().is_some_and(|payload| !payload.is_empty())),
        "an answer keeps the payload it was given"
    );
    engine.close();
    let engine = open(&fs);
    assert_eq!(contents(&engine.collection("main").unwrap()), expected);
}

#[test]
fn a_write_that_is_refused_in_its_turn_leaves_no_trace() {
    let (_fs, _engine, collection) = numbered(100);
    let before = contents(&collection);
    let large = |key: &str| Payload::from_fields(&[(key, Value::String("x".repeat(5 << 20)))]).unwrap();
    let set = |fields| {
        Operation::Payload(
            PayloadChange::Set { at: None, fields },
            PointSelector::Ids(ids([0])),
        )
    };
    let check = |operations: Vec<Operation>, kind, message: &str| {
        let new = Operation::Upsert(vec![point(7_000, &[0.0; DIMENSION])]);
        let operations = std::iter::once(new).chain(operations).collect();
        let refusal = collection.write(WriteBatch { operations }).unwrap_err();
        assert_eq!((refusal.kind(), refusal.message()), (kind, message));
        assert_eq!(contents(&collection), before);
    };
    let missing = Operation::Payload(PayloadChange::Clear, PointSelector::Ids(ids([0, 8_000])));
    check(vec![missing], ErrorKind::NotFound, "no point with id 8000 found");
    check(
        vec![set(large("a")), set(large("b"))],
        ErrorKind::Invalid,
        "payload of more than 8388608 bytes",
    );
    let deep = (0..40).fold(Filter::default(), |inner, _| Filter::of(Condition::Filter(inner)));
    check(
        vec![Operation::DeleteMatching(deep)],
        ErrorKind::Invalid,
        "filter: nested deeper than 32 levels",
    );
    // The next write finds everything in order.
    collection.write(WriteBatch::delete(ids([0]))).unwrap();
    assert_eq!(contents(&collection).len(), before.len() - 1);
}
