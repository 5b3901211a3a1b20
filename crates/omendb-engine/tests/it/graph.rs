//! Graphs: near answers from few comparisons, whatever is written, and after a restart without building again.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use omendb_engine::filter::{Match, Test};
use omendb_engine::{
    Admission, Collection, CollectionConfig, Condition, ContextPair, Distance, Engine, Example, Feedback,
    FeedbackStrategy, Filter, Group, GroupRequest, Payload, Plan, Point, PointId, Query, Reason, Recommend,
    SearchRequest, SearchResponse, Strategy, Value, Vectors, Worker, WriteBatch,
};
use omendb_metrics::Clock;
use omendb_sim::{Rng, SimFs};
use omendb_storage::AtomicFile;

use crate::fixtures::{Scrape, ids, open, point, random_vector};

/// Enough for walks with few candidates to be cheaper than scans.
const POINTS: u64 = 6_000;
const K: usize = 10;
const EF: usize = 40;

/// A collection whose vectors have graphs however few they are.
fn config(dimension: usize, distance: Distance) -> CollectionConfig {
    CollectionConfig {
        graph_threshold_kb: Some(1),
        ..CollectionConfig::unnamed(dimension, distance)
    }
}

fn create(fs: &SimFs, config: CollectionConfig) -> (Arc<Engine>, Arc<Collection>) {
    let engine = open(fs);
    let collection = engine.create_collection("main", config).unwrap();
    (engine, collection)
}

/// Points about so many middles, as real ones are.
struct Clusters {
    middles: Vec<Vec<f32>>,
    rng: Rng,
}

impl Clusters {
    fn new(dimension: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let middles = (0..40).map(|_| random_vector(&mut rng, dimension)).collect();
        Self { middles, rng }
    }

    fn vector(&mut self) -> Vec<f32> {
        let middle = &self.middles[self.rng.bits() as usize % self.middles.len()];
        let offset = random_vector(&mut self.rng, middle.len());
        middle
            .iter()
            .zip(offset)
            .map(|(middle, offset)| middle + 0.5 * offset)
            .collect()
    }

    /// Points of these numbers; the payload has the number itself and its remainders.
    fn points(&mut self, numbers: std::ops::Range<u64>) -> Vec<Point> {
        let fields = |id: u64| {
            let remainder = |of: i64| Value::Int(id as i64 % of);
            [
                ("of2", remainder(2)),
                ("of10", remainder(10)),
                ("of100", remainder(100)),
                ("id", Value::Int(id as i64)),
            ]
        };
        let point = |id: u64| Point {
            payload: Payload::from_fields(&fields(id)).unwrap(),
            ..point(id, &self.vector())
        };
        numbers.map(point).collect()
    }
}

fn fill(collection: &Collection, points: Vec<Point>) {
    for batch in points.chunks(1_000) {
        collection.write(WriteBatch::upsert(batch.to_vec())).unwrap();
    }
}

fn request(vector: Vec<f32>) -> SearchRequest {
    SearchRequest {
        ef: Some(EF),
        ..SearchRequest::nearest(vector, K)
    }
}

fn search(worker: &mut Worker, collection: &Collection, request: &SearchRequest) -> SearchResponse {
    worker.search(collection, request).unwrap()
}

fn found(response: &SearchResponse) -> Vec<PointId> {
    response.hits.iter().map(|hit| hit.id).collect()
}

/// The share of the exact answers in those found, over some queries; each has to be found as planned.
fn recall(
    worker: &mut Worker,
    collection: &Collection,
    requests: &[SearchRequest],
    plan: Option<Plan>,
) -> f64 {
    let (mut right, mut all) = (0, 0);
    for request in requests {
        let response = search(worker, collection, request);
        let exact = SearchRequest {
            exact: true,
            ..request.clone()
        };
        let exact = search(worker, collection, &exact);
        assert!(!matches!(exact.stats.plan, Plan::Graph | Plan::FilteredGraph));
        plan.inspect(|plan| assert_eq!(response.stats.plan, *plan, "{:?}", response.stats));
        let truth: HashSet<_> = found(&exact).into_iter().collect();
        right += found(&response).iter().filter(|id| truth.contains(*id)).count();
        all += truth.len();
        for hit in &response.hits {
            let same = exact.hits.iter().find(|exact| exact.id == hit.id);
            same.inspect(|exact| assert_eq!(exact.score.to_bits(), hit.score.to_bits(), "scores are exact"));
        }
    }
    right as f64 / all as f64
}

fn queries(clusters: &mut Clusters, count: usize) -> Vec<SearchRequest> {
    (0..count).map(|_| request(clusters.vector())).collect()
}

fn check_recall(dimension: usize, distance: Distance) {
    let (engine, collection) = create(&SimFs::new(1), config(dimension, distance));
    let mut clusters = Clusters::new(dimension, 7);
    fill(&collection, clusters.points(0..POINTS));
    let mut worker = engine.worker();
    let requests = queries(&mut clusters, 50);
    let before = search(&mut worker, &collection, &requests[0]);
    assert_eq!(
        (before.stats.plan, before.stats.reason),
        (Plan::Exact, Reason::NoGraph),
        "nothing is built yet"
    );
    engine.tick();
    let info = collection.info();
    assert!(
        info.indexed_vectors + 256 > POINTS && info.indexed_vectors <= POINTS,
        "{info:?}"
    );
    let recall = recall(&mut worker, &collection, &requests, Some(Plan::Graph));
    assert!(
        recall > 0.95,
        "{distance:?}, {dimension} elements: recall {recall}"
    );
    let stats = search(&mut worker, &collection, &requests[0]).stats;
    assert!(stats.distance_computations < POINTS / 2, "{stats:?}");

    let scrape = Scrape::of(&engine);
    assert!(scrape.main("omendb_engine_hops_total") >= stats.hops as f64 && stats.hops > 0);
    assert_eq!(
        scrape.main("omendb_engine_graph_vectors"),
        info.indexed_vectors as f64
    );
    assert_eq!(
        scrape.main("omendb_engine_graph_insertions_total"),
        info.indexed_vectors as f64
    );
    let graph = scrape.value(
        "omendb_engine_memory_component_bytes",
        &[("db_id", "main"), ("component", "graph")],
    );
    assert!(graph >= (info.indexed_vectors * 32 * 4) as f64, "{graph} bytes");
    drop(worker);
    engine.close();
}

#[test]
fn near_points_are_found_from_few_comparisons() {
    for distance in [
        Distance::Cosine,
        Distance::Dot,
        Distance::Euclid,
        Distance::Manhattan,
    ] {
        // Compared as they are, and by codes.
        check_recall(12, distance);
        check_recall(64, distance);
    }
}

#[test]
fn what_is_written_is_found_at_once_and_what_is_deleted_is_not() {
    let (engine, collection) = create(&SimFs::new(1), config(64, Distance::Cosine));
    let mut clusters = Clusters::new(64, 3);
    let points = clusters.points(0..POINTS);
    fill(&collection, points.clone());
    engine.tick();
    let mut worker = engine.worker();
    let requests = queries(&mut clusters, 40);
    let scrape = Scrape::of(&engine);
    let repairs = || {
        scrape.value(
            "omendb_engine_index_rebalances_total",
            &[("db_id", "main"), ("kind", "repair")],
        )
    };
    assert_eq!(repairs(), 0.0);

    // Two of three go, the ones between are replaced, and new ones come.
    collection
        .write(WriteBatch::delete(ids((0..POINTS).filter(|id| id % 3 == 0))))
        .unwrap();
    let moved: Vec<_> = clusters
        .points(0..POINTS)
        .into_iter()
        .skip(1)
        .step_by(3)
        .collect();
    fill(&collection, moved.clone());
    fill(&collection, clusters.points(POINTS..2 * POINTS));
    for (pass, is_done) in [("before", false), ("after", true)] {
        if is_done {
            // Compaction first, then the graph follows.
            (0..3).for_each(|_| engine.tick());
            assert!(repairs() > 0.0);
        }
        let recall = recall(&mut worker, &collection, &requests, None);
        assert!(recall > 0.95, "{pass} the graph followed: recall {recall}");
        for (point, is_alive) in [(&points[3], false), (&moved[5], true), (&points[8], true)] {
            let Vectors::Unnamed(vector) = &point.vectors else {
                panic!("{point:?}");
            };
            let hits = found(&search(&mut worker, &collection, &request(vector.clone())));
            assert_eq!(
                hits.contains(&point.id),
                is_alive,
                "{pass}: {:?} in {hits:?}",
                point.id
            );
        }
    }
    let info = collection.info();
    assert!(info.indexed_vectors + 512 > info.points, "{info:?}");
    let response = search(&mut worker, &collection, &requests[0]);
    assert_eq!(response.stats.plan, Plan::Graph);
}

fn equal(key: &str, value: i64) -> Arc<Filter> {
    let condition = Condition::Field(key.parse().unwrap(), Test::Match(Match::Integer(value)));
    Arc::new(Filter {
        must: vec![condition],
        ..Filter::default()
    })
}

#[test]
fn filters_of_any_selectivity_keep_the_recall() {
    let (engine, collection) = create(&SimFs::new(1), config(64, Distance::Euclid));
    let mut clusters = Clusters::new(64, 5);
    fill(&collection, clusters.points(0..4 * POINTS));
    engine.tick();
    let mut worker = engine.worker();
    let mut plans = HashSet::new();
    for (key, value) in [("of2", 1), ("of10", 3), ("of100", 17), ("id", 4_321), ("id", -1)] {
        let filter = Some(equal(key, value));
        let requests: Vec<_> = queries(&mut clusters, 20)
            .into_iter()
            .map(|request| SearchRequest {
                filter: filter.clone(),
                ef: Some(64),
                ..request
            })
            .collect();
        for request in &requests {
            plans.insert(search(&mut worker, &collection, request).stats.plan.name());
        }
        let expects_some = value >= 0;
        let recall = recall(&mut worker, &collection, &requests, None);
        assert!(recall > 0.95 || !expects_some, "{key} = {value}: recall {recall}");
    }
    assert_eq!(plans, HashSet::from(["filtered_graph", "filtered_scan"]));
}

/// Queries of every kind that has examples, with how many of them lead somewhere.
fn by_examples(clusters: &mut Clusters) -> Vec<(Query, bool)> {
    let mut examples = |count: usize| -> Vec<Example> {
        let example = |_| Example::Vector(clusters.vector().into());
        (0..count).map(example).collect()
    };
    let mut queries = Vec::new();
    for strategy in [Strategy::BestScore, Strategy::SumScores] {
        for (positive, negative) in [(2, 0), (3, 1), (0, 2)] {
            let recommend = Recommend {
                positive: examples(positive),
                negative: examples(negative),
                strategy,
            };
            queries.push((Query::Recommend(recommend), positive > 0));
        }
    }
    let feedback = Feedback {
        target: examples(1).remove(0),
        examples: examples(2).into_iter().zip([1.0, 0.5]).collect(),
        strategy: FeedbackStrategy {
            a: 1.0,
            b: 1.0,
            c: 0.5,
        },
    };
    queries.push((Query::Feedback(feedback), true));
    for pairs in [1, 3] {
        let target = examples(1).remove(0);
        let mut pairs = || {
            let pair = |_| ContextPair {
                positive: examples(1).remove(0),
                negative: examples(1).remove(0),
            };
            (0..pairs).map(pair).collect::<Vec<_>>()
        };
        queries.push((Query::Discover(target, pairs()), true));
        queries.push((Query::Context(pairs()), true));
    }
    queries
}

#[test]
fn queries_by_examples_go_through_the_graph() {
    let (mut missed, mut all) = (Vec::new(), 0);
    for (dimension, distance) in [
        (64, Distance::Cosine),
        (12, Distance::Manhattan),
        (64, Distance::Euclid),
    ] {
        let (engine, collection) = create(&SimFs::new(1), config(dimension, distance));
        let mut clusters = Clusters::new(dimension, 17);
        fill(&collection, clusters.points(0..2 * POINTS));
        engine.tick();
        let mut worker = engine.worker();
        for filter in [None, Some(equal("of2", 1))] {
            for (kind, (query, leads)) in by_examples(&mut clusters).into_iter().enumerate() {
                let request = SearchRequest {
                    query,
                    ef: None,
                    filter: filter.clone(),
                    ..request(Vec::new())
                };
                let exact = SearchRequest {
                    exact: true,
                    ..request.clone()
                };
                let (near, exact) = (
                    search(&mut worker, &collection, &request),
                    search(&mut worker, &collection, &exact),
                );
                let walks = matches!(near.stats.plan, Plan::Graph | Plan::FilteredGraph);
                assert_eq!(walks, leads, "{:?} {:?}", near.stats, request.query);
                assert!(!walks || near.stats.hops > 0, "{:?}", near.stats);
                assert_eq!(near.hits.len(), K);
                // Many may have the score of the last.
                let last = exact.hits[K - 1].score;
                let worse = near.hits.iter().filter(|hit| hit.score < last);
                missed.extend(worse.map(|_| (distance, filter.is_some(), kind)));
                all += K;
            }
        }
    }
    assert!(missed.len() * 10 < all, "{} of {all}: {missed:?}", missed.len());
}

#[test]
fn groups_are_full_through_the_graph() {
    let (engine, collection) = create(&SimFs::new(1), config(64, Distance::Cosine));
    let mut clusters = Clusters::new(64, 19);
    fill(&collection, clusters.points(0..4 * POINTS));
    engine.tick();
    let mut worker = engine.worker();
    // The first rounds do not see all of a hundred groups.
    for (key, limit, size) in [("of10", 10, 3), ("of100", 5, 4), ("of100", 100, 2)] {
        let mut grouped = |exact| {
            let request = GroupRequest {
                search: SearchRequest {
                    limit,
                    exact,
                    ef: Some(128),
                    ..request(clusters.middles[3].clone())
                },
                group_by: key.parse().unwrap(),
                group_size: size,
            };
            let response = worker.search_groups(
                Admission::anonymous(Clock::instant().now()),
                &collection,
                &request,
            );
            response.unwrap()
        };
        let (near, exact) = (grouped(false), grouped(true));
        assert!(near.stats.hops > 0 && exact.stats.hops == 0, "{:?}", near.stats);
        assert_eq!(near.groups.len(), limit, "{key}");
        assert!(near.groups.iter().all(|group| group.hits.len() == size), "{key}");
        let hits = |groups: &[Group]| -> HashSet<PointId> {
            let hits = groups.iter().flat_map(|group| &group.hits);
            hits.map(|hit| hit.id).collect()
        };
        let (found, truth) = (hits(&near.groups), hits(&exact.groups));
        let right = found.intersection(&truth).count();
        assert!(
            right * 20 >= truth.len() * 19,
            "{key}: {right} of {}",
            truth.len()
        );
    }
}

#[test]
fn copies_of_one_vector_do_not_hide_one_another() {
    let (engine, collection) = create(&SimFs::new(1), config(64, Distance::Cosine));
    let mut clusters = Clusters::new(64, 9);
    let mut points = clusters.points(0..2 * POINTS);
    let copy = points[0].vectors.clone();
    points
        .iter_mut()
        .take(1_000)
        .for_each(|point| point.vectors = copy.clone());
    fill(&collection, points);
    engine.tick();
    let mut worker = engine.worker();
    let Vectors::Unnamed(vector) = copy else {
        panic!("{copy:?}")
    };
    let response = search(&mut worker, &collection, &request(vector.clone()));
    assert_eq!(response.stats.plan, Plan::Graph);
    assert!(
        response.hits.iter().all(|hit| hit.id < PointId::from(1_000)),
        "{:?}",
        found(&response)
    );
    for id in [0, 500, 999] {
        let filter = Some(equal("id", id));
        let one = search(
            &mut worker,
            &collection,
            &SearchRequest {
                filter,
                ..request(vector.clone())
            },
        );
        assert_eq!(found(&one), ids([id as u64]));
    }
    let recall = recall(
        &mut worker,
        &collection,
        &queries(&mut clusters, 40),
        Some(Plan::Graph),
    );
    assert!(recall > 0.95, "recall of the others {recall}");
}

#[test]
fn a_restart_takes_the_graph_up_again() {
    let fs = SimFs::new(1);
    let (engine, collection) = create(&fs, config(64, Distance::Cosine));
    let mut clusters = Clusters::new(64, 11);
    fill(&collection, clusters.points(0..POINTS));
    engine.tick();
    let requests = queries(&mut clusters, 40);
    // After the file was written: these are inserted again.
    collection.write(WriteBatch::delete(ids(0..50))).unwrap();
    fill(&collection, clusters.points(POINTS..POINTS + 100));
    engine.close();

    let reopen = |fs: &SimFs| {
        let engine = open(fs);
        let collection = engine.collection("main").unwrap();
        let first = search(&mut engine.worker(), &collection, &requests[0]);
        assert_eq!(first.stats.plan, Plan::Exact, "answers do not wait for the graph");
        engine.tick();
        let recall = recall(&mut engine.worker(), &collection, &requests, Some(Plan::Graph));
        assert!(recall > 0.95, "recall {recall}");
        let insertions = Scrape::of(&engine).main("omendb_engine_graph_insertions_total");
        engine.close();
        insertions
    };
    let insertions = reopen(&fs);
    assert!(
        insertions < POINTS as f64 / 4.0,
        "{insertions} of {POINTS} were inserted again"
    );

    damage_graph(&fs);
    let insertions = reopen(&fs);
    assert!(
        insertions > POINTS as f64 * 0.9,
        "a damaged file is as good as none: {insertions}"
    );
}

/// Flips a byte in the middle of the only graph's file.
fn damage_graph(fs: &SimFs) {
    fs.rot(&graph_path(fs), 4_000, 0x10);
}

fn graph_path(fs: &SimFs) -> PathBuf {
    let mut files = fs.files().into_iter();
    let path = files.find(|path| path.file_name().is_some_and(|name| name == "graph-0"));
    path.unwrap()
}

/// The only graph's file, as this or another version would read and write it.
fn graph_file(fs: &SimFs, version: u32) -> AtomicFile {
    AtomicFile::new(Arc::new(fs.clone()), &graph_path(fs), *b"OMENGRPH", version)
}

#[test]
fn every_damage_of_the_file_is_noticed_and_costs_a_build() {
    // Eight rows fill a chunk, so that the file is short.
    let (dimension, points) = (8_192, 24);
    let fs = SimFs::new(1);
    let (engine, collection) = create(&fs, config(dimension, Distance::Dot));
    fill(&collection, Clusters::new(dimension, 23).points(0..points));
    engine.tick();
    engine.close();
    let file = graph_file(&fs, 1);
    let content = file.read().unwrap().unwrap();
    for at in 0..24 + content.len() as u64 {
        fs.rot(file.path(), at, 0x10);
        assert!(file.read().is_err(), "byte {at} is another");
        fs.rot(file.path(), at, 0x10);
    }

    let insertions = || {
        let engine = open(&fs);
        engine.tick();
        let covered = engine.collection("main").unwrap().info().indexed_vectors;
        assert_eq!(covered, points);
        let insertions = Scrape::of(&engine).main("omendb_engine_graph_insertions_total");
        engine.close();
        insertions
    };
    assert_eq!(insertions(), 0.0, "the file is whole");
    let mut without_its_end = content.clone();
    without_its_end.pop();
    let mut of_more = content.clone();
    // The count follows the empty name, the degree and the entry.
    of_more[8] += 1;
    for (damage, version, content) in [
        ("another version", 2, &content),
        ("its end is missing", 1, &without_its_end),
        ("a count that is wrong", 1, &of_more),
    ] {
        graph_file(&fs, version).replace(content).unwrap();
        assert_eq!(insertions(), points as f64, "{damage}");
    }
}

#[test]
fn deletions_do_not_make_a_restart_build_again() {
    let fs = SimFs::new(1);
    let (engine, collection) = create(&fs, config(64, Distance::Cosine));
    let mut clusters = Clusters::new(64, 29);
    fill(&collection, clusters.points(0..2 * POINTS));
    engine.tick();
    let requests = queries(&mut clusters, 40);
    let fifth = (0..2 * POINTS).filter(|id| id % 5 == 0);
    collection.write(WriteBatch::delete(ids(fifth))).unwrap();
    engine.close();

    let engine = open(&fs);
    engine.tick();
    let insertions = Scrape::of(&engine).main("omendb_engine_graph_insertions_total");
    assert!(
        insertions < POINTS as f64 / 50.0,
        "{insertions} were inserted again"
    );
    let collection = engine.collection("main").unwrap();
    let recall = recall(&mut engine.worker(), &collection, &requests, Some(Plan::Graph));
    assert!(recall > 0.95, "recall {recall}");
    engine.close();
}

#[test]
fn searches_see_whole_batches_while_the_graph_is_built_and_mended() {
    let (engine, collection) = create(&SimFs::new(1), config(16, Distance::Euclid));
    let mut clusters = Clusters::new(16, 13);
    fill(&collection, clusters.points(0..2 * POINTS));
    engine.tick();
    let (is_done, walks) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                engine.tick();
            }
        });
        scope.spawn(|| {
            let (mut worker, mut rng) = (engine.worker(), Rng::new(1));
            while !is_done.load(Ordering::Relaxed) {
                let response = search(&mut worker, &collection, &request(random_vector(&mut rng, 16)));
                assert_eq!(
                    found(&response).iter().collect::<HashSet<_>>().len(),
                    K,
                    "each once"
                );
                walks.fetch_add(u64::from(response.stats.plan == Plan::Graph), Ordering::Relaxed);
            }
        });
        for round in 0..200 {
            let from = round * 150 % (2 * POINTS);
            fill(&collection, clusters.points(from..from + 300));
            collection
                .write(WriteBatch::delete(ids(from..from + 150)))
                .unwrap();
            if round > 20 && walks.load(Ordering::Relaxed) > 500 {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(walks.into_inner() > 0, "no search went through the graph");
    (0..3).for_each(|_| engine.tick());
    let mut worker = engine.worker();
    let recall = recall(
        &mut worker,
        &collection,
        &queries(&mut clusters, 40),
        Some(Plan::Graph),
    );
    assert!(recall > 0.95, "recall {recall}");
}
