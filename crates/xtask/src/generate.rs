//! `cargo x gen`: documents that the code writes, so that they cannot disagree with it.

use crate::command::{self, Command, cargo};
use crate::{consumers, published};

/// A generated file and the `omendb` arguments that print it.
const FILES: &[(&str, &[&str])] = &[
    ("docs/metrics.md", &["metrics", "--markdown"]),
    ("docs/config.md", &["config", "--markdown"]),
    ("deploy/datadog/openmetrics.yaml", &["metrics", "--datadog"]),
    ("deploy/datadog/legacy.yaml", &["metrics", "--datadog-legacy"]),
];

/// Writes the files, or with `--check` only tells which are stale. What needs more than this repository is not part of
/// that: `boards` writes or compares the dashboards, with a library of PyPI (the tests compare them too), `demo-data`
/// remakes what `omendb demo` loads from the data set.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [only] if only == "--check" => true,
        [what, rest @ ..] if what == "boards" => return boards(rest),
        [what, rest @ ..] if what == "demo-data" => return demo_data(rest),
        _ => return Err(format!("unknown arguments {arguments:?}")),
    };
    let mut stale = Vec::new();
    for (path, print) in FILES {
        let fresh = cargo(&["run", "--quiet", "--package", "omendb", "--"])
            .args(print)
            .output()?;
        let file = command::root().join(path);
        if std::fs::read_to_string(&file).is_ok_and(|text| text == fresh) {
            continue;
        }
        stale.push(*path);
        if !check {
            std::fs::write(&file, fresh).map_err(|error| format!("writing {path}: {error}"))?;
            println!("wrote {path}");
        }
    }
    if check && !stale.is_empty() {
        return Err(format!("stale: {}; `cargo x gen` writes them", stale.join(", ")));
    }
    published::run(check)
}

fn boards(check: &[String]) -> Result<(), String> {
    let python = consumers::readers()?;
    cargo(&["build", "--quiet", "--package", "omendb", "--bin", "omendb"]).run()?;
    // cargo puts all programs of a profile into one directory, this one included.
    let this = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    Command::new(python)
        .args(&["deploy/grafana/boards.py"])
        .args(&[this.with_file_name("omendb")])
        .args(check)
        .run()
}

fn demo_data(data_directory: &[String]) -> Result<(), String> {
    let generator = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "omendb-bench",
        "--bin",
        "demo-data",
        "--",
    ];
    cargo(&generator).args(data_directory).run()
}
