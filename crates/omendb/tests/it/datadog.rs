//! The Datadog Agent's check, present and legacy, with the configurations of deploy/datadog: every documented name arrives.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::catalogue::{NOT_MOVED_HERE, Watcher, exercise, server_in_its_second_life};
use crate::consumers::provided;
use crate::server::Server;
use crate::shipped::root;

/// A queue is seen by who has a connection already; the legacy check makes a new one for each run, which is turned away.
const QUEUE: &str = "omendb_connection_queue_depth";

/// Names that a check submitted.
#[derive(Debug, Default)]
struct Names {
    arrived: BTreeSet<String>,
    /// Those that had a value other than zero.
    moved: BTreeSet<String>,
    /// The same of the last run.
    moved_last: BTreeSet<String>,
}

/// The checks in a process of their own.
struct Checks {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    present: Names,
    legacy: Names,
}

impl Checks {
    fn start(python: &Path, server: &Server) -> Self {
        let token = server
            .directory
            .token("datadog", &["--permission", "metrics:read"]);
        let token_file = server.directory.path().join("datadog-token");
        std::fs::write(&token_file, token).expect("the token can be written");
        let shipped = root().join("deploy/datadog");
        let mut child = Command::new(python)
            .arg(root().join("crates/omendb/tests/consumers/datadog.py"))
            .arg(format!("http://{}/metrics", server.address()))
            .arg(token_file)
            .arg(shipped.join("openmetrics.yaml"))
            .arg(shipped.join("legacy.yaml"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        Self {
            orders: child.stdin.take().expect("stdin is piped"),
            answers: BufReader::new(child.stdout.take().expect("stdout is piped")),
            child,
            present: Names::default(),
            legacy: Names::default(),
        }
    }

    /// Runs the checks that `order` names once.
    fn run(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the checks take an order");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the checks answer");
        let answer: Value = serde_json::from_str(&line).expect("the answer is JSON");
        self.present.add(&answer["present"]);
        self.legacy.add(&answer["legacy"]);
    }
}

impl Names {
    fn add(&mut self, run: &Value) {
        let names = |key: &str| -> BTreeSet<String> {
            let names = run[key].as_array().into_iter().flatten();
            names
                .map(|name| name.as_str().expect("a name").to_owned())
                .collect()
        };
        self.arrived.extend(names("arrived"));
        self.moved_last = names("moved");
        self.moved.extend(self.moved_last.iter().cloned());
    }

    /// Whether `family` had a value in the last run.
    fn has_moved(&self, family: &str) -> bool {
        self.moved_last.contains(family) || self.moved_last.contains(&format!("{family}.count"))
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Watcher for Checks {
    fn look(&mut self, family: &str) -> bool {
        if family == QUEUE {
            self.run("present");
            self.present.has_moved(family)
        } else {
            self.run("present legacy");
            self.present.has_moved(family) && self.legacy.has_moved(family)
        }
    }
}

/// What the present check and the legacy one add to the name of a family of this type.
fn endings(kind: &str) -> [&'static [&'static str]; 2] {
    match kind {
        "counter" => [&[".count"], &[""]],
        "histogram" => [&["", ".count", ".sum"], &[".count", ".sum"]],
        _ => [&[""], &[""]],
    }
}

#[test]
fn every_documented_name_arrives_at_datadog_with_a_value() {
    let Some(python) = provided("OMENDB_TEST_DATADOG") else {
        return;
    };
    let (server, admin) = server_in_its_second_life();
    let mut checks = Checks::start(&python, &server);
    exercise(&server, &admin, &mut checks);
    let catalogue = server.client_with(&admin).get("/metrics/catalog").json();
    let mut missing = Vec::new();
    for family in catalogue["families"].as_array().expect("a list") {
        let [name, kind] = ["name", "type"].map(|key| family[key].as_str().expect("a string"));
        if NOT_MOVED_HERE.iter().any(|(excused, _)| *excused == name) {
            continue;
        }
        let legacy = if name == QUEUE {
            &checks.legacy.arrived
        } else {
            &checks.legacy.moved
        };
        for (endings, seen) in endings(kind).into_iter().zip([&checks.present.moved, legacy]) {
            let names = endings.iter().map(|ending| format!("{name}{ending}"));
            missing.extend(names.filter(|name| !seen.contains(name)));
        }
    }
    assert!(missing.is_empty(), "never arrived with a value: {missing:#?}");
}
