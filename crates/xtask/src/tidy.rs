//! `cargo x tidy`: the rules that the compiler does not know.

use std::path::Path;

use crate::command::{Command, root};
use crate::no_arguments;

mod layers;
mod links;

/// One file of the repository.
struct File {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc"];

/// Where a developer's machine shows through. Written in two halves so that this file does not find itself.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted.org"),
    concat!("deb.", "debian.org"),
    concat!("registry.", "npmjs.org"),
    concat!("static.", "crates.io"),
    concat!("index.", "crates.io"),
];

/// Reports every violation, one a line.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    no_arguments(arguments)?;
    let files = files()?;
    let mut found = layers::violations(&files);
    for file in &files {
        found.extend(header(file));
        found.extend(empty_name(file));
        found.extend(machine_traces(file));
        found.extend(links::broken(file));
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("\n"))
    }
}

/// The text files that are or would be committed.
fn files() -> Result<Vec<File>, String> {
    let list = Command::new("git")
        .args(&["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()?;
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(File {
            path: path.to_owned(),
            text,
        })
    };
    Ok(list.lines().filter_map(read).collect())
}

fn header(file: &File) -> Option<String> {
    let lacks = file.path.ends_with(".rs") && !file.text.starts_with("//!");
    lacks.then(|| {
        format!(
            "{}: begin with a `//!` sentence that says which one idea the file holds",
            file.path
        )
    })
}

fn empty_name(file: &File) -> Option<String> {
    let path = Path::new(&file.path).with_extension("");
    let named = path
        .iter()
        .any(|part| part.to_str().is_some_and(|part| EMPTY_NAMES.contains(&part)));
    (named && file.path.ends_with(".rs"))
        .then(|| format!("{}: name the module after what it holds", file.path))
}

fn machine_traces(file: &File) -> Vec<String> {
    if file.path == "Cargo.lock" {
        return Vec::new();
    }
    let numbered = file.text.lines().enumerate();
    numbered
        .filter_map(|(index, line)| {
            let trace = MACHINE.iter().find(|trace| line.contains(**trace))?;
            Some(format!(
                "{}:{}: '{trace}' belongs to one machine or registry",
                file.path,
                index + 1
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn each_rule_refuses_its_violation_and_lets_the_rest_pass() {
        assert!(header(&file("a.rs", "fn main() {}")).is_some());
        assert!(header(&file("a.rs", "//! One idea.\n")).is_none());
        assert!(header(&file("a.md", "text")).is_none());
        assert!(empty_name(&file("crates/a/src/utils.rs", "")).is_some());
        assert!(empty_name(&file("crates/a/src/common/x.rs", "")).is_some());
        assert!(empty_name(&file("crates/a/src/commons.rs", "")).is_none());
        assert_eq!(
            machine_traces(&file("a.sh", &format!("cd /tmp\ncd {}x\n", MACHINE[0]))).len(),
            1
        );
        assert!(machine_traces(&file("a.sh", "cd target/tools\n")).is_empty());
    }
}
