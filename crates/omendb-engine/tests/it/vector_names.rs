//! Vectors that are added to a collection and deleted from it: at once, for good, and no search goes wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use omendb_engine::{
    Collection, CollectionConfig, Condition, Distance, Engine, Error, ErrorKind, Filter, Modifier, Operation,
    Payload, Plan, Point, PointId, PointVectors, SearchRequest, SparseConfig, SparseVector, VectorConfig,
    Vectors, WriteBatch,
};
use omendb_sim::{Fault, Rng, SimFs};
use omendb_storage::{Access, FileSystem};

use crate::fixtures::{Contents, Scrape, contents, ids, open, random_vector};

fn add(engine: &Engine, name: &str, dimension: usize) -> Result<u64, Error> {
    let vector = VectorConfig::new(dimension, Distance::Dot);
    engine.change_vectors("main", |config| config.add_vector(name, vector).map(drop))
}

fn add_sparse(engine: &Engine, name: &str, modifier: Modifier) -> Result<u64, Error> {
    let vector = SparseConfig {
        modifier,
        ..SparseConfig::default()
    };
    engine.change_vectors("main", |config| config.add_sparse_vector(name, vector).map(drop))
}

fn delete(engine: &Engine, name: &str) -> Result<u64, Error> {
    engine.change_vectors("main", |config| config.remove_vector(name))
}

/// A collection without vectors.
fn bare() -> (SimFs, Arc<Engine>, Arc<Collection>) {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine
        .create_collection("main", CollectionConfig::default())
        .unwrap();
    (fs, engine, collection)
}

fn named(vectors: &[(&str, &[f32])]) -> Vectors {
    let vectors = vectors.iter();
    Vectors::Named(
        vectors
            .map(|(name, row)| ((*name).to_owned(), row.to_vec().into()))
            .collect(),
    )
}

fn point(id: u64, vectors: &[(&str, &[f32])]) -> Point {
    Point {
        id: id.into(),
        vectors: named(vectors),
        payload: Payload::default(),
    }
}

fn upsert(collection: &Collection, points: impl IntoIterator<Item = Point>) {
    collection
        .write(WriteBatch::upsert(points.into_iter().collect()))
        .unwrap();
}

fn update(collection: &Collection, numbers: impl IntoIterator<Item = u64>, vectors: &[(&str, &[f32])]) {
    let change = |id: u64| PointVectors {
        id: id.into(),
        vectors: named(vectors),
    };
    let operations = vec![Operation::UpdateVectors(
        numbers.into_iter().map(change).collect(),
        None,
    )];
    collection.write(WriteBatch { operations }).unwrap();
}

fn nearest(using: &str, vector: &[f32]) -> SearchRequest {
    SearchRequest {
        using: using.to_owned(),
        ..SearchRequest::nearest(vector.to_vec(), 10)
    }
}

fn found(engine: &Engine, request: &SearchRequest) -> Result<Vec<PointId>, Error> {
    let collection = engine.collection("main").unwrap();
    let response = engine.worker().search(&collection, request)?;
    Ok(response.hits.iter().map(|hit| hit.id).collect())
}

#[track_caller]
fn check_unknown(outcome: Result<impl std::fmt::Debug, Error>, name: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let words = format!("Wrong input: Not existing vector name error: {name}");
    assert!(error.message().starts_with(&words), "{error}");
}

#[test]
fn a_collection_begins_without_vectors_and_is_given_some() {
    let (fs, engine, collection) = bare();
    let empty = Point {
        vectors: Vectors::Unnamed(Vec::new()),
        ..point(1, &[])
    };
    upsert(&collection, [empty, point(2, &[])]);
    let lone = Point {
        vectors: Vectors::Unnamed(vec![1.0]),
        ..point(3, &[])
    };
    check_unknown(collection.write(WriteBatch::upsert(vec![lone])), "");
    check_unknown(found(&engine, &SearchRequest::nearest(vec![1.0], 1)), "");
    assert_eq!(collection.count(), Ok(2));

    add(&engine, "b", 2).unwrap();
    assert_eq!(
        found(&engine, &nearest("b", &[1.0, 0.0])),
        Ok(vec![]),
        "no point has it yet"
    );
    update(&collection, [1, 2], &[("b", &[1.0, 0.0])]);
    upsert(&collection, [point(3, &[("b", &[2.0, 0.0])])]);
    // A name before it, of another dimension, and a sparse one.
    add(&engine, "a", 3).unwrap();
    add_sparse(&engine, "words", Modifier::Idf).unwrap();
    let scrape = Scrape::of(&engine);
    assert_eq!(scrape.main("omendb_engine_vectors"), 3.0);
    assert_eq!(found(&engine, &nearest("b", &[1.0, 0.0])), Ok(ids([3, 1, 2])));
    update(&collection, [1], &[("a", &[0.0, 0.0, 7.0])]);
    let words = SparseVector {
        indices: vec![4],
        values: vec![1.0],
    };
    let with_words = Point {
        vectors: Vectors::Named(vec![("words".to_owned(), words.into())]),
        ..point(4, &[])
    };
    upsert(&collection, [with_words]);
    let check = |engine: &Engine| {
        assert_eq!(found(engine, &nearest("b", &[1.0, 0.0])), Ok(ids([3, 1, 2])));
        assert_eq!(found(engine, &nearest("a", &[0.0, 0.0, 1.0])), Ok(ids([1])));
    };
    check(&engine);
    assert_eq!(scrape.main("omendb_engine_vectors"), 5.0);
    let before = contents(&collection);
    engine.close();
    let engine = open(&fs);
    assert_eq!(contents(&engine.collection("main").unwrap()), before);
    check(&engine);
}

#[test]
fn a_vector_that_is_deleted_is_gone_and_its_name_begins_anew() {
    let (fs, engine, collection) = bare();
    add(&engine, "a", 2).unwrap();
    add(&engine, "b", 2).unwrap();
    upsert(&collection, [point(1, &[("a", &[1.0, 2.0]), ("b", &[3.0, 4.0])])]);
    delete(&engine, "a").unwrap();
    check_unknown(found(&engine, &nearest("a", &[1.0, 0.0])), "a");
    check_unknown(
        collection.write(WriteBatch::upsert(vec![point(1, &[("a", &[1.0, 2.0])])])),
        "a",
    );
    let left: Contents = [(1.into(), (Payload::default(), named(&[("b", &[3.0, 4.0])])))].into();
    assert_eq!(contents(&collection), left);
    assert_eq!(Scrape::of(&engine).main("omendb_engine_vectors"), 1.0);
    // The log has rows of the former vector of this name.
    add(&engine, "a", 3).unwrap();
    assert_eq!(contents(&collection), left);
    upsert(&collection, [point(2, &[("a", &[5.0, 6.0, 7.0])])]);
    let before = contents(&collection);
    engine.close();
    let engine = open(&fs);
    assert_eq!(contents(&engine.collection("main").unwrap()), before);
    delete(&engine, "a").unwrap();
    delete(&engine, "b").unwrap();
    let bare: Contents = [1_u64, 2]
        .map(|id| (id.into(), (Payload::default(), named(&[]))))
        .into();
    assert_eq!(contents(&engine.collection("main").unwrap()), bare);
    engine.close();
    assert_eq!(contents(&open(&fs).collection("main").unwrap()), bare);
}

/// Rows end with the last point of a chunk that has the vector. A filtered scan once took them to be as many as the
/// points, and panicked.
#[test]
fn points_at_the_end_of_a_chunk_may_lack_the_vector() {
    let (_fs, engine, collection) = bare();
    add(&engine, "a", 2).unwrap();
    let some = |id: u64| {
        if id % 10 < 8 {
            vec![("a", &[1.0, 0.5][..])]
        } else {
            vec![]
        }
    };
    for count in [9, 300] {
        upsert(&collection, (0..count).map(|id| point(id, &some(id))));
        let all: std::collections::HashSet<PointId> = (0..count).map(PointId::from).collect();
        let filter = Filter::of(Condition::HasId(all));
        let filtered = SearchRequest {
            limit: 1_000,
            filter: Some(Arc::new(filter)),
            ..nearest("a", &[1.0, 0.0])
        };
        let expected: Vec<PointId> = (0..count).filter(|id| id % 10 < 8).map(PointId::from).collect();
        assert_eq!(found(&engine, &filtered), Ok(expected.clone()));
        let unfiltered = SearchRequest {
            filter: None,
            ..filtered
        };
        assert_eq!(found(&engine, &unfiltered), Ok(expected));
    }
}

#[test]
fn an_unnamed_vector_has_named_ones_beside_it() {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(2, Distance::Dot))
        .unwrap();
    add(&engine, "more", 1).unwrap();
    upsert(&collection, [point(1, &[("", &[1.0, 0.0]), ("more", &[5.0])])]);
    let unnamed = Point {
        vectors: Vectors::Unnamed(vec![2.0, 0.0]),
        ..point(2, &[])
    };
    upsert(&collection, [unnamed]);
    assert_eq!(found(&engine, &nearest("", &[1.0, 0.0])), Ok(ids([2, 1])));
    assert_eq!(found(&engine, &nearest("more", &[1.0])), Ok(ids([1])));
    delete(&engine, "more").unwrap();
    assert_eq!(found(&engine, &nearest("", &[1.0, 0.0])), Ok(ids([2, 1])));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let (_fs, engine, collection) = bare();
    add(&engine, "a", 2).unwrap();
    add_sparse(&engine, "words", Modifier::None).unwrap();
    let before = collection.config();
    let check = |outcome: Result<u64, Error>, message: &str| {
        assert_eq!(outcome.unwrap_err().message(), message);
        assert_eq!(collection.config(), before);
    };
    let other = "already exists with a different configuration";
    check(add(&engine, "a", 3), &format!("Wrong input: Vector `a` {other}"));
    check(
        add(&engine, "words", 2),
        "Wrong input: Vector `words` already exists as a sparse vector",
    );
    check(
        add_sparse(&engine, "a", Modifier::None),
        "Wrong input: Vector `a` already exists as a dense vector",
    );
    check(
        add_sparse(&engine, "words", Modifier::Idf),
        &format!("Wrong input: Vector `words` {other}"),
    );
    check(add(&engine, "b", 0), "vector \"b\": size 0, not 1 to 65536");
    check(
        add(&engine, "b", 65_537),
        "vector \"b\": size 65537, not 1 to 65536",
    );
    check(add(&engine, "", 2), "a vector can only be added with a name");
    let long = "x".repeat(256);
    check(add(&engine, &long, 2), "vector name of 256 bytes, more than 255");
    check(
        delete(&engine, "b"),
        "Wrong input: Not existing vector name error: b",
    );
    let swap = |config: &mut CollectionConfig| {
        config.remove_vector("a")?;
        config
            .add_vector("a", VectorConfig::new(9, Distance::Dot))
            .map(drop)
    };
    check(
        engine.change_vectors("main", swap),
        "vector \"a\": its size and distance cannot be changed",
    );
    let error = engine
        .change_vectors("none", |_| Ok::<(), Error>(()))
        .unwrap_err();
    assert_eq!(error.message(), "Not found: Collection `none` doesn't exist!");
    // The very same is no mistake.
    add(&engine, "a", 2).unwrap();
    add_sparse(&engine, "words", Modifier::None).unwrap();
    assert_eq!(collection.config(), before);
    for n in 0..30 {
        add(&engine, &format!("v{n}"), 1).unwrap();
    }
    assert_eq!(
        add(&engine, "v30", 1).unwrap_err().message(),
        "vectors: 33 of them, more than 32"
    );
}

fn component(scrape: &Scrape, component: &str) -> f64 {
    scrape.value(
        "omendb_engine_memory_component_bytes",
        &[("db_id", "main"), ("component", component)],
    )
}

/// The files of graphs, in order.
fn graph_files(fs: &SimFs) -> Vec<PathBuf> {
    let is_graph = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("graph-"))
    };
    fs.files().into_iter().filter(is_graph).collect()
}

/// Points whose vector `m` has a graph.
struct Graphed {
    fs: SimFs,
    engine: Arc<Engine>,
    request: SearchRequest,
    rng: Rng,
}

/// Enough for walks with few candidates to be cheaper than scans.
const GRAPHED: u64 = 6_000;

impl Graphed {
    fn new() -> Self {
        let fs = SimFs::new(1);
        let engine = open(&fs);
        let config = CollectionConfig {
            graph_threshold_kb: Some(1),
            ..CollectionConfig::default()
        };
        let collection = engine.create_collection("main", config).unwrap();
        add(&engine, "m", 64).unwrap();
        let mut rng = Rng::new(3);
        let points = (0..GRAPHED).map(|id| point(id, &[("m", &random_vector(&mut rng, 64))]));
        upsert(&collection, points.collect::<Vec<_>>());
        engine.tick();
        let request = SearchRequest {
            ef: Some(40),
            ..nearest("m", &random_vector(&mut rng, 64))
        };
        Self {
            fs,
            engine,
            request,
            rng,
        }
    }

    /// Gives some points two more vectors, with graphs of their own; one has a name that sorts before, one after.
    fn add_others(&mut self) {
        let collection = self.engine.collection("main").unwrap();
        for (name, dimension) in [("a", 300), ("z", 65)] {
            add(&self.engine, name, dimension).unwrap();
            self.check();
            update(
                &collection,
                0..600,
                &[(name, &random_vector(&mut self.rng, dimension))],
            );
        }
        self.engine.tick();
        self.check();
    }

    /// Asks for what is nearest by `m`: through the graph.
    #[track_caller]
    fn check(&self) {
        let collection = self.engine.collection("main").unwrap();
        let response = self.engine.worker().search(&collection, &self.request).unwrap();
        assert_eq!(response.stats.plan, Plan::Graph);
        assert!(
            response.stats.distance_computations < GRAPHED / 2,
            "{:?}",
            response.stats
        );
    }

    fn insertions(&self) -> f64 {
        Scrape::of(&self.engine).main("omendb_engine_graph_insertions_total")
    }
}

/// Once the position of a vector among the names was the number of its graph and of its file. A name that sorts before
/// others made searches compare all points until graphs were built again, and left a file that nothing read or removed.
#[test]
fn graphs_are_those_of_their_vectors_whatever_names_come_and_go() {
    let mut graphed = Graphed::new();
    graphed.check();
    graphed.add_others();
    let built = graphed.insertions();
    graphed.engine.tick();
    assert_eq!(graphed.insertions(), built);
    assert_eq!(graph_files(&graphed.fs).len(), 3);
    delete(&graphed.engine, "a").unwrap();
    graphed.check();
    delete(&graphed.engine, "z").unwrap();
    graphed.check();
    assert_eq!(
        graph_files(&graphed.fs).len(),
        1,
        "the files go with their vectors"
    );
    graphed.engine.tick();
    graphed.engine.close();
    graphed.engine = open(&graphed.fs);
    graphed.engine.tick();
    graphed.check();
    let anew = graphed.insertions();
    assert!(
        anew < GRAPHED as f64 / 4.0,
        "{anew} of {GRAPHED} nodes were linked again"
    );
}

#[test]
fn the_memory_of_a_vector_goes_with_it() {
    let mut graphed = Graphed::new();
    let scrape = Scrape::of(&graphed.engine);
    let held = || ["vectors", "codes", "graph"].map(|name| component(&scrape, name));
    let before = held();
    graphed.add_others();
    let with_others = held();
    for name in ["a", "z"] {
        delete(&graphed.engine, name).unwrap();
    }
    let after = held();
    graphed.engine.tick();
    for (((before, with_others), after), settled) in
        before.into_iter().zip(with_others).zip(after).zip(held())
    {
        assert!(
            before > 0.0 && with_others > before,
            "{before} then {with_others}"
        );
        // Points that were given vectors have left their chunks, which are not compacted before half of them has.
        assert!(after < 1.25 * before, "{before} then {after}");
        assert!(settled < 1.25 * before, "{before} then {settled}");
    }
}

#[test]
fn the_file_of_a_vector_that_went_before_a_crash_is_removed_at_the_next_start() {
    let (fs, engine, _collection) = bare();
    add(&engine, "a", 2).unwrap();
    engine.close();
    let mut files = fs.files().into_iter();
    let manifest = files.find(|file| file.ends_with("MANIFEST")).unwrap();
    for number in [0, 7] {
        let path = manifest.with_file_name(format!("graph-{number}"));
        let file = fs.open(&path, Access::CreateNew).unwrap();
        file.write_at(b"no graph", 0).unwrap();
    }
    let engine = open(&fs);
    let left: Vec<_> = graph_files(&fs)
        .iter()
        .map(|file| file.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(left, ["graph-0"], "that of \"a\" costs the time to build a graph");
    engine.close();
}

/// A chunk holds as many points as its widest vector allows when it is begun. Once the first vectors decided for good: a
/// wide one added later made chunks of 64 MiB, which every write copied.
#[test]
fn chunks_have_the_room_that_the_present_vectors_ask_for() {
    let (fs, engine, collection) = bare();
    add(&engine, "narrow", 2).unwrap();
    let narrow = |id| point(id, &[("narrow", &[1.0, 2.0])]);
    upsert(&collection, (0..300).map(narrow));
    assert_eq!(collection.info().segments, 2);
    let scrape = Scrape::of(&engine);
    let slim = component(&scrape, "vectors");
    add(&engine, "wide", 65_536).unwrap();
    assert_eq!(
        component(&scrape, "vectors"),
        slim,
        "no rows where no point has the vector"
    );
    let wide = vec![1.0; 65_536];
    for id in 300..304 {
        upsert(&collection, [point(id, &[("wide", &wide)])]);
    }
    let row = 65_536.0 * 4.0;
    let held = component(&scrape, "vectors") - slim;
    assert!(
        (4.0 * row..4.1 * row).contains(&held),
        "{held} bytes for four rows"
    );
    assert_eq!(collection.info().segments, 2 + 4, "a chunk each");
    assert_eq!(found(&engine, &nearest("wide", &wide)), Ok(ids(300..304)));
    delete(&engine, "wide").unwrap();
    assert!(component(&scrape, "vectors") < 1.1 * slim);
    let before = contents(&collection);
    // The other way round: chunks of one slot are too small for what is left.
    let fs_of_wide = SimFs::new(2);
    let wide_first = open(&fs_of_wide);
    let config =
        CollectionConfig::new([("wide".to_owned(), VectorConfig::new(65_536, Distance::Dot))].into());
    let other = wide_first.create_collection("main", config).unwrap();
    add(&wide_first, "narrow", 2).unwrap();
    upsert(&other, (0..300).map(narrow));
    assert_eq!(other.info().segments, 300);
    other.write(WriteBatch::delete(ids(0..10))).unwrap();
    delete(&wide_first, "wide").unwrap();
    assert_eq!((other.info().segments, other.info().tombstones), (2, 0));
    assert_eq!(other.count(), Ok(290));
    assert_eq!(
        found(&wide_first, &nearest("narrow", &[1.0, 0.0])),
        Ok(ids(10..20))
    );
    for (fs, engine, expected) in [(fs, engine, before), (fs_of_wide, wide_first, contents(&other))] {
        engine.close();
        assert_eq!(contents(&open(&fs).collection("main").unwrap()), expected);
    }
}

#[test]
fn snapshots_hold_the_present_vectors_only() {
    let (fs, engine, collection) = bare();
    engine.close();
    drop(collection);
    let mut options = crate::fixtures::options(&fs);
    options.snapshot_log_bytes = 1_000;
    let engine = crate::fixtures::open_with(options).unwrap();
    let collection = engine.collection("main").unwrap();
    add(&engine, "gone", 200).unwrap();
    add(&engine, "kept", 2).unwrap();
    upsert(
        &collection,
        (0..50).map(|id| point(id, &[("gone", &[0.5; 200]), ("kept", &[1.0, id as f32])])),
    );
    delete(&engine, "gone").unwrap();
    engine.tick();
    assert!(
        collection.info().log_bytes < 1_000,
        "a snapshot took the log's place"
    );
    assert!(fs.used_bytes() < 50 * 200 * 4, "{} bytes", fs.used_bytes());
    let before = contents(&collection);
    engine.close();
    assert_eq!(contents(&open(&fs).collection("main").unwrap()), before);
}

/// Writes that were checked before a vector came or went have their turn after it.
#[test]
fn writes_beside_changes_of_the_vectors_are_whole() {
    let (fs, engine, collection) = bare();
    add(&engine, "stays", 2).unwrap();
    let is_done = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let writers: Vec<_> = (0..2_u64)
            .map(|writer| {
                let (engine, is_done) = (&engine, &is_done);
                scope.spawn(move || {
                    let collection = engine.collection("main").unwrap();
                    let (mut acknowledged, mut number) = (BTreeSet::new(), writer << 32);
                    while !is_done.load(Ordering::Relaxed) {
                        number += 1;
                        let vectors: &[(&str, &[f32])] =
                            &[("stays", &[1.0, 2.0]), ("comes", &[3.0, 4.0, 5.0])];
                        // Where there is no such vector, or one of another dimension, nothing is written.
                        let both = collection.write(WriteBatch::upsert(vec![point(number, vectors)]));
                        let one = collection.write(WriteBatch::upsert(vec![point(number, &vectors[..1])]));
                        one.unwrap();
                        if both.is_ok() {
                            update(&collection, [number], &vectors[..1]);
                        }
                        acknowledged.insert(PointId::from(number));
                    }
                    acknowledged
                })
            })
            .collect();
        for turn in 0..200 {
            add(&engine, "comes", 3 + turn % 2).unwrap();
            delete(&engine, "comes").unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
        let acknowledged = writers.into_iter().flat_map(|writer| writer.join().unwrap());
        acknowledged.collect::<BTreeSet<_>>()
    });
    let found = contents(&collection);
    assert!(found.keys().eq(&acknowledged));
    let stays = named(&[("stays", &[1.0, 2.0])]);
    assert!(found.values().all(|(_, vectors)| *vectors == stays));
    assert_eq!(collection.info().vectors, acknowledged.len() as u64);
    engine.close();
    assert_eq!(contents(&open(&fs).collection("main").unwrap()), found);
}

#[test]
fn a_catalogue_that_cannot_be_written_leaves_the_vectors_as_they_are() {
    let (fs, engine, collection) = bare();
    add(&engine, "a", 2).unwrap();
    upsert(&collection, [point(1, &[("a", &[1.0, 2.0])])]);
    let before = contents(&collection);
    fs.set_capacity(fs.used_bytes());
    assert_eq!(
        delete(&engine, "a").unwrap_err().kind(),
        ErrorKind::ResourceExhausted
    );
    assert_eq!(
        add(&engine, "b", 2).unwrap_err().kind(),
        ErrorKind::ResourceExhausted
    );
    fs.set_capacity(u64::MAX);
    assert_eq!(contents(&collection), before);
    assert_eq!(collection.config().vectors.len(), 1);
    // Create, write, sync, rename, and the sync of the directory that fails: nobody knows what a start will find.
    fs.inject(Fault::io(fs.operations() + 4));
    assert_eq!(delete(&engine, "a").unwrap_err().kind(), ErrorKind::Internal);
    let error = collection.write(WriteBatch::delete(ids([1]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(add(&engine, "c", 2).unwrap_err().kind(), ErrorKind::Unavailable);
    engine.close();
    let engine = open(&fs);
    let collection = engine.collection("main").unwrap();
    assert_eq!(collection.count(), Ok(1));
    upsert(&collection, [point(2, &[])]);
}
