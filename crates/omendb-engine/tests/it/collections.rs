//! Collections come and go, by name, and a crash leaves no half of one.

use omendb_engine::{
    CollectionConfig, CollectionStatus, Distance, Engine, ErrorKind, SearchRequest, WriteBatch,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{open, options, point, two_vectors, with_main};

fn names(engine: &Engine) -> Vec<String> {
    engine
        .collections()
        .iter()
        .map(|collection| collection.name().to_owned())
        .collect()
}

fn small() -> CollectionConfig {
    CollectionConfig::unnamed(2, Distance::Dot)
}

/// The collections' directories on the disk.
fn directories(fs: &SimFs) -> usize {
    let mut directories: Vec<_> = fs
        .files()
        .into_iter()
        .filter_map(|file| Some(file.parent()?.to_owned()))
        .collect();
    directories.sort();
    directories.dedup();
    directories
        .into_iter()
        .filter(|directory| directory.starts_with("/data/collections"))
        .count()
}

#[test]
fn created_listed_deleted_and_created_again() {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let first = engine.create_collection("b", small()).unwrap();
    engine.create_collection("a", two_vectors()).unwrap();
    assert_eq!(names(&engine), ["a", "b"]);
    assert_eq!(*engine.collection("a").unwrap().config(), two_vectors());
    let error = engine.create_collection("b", two_vectors()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Conflict, "collection \"b\" already exists")
    );
    let error = engine.collection("c").unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::NotFound, "Not found: Collection `c` doesn't exist!")
    );

    first
        .write(WriteBatch::upsert(vec![point(1, &[1.0, 1.0])]))
        .unwrap();
    assert_eq!(
        (engine.delete_collection("b"), engine.delete_collection("b")),
        (Ok(true), Ok(false))
    );
    assert_eq!((names(&engine), directories(&fs)), (vec!["a".to_owned()], 1));
    // Who still holds it is told so.
    assert_eq!(first.info().status, CollectionStatus::Closed);
    assert_eq!(first.count().unwrap_err().kind(), ErrorKind::NotFound);
    let error = engine
        .worker()
        .search(&first, &SearchRequest::nearest(vec![1.0, 1.0], 1))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = first
        .write(WriteBatch::upsert(vec![point(1, &[1.0, 1.0])]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    // The name is free, and nothing of the old one comes back.
    assert_eq!(engine.create_collection("b", small()).unwrap().count(), Ok(0));
}

#[test]
fn one_engine_per_directory() {
    let (fs, engine, _collection) = with_main(2, Distance::Dot);
    let error = Engine::open(options(&fs)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    engine.close();
    engine.close();
    assert_eq!(names(&open(&fs)), ["main"]);
    assert_eq!(
        engine.create_collection("x", small()).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert!(!engine.health().is_healthy);
}

#[test]
fn until_it_is_loaded_it_says_so() {
    let (fs, engine, _collection) = with_main(2, Distance::Dot);
    engine.close();
    let engine = Engine::open(options(&fs)).unwrap();
    let collection = engine.collection("main").unwrap();
    assert_eq!(collection.info().status, CollectionStatus::Loading);
    let refused = [
        collection.count().unwrap_err(),
        collection.write(WriteBatch::default()).unwrap_err(),
        engine.create_collection("x", small()).unwrap_err(),
        engine.delete_collection("main").unwrap_err(),
        engine
            .worker()
            .search(&collection, &SearchRequest::nearest(vec![1.0, 1.0], 1))
            .unwrap_err(),
    ];
    assert!(
        refused.iter().all(|error| error.kind() == ErrorKind::Unavailable),
        "{refused:?}"
    );
    assert!(!engine.progress().is_ready && !engine.health().is_healthy);
    engine.load().unwrap();
    let progress = engine.progress();
    assert!(progress.is_ready && engine.health().is_healthy);
    assert_eq!((progress.loaded_collections, progress.total_collections), (1, 1));
    assert_eq!(progress.loaded_bytes, progress.total_bytes);
    assert_eq!(collection.count(), Ok(0));
}

/// Deleting first takes the collection out of the catalogue and then removes its directory, so a crash between the
/// two leaves a directory that the next start has to remove, and one before leaves the collection whole.
#[test]
fn a_crash_while_creating_or_deleting_leaves_all_or_nothing() {
    let (fs, engine, collection) = with_main(2, Distance::Dot);
    collection
        .write(WriteBatch::upsert(vec![point(1, &[1.0, 1.0])]))
        .unwrap();
    fs.record_crash_points();
    engine.create_collection("new", small()).unwrap();
    let created = fs.operations();
    engine.delete_collection("main").unwrap();
    let deleted = fs.operations();
    let mut rng = Rng::new(5);
    let mut seen = [false; 4];
    for crash in fs.crash_points() {
        for image in crash.images(8, &mut rng) {
            let engine = open(&image);
            let has = |name: &str| engine.collection(name).is_ok();
            let (has_main, has_new) = (has("main"), has("new"));
            if has_main {
                assert_eq!(engine.collection("main").unwrap().count(), Ok(1));
            }
            assert!(
                has_main || crash.operations > created,
                "gone before it was deleted"
            );
            assert!(has_new || crash.operations < created, "acknowledged and gone");
            assert!(!has_main || crash.operations < deleted, "deleted and back");
            assert_eq!(
                directories(&image),
                usize::from(has_main) + usize::from(has_new),
                "an orphan stays"
            );
            seen[usize::from(has_main) * 2 + usize::from(has_new)] = true;
        }
    }
    assert_eq!(seen, [false, true, true, true], "none, only new, only main, both");
}

#[test]
fn collections_without_a_catalogue_are_not_taken_for_orphans() {
    let (fs, engine, _collection) = with_main(2, Distance::Dot);
    engine.close();
    let before = directories(&fs);
    omendb_storage::FileSystem::remove_file(&fs, "/data/catalog".as_ref()).unwrap();
    let error = Engine::open(options(&fs)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!((before, directories(&fs)), (1, 1));
}
