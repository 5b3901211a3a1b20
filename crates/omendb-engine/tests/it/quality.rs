//! What the vectors are like that are sent, and whether those that are stored are found.

use std::time::Duration;

use omendb_engine::{CollectionConfig, Distance, GraphConfig, WriteBatch};
use omendb_metrics::Clock;
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{Scrape, open_with, options, point, upsert_random, with_main};

#[test]
fn defects_are_counted_whether_refused_or_not() {
    let (_fs, engine, collection) = with_main(2, Distance::Cosine);
    let scrape = Scrape::of(&engine);
    let defects = |kind| {
        let labels = [("db_id", "main"), ("kind", kind)];
        scrape.value("omendb_engine_vector_defects_total", &labels)
    };
    let kinds = ["not_finite", "wrong_dimension", "zero_length"];
    assert_eq!(kinds.map(defects), [0.0; 3]);
    let write = |row: &[f32]| collection.write(WriteBatch::upsert(vec![point(1, row)]));
    write(&[1.0, 2.0]).unwrap();
    write(&[f32::NAN, 2.0]).unwrap_err();
    write(&[1.0]).unwrap_err();
    write(&[0.0, 0.0]).unwrap();
    assert_eq!(kinds.map(defects), [1.0; 3]);
    collection.note_not_finite();
    assert_eq!(kinds.map(defects), [2.0, 1.0, 1.0]);
}

#[test]
fn longer_vectors_than_before_are_a_drift() {
    let (clock, time) = Clock::manual();
    let mut options = options(&SimFs::new(1));
    options.clock = clock;
    let engine = open_with(options).unwrap();
    let config = CollectionConfig::unnamed(2, Distance::Cosine);
    let collection = engine.create_collection("main", config).unwrap();
    let scrape = Scrape::of(&engine);
    let drift = || scrape.main("omendb_engine_vector_norm_drift_ratio");
    let write = |row: &[f32]| collection.write(WriteBatch::upsert(vec![point(1, row)])).unwrap();
    write(&[3.0, 4.0]);
    for _ in 0..2 {
        assert!(drift().is_nan(), "nothing to compare with");
        time.advance(Duration::from_secs(900));
        engine.tick();
    }
    write(&[6.0, 8.0]);
    assert_eq!(drift(), 1.0);
}

/// Searches for stored vectors of a collection with this graph until `outcome` was counted.
fn until(graph: GraphConfig, outcome: &str) -> Scrape {
    let mut options = options(&SimFs::new(1));
    options.recall_cpu_share = 1.0;
    let engine = open_with(options).unwrap();
    let config = CollectionConfig {
        graph_threshold_kb: Some(1),
        graph,
        ..CollectionConfig::unnamed(24, Distance::Euclid)
    };
    let collection = engine.create_collection("main", config).unwrap();
    upsert_random(&collection, &mut Rng::new(5), 0..20_000);
    let scrape = Scrape::of(&engine);
    for _ in 0..1_000 {
        engine.tick();
        if count(&scrape, outcome) >= 5.0 {
            return scrape;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!(
        "no {outcome} in {:?}",
        ["found", "missed"].map(|outcome| count(&scrape, outcome))
    );
}

fn count(scrape: &Scrape, outcome: &str) -> f64 {
    scrape.value(
        "omendb_engine_self_hits_total",
        &[("db_id", "main"), ("outcome", outcome)],
    )
}

#[test]
fn stored_vectors_find_themselves_unless_the_graph_is_poor() {
    let good = until(GraphConfig::default(), "found");
    assert_eq!(count(&good, "missed"), 0.0);
    assert_eq!(good.main("omendb_engine_graph_unreachable_nodes"), 0.0);
    let poor = GraphConfig {
        m: 1,
        ef_construct: 4,
    };
    until(poor, "missed");
}
