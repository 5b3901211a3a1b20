//! Close and open again: points, named vectors, payloads, snapshots.

use omendb_engine::{
    CollectionConfig, Distance, Engine, Payload, Point, PointId, SearchRequest, Uuid, Value, Vectors,
    WriteBatch,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{
    contents, ids, open, open_with, options, point, tagged, two_vectors, upsert_random, with_main,
};

fn rich_payload() -> Payload {
    let inner = Value::Object(vec![(
        "deep".to_owned(),
        Value::List(vec![Value::Null, Value::Float(0.1)]),
    )]);
    let fields = [
        ("text", Value::String("größe 🦀".to_owned())),
        ("big", Value::Uint(u64::MAX)),
        ("small", Value::Int(i64::MIN)),
        ("yes", Value::Bool(true)),
        ("inner", inner),
    ];
    Payload::from_fields(&fields).unwrap()
}

#[test]
fn everything_is_there_after_a_restart() {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let named = |id: PointId, vectors: &[(&str, &[f32])], payload: Payload| {
        let vectors = vectors
            .iter()
            .map(|(name, row)| ((*name).to_owned(), row.to_vec().into()))
            .collect();
        Point {
            id,
            vectors: Vectors::Named(vectors),
            payload,
        }
    };
    let points = vec![
        named(
            1.into(),
            &[("image", &[1.0, 2.0, 3.0]), ("text", &[0.1, 0.2])],
            rich_payload(),
        ),
        named(
            u64::MAX.into(),
            &[("text", &[f32::MIN_POSITIVE, -0.0])],
            Payload::default(),
        ),
        named(Uuid::from_u128(u128::MAX).into(), &[], rich_payload()),
    ];
    collection.write(WriteBatch::upsert(points)).unwrap();
    let (before, info) = (contents(&collection), collection.info());
    drop(collection);
    engine.close();
    // Opened anew twice: the second time finds what the first left behind.
    for _ in 0..2 {
        let engine = open(&fs);
        let collection = engine.collection("main").unwrap();
        assert_eq!(contents(&collection), before);
        let after = collection.info();
        assert_eq!(
            (after.points, after.vectors, after.sequence),
            (info.points, info.vectors, info.sequence)
        );
        engine.close();
    }
}

#[test]
fn a_replay_of_the_log_answers_as_the_original_did() {
    let (fs, engine, collection) = with_main(16, Distance::Cosine);
    let mut rng = Rng::new(11);
    for round in 0..30 {
        upsert_random(&collection, &mut rng, round * 10..round * 10 + 50);
        let gone = (0..20).map(|_| rng.below(350) as u64);
        collection.write(WriteBatch::delete(ids(gone))).unwrap();
        if round % 7 == 0 {
            engine.tick();
        }
    }
    let requests: Vec<_> = (0..20)
        .map(|_| SearchRequest::nearest(crate::fixtures::random_vector(&mut rng, 16), 25))
        .collect();
    let answers = |engine: &Engine| {
        let (mut worker, collection) = (engine.worker(), engine.collection("main").unwrap());
        let mut hits = |request| worker.search(&collection, request).unwrap().hits;
        requests.iter().map(&mut hits).collect::<Vec<_>>()
    };
    let before = answers(&engine);
    engine.close();
    assert_eq!(answers(&open(&fs)), before);
}

#[test]
fn a_long_log_becomes_a_snapshot_and_is_trimmed() {
    let fs = SimFs::new(1);
    let small_log = || {
        let mut options = options(&fs);
        options.snapshot_log_bytes = 100_000;
        options
    };
    let engine = open_with(small_log()).unwrap();
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(8, Distance::Dot))
        .unwrap();
    let mut longest = 0;
    for round in 0..60 {
        let points = (0..100).map(|id| tagged(id, &[round as f32; 8], round)).collect();
        collection.write(WriteBatch::upsert(points)).unwrap();
        longest = longest.max(collection.info().log_bytes);
        engine.tick();
    }
    assert!(
        longest < 120_000 && fs.used_bytes() < 250_000,
        "{longest} and {} bytes",
        fs.used_bytes()
    );
    let before = contents(&collection);
    let sequence = collection.info().sequence;
    engine.close();
    let engine = open_with(small_log()).unwrap();
    let collection = engine.collection("main").unwrap();
    assert_eq!(
        (contents(&collection), collection.info().sequence),
        (before, sequence)
    );
    // Writes after the snapshot count on.
    assert_eq!(
        collection
            .write(WriteBatch::upsert(vec![point(1, &[0.0; 8])]))
            .unwrap()
            .sequence,
        sequence + 1
    );
}

#[test]
fn a_load_says_what_it_did() {
    let (fs, engine, collection) = with_main(4, Distance::Dot);
    upsert_random(&collection, &mut Rng::new(1), 0..100);
    // A crash in place of a close: the last append has to be written again.
    let image = fs.crash_point().images(1, &mut Rng::new(1)).remove(0);
    drop((engine, collection));
    let engine = Engine::open(options(&image)).unwrap();
    let report = engine.load().unwrap();
    assert_eq!(
        (report.collections, report.points, report.orphans_removed),
        (1, 100, 0)
    );
    assert!(report.bytes > 1_600, "{report:?}");
    assert!(report.rewritten_bytes > 1_600, "{report:?}");
    assert_eq!(report.failed, []);
}
