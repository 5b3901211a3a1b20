//! What may change of a collection's configuration: kept across restarts and crashes, whole, and refused whole.

use omendb_engine::{
    CollectionConfig, Distance, Engine, Error, ErrorKind, GraphConfig, GraphOptions, Payload, Value, limits,
};
use omendb_sim::Rng;
use omendb_storage::AtomicFile;

use crate::fixtures::{DATA, open, options, two_vectors, with_main};

fn change(engine: &Engine, name: &str, change: impl FnOnce(&mut CollectionConfig)) -> Result<(), Error> {
    engine.change_collection(name, |config| {
        change(config);
        Ok(())
    })
}

/// Something of everything that may change.
fn set_all(config: &mut CollectionConfig) {
    config.graph.m = 32;
    config.graph_threshold_kb = Some(7);
    config.metadata = Payload::from_fields(&[("owner", Value::Int(1))]).unwrap();
    config.options = Payload::from_fields(&[("wal", Value::Bool(true))]).unwrap();
    let own = GraphOptions {
        m: None,
        ef_construct: Some(20),
    };
    config.vectors.values_mut().for_each(|vector| vector.graph = own);
}

#[test]
fn a_change_is_there_at_once_and_after_a_restart() {
    let (fs, engine, main) = with_main(2, Distance::Dot);
    engine.create_collection("two", two_vectors()).unwrap();
    let (before, mut expected) = (main.config(), two_vectors());
    set_all(&mut expected);
    change(&engine, "two", set_all).unwrap();
    assert_eq!(*engine.collection("two").unwrap().config(), expected);
    engine.close();
    let engine = open(&fs);
    assert_eq!(*engine.collection("two").unwrap().config(), expected);
    assert_eq!(*engine.collection("main").unwrap().config(), *before);
}

#[test]
fn what_is_refused_changes_nothing() {
    let (_fs, engine, main) = with_main(2, Distance::Dot);
    let before = main.config();
    let check = |wrong: fn(&mut CollectionConfig), expected: &str| {
        let both = |config: &mut CollectionConfig| {
            set_all(config);
            wrong(config);
        };
        let error = change(&engine, "main", both).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
        assert_eq!(main.config(), before);
    };
    check(
        |config| config.graph.m = limits::MAX_GRAPH_M + 1,
        "vector \"\": m 1025, more than 1024",
    );
    check(
        |config| {
            config
                .vectors
                .values_mut()
                .for_each(|vector| vector.graph.ef_construct = Some(3))
        },
        "vector \"\": ef_construct 3, not 4 to 10000",
    );
    check(
        |config| {
            config
                .vectors
                .values_mut()
                .for_each(|vector| vector.dimension = 3)
        },
        "vector \"\": its size and distance cannot be changed",
    );
    check(
        |config| config.vectors.clear(),
        "vectors are added and deleted one by one",
    );
    check(
        |config| {
            let long = Value::String("x".repeat(limits::MAX_METADATA_BYTES));
            config.metadata = Payload::from_fields(&[("k", long)]).unwrap();
        },
        "metadata of 65542 bytes, more than 65536",
    );
    let error = change(&engine, "other", set_all).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (
            ErrorKind::NotFound,
            "Not found: Collection `other` doesn't exist!"
        )
    );
}

#[test]
fn a_crash_while_changing_leaves_the_old_or_the_new() {
    let (fs, engine, main) = with_main(2, Distance::Dot);
    let before = main.config();
    fs.record_crash_points();
    change(&engine, "main", set_all).unwrap();
    let (changed, after) = (fs.operations(), main.config());
    let mut rng = Rng::new(5);
    let mut seen = [false; 2];
    for crash in fs.crash_points() {
        for image in crash.images(8, &mut rng) {
            let found = open(&image).collection("main").unwrap().config();
            let is_new = found == after;
            assert!(is_new || found == before, "{found:?}");
            assert!(is_new || crash.operations < changed, "acknowledged and gone");
            seen[usize::from(is_new)] = true;
        }
    }
    assert_eq!(seen, [true, true], "both outcomes were met");
}

#[test]
fn a_vector_has_a_graph_from_as_many_rows_as_the_configuration_says() {
    let mut config = CollectionConfig::unnamed(384, Distance::Cosine);
    let mut check = |set: fn(&mut CollectionConfig), expected: (GraphConfig, Option<u64>)| {
        set(&mut config);
        let vector = config.vectors[""];
        assert_eq!((config.graph_of(&vector), config.graph_rows(&vector)), expected);
    };
    let graph = |m, ef_construct| GraphConfig { m, ef_construct };
    check(|_| {}, (graph(16, 100), Some(limits::DEFAULT_GRAPH_ROWS)));
    // 1,000 KB are 666.7 rows of 1,536 bytes.
    check(
        |config| config.graph_threshold_kb = Some(1_000),
        (graph(16, 100), Some(667)),
    );
    check(
        |config| config.graph_threshold_kb = Some(0),
        (graph(16, 100), None),
    );
    check(
        |config| config.graph_threshold_kb = Some(u64::MAX),
        (graph(16, 100), Some(u64::MAX.div_ceil(1_536))),
    );
    check(
        |config| {
            config
                .vectors
                .values_mut()
                .for_each(|vector| vector.graph.m = Some(0))
        },
        (graph(0, 100), None),
    );
    check(
        |config| {
            config.graph = graph_of_collection();
            config
                .vectors
                .values_mut()
                .for_each(|vector| vector.graph.m = None);
        },
        (graph(8, 50), Some(u64::MAX.div_ceil(1_536))),
    );
}

fn graph_of_collection() -> GraphConfig {
    GraphConfig {
        m: 8,
        ef_construct: 50,
    }
}

/// A catalogue of version 1 knew vectors, their dimensions and distances.
#[test]
fn collections_of_the_first_catalogue_have_what_it_did_not_say_by_default() {
    let (fs, engine, _main) = with_main(2, Distance::Euclid);
    engine.close();
    let path = std::path::Path::new(DATA).join("catalog");
    let shared = || std::sync::Arc::new(fs.clone());
    let newest = AtomicFile::new(shared(), &path, *b"OMENCATL", u32::MAX);
    let (version, content) = newest.recover().unwrap().unwrap();
    assert_eq!(version, 5);
    // Up to the dimension and distance of the one vector: a count, an id, "main", a count, "", 4 bytes and 1.
    let first = &content[..4 + 16 + 6 + 2 + 2 + 5];
    let old = AtomicFile::new(shared(), &path, *b"OMENCATL", 1);
    old.replace(first).unwrap();
    let engine = Engine::open(options(&fs)).unwrap();
    engine.load().unwrap();
    let config = engine.collection("main").unwrap().config();
    assert_eq!(*config, CollectionConfig::unnamed(2, Distance::Euclid));
    let first = first.to_vec();
    assert_eq!(newest.recover().unwrap(), Some((1, first)));
    change(&engine, "main", |_| {}).unwrap();
    assert_eq!(newest.recover().unwrap(), Some((5, content)));
}
