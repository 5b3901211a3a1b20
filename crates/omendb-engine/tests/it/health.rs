//! Health: each component does badly for a real reason, says which, and recovers by itself where it can.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use omendb_engine::{
    Collection, CollectionConfig, CollectionStatus, Distance, Engine, EngineHealth, EngineOptions, ErrorKind,
    Finding, HealthComponent, HealthState, SearchRequest, WriteBatch,
};
use omendb_metrics::{Clock, ManualTime};
use omendb_sim::{Delays, Fault, Rng, SimFs};

use crate::fixtures::{contents, open, open_with, options, point, random_vector, upsert_random, with_main};

fn finding(health: &EngineHealth, component: HealthComponent) -> &Finding {
    let found = health
        .findings
        .iter()
        .find(|finding| finding.component == component);
    found.unwrap_or_else(|| panic!("{component:?} is missing from {health:?}"))
}

/// The component's state and whether its reason contains `part`; all others do well.
#[track_caller]
fn check(engine: &Engine, component: HealthComponent, state: HealthState, part: &str) {
    let health = engine.health();
    for finding in &health.findings {
        let expected = if finding.component == component {
            state
        } else {
            HealthState::Healthy
        };
        assert_eq!(finding.state, expected, "{finding:?}");
        assert_eq!(
            finding.reason.is_none(),
            expected == HealthState::Healthy,
            "{finding:?}"
        );
    }
    let reason = finding(&health, component).reason.clone().unwrap_or_default();
    assert!(reason.contains(part), "{reason:?} lacks {part:?}");
    assert_eq!(health.is_healthy, state != HealthState::Unhealthy, "{health:?}");
    assert_eq!(
        health.degraded.is_empty(),
        state == HealthState::Healthy,
        "{health:?}"
    );
}

fn write(collection: &Collection, id: u64) -> Result<(), ErrorKind> {
    let batch = WriteBatch::upsert(vec![point(id, &[1.0, 1.0])]);
    collection.write(batch).map(drop).map_err(|error| error.kind())
}

/// An engine whose time the test moves, with the collection `main`.
fn with_time(
    change: impl FnOnce(&mut EngineOptions),
) -> (SimFs, Arc<ManualTime>, Arc<Engine>, Arc<Collection>) {
    let (clock, time) = Clock::manual();
    let fs = SimFs::new(1);
    let mut options = options(&fs);
    options.clock = clock;
    change(&mut options);
    let engine = open_with(options).unwrap();
    let config = CollectionConfig::unnamed(2, Distance::Dot);
    let collection = engine.create_collection("main", config).unwrap();
    (fs, time, engine, collection)
}

/// Waits for what another thread brings about.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("not in 20 s: {what}");
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(work).unwrap()
}

/// A panic in a commit closed the collection's queue; its status stayed what it was, writes were answered as if the
/// collection had been deleted, and health said that all was well.
#[test]
fn a_panic_in_a_commit_ends_writing_and_says_so() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    write(&collection, 1).unwrap();
    fs.inject(Fault::panic(fs.operations()));
    assert_eq!(write(&collection, 2), Err(ErrorKind::Internal));
    until("poisoned", || {
        collection.info().status == CollectionStatus::Poisoned
    });
    let error = collection.write(WriteBatch::delete(vec![1.into()])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let reason = "collection \"main\" takes no writes after a fault of ours in a commit until a restart";
    assert_eq!(error.message(), reason);
    check(&engine, HealthComponent::Log, HealthState::Unhealthy, reason);
    assert_eq!(collection.count(), Ok(1), "reads go on");
    engine.close();
    let engine = open(&fs);
    check(&engine, HealthComponent::Log, HealthState::Healthy, "");
    write(&engine.collection("main").unwrap(), 3).unwrap();
}

#[test]
fn a_log_that_cannot_be_written_is_unhealthy_until_it_can_be() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    // The first write begins a segment. Nothing can be created, as in a directory that is read-only.
    let operations = fs.operations();
    (0..40).for_each(|operation| fs.inject(Fault::io(operations + operation)));
    assert_eq!(write(&collection, 1), Err(ErrorKind::Internal));
    let part = "the newest write to collection \"main\" was refused: could not";
    check(&engine, HealthComponent::Log, HealthState::Unhealthy, part);
    engine.tick();
    check(&engine, HealthComponent::Log, HealthState::Unhealthy, part);
    // Nobody writes to a server that says it cannot, so it tries by itself.
    while fs.operations() < operations + 40 {
        engine.tick();
    }
    engine.tick();
    check(&engine, HealthComponent::Log, HealthState::Healthy, "");
    write(&collection, 1).unwrap();
    assert!(
        fs.files().iter().all(|file| !file.ends_with("trial")),
        "the trial leaves nothing behind"
    );
}

#[test]
fn a_full_disk_is_degraded_until_there_is_room_again() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    write(&collection, 1).unwrap();
    fs.set_capacity(fs.used_bytes());
    let many = || WriteBatch::upsert((0..100).map(|id| point(id, &[1.0, 1.0])).collect());
    let error = collection.write(many()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    let part = "the disk is full: the newest write to collection \"main\" was refused";
    check(&engine, HealthComponent::Disk, HealthState::Degraded, part);
    engine.tick();
    check(&engine, HealthComponent::Disk, HealthState::Degraded, "0 of ");
    // Room for the trial, and less than there should be.
    fs.set_capacity(fs.used_bytes() + 100_000);
    engine.tick();
    check(
        &engine,
        HealthComponent::Disk,
        HealthState::Degraded,
        "bytes of the disk are free, fewer than 268435456",
    );
    let health = engine.health();
    let disk = finding(&health, HealthComponent::Disk);
    assert!(
        disk.is_measured && disk.value.is_some_and(|bytes| bytes <= 100_000.0),
        "{disk:?}"
    );
    fs.set_capacity(u64::MAX);
    engine.tick();
    check(&engine, HealthComponent::Disk, HealthState::Healthy, "");
    collection.write(many()).unwrap();
}

#[test]
fn slow_syncs_are_degraded_for_as_long_as_they_are_recent() {
    let (fs, time, engine, collection) = with_time(|_| ());
    write(&collection, 1).unwrap();
    check(&engine, HealthComponent::Fsync, HealthState::Healthy, "");
    let sync_ns = 400_000_000;
    fs.set_delays(Arc::clone(&time), Delays { write_ns: 0, sync_ns });
    write(&collection, 2).unwrap();
    check(
        &engine,
        HealthComponent::Fsync,
        HealthState::Degraded,
        "syncs take 0.4",
    );
    fs.set_delays(Arc::clone(&time), Delays::default());
    for _ in 0..70 {
        time.advance(Duration::from_secs(1));
        engine.tick();
    }
    check(&engine, HealthComponent::Fsync, HealthState::Healthy, "");
    write(&collection, 3).unwrap();
    let health = engine.health();
    let fsync = finding(&health, HealthComponent::Fsync);
    assert!(fsync.value.is_some_and(|seconds| seconds < 0.1), "{fsync:?}");
}

#[test]
fn a_sync_that_does_not_come_back_is_seen_while_it_lasts() {
    let (fs, time, engine, collection) = with_time(|_| ());
    let hold = fs.hold_syncs();
    let writer = spawn("writer", {
        let collection = Arc::clone(&collection);
        move || write(&collection, 1)
    });
    until("a sync waits", || fs.syncs_waiting() > 0);
    check(&engine, HealthComponent::Fsync, HealthState::Healthy, "");
    time.advance(Duration::from_secs(2));
    check(
        &engine,
        HealthComponent::Fsync,
        HealthState::Degraded,
        "syncs take 2.0",
    );
    time.advance(Duration::from_secs(60));
    let health = engine.health();
    let log = finding(&health, HealthComponent::Log);
    assert_eq!(
        (health.is_healthy, log.reason.as_deref()),
        (false, Some("the disk has not answered for 62 s"))
    );
    drop(hold);
    assert_eq!(writer.join().unwrap(), Ok(()));
    check(&engine, HealthComponent::Log, HealthState::Healthy, "");
}

#[test]
fn a_snapshot_that_failed_or_stands_still_is_degraded_until_one_succeeds() {
    let (fs, time, engine, collection) = with_time(|options| options.snapshot_log_bytes = 5_000);
    for _ in 0..20 {
        upsert_random(&collection, &mut Rng::new(1), 0..20);
    }
    let operations = fs.operations();
    fs.inject(Fault::no_space(operations..operations + 1));
    engine.tick();
    let part = "the newest snapshot of collection \"main\" failed, its log grows: no space left";
    check(&engine, HealthComponent::Snapshot, HealthState::Degraded, part);
    time.advance(Duration::from_secs(60));
    let hold = fs.hold_syncs();
    let ticking = spawn("ticking", {
        let engine = Arc::clone(&engine);
        move || engine.tick()
    });
    until("a sync waits", || fs.syncs_waiting() > 0);
    time.advance(Duration::from_secs(100));
    check(
        &engine,
        HealthComponent::Snapshot,
        HealthState::Degraded,
        "a snapshot has made no progress for 100 s",
    );
    drop(hold);
    ticking.join().unwrap();
    check(&engine, HealthComponent::Snapshot, HealthState::Healthy, "");
}

#[test]
fn a_recall_under_its_target_is_degraded_once_enough_samples_say_so() {
    let mut options = options(&SimFs::new(1));
    options.recall_cpu_share = 1.0;
    options.health.recall_samples = 5;
    let engine = open_with(options).unwrap();
    let config = CollectionConfig {
        graph_threshold_kb: Some(1),
        ..CollectionConfig::unnamed(48, Distance::Euclid)
    };
    let collection = engine.create_collection("main", config).unwrap();
    let mut rng = Rng::new(3);
    upsert_random(&collection, &mut rng, 0..6_000);
    engine.tick();
    let mut worker = engine.worker();
    // Vectors by chance have no near neighbours, and a walk that keeps a single candidate loses its way.
    let mut request = SearchRequest::nearest(random_vector(&mut rng, 48), 1);
    request.ef = Some(1);
    until("five samples", || {
        let samples = collection.accuracy().samples;
        if samples < 5 {
            check(&engine, HealthComponent::Recall, HealthState::Healthy, "");
        }
        request.query = omendb_engine::Query::Nearest(random_vector(&mut rng, 48).into());
        worker.search(&collection, &request).unwrap();
        samples >= 5
    });
    let health = engine.health();
    let recall = finding(&health, HealthComponent::Recall);
    assert_eq!(
        (recall.state, recall.limit),
        (HealthState::Degraded, Some(0.95)),
        "{recall:?}"
    );
    let begins = |reason: &String| reason.starts_with("the recall of collection \"main\" is 0.");
    assert!(recall.reason.as_ref().is_some_and(begins), "{recall:?}");
    // The mean follows the queries: with enough candidates it rises above the target again.
    request.ef = Some(4_000);
    until("recall recovers", || {
        request.query = omendb_engine::Query::Nearest(random_vector(&mut rng, 48).into());
        worker.search(&collection, &request).unwrap();
        finding(&engine.health(), HealthComponent::Recall).state == HealthState::Healthy
    });
}

/// `close` released the directory while `load` was still reading, and putting in order, what the next process reads.
#[test]
fn closing_waits_for_loading_to_be_given_up() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    write(&collection, 1).unwrap();
    let image = fs.crash_point().images(1, &mut Rng::new(1)).remove(0);
    engine.close();
    let engine = Engine::open(options(&image)).unwrap();
    // What was perhaps never synced is written and synced again before it is served.
    let hold = image.hold_syncs();
    let loading = spawn("loading", {
        let engine = Arc::clone(&engine);
        move || engine.load()
    });
    until("a sync waits", || image.syncs_waiting() > 0);
    assert!(engine.progress().percent() < 100);
    check(
        &engine,
        HealthComponent::Recovery,
        HealthState::Unhealthy,
        "collections are being loaded: 0 %",
    );
    let closing = spawn("closing", {
        let engine = Arc::clone(&engine);
        move || engine.close()
    });
    until("closing has begun", || {
        let refused = engine.create_collection("x", CollectionConfig::unnamed(1, Distance::Dot));
        assert!(refused.is_err());
        let health = engine.health();
        let recovery = finding(&health, HealthComponent::Recovery);
        recovery.reason.as_deref() == Some("the engine is closed")
    });
    let another = Engine::open(options(&image)).map(drop).unwrap_err();
    assert_eq!(another.kind(), ErrorKind::Conflict, "{another}");
    drop(hold);
    closing.join().unwrap();
    assert!(loading.join().unwrap().is_err());
    let engine = open(&image);
    assert_eq!(engine.collection("main").unwrap().count(), Ok(1));
    assert_eq!(engine.progress().percent(), 100);
}

/// A chunk of long payloads made a record longer than a frame may be: the snapshot failed and the log was never trimmed.
#[test]
fn a_chunk_of_long_payloads_becomes_a_snapshot_of_several_records() {
    let fs = SimFs::new(1);
    let mut options = options(&fs);
    options.snapshot_log_bytes = 1;
    let engine = open_with(options).unwrap();
    let config = CollectionConfig::unnamed(2, Distance::Dot);
    let collection = engine.create_collection("main", config).unwrap();
    for id in 0..40 {
        let text = omendb_engine::Value::String("x".repeat(7_000_000));
        let payload = omendb_engine::Payload::from_fields(&[("text", text)]).unwrap();
        let long = omendb_engine::Point {
            payload,
            ..point(id, &[1.0, id as f32])
        };
        collection.write(WriteBatch::upsert(vec![long])).unwrap();
    }
    let log_bytes = collection.info().log_bytes;
    assert!(log_bytes > omendb_storage::MAX_FRAME_BYTES as u64, "{log_bytes}");
    engine.tick();
    check(&engine, HealthComponent::Snapshot, HealthState::Healthy, "");
    assert!(collection.info().log_bytes < 1_000, "the log is trimmed");
    let before = contents(&collection);
    engine.close();
    assert!(contents(&open(&fs).collection("main").unwrap()) == before);
}
