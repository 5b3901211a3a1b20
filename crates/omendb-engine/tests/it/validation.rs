//! What is refused, by name and value, and leaves no trace.

use std::sync::Arc;

use omendb_engine::{
    Collection, CollectionConfig, Distance, Engine, ErrorKind, Operation, PayloadSelector, Point,
    SearchRequest, VectorConfig, VectorSelector, Vectors, WriteBatch, limits,
};
use omendb_sim::SimFs;

use crate::fixtures::{contents, ids, open, point, two_vectors, with_main};

fn check_write(collection: &Collection, batch: WriteBatch, expected: &str) {
    let before = contents(collection);
    let error = collection.write(batch).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
    assert_eq!(contents(collection), before);
}

#[test]
fn wrong_points_are_refused_with_the_point_and_the_value() {
    let (_fs, _engine, collection) = with_main(3, Distance::Dot);
    let good = point(1, &[1.0, 2.0, 3.0]);
    collection.write(WriteBatch::upsert(vec![good.clone()])).unwrap();
    // The good point of the same batch must not be written either.
    let check = |vectors: Vectors, expected: &str| {
        let wrong = Point {
            vectors,
            ..point(2, &[])
        };
        let changed = Point {
            vectors: Vectors::Unnamed(vec![9.0; 3]),
            ..good.clone()
        };
        check_write(&collection, WriteBatch::upsert(vec![changed, wrong]), expected);
    };
    let unnamed = |row: &[f32]| Vectors::Unnamed(row.to_vec());
    check(
        unnamed(&[1.0]),
        "point 2: vector \"\": vector dimension error: expected dim: 3, got 1",
    );
    check(
        unnamed(&[]),
        "point 2: vector \"\": vector dimension error: expected dim: 3, got 0",
    );
    check(
        unnamed(&[1.0, f32::NAN, 2.0]),
        "point 2: vector \"\": element 1 is NaN, not a finite number",
    );
    let infinite = [1.0, 1.0, f32::NEG_INFINITY];
    check(
        unnamed(&infinite),
        "point 2: vector \"\": element 2 is -inf, not a finite number",
    );
    let named = Vectors::Named(vec![("text".to_owned(), vec![1.0; 3].into())]);
    check(
        named,
        "Wrong input: Not existing vector name error: text (point 2)",
    );
}

#[test]
fn wrong_named_vectors_are_refused() {
    let engine = open(&SimFs::new(1));
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let check = |vectors, expected: &str| {
        check_write(
            &collection,
            WriteBatch::upsert(vec![Point {
                vectors,
                ..point(2, &[])
            }]),
            expected,
        );
    };
    let named = |vectors: &[(&str, &[f32])]| {
        Vectors::Named(
            vectors
                .iter()
                .map(|(name, row)| ((*name).to_owned(), row.to_vec().into()))
                .collect(),
        )
    };
    check(
        Vectors::Unnamed(vec![1.0; 3]),
        "Wrong input: Not existing vector name error: (none is unnamed: say which of [\"image\", \"text\"]) (point 2)",
    );
    check(
        named(&[("sound", &[1.0])]),
        "Wrong input: Not existing vector name error: sound (point 2)",
    );
    check(
        named(&[("", &[1.0])]),
        "Wrong input: Not existing vector name error: (none is unnamed: say which of [\"image\", \"text\"]) (point 2)",
    );
    check(
        named(&[("text", &[1.0, 2.0]), ("text", &[1.0, 2.0])]),
        "point 2: vector \"text\" appears twice",
    );
    let short: (&str, &[f32]) = ("text", &[1.0]);
    check(
        named(&[short]),
        "point 2: vector \"text\": vector dimension error: expected dim: 2, got 1",
    );
}

#[test]
fn batches_are_bounded() {
    let (_fs, _engine, collection) = with_main(1, Distance::Dot);
    let most = limits::MAX_POINTS_PER_BATCH as u64;
    let too_many = WriteBatch {
        operations: vec![
            Operation::Delete(ids(0..most)),
            Operation::Upsert(vec![point(0, &[1.0])]),
        ],
    };
    check_write(&collection, too_many, "batch of 100001 points, more than 100000");
    let (_fs, _engine, collection) = with_main(limits::MAX_DIMENSION, Distance::Dot);
    let wide = |id| point(id, &vec![1.0; limits::MAX_DIMENSION]);
    let too_large = WriteBatch::upsert((0..257).map(wide).collect());
    check_write(&collection, too_large, "batch of more than 67108864 bytes");
    collection
        .write(WriteBatch::upsert((0..250).map(wide).collect()))
        .unwrap();
    assert_eq!(collection.count().unwrap(), 250);
}

#[test]
fn wrong_searches_are_refused() {
    let (_fs, engine, collection) = with_main(2, Distance::Cosine);
    let mut worker = engine.worker();
    let mut check = |request: SearchRequest, expected: &str| {
        let error = worker.search(&collection, &request).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
    };
    let nearest = |row: &[f32]| SearchRequest::nearest(row.to_vec(), 10);
    check(
        nearest(&[1.0]),
        "query vector \"\": vector dimension error: expected dim: 2, got 1",
    );
    check(
        nearest(&[f32::NAN, 0.0]),
        "query vector \"\": element 0 is NaN, not a finite number",
    );
    let using = SearchRequest {
        using: "text".to_owned(),
        ..nearest(&[1.0, 0.0])
    };
    check(using, "Wrong input: Not existing vector name error: text");
    let with_vector = VectorSelector::Named(vec!["text".to_owned()]);
    let selecting = SearchRequest {
        with_vector,
        ..nearest(&[1.0, 0.0])
    };
    check(selecting, "Wrong input: Not existing vector name error: text");
    let deep = SearchRequest {
        offset: usize::MAX,
        ..nearest(&[1.0, 0.0])
    };
    check(
        deep,
        "limit 10 and offset 18446744073709551615: more than 1048576 together",
    );
    // The collection answers as before.
    assert_eq!(
        worker.search(&collection, &nearest(&[1.0, 0.0])).unwrap().hits,
        []
    );
}

#[test]
fn wrong_reads_are_refused() {
    let engine = open(&SimFs::new(1));
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let selector = VectorSelector::Named(vec!["sound".to_owned()]);
    let error = collection
        .retrieve(&[], &PayloadSelector::None, &selector)
        .unwrap_err();
    assert_eq!(
        error.message(),
        "Wrong input: Not existing vector name error: sound"
    );
    let most = limits::MAX_PAGE;
    let error = collection
        .scroll(None, most + 1, &PayloadSelector::None, &VectorSelector::None)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Invalid, "limit: 1048577 points, more than 1048576")
    );
}

fn check_create(engine: &Arc<Engine>, name: &str, config: CollectionConfig, expected: &str) {
    let error = engine.create_collection(name, config).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
    assert!(engine.collections().is_empty());
}

#[test]
fn wrong_collections_are_refused() {
    let engine = open(&SimFs::new(1));
    let unnamed = |dimension| CollectionConfig::unnamed(dimension, Distance::Dot);
    check_create(
        &engine,
        "",
        unnamed(2),
        "collection name of 0 bytes, not 1 to 255",
    );
    check_create(
        &engine,
        &"x".repeat(256),
        unnamed(2),
        "collection name of 256 bytes, not 1 to 255",
    );
    check_create(
        &engine,
        "a\nb",
        unnamed(2),
        "collection name \"a\\nb\" with a control character",
    );
    check_create(&engine, "a", unnamed(0), "vector \"\": size 0, not 1 to 65536");
    check_create(
        &engine,
        "a",
        unnamed(65_537),
        "vector \"\": size 65537, not 1 to 65536",
    );
    let vector = VectorConfig::new(2, Distance::Dot);
    let named = |names: &[&str]| {
        CollectionConfig::new(names.iter().map(|name| ((*name).to_owned(), vector)).collect())
    };
    let long = "x".repeat(256);
    check_create(
        &engine,
        "a",
        named(&[&long]),
        "vector name of 256 bytes, more than 255",
    );
    // Names that would be paths are names like any other.
    for name in ["..", "/etc/passwd", "a/../../b", "größe 🦀", "con"] {
        engine.create_collection(name, unnamed(1)).unwrap();
    }
    assert_eq!(engine.collections().len(), 5);
}
