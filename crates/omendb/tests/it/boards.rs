//! The dashboards of deploy/grafana: fresh, read back by Grafana's own types, and with something to show in every panel.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::catalogue::{Pages, exercise, server_in_its_second_life};
use crate::consumers::{Monitor, provided};
use crate::server::Directory;
use crate::shipped::{exported, files, names, read, root, succeeds};

/// Families that no board shows, each with the reason.
const NOT_ON_A_BOARD: &[(&str, &str)] = &[(
    "process_virtual_memory_max_bytes",
    "absent where the system sets no limit to the address space",
)];

/// Expressions that have nothing to show after the exercise, each with the reason.
const EMPTY_HERE: &[(&str, &str)] = &[(
    "omendb_engine_vector_norm_drift_ratio{db_id=~\".*\"}",
    "compares with half an hour ago",
)];

/// Every expression of every board with the panel it is of, and Grafana's own variables replaced by what they stand for.
pub(crate) fn expressions() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files("deploy/grafana", ".json") {
        let board: Value = serde_json::from_str(&read(&file)).expect("a board is JSON");
        for panel in board["panels"].as_array().expect("a board has panels") {
            for target in panel["targets"].as_array().expect("a panel has targets") {
                let expression = target["expr"].as_str().expect("a target has an expression");
                let expression = expression
                    .replace("$__rate_interval", "5m")
                    .replace("$db_id", ".*");
                found.insert(expression, format!("{}: {}", board["title"], panel["title"]));
            }
        }
    }
    assert!(found.len() > 40, "only {} expressions", found.len());
    found
}

#[test]
fn the_boards_are_what_their_generator_writes_and_grafana_reads() {
    let Some(python) = provided("OMENDB_TEST_PYTHON") else {
        return;
    };
    let mut command = Command::new(python);
    command
        .arg(root().join("deploy/grafana/boards.py"))
        .arg(env!("CARGO_BIN_EXE_omendb"))
        .arg("--check")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    succeeds(command);
}

#[test]
fn every_family_is_on_a_board() {
    let expressions = expressions();
    let shown: BTreeSet<&str> = expressions
        .keys()
        .flat_map(|expression| names(expression))
        .collect();
    let endings = ["", "_bucket", "_sum", "_count"];
    let shown = |name: &str| {
        endings
            .iter()
            .any(|ending| shown.contains(format!("{name}{ending}").as_str()))
    };
    let excused = |name: &str| NOT_ON_A_BOARD.iter().any(|(family, _)| *family == name);
    let catalogue = exported();
    let names = catalogue
        .iter()
        .map(|family| family["name"].as_str().expect("a name"));
    let absent: Vec<&str> = names.filter(|name| !shown(name) && !excused(name)).collect();
    assert!(absent.is_empty(), "on no board: {absent:#?}");
}

#[test]
fn prometheus_can_parse_every_expression_of_every_board() {
    let Some(promtool) = provided("OMENDB_TEST_PROMTOOL") else {
        return;
    };
    let directory = Directory::new();
    let number = |(index, expression)| json!({"record": format!("board:{index}"), "expr": expression});
    let rules: Vec<Value> = expressions().into_keys().enumerate().map(number).collect();
    // JSON is YAML, and an expression that can be a rule can be a query.
    let file = directory.path().join("boards.yml");
    let text = json!({"groups": [{"name": "boards", "rules": rules}]}).to_string();
    std::fs::write(&file, text).expect("the rules can be written");
    let mut command = Command::new(promtool);
    command.args(["check", "rules"]).arg(&file);
    succeeds(command);
}

#[test]
fn no_panel_is_empty_after_traffic() {
    let Some(program) = provided("OMENDB_TEST_PROMETHEUS") else {
        return;
    };
    let (server, admin) = server_in_its_second_life();
    let scraper = server
        .directory
        .token("prometheus", &["--permission", "metrics:read"]);
    let mut monitor = Monitor::prometheus(program, &server, &scraper, &[]);
    let mut pages = Pages::of(server.client_with(&admin));
    exercise(&server, &admin, &mut pages);
    let mut empty = expressions();
    let begin = Instant::now();
    // Rates need a second scrape after the last thing happened, and the rules a turn after that.
    while !empty.is_empty() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_secs(1));
        empty.retain(|expression, _| {
            let answer = monitor.ask(expression);
            let series = answer["data"]["result"].as_array();
            series.is_none_or(Vec::is_empty)
        });
    }
    for (expression, reason) in EMPTY_HERE {
        let was_empty = empty.remove(*expression).is_some();
        assert!(
            was_empty,
            "{expression} has something to show: {reason} is no longer true"
        );
    }
    assert!(empty.is_empty(), "nothing to show: {empty:#?}");
}
