//! What `deploy/` ships names only families that exist; and the image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::boards;
use crate::consumers::provided;
use crate::server::{Server, command};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

/// The files of a directory of the repository that end in `ending`; there must be some.
pub(crate) fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).expect("the directory can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let found: Vec<PathBuf> = paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    assert!(!found.is_empty(), "no {ending} in {directory}");
    found
}

#[track_caller]
pub(crate) fn succeeds(mut command: Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| unreachable!("{command:?}: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&printed)
    );
}

/// What starts like one of our families: also the names behind a recording rule's level.
pub(crate) fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words
        .filter(|word| word.starts_with("omendb_") || word.starts_with("process_"))
        .collect()
}

/// The families of the catalogue.
pub(crate) fn exported() -> Vec<Value> {
    let output = command(&["metrics", "--json"]).output().expect("omendb starts");
    let catalogue: Value = serde_json::from_slice(&output.stdout).expect("the catalogue is JSON");
    catalogue["families"].as_array().expect("a list").clone()
}

#[test]
fn every_family_says_when_to_look_at_it() {
    let families = exported();
    let silent = families.iter().filter(|family| family["when_to_look"] == "");
    let silent: Vec<&Value> = silent.map(|family| &family["name"]).collect();
    assert!(
        silent.is_empty(),
        "a second paragraph of the declaration's comment is to say when to look at {silent:?}"
    );
}

#[test]
fn rules_and_boards_name_only_families_of_the_catalogue() {
    let mut known = BTreeSet::new();
    for family in exported() {
        let name = family["name"].as_str().expect("a name");
        known.insert(name.to_owned());
        if family["type"] == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|ending| format!("{name}{ending}")));
        }
    }
    let rules = files("deploy/prometheus/rules", ".yml");
    let mut texts: Vec<String> = rules.iter().map(|file| read(file)).collect();
    texts.push(read(&root().join("deploy/prometheus/alerts.test.yml")));
    texts.push(read(&root().join("docs/runbook.md")));
    texts.extend(boards::expressions().into_keys());
    let unknown: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| names(text))
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "not exported: {unknown:?}");
}

#[test]
fn the_image_is_built_apart_runs_as_nobody_and_asks_itself_how_it_is() {
    let text = read(&root().join("deploy/Dockerfile"));
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    assert!(stages.len() >= 3, "the program is built in a stage of its own");
    let image = stages[stages.len() - 1];
    let after = |start: &str| {
        let line = image.lines().find_map(|line| line.trim().strip_prefix(start));
        line.unwrap_or_else(|| unreachable!("no {start} in the last stage"))
    };
    assert_eq!(after("USER "), "10001:10001");
    assert_eq!(after("EXPOSE "), "8080");
    let (_, check) = after("HEALTHCHECK ")
        .split_once("CMD ")
        .expect("the check has a command");
    // A list: without a shell, which the image need not have.
    let check: Vec<&str> = serde_json::from_str(check).expect("the command is a list");
    let (program, arguments) = check.split_first().expect("a program");
    assert_eq!(*program, "omendb");
    let server = Server::start();
    // As the image listens; the check has to find its way to loopback.
    let listen = format!("0.0.0.0:{}", server.address().port());
    let healthy = command(arguments).env("OMENDB_LISTEN", &listen).output();
    let healthy = healthy.expect("omendb starts");
    assert!(healthy.status.success(), "{healthy:?}");
    drop(server);
    let gone = command(arguments).env("OMENDB_LISTEN", &listen).output();
    assert_eq!(gone.expect("omendb starts").status.code(), Some(1));
}

#[test]
fn hadolint_has_no_remark_on_the_dockerfile() {
    let Some(hadolint) = provided("OMENDB_TEST_HADOLINT") else {
        return;
    };
    let mut command = Command::new(hadolint);
    command
        .arg("--failure-threshold=style")
        .arg(root().join("deploy/Dockerfile"));
    succeeds(command);
}
