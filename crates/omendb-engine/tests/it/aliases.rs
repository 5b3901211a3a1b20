//! Aliases change together or not at all, end with their collection, and are there after a crash.

use std::collections::BTreeMap;

use omendb_engine::{AliasChange, CollectionConfig, Distance, Engine, Error, ErrorKind};
use omendb_sim::Rng;

use crate::fixtures::{open, with_main};

fn create(alias: &str, collection: &str) -> AliasChange {
    AliasChange::Create {
        alias: alias.to_owned(),
        collection: collection.to_owned(),
    }
}

fn delete(alias: &str) -> AliasChange {
    AliasChange::Delete {
        alias: alias.to_owned(),
    }
}

fn rename(from: &str, to: &str) -> AliasChange {
    AliasChange::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn change(engine: &Engine, changes: &[AliasChange]) -> Result<(), Error> {
    engine.change_aliases(changes, |_, _| Ok(()))
}

fn aliases(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(alias, collection)| ((*alias).to_owned(), (*collection).to_owned()))
        .collect()
}

fn other() -> CollectionConfig {
    CollectionConfig::unnamed(3, Distance::Dot)
}

#[test]
fn aliases_are_made_moved_renamed_and_end_with_their_collection() {
    let (fs, engine, _main) = with_main(2, Distance::Dot);
    engine.create_collection("other", other()).unwrap();
    let check = |engine: &Engine, changes: &[AliasChange], expected: &[(&str, &str)]| {
        change(engine, changes).unwrap();
        assert_eq!(engine.aliases(), aliases(expected), "{changes:?}");
    };
    check(
        &engine,
        &[create("a", "main"), create("b", "main")],
        &[("a", "main"), ("b", "main")],
    );
    check(&engine, &[create("a", "other")], &[("a", "other"), ("b", "main")]);
    check(
        &engine,
        &[delete("none"), rename("a", "b"), create("c", "main")],
        &[("b", "other"), ("c", "main")],
    );
    assert_eq!(engine.alias_target("b"), Some("other".to_owned()));
    assert_eq!(engine.alias_target("main"), None);
    engine.close();
    let engine = open(&fs);
    assert_eq!(engine.aliases(), aliases(&[("b", "other"), ("c", "main")]));
    engine.delete_collection("main").unwrap();
    assert_eq!(engine.aliases(), aliases(&[("b", "other")]));
    engine.close();
    assert_eq!(open(&fs).aliases(), aliases(&[("b", "other")]));
}

#[test]
fn one_wrong_change_keeps_all_from_being_made() {
    let (_fs, engine, _main) = with_main(2, Distance::Dot);
    change(&engine, &[create("a", "main")]).unwrap();
    let check = |wrong: AliasChange, kind: ErrorKind, message: &str| {
        let error = change(&engine, &[create("b", "main"), delete("a"), wrong]).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message));
        assert_eq!(engine.aliases(), aliases(&[("a", "main")]));
    };
    check(
        create("c", "none"),
        ErrorKind::NotFound,
        "Not found: Collection `none` doesn't exist!",
    );
    // An alias of an alias would make a chain.
    check(
        create("c", "b"),
        ErrorKind::NotFound,
        "Not found: Collection `b` doesn't exist!",
    );
    check(rename("a", "c"), ErrorKind::NotFound, "alias \"a\" doesn't exist");
    check(
        create("main", "main"),
        ErrorKind::Conflict,
        "alias \"main\": there is a collection of that name",
    );
    check(
        rename("b", "main"),
        ErrorKind::Conflict,
        "alias \"main\": there is a collection of that name",
    );
    check(
        create("", "main"),
        ErrorKind::Invalid,
        "collection name of 0 bytes, not 1 to 255",
    );
    let error = engine.create_collection("a", other()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (
            ErrorKind::Conflict,
            "collection \"a\": there is an alias of that name, of \"main\""
        )
    );
}

#[test]
fn who_may_not_touch_a_collection_moves_no_alias_from_or_to_it() {
    let (_fs, engine, _main) = with_main(2, Distance::Dot);
    engine.create_collection("other", other()).unwrap();
    let existing = [create("mine", "main"), create("theirs", "other")];
    change(&engine, &existing).unwrap();
    let only_main = |collection: &str, name: &str| match collection {
        "main" => Ok(()),
        _ => Err(Error::invalid(format!("not {name}"))),
    };
    let check = |wrong: AliasChange, message: &str| {
        let error = engine
            .change_aliases(&[create("new", "main"), wrong], only_main)
            .unwrap_err();
        assert_eq!(error.message(), message);
        assert_eq!(
            engine.aliases(),
            aliases(&[("mine", "main"), ("theirs", "other")])
        );
    };
    check(create("x", "other"), "not other");
    check(create("theirs", "main"), "not theirs");
    check(delete("theirs"), "not theirs");
    check(rename("theirs", "x"), "not theirs");
    check(rename("mine", "theirs"), "not theirs");
}

#[test]
fn a_crash_while_aliases_change_leaves_the_old_or_the_new() {
    let (fs, engine, _main) = with_main(2, Distance::Dot);
    engine.create_collection("other", other()).unwrap();
    change(&engine, &[create("live", "main")]).unwrap();
    fs.record_crash_points();
    change(&engine, &[create("live", "other"), create("old", "main")]).unwrap();
    let changed = fs.operations();
    let before = aliases(&[("live", "main")]);
    let after = aliases(&[("live", "other"), ("old", "main")]);
    let mut rng = Rng::new(5);
    let mut seen = [false; 2];
    for crash in fs.crash_points() {
        for image in crash.images(8, &mut rng) {
            let found = open(&image).aliases();
            let is_new = found == after;
            assert!(is_new || found == before, "{found:?}");
            assert!(is_new || crash.operations < changed, "acknowledged and gone");
            seen[usize::from(is_new)] = true;
        }
    }
    assert_eq!(seen, [true, true], "both outcomes were met");
}
