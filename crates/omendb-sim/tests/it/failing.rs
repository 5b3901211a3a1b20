//! Errors, a full disk, the rules of names.

use std::io::ErrorKind;
use std::path::Path;

use omendb_sim::{Fault, Injected, SimFs};
use omendb_storage::{Access, FileSystem};

const A: &str = "/a";

#[test]
fn errors_come_at_their_operation() {
    let fs = SimFs::new(1);
    fs.inject(Fault::io(2));
    let file = fs.open(Path::new(A), Access::CreateNew).unwrap();
    file.write_at(b"0123", 0).unwrap();
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(fs.operations(), 4);
    let totals = fs.counters().totals();
    assert_eq!(
        (totals.write_operations, totals.write_bytes, totals.file_syncs),
        (1, 4, 2)
    );
}

#[test]
fn a_failed_write_leaves_any_part() {
    let mut left: Vec<u64> = (0..200)
        .map(|seed| {
            let fs = SimFs::new(seed);
            fs.inject(Fault::io(1));
            let file = fs.open(Path::new(A), Access::CreateNew).unwrap();
            file.write_at(b"0123", 0).unwrap_err();
            file.size().unwrap()
        })
        .collect();
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, [0, 1, 2, 3, 4]);
}

/// What finds no space: (the error, whether creating fails, writing, syncing).
#[test]
fn only_what_needs_space_finds_none() {
    for (error, create, write, sync) in [
        (Injected::NoSpace, true, true, false),
        (Injected::NoSpaceAtSync, false, false, true),
    ] {
        let fs = SimFs::new(1);
        let file = fs.open(Path::new(A), Access::CreateNew).unwrap();
        fs.inject(Fault {
            operations: 1..100,
            error,
        });
        let is_full = |result: std::io::Result<()>| match result {
            Ok(()) => false,
            Err(error) => error.kind() == ErrorKind::StorageFull,
        };
        assert_eq!(
            is_full(fs.open(Path::new("/b"), Access::CreateNew).map(drop)),
            create
        );
        assert_eq!(is_full(file.write_at(b"x", 0)), write);
        assert_eq!(is_full(file.sync_all()), sync);
        file.set_size(0).unwrap();
        fs.rename(Path::new(A), Path::new("/c")).unwrap();
        fs.remove_file(Path::new("/c")).unwrap();
    }
}

#[test]
fn a_full_disk_takes_what_fits_and_gives_it_back() {
    let fs = SimFs::new(1);
    fs.set_capacity(3 * 512);
    let file = fs.open(Path::new(A), Access::CreateNew).unwrap();
    let error = file.write_at(&[1; 2000], 0).unwrap_err();
    assert_eq!(
        (error.kind(), file.size().unwrap(), fs.used_bytes()),
        (ErrorKind::StorageFull, 1536, 1536)
    );
    file.write_at(&[2; 1536], 0)
        .expect("writing over what is there needs no space");
    file.set_size(100).unwrap();
    assert_eq!(fs.used_bytes(), 512);
    file.write_at(&[3; 1024], 512).unwrap();
    fs.remove_file(Path::new(A)).unwrap();
    assert_eq!(fs.used_bytes(), 0);
}

#[test]
fn names_follow_the_rules_of_a_file_system() {
    let fs = SimFs::new(1);
    let kind = |result: std::io::Result<()>| result.map_err(|error| error.kind());
    let open = |path: &str, access| fs.open(Path::new(path), access).map(drop);
    assert_eq!(kind(open(A, Access::Read)), Err(ErrorKind::NotFound));
    assert_eq!(kind(open("/d/f", Access::CreateNew)), Err(ErrorKind::NotFound));
    fs.create_directory(Path::new("/d")).unwrap();
    assert_eq!(
        kind(fs.create_directory(Path::new("/d"))),
        Err(ErrorKind::AlreadyExists)
    );
    open("/d/f", Access::CreateNew).unwrap();
    assert_eq!(
        kind(open("/d/f", Access::CreateNew)),
        Err(ErrorKind::AlreadyExists)
    );
    assert_eq!(
        kind(fs.remove_directory(Path::new("/d"))),
        Err(ErrorKind::DirectoryNotEmpty)
    );
    let names: Vec<_> = fs
        .list(Path::new("/d"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["f"]);
    fs.remove_file(Path::new("/d/f")).unwrap();
    fs.remove_directory(Path::new("/d")).unwrap();
    assert!(fs.list(Path::new("/d")).is_err());
}
