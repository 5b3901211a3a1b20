//! Every family moves by exactly what happened.

use std::collections::BTreeMap;

use omendb_distance::Kernels;
use omendb_engine::{Admission, CollectionConfig, Distance, SearchRequest, WriteBatch, describe_metrics};
use omendb_metrics::{Catalogue, Clock, Registry, Selection, Snapshot};
use omendb_sim::SimFs;

use crate::fixtures::{Scrape, ids, open, open_with, options, point, with_main};

/// Every sample line of the text page but those that say what the page itself cost.
fn page(scrape: &Registry) -> BTreeMap<String, f64> {
    let text = scrape.scrape(Selection::default(), Snapshot::to_text);
    let text = String::from_utf8(text.into()).unwrap();
    let samples = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("omendb_metrics_"));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// What `action` moved, but times and windows.
fn moved(registry: &Registry, action: impl FnOnce()) -> Vec<(String, f64)> {
    let before = page(registry);
    action();
    let is_time = |name: &str| name.contains("_seconds");
    let after = page(registry).into_iter();
    let delta = after.map(|(name, value)| (before.get(&name).map_or(value, |before| value - before), name));
    delta
        .filter(|(delta, name)| *delta != 0.0 && !is_time(name))
        .map(|(delta, name)| (name, delta))
        .collect()
}

#[test]
fn a_search_moves_what_it_did() {
    let (_fs, engine, collection) = with_main(20, Distance::Dot);
    collection
        .write(WriteBatch::upsert(
            (0..100).map(|id| point(id, &[0.5; 20])).collect(),
        ))
        .unwrap();
    let registry = Registry::new(Clock::instant(), vec![engine.clone()]).unwrap();
    let mut worker = engine.worker();
    let request = SearchRequest::nearest(vec![1.0; 20], 10);
    let by = |name: &str| format!("{name}{{db_id=\"main\"}}");
    let full = Kernels::detected().elements_in_full_vectors(20) as f64 / 20.0;
    assert_eq!(
        moved(&registry, || drop(worker.search(&collection, &request).unwrap())),
        [
            (by("omendb_engine_bytes_touched_total"), 8_000.0),
            (by("omendb_engine_distance_computations_total"), 100.0),
            (by("omendb_engine_queries_total"), 1.0),
            (by("omendb_engine_simd_utilization_ratio"), full),
        ]
        .into_iter()
        .filter(|(_, moved)| *moved != 0.0)
        .collect::<Vec<_>>()
    );
    let wrong = SearchRequest::nearest(vec![1.0], 10);
    assert_eq!(
        moved(&registry, || drop(
            worker.search(&collection, &wrong).unwrap_err()
        )),
        [
            (by("omendb_engine_queries_total"), 1.0),
            (
                "omendb_engine_query_errors_total{db_id=\"main\",kind=\"invalid\"}".to_owned(),
                1.0
            ),
        ]
    );
    // Durations: one query that did not fail; a worker's end loses nothing.
    let scrape = Scrape::of(&engine);
    let durations = || scrape.main("omendb_query_duration_seconds");
    assert_eq!(durations(), 1.0);
    drop(worker);
    assert_eq!(durations(), 1.0);
}

#[test]
fn rows_scored_in_full_after_their_codes_are_counted() {
    let (_fs, engine, collection) = with_main(64, Distance::Dot);
    let points = (0..1_000).map(|id| point(id, &[id as f32; 64]));
    collection.write(WriteBatch::upsert(points.collect())).unwrap();
    let registry = Registry::new(Clock::instant(), vec![engine.clone()]).unwrap();
    let mut worker = engine.worker();
    let request = SearchRequest::nearest(vec![1.0; 64], 10);
    let mut rescored = 0;
    let moved = moved(&registry, || {
        rescored = worker.search(&collection, &request).unwrap().stats.rescored;
    });
    assert!(rescored >= 10, "{rescored}");
    let by = |name: &str| format!("{name}{{db_id=\"main\"}}");
    assert!(
        moved.contains(&(by("omendb_engine_rescored_total"), rescored as f64)),
        "{moved:?}"
    );
    let bytes = 1_000 * (64 + 12) + rescored * 64 * 4;
    assert!(
        moved.contains(&(by("omendb_engine_bytes_touched_total"), bytes as f64)),
        "{moved:?}"
    );
    assert!(
        moved.contains(&(by("omendb_engine_distance_computations_total"), 1_000.0)),
        "{moved:?}"
    );
}

#[test]
fn writes_move_what_they_did() {
    let (fs, engine, collection) = with_main(8, Distance::Dot);
    let scrape = Scrape::of(&engine);
    let plain = |name: &str| scrape.value(name, &[]);
    let disk_before = plain("omendb_disk_write_operations_total");
    collection
        .write(WriteBatch::upsert(
            (0..500).map(|id| point(id, &[0.5; 8])).collect(),
        ))
        .unwrap();
    collection.write(WriteBatch::delete(ids(0..499))).unwrap();
    assert_eq!(scrape.main("omendb_engine_vectors_indexed_total"), 500.0);
    assert_eq!(
        (scrape.main("omendb_engine_vectors"), collection.count()),
        (1.0, Ok(1))
    );
    // One chunk was given up whole; the other still has its dead.
    assert_eq!(scrape.main("omendb_engine_tombstones"), 243.0);
    assert_eq!(scrape.main("omendb_engine_tombstone_ratio"), 243.0 / 244.0);
    for family in [
        "omendb_engine_batch_points",
        "omendb_log_commit_points",
        "omendb_log_commits_joined",
        "omendb_log_fsync_seconds",
    ] {
        assert_eq!(plain(family), 2.0, "{family}");
    }
    for family in ["omendb_engine_batch_points", "omendb_log_commit_points"] {
        let sizes = scrape.snapshot();
        let Some(omendb_metrics::Reading::Distribution(sizes)) = sizes.find(family, &[]) else {
            panic!("no sizes");
        };
        assert_eq!(sizes.sum(), 999.0, "{family}");
    }
    let written = plain("omendb_log_written_bytes_total");
    assert!(
        (26_991.0..27_300.0).contains(&written),
        "{written}: 500 points of 32 bytes, an id of 9 and 4 for the payload's length; 499 ids"
    );
    assert!(scrape.main("omendb_log_bytes") >= written);
    assert!(plain("omendb_disk_write_operations_total") >= disk_before + 2.0);
    assert_eq!(
        plain("omendb_disk_write_bytes_total"),
        omendb_storage::FileSystem::counters(&fs).totals().write_bytes as f64
    );
}

#[test]
fn compaction_and_snapshots_are_counted() {
    let mut options = options(&SimFs::new(1));
    options.snapshot_log_bytes = 1_000;
    let engine = open_with(options).unwrap();
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(8, Distance::Dot))
        .unwrap();
    let scrape = Scrape::of(&engine);
    let compactions = || {
        let labels = [("db_id", "main"), ("kind", "compaction")];
        (
            scrape.value("omendb_engine_index_rebalances_total", &labels),
            scrape.value("omendb_engine_rebalance_seconds", &[("kind", "compaction")]),
        )
    };
    let snapshots = |outcome| scrape.value("omendb_snapshot_attempts_total", &[("outcome", outcome)]);
    assert_eq!(
        (compactions(), snapshots("success"), snapshots("failure")),
        ((0.0, 0.0), 0.0, 0.0)
    );
    collection
        .write(WriteBatch::upsert(
            (0..600).map(|id| point(id, &[0.5; 8])).collect(),
        ))
        .unwrap();
    collection
        .write(WriteBatch::delete(ids((0..600).filter(|id| id % 4 != 0))))
        .unwrap();
    let log = scrape.main("omendb_log_bytes");
    engine.tick();
    assert_eq!(
        (compactions(), snapshots("success"), snapshots("failure")),
        ((1.0, 1.0), 1.0, 0.0)
    );
    assert!(scrape.main("omendb_engine_tombstones") < 90.0);
    assert!(scrape.main("omendb_log_bytes") < 100.0, "the log was trimmed");
    assert!(scrape.value("omendb_snapshot_trimmed_log_bytes_total", &[]) >= log);
    let written = scrape.value("omendb_snapshot_written_bytes_total", &[]);
    assert!(
        (6_000.0..8_000.0).contains(&written),
        "{written}: 150 points of 32 bytes and an id of 9"
    );
    assert_eq!(scrape.value("omendb_snapshot_seconds", &[]), 1.0);
    engine.tick();
    assert_eq!(
        (compactions(), snapshots("success")),
        ((1.0, 1.0), 1.0),
        "nothing more to do"
    );
}

#[test]
fn the_window_forgets_after_a_minute_and_the_counters_do_not() {
    let (clock, time) = Clock::manual();
    let mut options = options(&SimFs::new(1));
    options.clock = clock;
    let engine = open_with(options).unwrap();
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(1, Distance::Dot))
        .unwrap();
    let scrape = Scrape::of(&engine);
    let latency = |name: &str| scrape.main(&format!("omendb_engine_query_{name}_seconds"));
    assert!(latency("duration").is_nan(), "absent without queries");
    let mut worker = engine.worker();
    for milliseconds in 1..=100 {
        // The engine takes no time on this clock: what passed is what the query waited since it was admitted.
        let admission = Admission::anonymous(omendb_metrics::Timestamp::from_nanos(0));
        time.advance_nanos(milliseconds * 1_000);
        worker
            .search_admitted(admission, &collection, &SearchRequest::nearest(vec![1.0], 1))
            .unwrap();
    }
    assert!(
        (latency("duration") - 1.717e-3).abs() < 1e-9,
        "{}",
        latency("duration")
    );
    for (name, exact) in [
        ("latency_p50", 1.275e-3),
        ("latency_p95", 4.56e-3),
        ("latency_p99", 4.95e-3),
    ] {
        assert!(
            (latency(name) / exact - 1.0).abs() < 0.045,
            "{name}: {}",
            latency(name)
        );
    }
    for _ in 0..13 {
        time.advance_nanos(5_000_000_000);
        engine.tick();
    }
    assert!(latency("duration").is_nan() && latency("latency_p95").is_nan());
    assert_eq!(scrape.main("omendb_query_duration_seconds"), 100.0);
}

#[test]
fn a_deleted_collection_leaves_the_page_and_a_new_one_starts_at_zero() {
    let (_fs, engine, collection) = with_main(1, Distance::Dot);
    collection
        .write(WriteBatch::upsert(vec![point(1, &[1.0])]))
        .unwrap();
    let scrape = Scrape::of(&engine);
    assert_eq!(scrape.main("omendb_engine_vectors_indexed_total"), 1.0);
    engine.delete_collection("main").unwrap();
    assert!(scrape.main("omendb_engine_vectors_indexed_total").is_nan());
    assert!(scrape.main("omendb_engine_vectors").is_nan());
    engine
        .create_collection("main", CollectionConfig::unnamed(1, Distance::Dot))
        .unwrap();
    assert_eq!(scrape.main("omendb_engine_vectors_indexed_total"), 0.0);
}

#[test]
fn collections_beyond_the_limit_share_a_series() {
    let mut options = options(&SimFs::new(1));
    options.max_series = 2;
    let engine = open_with(options).unwrap();
    for name in ["a", "b", "c", "d"] {
        let collection = engine
            .create_collection(name, CollectionConfig::unnamed(1, Distance::Dot))
            .unwrap();
        collection
            .write(WriteBatch::upsert((0..10).map(|id| point(id, &[1.0])).collect()))
            .unwrap();
    }
    let scrape = Scrape::of(&engine);
    for family in ["omendb_engine_vectors_indexed_total", "omendb_engine_vectors"] {
        let of = |name: &str| scrape.value(family, &[("db_id", name)]);
        assert_eq!(
            (of("a"), of("b"), of("_overflow")),
            (10.0, 10.0, 20.0),
            "{family}"
        );
        assert!(of("c").is_nan() && of("d").is_nan());
    }
}

/// The shared series once added up what its present members had counted, so that it went back when one was deleted.
#[test]
fn a_shared_series_keeps_what_a_deleted_collection_has_counted() {
    let mut options = options(&SimFs::new(1));
    options.max_series = 1;
    let engine = open_with(options).unwrap();
    let scrape = Scrape::of(&engine);
    for name in ["a", "b", "c"] {
        let collection = engine
            .create_collection(name, CollectionConfig::unnamed(2, Distance::Cosine))
            .unwrap();
        let zero_and_short = [point(1, &[0.0, 0.0]), point(2, &[1.0])];
        for point in zero_and_short {
            drop(collection.write(WriteBatch::upsert(vec![point])));
        }
    }
    let defects = |kind| {
        let labels = [("db_id", "_overflow"), ("kind", kind)];
        scrape.value("omendb_engine_vector_defects_total", &labels)
    };
    let vectors = || scrape.value("omendb_engine_vectors", &[("db_id", "_overflow")]);
    assert_eq!(
        (defects("zero_length"), defects("wrong_dimension"), vectors()),
        (2.0, 2.0, 2.0)
    );
    engine.delete_collection("b").unwrap();
    assert_eq!(
        (defects("zero_length"), defects("wrong_dimension"), vectors()),
        (2.0, 2.0, 1.0)
    );
    engine.delete_collection("c").unwrap();
    assert_eq!((defects("zero_length"), defects("wrong_dimension")), (2.0, 2.0));
}

#[test]
fn the_page_and_the_catalogue_name_the_same_families() {
    let engine = open(&SimFs::new(1));
    let mut catalogue = Catalogue::default();
    describe_metrics(&mut catalogue).unwrap();
    let registry = Registry::new(Clock::instant(), vec![engine]).unwrap();
    let of_engine: Vec<_> = registry
        .catalogue()
        .families()
        .iter()
        .map(|family| family.name)
        .collect();
    assert!(
        catalogue
            .families()
            .iter()
            .all(|family| of_engine.contains(&family.name))
    );
    let kernel = [("provider", "omendb"), ("isa", Kernels::detected().isa())];
    let snapshot = registry.snapshot(Selection::default());
    assert_eq!(snapshot.value("omendb_engine_kernel_info", &kernel), Some(1.0));
}
