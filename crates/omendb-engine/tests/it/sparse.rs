//! Sparse vectors: written, read back, and refused by name and value.

use std::sync::Arc;

use omendb_engine::{
    Collection, CollectionConfig, Condition, Distance, Engine, ErrorKind, Filter, PayloadSelector, Point,
    PointId, SparseConfig, SparseVector, Vector, VectorConfig, VectorSelector, Vectors, WriteBatch,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{
    contents, ids, open, open_with, options, point, random_terms, random_vector, with_words,
};

fn terms(terms: &[(u32, f32)]) -> SparseVector {
    let (indices, values) = terms.iter().copied().unzip();
    SparseVector { indices, values }
}

fn named(id: u64, vectors: Vec<(&str, Vector)>) -> Point {
    let vectors = vectors.into_iter();
    Point {
        vectors: Vectors::Named(vectors.map(|(name, vector)| (name.to_owned(), vector)).collect()),
        ..point(id, &[])
    }
}

/// A collection `main` with an unnamed vector of two dimensions and a sparse one, `words`.
fn hybrid(engine: &Engine) -> Arc<Collection> {
    let config = with_words(CollectionConfig::unnamed(2, Distance::Dot));
    engine.create_collection("main", config).unwrap()
}

#[test]
fn points_have_any_of_their_vectors_and_terms_come_back_in_order() {
    let engine = open(&SimFs::new(1));
    let collection = hybrid(&engine);
    let words = terms(&[(7, 0.5), (3, -1.0), (u32::MAX, 2.0)]);
    let sorted: Vector = terms(&[(3, -1.0), (7, 0.5), (u32::MAX, 2.0)]).into();
    let dense: Vector = vec![1.0, 2.0].into();
    let points = vec![
        named(1, vec![("words", words.clone().into()), ("", dense.clone())]),
        named(2, vec![("words", words.into())]),
        point(3, &[1.0, 2.0]),
        named(4, vec![]),
        named(5, vec![("words", SparseVector::default().into())]),
    ];
    let outcome = collection.write(WriteBatch::upsert(points)).unwrap();
    assert_eq!((outcome.stats.vectors_written, collection.info().vectors), (5, 5));
    let expected = [
        named(1, vec![("", dense), ("words", sorted.clone())]),
        named(2, vec![("words", sorted)]),
        point(3, &[1.0, 2.0]),
        named(4, vec![]),
        named(5, vec![("words", SparseVector::default().into())]),
    ];
    let all: Vec<PointId> = ids(1..=5);
    let found = collection
        .retrieve(&all, &PayloadSelector::None, &VectorSelector::All)
        .unwrap();
    for (record, point) in found.iter().zip(&expected) {
        assert_eq!(
            (record.id, record.vectors.as_ref()),
            (point.id, Some(&point.vectors))
        );
    }
    let only = VectorSelector::Named(vec!["words".to_owned()]);
    let found = collection
        .retrieve(&all[..1], &PayloadSelector::None, &only)
        .unwrap();
    assert_eq!(found[0].vectors, Some(expected[1].vectors.clone()));
    let with = |name: &str| {
        let filter = Filter::of(Condition::HasVector(name.to_owned()));
        collection.count_matching(&filter).unwrap()
    };
    assert_eq!((with("words"), with(""), with("other")), (3, 2, 0));
    collection.write(WriteBatch::delete(ids([2, 3, 4]))).unwrap();
    assert_eq!(collection.info().vectors, 3);
}

#[test]
fn names_of_sparse_vectors_are_checked() {
    let engine = open(&SimFs::new(1));
    let vector = VectorConfig::new(2, Distance::Dot);
    let check = |dense: &[&str], sparse: &[&str], expected: &str| {
        let config = CollectionConfig {
            vectors: dense.iter().map(|&name| (name.to_owned(), vector)).collect(),
            sparse_vectors: sparse
                .iter()
                .map(|&name| (name.to_owned(), SparseConfig::default()))
                .collect(),
            ..CollectionConfig::default()
        };
        let error = engine.create_collection("a", config).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
    };
    let long = "x".repeat(256);
    check(&[], &[&long], "vector name of 256 bytes, more than 255");
    check(&[], &[""], "sparse_vectors: one without a name");
    check(
        &["x", "y"],
        &["y"],
        "sparse_vectors: \"y\" is the name of a dense vector too",
    );
    let many: Vec<String> = (0..32).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    check(&["x"], &many, "vectors: 33 of them, more than 32");
}

#[test]
fn wrong_sparse_vectors_are_refused() {
    let engine = open(&SimFs::new(1));
    let collection = hybrid(&engine);
    let check = |name: &str, vector: Vector, expected: &str| {
        let batch = WriteBatch::upsert(vec![named(2, vec![(name, vector)])]);
        let error = collection.write(batch).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
        assert_eq!(collection.count(), Ok(0));
    };
    check(
        "words",
        terms(&[(1, 1.0), (1, 2.0)]).into(),
        "point 2: vector \"words\": indices: 1 is given twice, they must be unique",
    );
    check(
        "words",
        terms(&[(1, f32::INFINITY)]).into(),
        "point 2: vector \"words\": values[0]: inf is not a finite number",
    );
    check(
        "words",
        vec![1.0].into(),
        "point 2: vector \"words\" is sparse, this one is dense",
    );
    check(
        "",
        terms(&[(1, 1.0)]).into(),
        "point 2: vector \"\" is dense, this one is sparse",
    );
    check(
        "other",
        terms(&[(1, 1.0)]).into(),
        "Wrong input: Not existing vector name error: other (point 2)",
    );
}

#[test]
fn sparse_vectors_survive_a_restart_with_and_without_a_snapshot() {
    let small_log = |fs: &SimFs| {
        let mut options = options(fs);
        options.snapshot_log_bytes = 10_000;
        options
    };
    let fs = SimFs::new(1);
    let engine = open_with(small_log(&fs)).unwrap();
    let collection = engine
        .create_collection("main", with_words(CollectionConfig::default()))
        .unwrap();
    let mut rng = Rng::new(5);
    for round in 0..30 {
        let point = |id| {
            let words = random_terms(&mut rng, 1_000, 20);
            named(id, vec![("words", words.into())])
        };
        let points = (round * 20..round * 20 + 50).map(point).collect();
        collection.write(WriteBatch::upsert(points)).unwrap();
        let doomed = ids((0..10).map(|_| rng.below(600) as u64));
        collection.write(WriteBatch::delete(doomed)).unwrap();
        if round < 20 {
            engine.tick();
        }
    }
    let before = contents(&collection);
    let (vectors, config) = (collection.info().vectors, collection.config());
    assert_eq!(vectors, before.len() as u64);
    engine.close();
    let engine = open_with(small_log(&fs)).unwrap();
    let collection = engine.collection("main").unwrap();
    assert_eq!((contents(&collection), collection.config()), (before, config));
    assert_eq!(collection.info().vectors, vectors);
}

#[test]
fn terms_are_charged_and_given_back() {
    let engine = open(&SimFs::new(1));
    let collection = hybrid(&engine);
    let empty = collection.info().memory_bytes;
    let mut rng = Rng::new(3);
    let point = |id| {
        let words = random_terms(&mut rng, 10_000, 200);
        named(
            id,
            vec![("words", words.into()), ("", random_vector(&mut rng, 2).into())],
        )
    };
    let points: Vec<Point> = (0..1_000).map(point).collect();
    let count = |point: &Point| match &point.vectors {
        Vectors::Named(vectors) => match &vectors[0].1 {
            Vector::Sparse(vector) => vector.indices.len(),
            Vector::Dense(_) => 0,
        },
        Vectors::Unnamed(_) => 0,
    };
    let terms: usize = points.iter().map(count).sum();
    collection.write(WriteBatch::upsert(points)).unwrap();
    let held = collection.info().memory_bytes - empty;
    assert!(held >= terms as u64 * 8, "{held} bytes for {terms} terms");
    assert!(
        held < terms as u64 * 8 + 1_000 * 200,
        "{held} bytes for {terms} terms"
    );
    collection.write(WriteBatch::delete(ids(0..1_000))).unwrap();
    let left = collection.info().memory_bytes;
    assert!(left < empty + 100_000, "{left} bytes, {empty} before");
}
