//! Upsert, replace, delete, retrieve, scroll, count.

use omendb_engine::{
    Distance, Error, Filter, Operation, Payload, PayloadChange, PayloadSelector, Point, PointId,
    PointSelector, Uuid, Value, VectorSelector, Vectors, WriteBatch, WriteOutcome,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{contents, ids, open, point, tagged, two_vectors, with_main};

#[test]
fn stats_tell_what_a_write_did() {
    let (_fs, _engine, collection) = with_main(2, Distance::Dot);
    let write = |operations| {
        let stats = collection.write(WriteBatch { operations }).unwrap().stats;
        (
            stats.points_upserted,
            stats.points_replaced,
            stats.points_deleted,
            stats.vectors_written,
        )
    };
    let upsert =
        |numbers: &[u64]| Operation::Upsert(numbers.iter().map(|&id| point(id, &[1.0, 2.0])).collect());
    assert_eq!(write(vec![upsert(&[1, 2, 3])]), (3, 0, 0, 3));
    assert_eq!(
        write(vec![upsert(&[3, 4, 4])]),
        (3, 2, 0, 3),
        "an id twice in one batch: the later one stays"
    );
    assert_eq!(write(vec![Operation::Delete(ids([1, 1, 99]))]), (0, 0, 1, 0));
    assert_eq!(
        write(vec![
            Operation::Delete(ids([2])),
            upsert(&[2]),
            Operation::Delete(ids([3]))
        ]),
        (1, 0, 2, 1)
    );
    assert_eq!(write(vec![]), (0, 0, 0, 0));
    assert!(contents(&collection).into_keys().eq(ids([2, 4])));
    assert_eq!(collection.info().points, 2);
}

#[test]
fn sequences_grow() {
    let (_fs, _engine, collection) = with_main(1, Distance::Dot);
    let mut sequences = (1..=3).map(|id| {
        collection
            .write(WriteBatch::upsert(vec![point(id, &[0.5])]))
            .unwrap()
    });
    let first = sequences.next().unwrap().sequence;
    assert!(
        sequences
            .map(|outcome| outcome.sequence)
            .eq([first + 1, first + 2])
    );
    assert_eq!(collection.info().sequence, first + 2);
}

#[test]
fn retrieval_keeps_the_order_asked_and_passes_over_what_is_not_there() {
    let (_fs, _engine, collection) = with_main(1, Distance::Dot);
    collection
        .write(WriteBatch::upsert(
            (0..5).map(|id| tagged(id, &[0.5], id as i64)).collect(),
        ))
        .unwrap();
    let asked = ids([4, 9, 0, 4]);
    let records = collection
        .retrieve(&asked, &PayloadSelector::All, &VectorSelector::None)
        .unwrap();
    assert!(records.iter().map(|record| record.id).eq(ids([4, 0, 4])));
    assert_eq!(
        records[1].payload,
        Some(Payload::from_fields(&[("tag", Value::Int(0))]).unwrap())
    );
    assert_eq!(records[1].vectors, None);
}

#[test]
fn scrolls_go_through_numbers_then_uuids() {
    let (_fs, _engine, collection) = with_main(1, Distance::Dot);
    let uuid = |bits| PointId::from(Uuid::from_u128(bits));
    let all = [
        0.into(),
        7.into(),
        u64::MAX.into(),
        uuid(0),
        uuid(5),
        uuid(u128::MAX),
    ];
    let mut shuffled = all;
    shuffled.reverse();
    shuffled.swap(1, 4);
    let points = shuffled.map(|id| Point {
        id,
        ..point(0, &[0.5])
    });
    collection.write(WriteBatch::upsert(points.to_vec())).unwrap();
    let page = |offset, limit| {
        let (records, next) = collection
            .scroll(offset, limit, &PayloadSelector::None, &VectorSelector::None)
            .unwrap();
        (
            records.into_iter().map(|record| record.id).collect::<Vec<_>>(),
            next,
        )
    };
    assert_eq!(page(None, 10), (all.to_vec(), None));
    assert_eq!(page(None, 2), (all[..2].to_vec(), Some(all[2])));
    assert_eq!(page(Some(all[2]), 2), (all[2..4].to_vec(), Some(all[4])));
    assert_eq!(
        page(Some(8.into()), 1),
        (vec![all[2]], Some(all[3])),
        "an offset that is no point's id"
    );
    assert_eq!(
        page(Some(all[4]), 2),
        (all[4..].to_vec(), None),
        "a full last page has no next"
    );
    assert_eq!(page(None, 0), (vec![], Some(all[0])));
}

#[test]
fn named_vectors_come_back_as_the_point_has_them() {
    let engine = open(&SimFs::new(1));
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let named = |vectors: &[(&str, &[f32])]| {
        Vectors::Named(
            vectors
                .iter()
                .map(|(name, row)| ((*name).to_owned(), row.to_vec().into()))
                .collect(),
        )
    };
    let image: (&str, &[f32]) = ("image", &[0.0, 0.0, 2.0]);
    let unit: (&str, &[f32]) = ("image", &[0.0, 0.0, 1.0]);
    let text: (&str, &[f32]) = ("text", &[3.0, -4.0]);
    let given = [named(&[text, image]), named(&[text]), named(&[])];
    let points = given.into_iter().zip(1..).map(|(vectors, id)| Point {
        vectors,
        ..point(id, &[])
    });
    let stats = collection
        .write(WriteBatch::upsert(points.collect()))
        .unwrap()
        .stats;
    assert_eq!(
        (
            stats.points_upserted,
            stats.vectors_written,
            collection.info().vectors
        ),
        (3, 3, 3)
    );
    let vectors = |selector: &VectorSelector| {
        let records = collection
            .retrieve(&ids(1..4), &PayloadSelector::None, selector)
            .unwrap();
        records
            .into_iter()
            .map(|record| record.vectors.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        vectors(&VectorSelector::All),
        [named(&[unit, text]), named(&[text]), named(&[])]
    );
    let only_image = VectorSelector::Named(vec!["image".to_owned()]);
    assert_eq!(vectors(&only_image), [named(&[unit]), named(&[]), named(&[])]);
    collection.write(WriteBatch::delete(ids([1]))).unwrap();
    assert_eq!(collection.info().vectors, 1);
}

#[test]
fn compaction_changes_nothing_a_client_sees() {
    let (_fs, engine, collection) = with_main(3, Distance::Euclid);
    let mut rng = Rng::new(3);
    for round in 0..10 {
        let points = (0..2_000).map(|id| tagged(id, &[id as f32, round as f32, rng.below(9) as f32], round));
        collection.write(WriteBatch::upsert(points.collect())).unwrap();
        // Random deletions leave every chunk with holes.
        let deleted = (0..1_500).map(|_| rng.below(2_000) as u64);
        collection.write(WriteBatch::delete(ids(deleted))).unwrap();
        let (before, info) = (contents(&collection), collection.info());
        engine.tick();
        assert_eq!(contents(&collection), before);
        let after = collection.info();
        assert_eq!(
            (after.points, after.vectors, after.sequence),
            (info.points, info.vectors, info.sequence)
        );
        assert!(after.tombstones < info.tombstones, "{after:?}");
        assert!(after.tombstones <= after.points + 256, "{after:?}");
        assert!(after.segments <= 2 * after.points / 256 + 3, "{after:?}");
    }
}

/// A change of payloads by filter is short when it is submitted and up to 64 MiB when its turn comes. Several of them
/// that shared a commit came to more than one append takes, and all writes that waited beside them were refused.
#[test]
fn long_changes_do_not_cost_their_neighbours_anything() {
    let (_fs, _engine, collection) = with_main(1, Distance::Dot);
    let points = (0..60).map(|id| point(id, &[1.0])).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
    let long = Payload::from_fields(&[("text", Value::String("x".repeat(1_000_000)))]).unwrap();
    let change = || WriteBatch {
        operations: vec![Operation::Payload(
            PayloadChange::Overwrite {
                at: None,
                payload: long.clone(),
            },
            PointSelector::Filter(Filter::default()),
        )],
    };
    let short = WriteBatch::upsert(vec![point(1_000, &[2.0])]);
    let (sender, outcomes) = std::sync::mpsc::channel();
    // What is submitted while the first is carried out shares a commit.
    let batches: Vec<_> = (0..7).map(|_| change()).chain([short]).collect();
    let submitted = batches.len();
    for batch in batches {
        let sender = sender.clone();
        let done = move |outcome: Result<WriteOutcome, Error>| drop(sender.send(outcome));
        collection.submit(batch, Box::new(done)).unwrap();
    }
    drop(sender);
    let sequences: Vec<_> = outcomes.iter().map(|outcome| outcome.unwrap().sequence).collect();
    assert_eq!(sequences, (2..2 + submitted as u64).collect::<Vec<_>>());
    assert_eq!(collection.count().unwrap(), 61);
}
