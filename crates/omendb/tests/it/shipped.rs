//! What `deploy/` ships is read by its real reader, and names only families that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::consumers::provided;
use crate::server::{Directory, command};

/// The repository's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

/// The files of a directory of the repository that end in `ending`; there must be some.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(directory)).expect("the directory can be listed");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let found: Vec<PathBuf> = paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    assert!(!found.is_empty(), "no {ending} in {directory}");
    found
}

#[track_caller]
fn succeeds(mut command: Command) {
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

/// Every expression of every board, with Grafana's own variable replaced by what it stands for.
fn board_expressions() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        if let Some(expression) = value["expr"].as_str() {
            found.push(expression.replace("$__rate_interval", "5m"));
        }
        let children: Vec<&Value> = match value {
            Value::Object(fields) => fields.values().collect(),
            Value::Array(items) => items.iter().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        };
        for child in children {
            collect(child, found);
        }
    }
    let mut found = Vec::new();
    for file in files("deploy/grafana", ".json") {
        let board = serde_json::from_str(&read(&file)).expect("a board is JSON");
        collect(&board, &mut found);
    }
    found
}

#[test]
fn alerts_fire_when_they_should_and_are_silent_when_not() {
    let Some(promtool) = provided("OMENDB_TEST_PROMTOOL") else {
        return;
    };
    for arguments in [
        ["check", "rules", "rules/recording.yml", "rules/alerts.yml"].as_slice(),
        &["check", "config", "--syntax-only", "prometheus.yml"],
        &["test", "rules", "alerts.test.yml"],
    ] {
        let mut command = Command::new(&promtool);
        command
            .args(arguments)
            .current_dir(root().join("deploy/prometheus"));
        succeeds(command);
    }
}

#[test]
fn prometheus_can_parse_every_expression_of_every_board() {
    let Some(promtool) = provided("OMENDB_TEST_PROMTOOL") else {
        return;
    };
    let directory = Directory::new();
    std::fs::create_dir_all(directory.path()).expect("a directory");
    let number = |(index, expression): (usize, String)| json!({"record": format!("board:{index}"), "expr": expression});
    let rules: Vec<Value> = board_expressions().into_iter().enumerate().map(number).collect();
    assert!(rules.len() > 40, "only {} expressions", rules.len());
    // JSON is YAML, and an expression that can be a rule can be a query.
    let file = directory.path().join("boards.yml");
    let text = json!({"groups": [{"name": "boards", "rules": rules}]}).to_string();
    std::fs::write(&file, text).expect("the rules can be written");
    let mut command = Command::new(promtool);
    command.args(["check", "rules"]).arg(&file);
    succeeds(command);
}

/// What starts like one of our families: also the names behind a recording rule's level.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words
        .filter(|word| word.starts_with("omendb_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn rules_and_boards_name_only_families_of_the_catalogue() {
    let output = command(&["metrics", "--json"]).output().expect("omendb starts");
    let catalogue: Value = serde_json::from_slice(&output.stdout).expect("the catalogue is JSON");
    let families = catalogue["families"].as_array().expect("a list");
    let mut exported = BTreeSet::new();
    for family in families {
        let name = family["name"].as_str().expect("a name");
        exported.insert(name.to_owned());
        if family["type"] == "histogram" {
            exported.extend(["_bucket", "_sum", "_count"].map(|ending| format!("{name}{ending}")));
        }
    }
    let rules = files("deploy/prometheus/rules", ".yml");
    let mut texts: Vec<String> = rules.iter().map(|file| read(file)).collect();
    texts.push(read(&root().join("deploy/prometheus/alerts.test.yml")));
    texts.push(read(&root().join("docs/runbook.md")));
    texts.extend(board_expressions());
    let unknown: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| names(text))
        .filter(|name| !exported.contains(*name))
        .collect();
    assert!(unknown.is_empty(), "not exported: {unknown:?}");
}

#[test]
fn every_alert_has_a_test_and_a_place_in_the_runbook() {
    let after = |path: &str, start: &str| -> BTreeSet<String> {
        let text = read(&root().join(path));
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(start));
        lines.map(str::to_owned).collect()
    };
    let alerts = after("deploy/prometheus/rules/alerts.yml", "- alert: ");
    assert!(!alerts.is_empty());
    assert_eq!(alerts, after("deploy/prometheus/alerts.test.yml", "- name: "));
    assert_eq!(alerts, after("docs/runbook.md", "## "));
}
