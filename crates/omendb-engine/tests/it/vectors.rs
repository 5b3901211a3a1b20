//! Vectors replaced and taken away while the rest of a point stays, and upserts that ask what there is.

use std::collections::BTreeMap;

use omendb_engine::{
    Collection, Condition, Distance, ErrorKind, Filter, Operation, Payload, PointId, PointSelector,
    PointVectors, SearchRequest, SparseVector, UpdateMode, UpsertRule, Value, Vector, Vectors, WriteBatch,
    WriteOutcome,
};
use omendb_sim::SimFs;

use crate::fixtures::{
    Contents, by_name, contents, ids, open, point, tagged, two_vectors, with_main, with_words,
};

fn write(collection: &Collection, operation: Operation) -> WriteOutcome {
    let operations = vec![operation];
    collection.write(WriteBatch { operations }).unwrap()
}

fn change(id: u64, vectors: &[(&str, Vector)]) -> PointVectors {
    let vectors = vectors
        .iter()
        .map(|(name, vector)| ((*name).to_owned(), vector.clone()));
    PointVectors {
        id: id.into(),
        vectors: Vectors::Named(vectors.collect()),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A point's vectors by name, and its payload.
fn parts(contents: &Contents, id: u64) -> (BTreeMap<String, Vector>, Payload) {
    let (payload, vectors) = contents[&PointId::from(id)].clone();
    (by_name(vectors), payload)
}

fn vectors<const N: usize>(vectors: [(&str, Vector); N]) -> BTreeMap<String, Vector> {
    vectors
        .into_iter()
        .map(|(name, vector)| (name.to_owned(), vector))
        .collect()
}

#[test]
fn the_rest_of_a_point_stays_when_its_vectors_change() {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine
        .create_collection("main", with_words(two_vectors()))
        .unwrap();
    let mut first = tagged(1, &[], 7);
    first.vectors = Vectors::Named(vec![
        ("image".to_owned(), vec![0.0, 1.0, 0.0].into()),
        ("text".to_owned(), vec![1.0, 2.0].into()),
    ]);
    let mut second = tagged(2, &[], 8);
    second.vectors = Vectors::Named(Vec::new());
    write(&collection, Operation::Upsert(vec![first, second]));

    // One point twice: the later change is made to what the earlier left. Compared by angle, it is stored at unit length.
    let words = SparseVector {
        indices: vec![9, 3],
        values: vec![1.0, 2.0],
    };
    let sorted = SparseVector {
        indices: vec![3, 9],
        values: vec![2.0, 1.0],
    };
    let changes = vec![
        change(1, &[("text", vec![5.0, 5.0].into())]),
        change(2, &[("image", vec![0.0, 3.0, 4.0].into())]),
        change(1, &[("text", vec![3.0, 4.0].into()), ("words", words.into())]),
    ];
    let outcome = write(&collection, Operation::UpdateVectors(changes, None));
    assert_eq!(
        (outcome.stats.points_replaced, outcome.stats.vectors_written),
        (2, 4)
    );
    let found = contents(&collection);
    let tag = |tag| Payload::from_fields(&[("tag", Value::Int(tag))]).unwrap();
    let expected = vectors([
        ("image", vec![0.0, 1.0, 0.0].into()),
        ("text", vec![3.0, 4.0].into()),
        ("words", sorted.clone().into()),
    ]);
    assert_eq!(parts(&found, 1), (expected, tag(7)));
    let unit = vectors([("image", vec![0.0, 0.6, 0.8].into())]);
    assert_eq!(parts(&found, 2), (unit, tag(8)));
    assert_eq!(collection.info().vectors, 4);

    // Taken from whom it has; who has none of them, or does not exist, is passed over.
    let selector = PointSelector::Ids(ids([1, 2, 77]));
    let taken = Operation::DeleteVectors(names(&["text", "words"]), selector);
    assert_eq!(write(&collection, taken).stats.points_replaced, 1);
    let found = contents(&collection);
    let left = vectors([("image", vec![0.0, 1.0, 0.0].into())]);
    assert_eq!(parts(&found, 1), (left, tag(7)));
    let by_filter = PointSelector::Filter(Filter::of(Condition::HasVector("image".to_owned())));
    write(
        &collection,
        Operation::DeleteVectors(names(&["image"]), by_filter),
    );
    assert_eq!(collection.info().vectors, 0);
    let before = contents(&collection);
    assert_eq!(parts(&before, 2), (BTreeMap::new(), tag(8)));

    drop((collection, engine));
    assert_eq!(contents(&open(&fs).collection("main").unwrap()), before);
}

#[test]
fn a_point_may_lose_and_regain_the_unnamed_vector() {
    let (_fs, engine, collection) = with_main(2, Distance::Dot);
    let mut without = tagged(3, &[], 1);
    without.vectors = Vectors::Named(Vec::new());
    write(
        &collection,
        Operation::Upsert(vec![point(1, &[1.0, 0.0]), point(2, &[2.0, 0.0]), without]),
    );
    let selector = PointSelector::Ids(ids([2]));
    write(&collection, Operation::DeleteVectors(names(&[""]), selector));
    let mut worker = engine.worker();
    let mut search = || {
        let request = SearchRequest::nearest(vec![1.0, 0.0], 10);
        let hits = worker.search(&collection, &request).unwrap().hits;
        hits.iter().map(|hit| hit.id).collect::<Vec<_>>()
    };
    assert_eq!(search(), ids([1]));
    let change = |id: u64| PointVectors {
        id: id.into(),
        vectors: Vectors::Unnamed(vec![id as f32 * 3.0, 0.0]),
    };
    write(
        &collection,
        Operation::UpdateVectors(vec![change(2), change(3)], None),
    );
    assert_eq!(search(), ids([3, 2, 1]));
}

#[test]
fn a_wrong_change_of_vectors_changes_nothing() {
    let engine = open(&SimFs::new(1));
    let collection = engine
        .create_collection("main", with_words(two_vectors()))
        .unwrap();
    let mut first = point(1, &[]);
    first.vectors = Vectors::Named(vec![("text".to_owned(), vec![1.0, 2.0].into())]);
    write(&collection, Operation::Upsert(vec![first]));
    let before = contents(&collection);
    let good = || change(1, &[("text", vec![0.0, 0.0].into())]);
    let check = |operation: Operation, kind: ErrorKind, message: &str| {
        // What stands before it in the batch is not written either.
        let operations = vec![Operation::UpdateVectors(vec![good()], None), operation];
        let error = collection.write(WriteBatch { operations }).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
        assert_eq!(contents(&collection), before);
    };
    let update = |wrong| Operation::UpdateVectors(vec![good(), wrong], None);
    check(
        update(change(2, &[("text", vec![0.0, 0.0].into())])),
        ErrorKind::NotFound,
        "no point with id 2 found",
    );
    check(
        update(change(1, &[("text", vec![0.0].into())])),
        ErrorKind::Invalid,
        "point 1: vector \"text\": vector dimension error: expected dim: 2, got 1",
    );
    check(
        update(change(1, &[("sound", vec![0.0].into())])),
        ErrorKind::Invalid,
        "Wrong input: Not existing vector name error: sound (point 1)",
    );
    check(
        Operation::DeleteVectors(names(&["text", ""]), PointSelector::Ids(ids([1]))),
        ErrorKind::Invalid,
        "Wrong input: Not existing vector name error: (none is unnamed: say which of [\"image\", \"text\", \"words\"])",
    );
}

/// Points 1 and 2 exist with tags 1 and 2; 1, 2 and 3 are upserted with tag 9.
#[test]
fn an_upsert_is_for_the_points_its_rule_lets_through() {
    let is_first = || Filter::of(Condition::HasId([1.into()].into()));
    let check = |mode: UpdateMode, filter: Option<Filter>, expected: &[(u64, i64)]| {
        let (fs, engine, collection) = with_main(1, Distance::Dot);
        let existing = vec![tagged(1, &[1.0], 1), tagged(2, &[1.0], 2)];
        write(&collection, Operation::Upsert(existing));
        let points = (1..=3).map(|id| tagged(id, &[9.0], 9)).collect();
        let outcome = write(
            &collection,
            Operation::UpsertByRule(points, UpsertRule { mode, filter }),
        );
        let written = expected.iter().filter(|(_, tag)| *tag == 9).count() as u64;
        assert_eq!(outcome.stats.points_upserted, written, "{mode:?}");
        let expected: Contents = expected
            .iter()
            .map(|&(id, tag)| {
                let row = if tag == 9 { 9.0 } else { 1.0 };
                let point = tagged(id, &[row], tag);
                (point.id, (point.payload, point.vectors))
            })
            .collect();
        assert_eq!(contents(&collection), expected, "{mode:?}");
        drop((collection, engine));
        assert_eq!(
            contents(&open(&fs).collection("main").unwrap()),
            expected,
            "{mode:?}"
        );
    };
    use UpdateMode::{InsertOnly, UpdateOnly, Upsert};
    check(Upsert, None, &[(1, 9), (2, 9), (3, 9)]);
    check(Upsert, Some(is_first()), &[(1, 9), (2, 2), (3, 9)]);
    check(InsertOnly, None, &[(1, 1), (2, 2), (3, 9)]);
    check(InsertOnly, Some(is_first()), &[(1, 1), (2, 2), (3, 9)]);
    check(UpdateOnly, None, &[(1, 9), (2, 9)]);
    check(UpdateOnly, Some(is_first()), &[(1, 9), (2, 2)]);
}
