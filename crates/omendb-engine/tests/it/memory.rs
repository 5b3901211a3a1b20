//! What a collection is charged for, and that it gets it back.

use omendb_engine::{Distance, Payload, Point, Value, WriteBatch};
use omendb_sim::Rng;

use crate::fixtures::{Scrape, ids, point, random_vector, with_main};

fn component(scrape: &Scrape, component: &str) -> f64 {
    scrape.value(
        "omendb_engine_memory_component_bytes",
        &[("db_id", "main"), ("component", component)],
    )
}

#[test]
fn the_ledger_follows_what_is_held() {
    let (_fs, engine, collection) = with_main(100, Distance::Dot);
    let scrape = Scrape::of(&engine);
    let total = || scrape.main("omendb_engine_memory_allocated_bytes");
    let peak = || scrape.main("omendb_engine_memory_peak_bytes");
    let empty = total();
    assert!(empty < 4_096.0, "{empty}");
    let payload = Payload::from_fields(&[("text", Value::String("x".repeat(1_000)))]).unwrap();
    let mut rng = Rng::new(1);
    let points = (0..5_000).map(|id| Point {
        payload: payload.clone(),
        ..point(id, &random_vector(&mut rng, 100))
    });
    collection.write(WriteBatch::upsert(points.collect())).unwrap();
    let vectors = component(&scrape, "vectors");
    assert!(
        (2_000_000.0..2_110_000.0).contains(&vectors),
        "{vectors}: 5,000 rows of 400 bytes"
    );
    let codes = component(&scrape, "codes");
    assert!(
        (560_000.0..591_000.0).contains(&codes),
        "{codes}: 5,000 rows in 112 bytes"
    );
    let payloads = component(&scrape, "payload");
    assert!(
        (5_000_000.0..5_100_000.0).contains(&payloads),
        "{payloads}: 5,000 payloads of a little over 1,000"
    );
    let per_id = component(&scrape, "ids") / 5_000.0;
    assert!(
        (68.0..85.0).contains(&per_id),
        "{per_id} bytes: id, payload reference and map entry"
    );
    assert_eq!(component(&scrape, "log_buffers"), 0.0, "nothing waits");
    let sum: f64 = ["vectors", "codes", "payload", "ids", "log_buffers", "probe"]
        .map(|name| component(&scrape, name))
        .iter()
        .sum();
    assert_eq!(sum, total());
    assert_eq!(
        scrape.main("omendb_engine_index_size_bytes"),
        vectors + codes + component(&scrape, "ids")
    );
    assert_eq!(collection.info().memory_bytes as f64, total());
    assert_eq!(engine.memory_bytes() as f64, total());
    let full = total();
    // While the write waited, its record was held too.
    assert!(peak() >= full + 7_000_000.0, "{} and {full}", peak());
    let high = peak();
    collection.write(WriteBatch::delete(ids(0..5_000))).unwrap();
    engine.tick();
    assert_eq!(component(&scrape, "payload"), 0.0);
    // The chunk that is being filled stays.
    assert!(total() < empty + 80_000.0, "{}", total());
    assert_eq!(peak(), high);
}

#[test]
fn points_written_one_by_one_cost_what_a_batch_does() {
    let per_point = |batch: u64| {
        let (_fs, engine, collection) = with_main(64, Distance::Dot);
        for first in (0..2_000).step_by(batch as usize) {
            let points = (first..first + batch).map(|id| point(id, &[0.5; 64])).collect();
            collection.write(WriteBatch::upsert(points)).unwrap();
        }
        Scrape::of(&engine).main("omendb_engine_memory_allocated_bytes") / 2_000.0
    };
    let (alone, together) = (per_point(1), per_point(500));
    assert!((alone / together - 1.0).abs() < 0.01, "{alone} and {together}");
}

#[test]
fn overwriting_does_not_grow() {
    let (_fs, engine, collection) = with_main(64, Distance::Dot);
    let scrape = Scrape::of(&engine);
    let payload = Payload::from_fields(&[("text", Value::String("x".repeat(300)))]).unwrap();
    let mut random = Rng::new(9);
    let mut write = |count: usize| {
        let points = (0..count).map(|_| Point {
            payload: payload.clone(),
            ..point(random.below(2_000) as u64, &[0.5; 64])
        });
        collection.write(WriteBatch::upsert(points.collect())).unwrap();
        engine.tick();
    };
    write(20_000);
    let after_filling = scrape.main("omendb_engine_memory_allocated_bytes");
    (0..100).for_each(|_| write(200));
    let after_turnover = scrape.main("omendb_engine_memory_allocated_bytes");
    assert!(
        after_turnover < 2.2 * after_filling,
        "{after_filling} then {after_turnover}"
    );
    assert_eq!(
        scrape.main("omendb_engine_vectors"),
        collection.count().unwrap() as f64
    );
}
