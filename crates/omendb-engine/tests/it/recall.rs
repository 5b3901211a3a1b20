//! Live recall: measured on the side, within its share of the processor.

use std::sync::Arc;
use std::time::Duration;

use omendb_engine::{
    Collection, CollectionConfig, Condition, Distance, Engine, Filter, Plan, Query, QueryClass,
    SearchRequest, Selectivity, WriteBatch,
};
use omendb_metrics::Clock;
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{Scrape, ids, open_with, options, random_vector, two_vectors, upsert_random};

fn open(share: f64, clock: Clock) -> Arc<Engine> {
    let mut options = options(&SimFs::new(1));
    options.recall_cpu_share = share;
    options.clock = clock;
    open_with(options).unwrap()
}

fn outcomes(scrape: &Scrape) -> (f64, f64) {
    let of = |outcome| {
        scrape.value(
            "omendb_engine_accuracy_samples_total",
            &[("db_id", "main"), ("outcome", outcome)],
        )
    };
    (of("measured"), of("skipped"))
}

/// Waits until the probe has dealt with `samples` draws.
fn wait(scrape: &Scrape, samples: f64) {
    for _ in 0..2_000 {
        let (measured, skipped) = outcomes(scrape);
        if measured + skipped >= samples {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{:?} of {samples} samples", outcomes(scrape));
}

fn check_recall(distance: Distance) {
    let engine = open(1.0, Clock::instant());
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(24, distance))
        .unwrap();
    let mut rng = Rng::new(2);
    upsert_random(&collection, &mut rng, 0..3_000);
    collection.write(WriteBatch::delete(ids(0..1_000))).unwrap();
    let scrape = Scrape::of(&engine);
    assert!(
        scrape.main("omendb_engine_search_accuracy_ratio").is_nan(),
        "absent until there is a sample"
    );
    let mut worker = engine.worker();
    let mut search = |request: &SearchRequest| drop(worker.search(&collection, request).unwrap());
    for sample in 0..20 {
        let mut request = SearchRequest::nearest(random_vector(&mut rng, 24), 10);
        match sample % 4 {
            1 => request.offset = 7,
            2 => request.query = Query::NearestTo(1_500.into()),
            // Not more than three pass, at a guess; none may pass, which is a sample that says nothing.
            3 => request.score_threshold = Some(if distance.higher_is_better() { 0.5 } else { 3.5 }),
            _ => {}
        }
        search(&request);
        wait(&scrape, f64::from(sample + 1));
        // Until the bucket has filled again.
        std::thread::sleep(Duration::from_millis(30));
    }
    let report = collection.accuracy();
    assert!(report.samples >= 15, "{distance:?}: {report:?}");
    assert_eq!(
        (report.mean, report.lower_bound, report.worst.len()),
        (Some(1.0), Some(1.0), 0),
        "{distance:?}"
    );
    assert_eq!(scrape.main("omendb_engine_search_accuracy_ratio"), 1.0);
    assert_eq!(
        scrape.main("omendb_engine_search_accuracy_lower_bound_ratio"),
        1.0
    );
}

#[test]
fn exact_search_has_a_recall_of_one() {
    Distance::ALL.into_iter().for_each(check_recall);
}

/// A graph walked with the fewest candidates misses points: the figures say so, by the way taken.
#[test]
fn queries_that_miss_are_told_apart_and_kept() {
    let engine = open(1.0, Clock::instant());
    let config = CollectionConfig {
        graph_threshold_kb: Some(1),
        ..CollectionConfig::unnamed(24, Distance::Euclid)
    };
    let collection = engine.create_collection("main", config).unwrap();
    let mut rng = Rng::new(3);
    upsert_random(&collection, &mut rng, 0..6_000);
    engine.tick();
    let scrape = Scrape::of(&engine);
    let mut worker = engine.worker();
    for sample in 0..20 {
        let mut request = SearchRequest::nearest(random_vector(&mut rng, 24), 10);
        request.ef = Some(10);
        // Every other query is made of one point in a hundred.
        if sample % 2 == 1 {
            let few = ids((0..6_000).filter(|id| id % 100 == 7)).into_iter().collect();
            request.filter = Some(Arc::new(Filter::of(Condition::HasId(few))));
        }
        drop(worker.search(&collection, &request).unwrap());
        wait(&scrape, f64::from(sample + 1));
        std::thread::sleep(Duration::from_millis(30));
    }
    let report = collection.accuracy();
    let graph = QueryClass {
        plan: Plan::Graph,
        selectivity: Selectivity::Unfiltered,
    };
    let near = report
        .classes
        .iter()
        .find(|accuracy| accuracy.class == graph)
        .unwrap();
    let labels = [
        ("db_id", "main"),
        ("plan", "graph"),
        ("selectivity", "unfiltered"),
    ];
    let of_graph = |name: &str| scrape.value(&format!("omendb_engine_plan_accuracy_{name}"), &labels);
    assert!(near.mean.unwrap() < 1.0, "{report:?}");
    assert_eq!(of_graph("ratio"), near.mean.unwrap());
    assert_eq!(of_graph("lower_bound_ratio"), near.lower_bound.unwrap());
    assert_eq!(of_graph("samples_total"), near.samples as f64);
    let exact = report.classes.iter().filter(|accuracy| accuracy.class != graph);
    for accuracy in exact {
        assert_eq!(accuracy.class.selectivity, Selectivity::Hundredths, "{report:?}");
        assert_eq!(accuracy.mean, Some(1.0), "{report:?}");
    }
    let samples: u64 = report.classes.iter().map(|accuracy| accuracy.samples).sum();
    assert_eq!((samples, report.classes.len()), (report.samples, 2));
    let worst = &report.worst[0];
    assert_eq!(
        (worst.class, worst.ef, worst.limit, worst.expected),
        (graph, 10, 10, 10)
    );
    assert!(
        (worst.recall - (10 - worst.missed) as f64 / 10.0).abs() < 1e-9,
        "{worst:?}"
    );
    assert_eq!(worst.sequence, collection.info().sequence);
    assert!(scrape.value("omendb_engine_probe_cpu_seconds_total", &[]) > 0.0);
}

#[test]
fn a_draw_that_comes_to_nothing_is_counted() {
    let engine = open(1.0, Clock::instant());
    let collection = engine.create_collection("main", two_vectors()).unwrap();
    let scrape = Scrape::of(&engine);
    assert_eq!(outcomes(&scrape), (0.0, 0.0));
    let error = engine
        .worker()
        .search(&collection, &SearchRequest::nearest(vec![1.0], 1));
    assert!(error.is_err());
    assert_eq!(outcomes(&scrape), (0.0, 1.0), "drawn before it failed");
}

fn search(engine: &Engine, collection: &Collection, count: usize) {
    let mut worker = engine.worker();
    let request = SearchRequest::nearest(vec![1.0; 24], 10);
    (0..count).for_each(|_| drop(worker.search(collection, &request).unwrap()));
}

#[test]
fn however_many_queries_come_the_share_is_kept() {
    let (clock, time) = Clock::manual();
    let engine = open(0.003, clock);
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(24, Distance::Dot))
        .unwrap();
    upsert_random(&collection, &mut Rng::new(2), 0..3_000);
    let scrape = Scrape::of(&engine);
    search(&engine, &collection, 200);
    wait(&scrape, 1.0);
    // Time stands still: the bucket does not fill.
    search(&engine, &collection, 200);
    assert_eq!(outcomes(&scrape), (1.0, 0.0));
    // It took at least 50 microseconds for 3,000 rows, so at 0.3 % the next draw is at least 16 ms away.
    time.advance_nanos(1_000_000);
    search(&engine, &collection, 200);
    assert_eq!(outcomes(&scrape), (1.0, 0.0));
    time.advance_nanos(60_000_000_000);
    search(&engine, &collection, 200);
    wait(&scrape, 2.0);
    search(&engine, &collection, 200);
    assert_eq!(outcomes(&scrape), (2.0, 0.0));
}

#[test]
fn turned_off_it_draws_nothing() {
    let engine = open(0.0, Clock::instant());
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(24, Distance::Dot))
        .unwrap();
    search(&engine, &collection, 50);
    assert_eq!(outcomes(&Scrape::of(&engine)), (0.0, 0.0));
    assert!(collection.accuracy().mean.is_none());
}
