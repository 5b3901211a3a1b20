//! Orders by a payload key and random samples, against what sorting and counting say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use omendb_engine::filter::{Datetime, Match, Test};
use omendb_engine::{
    Collection, Condition, Direction, Distance, Error, ErrorKind, Filter, IndexKind, Operation, OrderBy,
    OrderValue, Payload, PayloadSelector, Point, PointId, Prefetch, Query, ScrollPage, SearchRequest,
    SearchStats, Value, VectorSelector, Vectors, Worker, WriteBatch,
};

use crate::fixtures::{ids, with_main};

const POINTS: u64 = 2_000;

/// The values of a point: few for many points, several for some, one of another kind, none.
fn values(id: u64) -> Vec<Value> {
    match id % 7 {
        0 => vec![Value::Int(id as i64 % 50 - 25), Value::Int(3), Value::Int(3)],
        1 => vec![Value::Float(0.5)],
        2 => vec![Value::String("2024-02-29T12:00:00Z".to_owned()), Value::Null],
        3 => Vec::new(),
        _ => vec![Value::Int((id * id % 97) as i64)],
    }
}

fn filled(kind: IndexKind) -> (Arc<omendb_engine::Engine>, Arc<Collection>) {
    let (_fs, engine, collection) = with_main(1, Distance::Dot);
    let point = |id: u64| Point {
        id: id.into(),
        vectors: Vectors::Unnamed(vec![id as f32]),
        payload: Payload::from_fields(&[("n", Value::List(values(id)))]).unwrap(),
    };
    let batch = WriteBatch {
        operations: vec![
            Operation::Upsert((0..POINTS).map(point).collect()),
            Operation::CreateIndex("n".to_owned(), kind),
        ],
    };
    collection.write(batch).unwrap();
    (engine, collection)
}

fn as_float(value: OrderValue) -> f64 {
    match value {
        OrderValue::Int(value) => value as f64,
        OrderValue::Float(value) => value,
    }
}

/// What an index of this kind makes of a value.
fn read(kind: IndexKind, value: &Value) -> Option<f64> {
    match (kind, value) {
        (IndexKind::Integer | IndexKind::Float, Value::Int(value)) => Some(*value as f64),
        (IndexKind::Float, Value::Float(value)) => Some(*value),
        (IndexKind::Datetime, Value::String(text)) => {
            Datetime::parse(text).map(|moment| moment.micros() as f64)
        }
        (_, _) => None,
    }
}

fn scroll(
    collection: &Collection,
    order_by: &OrderBy,
    (limit, filter): (usize, Option<&Filter>),
) -> Result<Vec<(f64, PointId)>, Error> {
    let page = ScrollPage {
        offset: None,
        limit,
        filter,
        with_payload: &PayloadSelector::None,
        with_vector: &VectorSelector::None,
    };
    let records = collection.scroll_ordered(order_by, &page, &mut SearchStats::default())?;
    Ok(records
        .into_iter()
        .map(|(record, value)| (as_float(value), record.id))
        .collect())
}

fn by(direction: Direction, start_from: Option<OrderValue>) -> OrderBy {
    OrderBy {
        key: "n".parse().unwrap(),
        direction,
        start_from,
    }
}

#[test]
fn an_order_is_that_of_its_values() {
    let odd: Vec<_> = ids((0..POINTS).filter(|id| id % 2 == 1));
    let odd = Filter::of(Condition::HasId(odd.into_iter().collect()));
    for kind in [IndexKind::Integer, IndexKind::Float, IndexKind::Datetime] {
        let (engine, collection) = filled(kind);
        for (direction, start) in [
            (Direction::Ascending, None),
            (Direction::Ascending, Some(3.0)),
            (Direction::Descending, None),
            (Direction::Descending, Some(2.5)),
        ] {
            let is_rising = direction == Direction::Ascending;
            let point = |id: u64| {
                let values: BTreeSet<u64> = values(id)
                    .iter()
                    .filter_map(|value| read(kind, value))
                    .map(f64::to_bits)
                    .collect();
                values
                    .into_iter()
                    .map(move |bits| (f64::from_bits(bits), PointId::from(id)))
            };
            let mut expected: Vec<_> = (0..POINTS).filter(|id| id % 2 == 1).flat_map(point).collect();
            expected.retain(|(value, _)| {
                start.is_none_or(|start| {
                    if is_rising {
                        *value >= start
                    } else {
                        *value <= start
                    }
                })
            });
            expected.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            if !is_rising {
                expected.reverse();
            }
            let order_by = by(direction, start.map(OrderValue::Float));
            for limit in [0, 1, 30, 10_000] {
                let found = scroll(&collection, &order_by, (limit, Some(&odd))).unwrap();
                assert_eq!(
                    found,
                    expected[..limit.min(expected.len())],
                    "{kind:?} {order_by:?} {limit}"
                );
                let query = SearchRequest {
                    query: Query::OrderBy(order_by.clone()),
                    filter: Some(Arc::new(odd.clone())),
                    ..SearchRequest::nearest(Vec::new(), limit)
                };
                let hits = engine.worker().search(&collection, &query).unwrap().hits;
                let hits: Vec<_> = hits
                    .iter()
                    .map(|hit| (hit.order_value.map(as_float), hit.id))
                    .collect();
                let wanted: Vec<_> = found.iter().map(|(value, id)| (Some(*value), *id)).collect();
                assert_eq!(hits, wanted);
            }
        }
    }
}

#[test]
fn an_order_needs_an_index_that_has_one() {
    let (_engine, collection) = filled(IndexKind::Keyword);
    let other = OrderBy {
        key: "m".parse().unwrap(),
        ..by(Direction::Ascending, None)
    };
    for order_by in [by(Direction::Ascending, None), other] {
        let error = scroll(&collection, &order_by, (1, None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.message().contains("has no index of kind integer"),
            "{error}"
        );
    }
}

/// How often each point is drawn in so many samples of `limit`.
fn draw(
    worker: &mut Worker,
    collection: &Collection,
    request: &SearchRequest,
    samples: usize,
) -> BTreeMap<PointId, (usize, usize)> {
    let mut counts = BTreeMap::new();
    for _ in 0..samples {
        let hits = worker.search(collection, request).unwrap().hits;
        let drawn: BTreeSet<_> = hits.iter().map(|hit| hit.id).collect();
        assert_eq!(
            (drawn.len(), hits.len()),
            (request.limit, request.limit),
            "each once"
        );
        for (place, hit) in hits.iter().enumerate() {
            let (drawn, first) = counts.entry(hit.id).or_insert((0, 0));
            *drawn += 1;
            *first += usize::from(place == 0);
        }
    }
    counts
}

#[test]
fn samples_favour_no_point_and_no_place() {
    let (engine, collection) = filled(IndexKind::Integer);
    let tenth: Vec<_> = ids((0..POINTS).filter(|id| id % 10 == 1));
    let filter = Filter::of(Condition::HasId(tenth.iter().copied().collect()));
    let filtered = SearchRequest {
        query: Query::Sample,
        filter: Some(Arc::new(filter)),
        ..SearchRequest::nearest(Vec::new(), 20)
    };
    let prefetched = SearchRequest {
        filter: None,
        prefetch: vec![Prefetch {
            exact: false,
            ef: None,
            idf_corpus: None,
            using: String::new(),
            query: Query::Listed,
            limit: 200,
            score_threshold: None,
            filter: filtered.filter.clone(),
            prefetch: Vec::new(),
        }],
        ..filtered.clone()
    };
    for request in [filtered, prefetched] {
        // Each of 200 points is in a sample of 20 one time in ten, and at its head one time in 200.
        let counts = draw(&mut engine.worker(), &collection, &request, 4_000);
        assert!(counts.keys().eq(&tenth), "{request:?}");
        for (id, (drawn, first)) in counts {
            // Six standard deviations of 400 and of 20.
            assert!((286..514).contains(&drawn), "{id} was drawn {drawn} times");
            assert!(first < 47, "{id} came first {first} times");
        }
    }
    // Another worker draws other points.
    let sample = |worker: &mut Worker| {
        let request = SearchRequest {
            query: Query::Sample,
            ..SearchRequest::nearest(Vec::new(), 20)
        };
        let hits = worker.search(&collection, &request).unwrap().hits;
        hits.iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    assert_ne!(sample(&mut engine.worker()), sample(&mut engine.worker()));
}

#[test]
fn a_sample_of_all_is_all_of_them() {
    let (engine, collection) = filled(IndexKind::Integer);
    let filter = Filter::of(Condition::Field(
        "n".parse().unwrap(),
        Test::Match(Match::Integer(3)),
    ));
    let request = SearchRequest {
        query: Query::Sample,
        filter: Some(Arc::new(filter.clone())),
        ..SearchRequest::nearest(Vec::new(), POINTS as usize)
    };
    let hits = engine.worker().search(&collection, &request).unwrap().hits;
    let drawn: BTreeSet<_> = hits.iter().map(|hit| hit.id).collect();
    assert_eq!(drawn.len() as u64, collection.count_matching(&filter).unwrap());
    assert_eq!(drawn.len(), hits.len());
    assert!(!hits.iter().map(|hit| hit.id).is_sorted(), "they are shuffled");
}
