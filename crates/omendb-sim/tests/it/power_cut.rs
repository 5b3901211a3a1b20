//! What a power cut leaves of contents and names.

use std::collections::BTreeSet;
use std::path::Path;

use omendb_sim::{Fault, Rng, SimFs};
use omendb_storage::{Access, File, FileSystem};

const A: &str = "/a";
const B: &str = "/b";

fn create(fs: &SimFs, path: &str, contents: &[u8]) -> Box<dyn File> {
    let file = fs.open(Path::new(path), Access::CreateNew).unwrap();
    file.write_at(contents, 0).unwrap();
    file
}

fn sync_root(fs: &SimFs) {
    fs.sync_directory(Path::new("/")).unwrap();
}

/// The files of a disk with their contents as text, `.` for a zero byte and each run of a letter as one.
fn describe(fs: &SimFs) -> String {
    let mut files = Vec::new();
    for path in fs.files() {
        let file = fs.open(&path, Access::Read).unwrap();
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes.dedup();
        let text: String = bytes
            .iter()
            .map(|&byte| if byte == 0 { '.' } else { char::from(byte) })
            .collect();
        files.push(format!("{}={text}", path.display()));
    }
    files.join(" ")
}

/// All disks that a power cut after `history` may leave, against those expected.
#[track_caller]
fn check(history: impl Fn(&SimFs), expected: &[&str]) {
    let fs = SimFs::new(1);
    history(&fs);
    let images = fs.crash_point().images(1000, &mut Rng::new(1));
    let found: BTreeSet<String> = images.iter().map(describe).collect();
    let expected: BTreeSet<String> = expected.iter().map(|image| (*image).to_owned()).collect();
    assert_eq!(found, expected);
}

#[test]
fn contents_and_names_are_durable_apart() {
    let nothing_synced = |fs: &SimFs| drop(create(fs, A, b"x"));
    // The size may arrive without the contents.
    check(nothing_synced, &["", "/a=", "/a=x", "/a=."]);
    let contents_synced = |fs: &SimFs| create(fs, A, b"x").sync_data().unwrap();
    check(contents_synced, &["", "/a=x"]);
    let name_synced = |fs: &SimFs| {
        create(fs, A, b"x");
        sync_root(fs);
    };
    check(name_synced, &["/a=", "/a=x", "/a=."]);
    let both_synced = |fs: &SimFs| {
        create(fs, A, b"x").sync_data().unwrap();
        sync_root(fs);
    };
    check(both_synced, &["/a=x"]);
}

#[test]
fn a_write_tears_between_sectors_and_not_within() {
    let history = |fs: &SimFs| {
        let file = create(fs, A, &[b'o'; 1024]);
        file.sync_data().unwrap();
        sync_root(fs);
        file.write_at(&[b'n'; 1024], 0).unwrap();
    };
    check(history, &["/a=o", "/a=on", "/a=no", "/a=n"]);
    let within = |fs: &SimFs| {
        let file = create(fs, A, b"oooo");
        file.sync_data().unwrap();
        sync_root(fs);
        file.write_at(b"nn", 1).unwrap();
    };
    check(within, &["/a=o", "/a=ono"]);
}

#[test]
fn a_cut_may_be_undone() {
    let history = |fs: &SimFs| {
        let file = create(fs, A, &[b'o'; 600]);
        file.sync_data().unwrap();
        sync_root(fs);
        file.set_size(4).unwrap();
    };
    // The sizes 600 and 4, each sector zeroed or not.
    check(history, &["/a=o", "/a=o.", "/a=o.o"]);
}

#[test]
fn a_rename_is_durable_after_its_directory() {
    let renamed = |fs: &SimFs| {
        create(fs, A, b"old").sync_data().unwrap();
        create(fs, B, b"new").sync_data().unwrap();
        sync_root(fs);
        fs.rename(Path::new(B), Path::new(A)).unwrap();
    };
    // Each name on its own: weaker than journaling file systems, and no weaker than POSIX.
    check(renamed, &["/a=old /b=new", "/a=new /b=new", "/a=old", "/a=new"]);
    let synced = |fs: &SimFs| {
        renamed(fs);
        sync_root(fs);
    };
    check(synced, &["/a=new"]);
}

#[test]
fn a_removed_file_may_come_back() {
    let removed = |fs: &SimFs| {
        create(fs, A, b"x").sync_data().unwrap();
        sync_root(fs);
        fs.remove_file(Path::new(A)).unwrap();
    };
    check(removed, &["/a=x", ""]);
}

#[test]
fn what_lies_in_a_lost_directory_is_lost() {
    let history = |fs: &SimFs| {
        fs.create_directory(Path::new("/d")).unwrap();
        create(fs, "/d/f", b"x").sync_data().unwrap();
        fs.sync_directory(Path::new("/d")).unwrap();
    };
    check(history, &["", "/d/f=x"]);
}

/// As Linux does it: after a failed sync the process still sees its data, but the pages count as clean, so that the
/// next sync succeeds without writing them. Writing them again makes the difference.
#[test]
fn a_failed_sync_is_not_made_good_by_the_next() {
    let failed = |fs: &SimFs| {
        let file = create(fs, A, b"o");
        file.sync_data().unwrap();
        sync_root(fs);
        file.write_at(b"n", 0).unwrap();
        fs.inject(Fault::io(fs.operations()));
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(describe(fs), "/a=n");
    };
    check(failed, &["/a=o", "/a=n"]);
    let written_again = |fs: &SimFs| {
        failed(fs);
        let file = fs.open(Path::new(A), Access::Read).unwrap();
        file.write_at(b"n", 0).unwrap();
        file.sync_data().unwrap();
    };
    check(written_again, &["/a=n"]);
}

#[test]
fn many_images_are_sampled_with_the_extremes_among_them() {
    let fs = SimFs::new(1);
    let file = create(&fs, A, &[b'o'; 512 * 40]);
    file.sync_data().unwrap();
    sync_root(&fs);
    file.write_at(&[b'n'; 512 * 40], 0).unwrap();
    let point = fs.crash_point();
    assert!(point.is_uncertain());
    for budget in [8, 100, 500] {
        let images = point.images(budget, &mut Rng::new(7));
        let found: BTreeSet<String> = images.iter().map(describe).collect();
        assert_eq!(images.len(), budget);
        assert!(found.contains("/a=o") && found.contains("/a=n"));
        // Equal seeds, equal images.
        let again: BTreeSet<String> = point
            .images(budget, &mut Rng::new(7))
            .iter()
            .map(describe)
            .collect();
        assert_eq!(found, again);
    }
    let points = {
        fs.record_crash_points();
        file.sync_data().unwrap();
        fs.crash_points()
    };
    assert_eq!(
        points
            .iter()
            .map(omendb_sim::CrashPoint::is_uncertain)
            .collect::<Vec<_>>(),
        [true, false]
    );
}
