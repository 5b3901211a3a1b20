//! Full disks, failed syncs, damaged files.

use std::path::PathBuf;

use omendb_engine::{
    CollectionConfig, CollectionStatus, Distance, Engine, ErrorKind, SearchRequest, WriteBatch,
};
use omendb_metrics::Clock;
use omendb_sim::{Fault, Rng, SimFs};

use crate::fixtures::{Scrape, contents, open, open_with, options, point, upsert_random, with_main};

#[test]
fn a_full_disk_refuses_writes_and_recovers_by_itself() {
    let (fs, engine, collection) = with_main(64, Distance::Dot);
    upsert_random(&collection, &mut Rng::new(1), 0..10);
    let before = contents(&collection);
    fs.set_capacity(fs.used_bytes() + 2_000);
    let points: Vec<_> = (0..100).map(|id| point(id, &[2.0; 64])).collect();
    let error = collection.write(WriteBatch::upsert(points.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    // Neither visible nor forgotten: what was there is, and the server is degraded, not unhealthy.
    assert_eq!(contents(&collection), before);
    let health = engine.health();
    assert!(health.is_healthy, "{health:?}");
    assert_eq!(
        health.degraded,
        ["the disk is full: the newest write to collection \"main\" was refused"]
    );
    fs.set_capacity(u64::MAX);
    collection.write(WriteBatch::upsert(points)).unwrap();
    assert_eq!((collection.count(), engine.health().degraded), (Ok(100), vec![]));
    let after = contents(&collection);
    engine.close();
    assert_eq!(contents(&open(&fs).collection("main").unwrap()), after);
}

#[test]
fn a_snapshot_that_does_not_fit_is_given_up_and_tried_again_later() {
    let (clock, time) = Clock::manual();
    let fs = SimFs::new(1);
    let mut options = options(&fs);
    (options.clock, options.snapshot_log_bytes) = (clock, 10_000);
    let engine = open_with(options).unwrap();
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(64, Distance::Dot))
        .unwrap();
    upsert_random(&collection, &mut Rng::new(1), 0..100);
    let (before, log_bytes) = (contents(&collection), collection.info().log_bytes);
    let scrape = Scrape::of(&engine);
    let attempts = |outcome| scrape.value("omendb_snapshot_attempts_total", &[("outcome", outcome)]);
    fs.set_capacity(fs.used_bytes() + 2_000);
    (0..3).for_each(|_| engine.tick());
    assert_eq!(
        (attempts("success"), attempts("failure")),
        (0.0, 1.0),
        "not again at once"
    );
    assert_eq!(
        (contents(&collection), collection.info().log_bytes),
        (before, log_bytes)
    );
    fs.set_capacity(u64::MAX);
    time.advance_nanos(60_000_000_000);
    engine.tick();
    assert_eq!((attempts("success"), attempts("failure")), (1.0, 1.0));
    assert!(collection.info().log_bytes < log_bytes);
}

#[test]
fn a_failed_sync_poisons_writes_until_a_restart() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    collection
        .write(WriteBatch::upsert(vec![point(1, &[1.0, 1.0])]))
        .unwrap();
    let other = engine
        .create_collection("other", CollectionConfig::unnamed(1, Distance::Dot))
        .unwrap();
    // The write and then the sync of one append; the sync fails.
    fs.inject(Fault::io(fs.operations() + 1));
    let error = collection
        .write(WriteBatch::upsert(vec![point(2, &[1.0, 1.0])]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert_eq!(collection.info().status, CollectionStatus::Poisoned);
    let error = collection.write(WriteBatch::delete(vec![1.into()])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.message(),
        "collection \"main\" takes no writes after a failed sync until a restart"
    );
    // Reads go on, without the write that failed; other collections are as before.
    let hits = engine
        .worker()
        .search(&collection, &SearchRequest::nearest(vec![1.0, 1.0], 10))
        .unwrap()
        .hits;
    assert_eq!(hits.len(), 1);
    other.write(WriteBatch::upsert(vec![point(1, &[1.0])])).unwrap();
    let health = engine.health();
    assert_eq!(
        (health.is_healthy, health.poisoned, health.degraded.len()),
        (false, 1, 1)
    );
    engine.close();
    let engine = open(&fs);
    let collection = engine.collection("main").unwrap();
    assert!(engine.health().is_healthy);
    collection
        .write(WriteBatch::upsert(vec![point(3, &[1.0, 1.0])]))
        .unwrap();
    // The failed write was not acknowledged: it may be there or not, but whole.
    let found = contents(&collection);
    assert!(found.contains_key(&1.into()) && found.contains_key(&3.into()));
}

#[test]
fn damage_in_one_collection_is_reported_and_the_others_serve() {
    let (fs, engine, collection) = with_main(8, Distance::Dot);
    let files: std::collections::BTreeSet<PathBuf> = fs.files().into_iter().collect();
    let other = engine
        .create_collection("other", CollectionConfig::unnamed(1, Distance::Dot))
        .unwrap();
    other.write(WriteBatch::upsert(vec![point(1, &[1.0])])).unwrap();
    let of_other: Vec<_> = fs
        .files()
        .into_iter()
        .filter(|file| !files.contains(file))
        .collect();
    (0..4).for_each(|n| drop(upsert_random(&collection, &mut Rng::new(n), 0..100)));
    drop((collection, other));
    engine.close();
    // One flipped bit in the middle of the log.
    let length = |file: &PathBuf| {
        let access = omendb_storage::Access::Read;
        omendb_storage::FileSystem::open(&fs, file, access)
            .unwrap()
            .size()
            .unwrap()
    };
    let is_mains = |file: &PathBuf| file.starts_with("/data/collections") && !of_other.contains(file);
    let log = fs
        .files()
        .into_iter()
        .filter(is_mains)
        .max_by_key(length)
        .unwrap();
    fs.rot(&log, length(&log) / 2, 1);

    let engine = Engine::open(options(&fs)).unwrap();
    let report = engine.load().unwrap();
    assert_eq!((report.collections, report.failed.len()), (1, 1));
    let (name, error) = &report.failed[0];
    assert_eq!((name.as_str(), error.kind()), ("main", ErrorKind::Corrupt));
    let damaged = engine.collection("main").unwrap();
    assert_eq!(damaged.info().status, CollectionStatus::Failed);
    assert_eq!(damaged.count().unwrap_err(), *error);
    assert_eq!(damaged.write(WriteBatch::default()).unwrap_err(), *error);
    assert_eq!(engine.collection("other").unwrap().count(), Ok(1));
    let health = engine.health();
    assert_eq!(
        (health.is_healthy, health.failed, &health.degraded[0]),
        (false, 1, &error.to_string())
    );
}

#[test]
fn a_damaged_catalogue_is_refused() {
    let (fs, engine, _collection) = with_main(8, Distance::Dot);
    engine.close();
    fs.rot("/data/catalog".as_ref(), 40, 4);
    assert_eq!(Engine::open(options(&fs)).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_catalogue_in_doubt_takes_no_more_changes_until_a_restart() {
    let (fs, engine, _collection) = with_main(1, Distance::Dot);
    let config = || CollectionConfig::unnamed(1, Distance::Dot);
    // Deleting replaces the catalogue: create, write, sync, rename, and the sync of the directory that fails.
    fs.inject(Fault::io(fs.operations() + 4));
    assert_eq!(
        engine.delete_collection("main").unwrap_err().kind(),
        ErrorKind::Internal
    );
    assert_eq!(
        engine.create_collection("new", config()).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    let health = engine.health();
    assert_eq!(
        (health.is_healthy, health.degraded.len()),
        (false, 2),
        "{health:?}"
    );
    // The next start may find it deleted, so nothing more may be promised to it; it can be read.
    let collection = engine.collection("main").unwrap();
    let error = collection
        .write(WriteBatch::upsert(vec![point(1, &[1.0])]))
        .unwrap_err();
    assert_eq!(
        (error.kind(), collection.count()),
        (ErrorKind::Unavailable, Ok(0))
    );
    engine.close();
    let engine = open(&fs);
    assert!(engine.health().is_healthy);
    engine.create_collection("new", config()).unwrap();
}

/// Wherever a single error strikes, the collection ends as one of the two states, in memory and after a restart.
#[test]
fn an_error_at_any_operation_leaves_the_old_state_or_the_new() {
    for operation in 0..40 {
        let fs = SimFs::new(operation);
        let engine = open(&fs);
        fs.inject(Fault::io(fs.operations() + operation));
        let created = engine.create_collection("main", CollectionConfig::unnamed(1, Distance::Dot));
        let mut acknowledged = Vec::new();
        if let Ok(collection) = &created {
            for id in 0..5 {
                if collection
                    .write(WriteBatch::upsert(vec![point(id, &[1.0])]))
                    .is_ok()
                {
                    acknowledged.push(id.into());
                }
            }
            assert!(
                contents(collection).into_keys().eq(acknowledged.iter().copied()),
                "operation {operation}"
            );
        }
        engine.close();
        drop(engine);
        // The error may strike here; then the next start finds what this one left.
        let engine = open_with(options(&fs)).unwrap_or_else(|_| open(&fs));
        match engine.collection("main") {
            Ok(collection) => {
                let found = contents(&collection);
                assert!(
                    acknowledged.iter().all(|id| found.contains_key(id)),
                    "operation {operation}"
                );
                assert!(found.len() <= acknowledged.len() + 1, "operation {operation}");
            }
            Err(_) => assert!(created.is_err(), "operation {operation}: acknowledged and gone"),
        }
    }
}
