//! One process per directory.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use omendb_storage::{DirectoryLock, Error, FileSystem, RealFs};

use crate::history;
use crate::real::TemporaryDirectory;

fn second_is_refused_until_the_first_ends(fs: &dyn FileSystem, directory: &Path) {
    let first = DirectoryLock::acquire(fs, directory).unwrap();
    match DirectoryLock::acquire(fs, directory) {
        Err(Error::Locked { path }) => assert_eq!(path, directory.join("LOCK")),
        other => panic!("{other:?}"),
    }
    drop(first);
    DirectoryLock::acquire(fs, directory).unwrap();
}

#[test]
fn a_directory_has_one_holder() {
    second_is_refused_until_the_first_ends(&history::disk(1), Path::new("/data"));
    let directory = TemporaryDirectory::new("lock");
    second_is_refused_until_the_first_ends(&RealFs::new(), directory.path());
}

/// Set for the process that [`another_process_is_refused`] starts: the directory to lock.
const CHILD_DIRECTORY: &str = "OMENDB_TEST_LOCK_DIRECTORY";

/// The lock is the kernel's, so it holds between processes, and ends with its holder, even one that is killed.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "tells the child process, which is this test again, what to do"
)]
fn another_process_is_refused() {
    if let Ok(directory) = env::var(CHILD_DIRECTORY) {
        let lock = DirectoryLock::acquire(&RealFs::new(), Path::new(&directory));
        fs::write(Path::new(&directory).join("child"), format!("{}", lock.is_ok())).unwrap();
        if lock.is_ok() {
            // Held until killed.
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
        return;
    }
    let directory = TemporaryDirectory::new("lock-processes");
    let said = directory.path().join("child");
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "lock::another_process_is_refused"])
            .env(CHILD_DIRECTORY, directory.path())
            .spawn()
            .unwrap()
    };

    let held = DirectoryLock::acquire(&RealFs::new(), directory.path()).unwrap();
    assert!(start().wait().unwrap().success());
    assert_eq!(fs::read_to_string(&said).unwrap(), "false");
    drop(held);

    fs::remove_file(&said).unwrap();
    let mut child = start();
    while fs::read_to_string(&said).unwrap_or_default().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let refused = DirectoryLock::acquire(&RealFs::new(), directory.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(&said).unwrap(), "true");
    assert!(matches!(refused, Err(Error::Locked { .. })));
    DirectoryLock::acquire(&RealFs::new(), directory.path()).unwrap();
}
