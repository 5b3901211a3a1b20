//! Readers have whole batches while writers write and chunks are compacted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use omendb_engine::{
    Collection, CollectionConfig, Distance, Payload, PayloadSelector, SearchRequest, Value, ValueRef,
    VectorSelector, Worker, WriteBatch,
};
use omendb_sim::SimFs;

use crate::fixtures::{Scrape, ids, open_with, options, point, tagged, with_main};

const POINTS: u64 = 40;
const ROUNDS: i64 = 150;

/// The tag of each payload, in order.
fn tags<'a>(payloads: impl Iterator<Item = Option<&'a Payload>>) -> Vec<i64> {
    let tag = |payload: Option<&Payload>| match payload.unwrap().fields().get("tag") {
        Some(ValueRef::Int(tag)) => tag,
        other => panic!("{other:?}"),
    };
    payloads.map(tag).collect()
}

/// All points of `writer`, with a new tag.
fn batch(writer: u64, tag: i64) -> WriteBatch {
    let own = writer * POINTS..(writer + 1) * POINTS;
    WriteBatch::upsert(own.map(|id| tagged(id, &[writer as f32 + 1.0; 8], tag)).collect())
}

/// The tags of all points in order of ids, as a scroll sees them.
fn scrolled(collection: &Collection) -> Vec<i64> {
    let (records, _) = collection
        .scroll(None, 1_000, &PayloadSelector::All, &VectorSelector::All)
        .unwrap();
    tags(records.iter().map(|record| record.payload.as_ref()))
}

/// The same, as a search sees them: to this query, the first writer's points are the nearest.
fn searched(worker: &mut Worker, collection: &Collection) -> Vec<i64> {
    let with_payload = PayloadSelector::All;
    let request = SearchRequest {
        with_payload,
        ..SearchRequest::nearest(vec![-1.0; 8], 1_000)
    };
    let hits = worker.search(collection, &request).unwrap().hits;
    tags(hits.iter().map(|hit| hit.payload.as_ref()))
}

/// Reads until told to stop; whoever sees two tags of one writer, or a tag older than one seen before, has seen half
/// a batch. Returns the number of reads.
fn read_until(is_done: &AtomicBool, mut read: impl FnMut() -> Vec<i64>) -> u64 {
    let (mut newest, mut reads) = ([0; 2], 0);
    while !is_done.load(Ordering::Relaxed) {
        let seen = read();
        assert_eq!(seen.len() as u64, 2 * POINTS);
        for (writer, tags) in seen.chunks(POINTS as usize).enumerate() {
            assert!(tags.iter().all(|&tag| tag == tags[0]), "{tags:?}");
            assert!(
                tags[0] >= newest[writer],
                "back from {} to {}",
                newest[writer],
                tags[0]
            );
            newest[writer] = tags[0];
        }
        reads += 1;
    }
    reads
}

#[test]
fn a_reader_sees_all_of_a_batch_or_nothing() {
    let mut options = options(&SimFs::new(1));
    options.commit_threads = 2;
    // Snapshots are written all the while, too.
    options.snapshot_log_bytes = 20_000;
    let engine = open_with(options).unwrap();
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(8, Distance::Dot))
        .unwrap();
    for writer in 0..2 {
        collection.write(batch(writer, 0)).unwrap();
    }
    let is_done = AtomicBool::new(false);
    let write = |writer| {
        for tag in 1..=ROUNDS {
            collection.write(batch(writer, tag)).unwrap();
        }
    };
    let write = &write;
    let reads = thread::scope(|scope| {
        let writers = [0, 1].map(|writer| scope.spawn(move || write(writer)));
        let readers = [
            scope.spawn(|| read_until(&is_done, || scrolled(&collection))),
            scope.spawn(|| {
                let mut worker = engine.worker();
                read_until(&is_done, || searched(&mut worker, &collection))
            }),
        ];
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                engine.tick();
            }
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_done.store(true, Ordering::Relaxed);
        readers.map(|reader| reader.join().unwrap())
    });
    assert!(reads.iter().all(|&reads| reads > 5), "{reads:?}");
    engine.tick();
    let scrape = Scrape::of(&engine);
    assert_eq!(
        scrape.value("omendb_engine_retired_bytes", &[]),
        0.0,
        "all readers are gone"
    );
}

#[test]
fn an_acknowledged_write_is_visible_to_its_writer_at_once() {
    let (_fs, _engine, collection) = with_main(2, Distance::Dot);
    thread::scope(|scope| {
        for thread in 0..4 {
            let collection = &collection;
            scope.spawn(move || {
                for n in 0..50 {
                    let id = thread * 1_000 + n;
                    collection
                        .write(WriteBatch::upsert(vec![point(id, &[1.0, 1.0])]))
                        .unwrap();
                    let found =
                        collection.retrieve(&ids([id]), &PayloadSelector::None, &VectorSelector::None);
                    assert_eq!(found.unwrap().len(), 1);
                    collection.write(WriteBatch::delete(ids([id]))).unwrap();
                    let found =
                        collection.retrieve(&ids([id]), &PayloadSelector::None, &VectorSelector::None);
                    assert_eq!(found.unwrap().len(), 0);
                }
            });
        }
    });
    assert_eq!(collection.count(), Ok(0));
}

#[test]
fn waiting_writers_share_one_commit() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    let scrape = Scrape::of(&engine);
    let syncs_before = scrape.value("omendb_log_fsync_seconds", &[]);
    let (sender, receiver) = mpsc::channel();
    let submit = |id: u64| {
        let sender = sender.clone();
        let done = Box::new(move |outcome| sender.send((id, outcome)).unwrap());
        collection
            .submit(WriteBatch::upsert(vec![tagged(id, &[1.0, 1.0], 1)]), done)
            .unwrap();
    };
    let hold = fs.hold_syncs();
    submit(0);
    while fs.syncs_waiting() == 0 {
        thread::yield_now();
    }
    (1..=16).for_each(&submit);
    assert_eq!(
        collection.count(),
        Ok(0),
        "nothing is visible before it is durable"
    );
    drop(hold);
    let outcomes: BTreeMap<_, _> = receiver.iter().take(17).collect();
    let stats = |id: u64| outcomes[&id].as_ref().unwrap().stats;
    assert_eq!(
        (stats(0).batches, stats(1).batches, stats(16).batches),
        (1, 16, 16)
    );
    let sequences: Vec<_> = outcomes
        .values()
        .map(|outcome| outcome.as_ref().unwrap().sequence)
        .collect();
    assert!(
        sequences.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{sequences:?}"
    );
    assert_eq!(scrape.value("omendb_log_fsync_seconds", &[]) - syncs_before, 2.0);
    assert_eq!(collection.count(), Ok(17));
}

#[test]
fn a_reader_keeps_its_version_and_gives_its_memory_back() {
    let (_fs, engine, collection) = with_main(64, Distance::Dot);
    let scrape = Scrape::of(&engine);
    let retired = || scrape.value("omendb_engine_retired_bytes", &[]);
    let payload = Payload::from_fields(&[("text", Value::String("x".repeat(500)))]).unwrap();
    let points = (0..1_000).map(|id| omendb_engine::Point {
        payload: payload.clone(),
        ..point(id, &[1.0; 64])
    });
    collection.write(WriteBatch::upsert(points.collect())).unwrap();
    let request = SearchRequest {
        with_payload: PayloadSelector::All,
        ..SearchRequest::nearest(vec![1.0; 64], 1)
    };
    // A hit holds its payload, and what lies beside it, beyond the end of the collection.
    let response = Arc::new(engine.worker().search(&collection, &request).unwrap());
    collection.write(WriteBatch::delete(ids(0..1_000))).unwrap();
    engine.tick();
    assert_eq!((collection.count(), retired()), (Ok(0), 0.0));
    assert_eq!(response.hits[0].payload, Some(payload));
    let held = scrape.value(
        "omendb_engine_memory_component_bytes",
        &[("db_id", "main"), ("component", "payload")],
    );
    assert!(held > 500_000.0, "{held}");
    drop(response);
    let held = scrape.value(
        "omendb_engine_memory_component_bytes",
        &[("db_id", "main"), ("component", "payload")],
    );
    assert_eq!(held, 0.0);
}
