//! Payload indexes: the same answers as without, after every kind of write, and a schema that survives.

use std::collections::HashSet;
use std::sync::Arc;

use omendb_engine::filter::{Datetime, GeoArea, GeoPoint, Match, MatchSet, MinShould, Range, Test};
use omendb_engine::{
    Collection, CollectionConfig, Condition, Distance, Engine, ErrorKind, Filter, IndexKind, Operation,
    Payload, PayloadChange, Plan, Point, PointSelector, SearchRequest, SearchStats, Value, WriteBatch,
    limits,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{Scrape, ids, open, open_with, options, point, random_vector, with_main};

const DIMENSION: usize = 8;

const KEYS: [(&str, IndexKind); 8] = [
    ("word", IndexKind::Keyword),
    ("n", IndexKind::Integer),
    ("x", IndexKind::Float),
    ("flag", IndexKind::Bool),
    ("time", IndexKind::Datetime),
    ("text", IndexKind::Text),
    ("place", IndexKind::Geo),
    ("uuid", IndexKind::Uuid),
];

fn create(key: &str, kind: IndexKind) -> WriteBatch {
    WriteBatch {
        operations: vec![Operation::CreateIndex(key.to_owned(), kind)],
    }
}

fn text(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

fn uuid(n: u64) -> String {
    format!("00000000-0000-0000-0000-{n:012}")
}

/// Values of every kind, some missing, some in lists, some of another kind than the index has.
fn payload(rng: &mut Rng) -> Payload {
    let mut below = |bound: u64| (rng.bits() >> 33) % bound;
    let place = |lon: f64, lat: f64| {
        Value::Object(vec![
            ("lon".to_owned(), Value::Float(lon)),
            ("lat".to_owned(), Value::Float(lat)),
        ])
    };
    let words = ["red", "Green", "blue", "größe"];
    let mut fields = vec![
        ("word", text(words[below(4) as usize])),
        ("n", Value::Int(below(50) as i64 - 25)),
        ("x", Value::Float(below(1_000) as f64 / 10.0)),
        ("flag", Value::Bool(below(20) == 0)),
        (
            "time",
            text(format!("2024-{:02}-{:02}", below(12) + 1, below(28) + 1)),
        ),
        (
            "text",
            text(format!("a {} and {}", words[below(4) as usize], below(60))),
        ),
        (
            "place",
            place(below(360) as f64 - 179.5, below(180) as f64 - 89.5),
        ),
        ("uuid", text(uuid(below(100)))),
    ];
    match below(6) {
        0 => drop(fields.remove(below(8) as usize)),
        1 => fields[1].1 = Value::List(vec![Value::Int(1), Value::Float(2.5), text("red")]),
        2 => fields[0].1 = Value::List(vec![text("red"), Value::Null, text("x")]),
        _ => {}
    }
    Payload::from_fields(&fields).unwrap()
}

fn points(rng: &mut Rng, numbers: std::ops::Range<u64>) -> Vec<Point> {
    let make = |id| {
        let vector = random_vector(rng, DIMENSION);
        Point {
            payload: payload(rng),
            ..point(id, &vector)
        }
    };
    numbers.map(make).collect()
}

fn field(key: &str, test: Test) -> Condition {
    Condition::Field(key.parse().unwrap(), test)
}

/// Filters that an index of each kind answers, and combinations.
fn filters() -> Vec<Filter> {
    let is = |wanted| Test::Match(wanted);
    let at = |lon, lat| GeoPoint::new(lon, lat).unwrap();
    let keywords = |words: &[&str]| MatchSet::Keywords(words.iter().map(|word| (*word).to_owned()).collect());
    let between = |from, to| {
        Test::Range(Range {
            gte: Some(from),
            lt: Some(to),
            ..Range::default()
        })
    };
    let crossing = GeoArea::Box {
        top_left: at(170.0, 40.0),
        bottom_right: at(-170.0, -40.0),
    };
    let month = Range {
        gte: Datetime::parse("2024-03-01"),
        lt: Datetime::parse("2024-04-01"),
        ..Range::default()
    };
    let conditions = [
        field("word", is(Match::Keyword("red".to_owned()))),
        field("word", is(Match::Any(keywords(&["blue", "none"])))),
        field("word", is(Match::Prefix("Gr".to_owned()))),
        field("word", is(Match::Except(keywords(&["red"])))),
        field("n", is(Match::Integer(3))),
        field("n", is(Match::Any(MatchSet::Integers(HashSet::from([1, -7]))))),
        field("n", between(0.0, 2.5)),
        field("n", between(2.5, 2.6)),
        field("x", between(10.0, 12.0)),
        field("flag", is(Match::Bool(true))),
        field("time", Test::Datetime(month)),
        field("text", is(Match::text("GREEN 7"))),
        field("text", is(Match::text_any("3 4"))),
        field("text", is(Match::phrase("größe and 9"))),
        field("place", Test::Geo(crossing)),
        field(
            "place",
            Test::Geo(GeoArea::Radius {
                center: at(13.0, 52.0),
                radius: 3_000_000.0,
            }),
        ),
        field("uuid", is(Match::Keyword(uuid(7)))),
        field("uuid", is(Match::Keyword("no UUID".to_owned()))),
    ];
    let mut filters: Vec<_> = conditions.iter().cloned().map(Filter::of).collect();
    for (position, condition) in conditions.iter().enumerate() {
        let other = conditions[(position * 5 + 3) % conditions.len()].clone();
        let both = vec![condition.clone(), other.clone()];
        filters.push(Filter {
            must: both.clone(),
            ..Filter::default()
        });
        filters.push(Filter {
            should: both,
            must_not: vec![field("flag", Test::Match(Match::Bool(true)))],
            ..Filter::default()
        });
        filters.push(Filter {
            must: vec![Condition::Filter(Filter::of(condition.clone()))],
            must_not: vec![other],
            ..Filter::default()
        });
    }
    filters
}

fn search(engine: &Engine, collection: &Collection, filter: &Filter, k: usize) -> (Vec<String>, SearchStats) {
    let request = SearchRequest {
        filter: Some(Arc::new(filter.clone())),
        ..SearchRequest::nearest(vec![0.1; DIMENSION], k)
    };
    let response = engine.worker().search(collection, &request).unwrap();
    let line = |hit: &omendb_engine::Hit| format!("{} {}", hit.id, hit.score);
    (response.hits.iter().map(line).collect(), response.stats)
}

/// The same, in a form that no index answers.
fn scanned(filter: &Filter) -> Filter {
    let one = MinShould {
        conditions: vec![Condition::Filter(filter.clone())],
        min_count: 1,
    };
    Filter {
        min_should: Some(one),
        ..Filter::default()
    }
}

/// Answers with the index are those without; returns how many searches an index took part in.
fn check_same(engine: &Engine, indexed: &Collection, plain: &Collection) -> usize {
    let mut helped = 0;
    for filter in filters() {
        let scanned = scanned(&filter);
        assert_eq!(
            indexed.count_matching(&filter).unwrap(),
            plain.count_matching(&scanned).unwrap(),
            "{filter:?}"
        );
        for k in [1, 10, 2_000] {
            let (found, stats) = search(engine, indexed, &filter, k);
            let (expected, of_scan) = search(engine, plain, &scanned, k);
            assert_eq!(found, expected, "k = {k} {filter:?}");
            assert_eq!(of_scan.plan, Plan::FilteredScan);
            helped += usize::from(stats.plan == Plan::IndexedScan);
        }
    }
    helped
}

#[test]
fn answers_are_the_same_with_and_without_after_every_kind_of_write() {
    let (_fs, engine, indexed) = with_main(DIMENSION, Distance::Euclid);
    let config = CollectionConfig::unnamed(DIMENSION, Distance::Euclid);
    let plain = engine.create_collection("plain", config).unwrap();
    let mut rng = Rng::new(3);
    let write = |batch: WriteBatch| {
        indexed.write(batch.clone()).unwrap();
        plain.write(batch).unwrap();
    };
    for (key, kind) in KEYS {
        indexed.write(create(key, kind)).unwrap();
    }
    // Its strings too are to be matched by words.
    plain.write(create("text", IndexKind::Text)).unwrap();
    assert_eq!(check_same(&engine, &indexed, &plain), 0, "nothing to read yet");
    write(WriteBatch::upsert(points(&mut rng, 0..3_000)));
    assert_eq!(check_same(&engine, &indexed, &plain), 0, "nothing read yet");
    engine.tick();
    let helped = check_same(&engine, &indexed, &plain);
    assert!(helped > 100, "{helped}");
    // What the index has read and what it has not yet, in one search.
    write(WriteBatch::upsert(points(&mut rng, 2_500..3_400)));
    write(WriteBatch::delete(ids((0..3_000).filter(|id| id % 3 == 0))));
    let change = PayloadChange::Overwrite {
        at: None,
        payload: payload(&mut rng),
    };
    let some = PointSelector::Ids(ids((0..2_500).filter(|id| id % 150 == 1)));
    write(WriteBatch {
        operations: vec![Operation::Payload(change, some)],
    });
    assert!(check_same(&engine, &indexed, &plain) > 0);
    let blue = Filter::of(field("text", Test::Match(Match::text("blue 9"))));
    write(WriteBatch {
        operations: vec![Operation::DeleteMatching(blue)],
    });
    engine.tick();
    assert!(check_same(&engine, &indexed, &plain) > 100);
    engine.tick();
    assert!(check_same(&engine, &indexed, &plain) > 100);
}

#[test]
fn texts_are_matched_by_words_from_the_moment_their_key_has_a_text_index() {
    let fs = SimFs::new(6);
    let mut engine = open_with(options(&fs)).unwrap();
    let config = CollectionConfig::unnamed(1, Distance::Dot);
    let mut collection = engine.create_collection("main", config).unwrap();
    let payload = Payload::from_fields(&[("text", text("A red butterfly"))]).unwrap();
    let butterfly = Point {
        payload,
        ..point(1, &[1.0])
    };
    collection.write(WriteBatch::upsert(vec![butterfly])).unwrap();
    let check = |collection: &Collection, parts: u64, words: u64| {
        for (wanted, expected) in [
            (Match::text("red butter"), parts),
            (Match::text_any("x fly"), parts),
            (Match::phrase("A r"), parts),
            (Match::text("BUTTERFLY a"), words),
            (Match::text_any("RED"), words),
            (Match::phrase("Red Butterfly"), words),
        ] {
            let filter = Filter::of(field("text", Test::Match(wanted)));
            assert_eq!(
                collection.count_matching(&filter).unwrap(),
                expected,
                "{filter:?}"
            );
        }
    };
    let drop_index = || WriteBatch {
        operations: vec![Operation::DropIndex("text".to_owned())],
    };
    check(&collection, 1, 0);
    // Strings matched whole have nothing to do with it.
    collection.write(create("text", IndexKind::Keyword)).unwrap();
    check(&collection, 1, 0);
    for _ in 0..2 {
        collection.write(create("text", IndexKind::Text)).unwrap();
        check(&collection, 0, 1);
        // The index is built, and another time it comes back from the disk.
        engine.tick();
        check(&collection, 0, 1);
        engine.close();
        engine = open_with(options(&fs)).unwrap();
        collection = engine.collection("main").unwrap();
        check(&collection, 0, 1);
        engine.tick();
        collection.write(drop_index()).unwrap();
        check(&collection, 1, 0);
    }
}

#[test]
fn an_index_leaves_little_to_look_at_and_says_so() {
    let engine = open(&SimFs::new(1));
    let config = CollectionConfig {
        graph_threshold_kb: Some(0),
        ..CollectionConfig::unnamed(1, Distance::Euclid)
    };
    let collection = engine.create_collection("main", config).unwrap();
    // More than one region.
    let count = 70_000;
    let numbered = |id: u64| {
        let payload = Payload::from_fields(&[("n", Value::Int((id % 1_000) as i64))]).unwrap();
        Point {
            payload,
            ..point(id, &[id as f32])
        }
    };
    collection
        .write(WriteBatch::upsert((0..count).map(numbered).collect()))
        .unwrap();
    collection.write(create("n", IndexKind::Integer)).unwrap();
    engine.tick();
    engine.tick();
    let filter = Filter::of(field("n", Test::Match(Match::Integer(7))));
    let request = SearchRequest {
        filter: Some(Arc::new(filter)),
        ..SearchRequest::nearest(vec![69_000.0], 100)
    };
    let response = engine.worker().search(&collection, &request).unwrap();
    let expected = (0..70).map(|n| n * 1_000 + 7).rev().collect::<Vec<_>>();
    let mut found: Vec<_> = response.hits.iter().map(|hit| hit.id).collect();
    found.sort();
    assert_eq!(found, ids(expected.into_iter().rev()));
    let stats = response.stats;
    assert_eq!(stats.plan, Plan::IndexedScan);
    assert!((70..71 + 256).contains(&stats.filter_candidates), "{stats:?}");
    assert!(stats.filter_estimated <= 70, "{stats:?}");
    assert!(stats.distance_computations < 1_000, "{stats:?}");
}

#[test]
fn a_schema_survives_restarts_from_log_and_snapshot_and_ends_when_dropped() {
    let fs = SimFs::new(5);
    let mut small = options(&fs);
    small.snapshot_log_bytes = 10_000;
    let engine = open_with(small).unwrap();
    let config = CollectionConfig::unnamed(DIMENSION, Distance::Dot);
    let collection = engine.create_collection("main", config).unwrap();
    let mut rng = Rng::new(9);
    for (key, kind) in KEYS {
        collection.write(create(key, kind)).unwrap();
    }
    collection
        .write(WriteBatch::upsert(points(&mut rng, 0..1_000)))
        .unwrap();
    let described = collection.indexes().unwrap();
    assert_eq!(described.len(), KEYS.len());
    for info in &described {
        assert_eq!(
            KEYS.iter().find(|(key, _)| *key == info.key).unwrap().1,
            info.kind
        );
        assert!((900..1_000).contains(&info.points), "{info:?}");
    }
    // Read by the index now, and written to a snapshot.
    engine.tick();
    assert_eq!(collection.indexes().unwrap(), described);
    let scrape = Scrape::of(&engine);
    let held = |scrape: &Scrape| {
        let labels = [("db_id", "main"), ("component", "payload_index")];
        scrape.value("omendb_engine_memory_component_bytes", &labels)
    };
    assert!(held(&scrape) > 1_000.0);
    assert!(scrape.value("omendb_snapshot_attempts_total", &[("outcome", "success")]) > 0.0);
    engine.close();
    let engine = open_with(options(&fs)).unwrap();
    let collection = engine.collection("main").unwrap();
    assert_eq!(collection.indexes().unwrap(), described);
    engine.tick();
    let operations = KEYS.map(|(key, _)| Operation::DropIndex(key.to_owned())).to_vec();
    collection.write(WriteBatch { operations }).unwrap();
    assert_eq!(collection.indexes().unwrap(), []);
    engine.tick();
    assert_eq!(held(&Scrape::of(&engine)), 0.0);
    engine.close();
    let engine = open_with(options(&fs)).unwrap();
    assert_eq!(engine.collection("main").unwrap().indexes().unwrap(), []);
}

#[test]
fn what_cannot_be_indexed_is_refused() {
    let (_fs, _engine, collection) = with_main(DIMENSION, Distance::Dot);
    let refusal = |key: &str| {
        let refusal = collection.write(create(key, IndexKind::Keyword)).unwrap_err();
        (refusal.kind(), refusal.to_string())
    };
    assert_eq!(
        refusal("a..b"),
        (
            ErrorKind::Invalid,
            "payload path \"a..b\": no key after a dot".to_owned()
        )
    );
    assert_eq!(
        refusal(&"k".repeat(limits::MAX_INDEX_KEY_BYTES + 1)),
        (
            ErrorKind::Invalid,
            "index key of 1025 bytes, more than 1024".to_owned()
        )
    );
    for n in 0..limits::MAX_INDEXES {
        collection
            .write(create(&format!("k{n}"), IndexKind::Bool))
            .unwrap();
    }
    assert_eq!(
        refusal("one_more"),
        (
            ErrorKind::ResourceExhausted,
            "index of \"one_more\": the collection has 64 indexes, and no more than that".to_owned()
        )
    );
    // The kind of one that exists may change.
    collection.write(create("k0", IndexKind::Text)).unwrap();
}
