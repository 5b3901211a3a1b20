//! The rules and alerts of deploy/prometheus: each alert is tested both ways, waits before it fires, and is in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::consumers::provided;
use crate::server::Directory;
use crate::shipped::{files, read, root, succeeds};

const ALERTS: &str = "deploy/prometheus/rules/alerts.yml";
const TESTS: &str = "deploy/prometheus/alerts.test.yml";

/// The blocks of a file of the repository that begin with a line `start`NAME, by name, each with its first line.
fn blocks(path: &str, start: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut name = None;
    for line in read(&root().join(path)).lines() {
        name = line.trim().strip_prefix(start).map(str::to_owned).or(name);
        if let Some(name) = &name {
            let block = found.entry(name.clone()).or_default();
            block.push_str(line);
            block.push('\n');
        }
    }
    assert!(!found.is_empty(), "no '{start}' in {path}");
    found
}

fn alerts() -> BTreeMap<String, String> {
    blocks(ALERTS, "- alert: ")
}

/// The value of `key` in a block, on its line or folded over the deeper lines that follow.
fn value(block: &str, key: &str) -> Option<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = block.lines().skip_while(|line| !line.trim().starts_with(key));
    let first = lines.next()?;
    let on_its_line = first.trim().strip_prefix(key)?.trim();
    if on_its_line != ">-" {
        return Some(on_its_line.to_owned());
    }
    let folded: Vec<&str> = lines
        .take_while(|line| depth(line) > depth(first))
        .map(str::trim)
        .collect();
    Some(folded.join(" "))
}

#[test]
fn every_alert_waits_has_a_test_and_a_place_in_the_runbook() {
    let alerts = alerts();
    let names = |blocks: &BTreeMap<String, String>| blocks.keys().cloned().collect::<BTreeSet<_>>();
    let runbook = blocks("docs/runbook.md", "## ");
    assert_eq!(names(&alerts), names(&blocks(TESTS, "- name: ")));
    let sections = names(&runbook);
    let absent: Vec<_> = alerts.keys().filter(|name| !sections.contains(*name)).collect();
    assert!(absent.is_empty(), "not in the runbook: {absent:?}");
    for (name, alert) in &alerts {
        for key in ["expr:", "for:", "labels: {severity:", "summary:"] {
            assert!(value(alert, key).is_some(), "{name} has no `{key}`");
        }
        let link = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(value(alert, "runbook:"), Some(link), "{name}");
        for part in ["**Means.**", "**Look at.**", "**Do.**"] {
            assert!(
                runbook[name].contains(part),
                "{name} has no {part} in the runbook"
            );
        }
    }
}

/// Copies the rules and their tests, gives `name` another expression, and runs its tests.
fn passes_with(promtool: &Path, directory: &Path, name: &str, expression: &str) -> bool {
    std::fs::create_dir_all(directory.join("rules")).expect("a directory for the rules");
    let alert = &alerts()[name];
    let (before, after) = alert.split_once("expr:").expect("an alert has an expression");
    let rest = after.find(" for:").expect("an alert waits");
    // The comments of a folded expression go with it.
    let changed = format!("{before}expr: '{expression}'\n       {}", &after[rest..]);
    for file in files("deploy/prometheus/rules", ".yml") {
        let text = read(&file);
        let name = file.file_name().expect("a file has a name");
        std::fs::write(directory.join("rules").join(name), text.replace(alert, &changed))
            .expect("a rule is written");
    }
    let tests = read(&root().join(TESTS));
    let head = tests.split("- name:").next().expect("the tests have a head");
    let case = &blocks(TESTS, "- name: ")[name];
    std::fs::write(
        directory.join("alerts.test.yml"),
        format!("{}\n{case}", head.trim_end()),
    )
    .expect("a test is written");
    let mut command = Command::new(promtool);
    command
        .args(["test", "rules", "alerts.test.yml"])
        .current_dir(directory);
    command.output().expect("promtool starts").status.success()
}

#[test]
fn the_tests_of_an_alert_notice_when_it_never_fires_and_when_it_fires_for_all() {
    let Some(promtool) = provided("OMENDB_TEST_PROMTOOL") else {
        return;
    };
    let directory = Directory::new();
    for (name, alert) in alerts() {
        let expression = value(&alert, "expr:").expect("an alert has an expression");
        let passes = |expression: &str| passes_with(&promtool, directory.path(), &name, expression);
        assert!(passes(&expression), "{name}, its expression on one line");
        let never = format!("({expression}) and on () (vector(0) > 1)");
        assert!(!passes(&never), "no test of {name} wants it to fire");
        let others = r#"{job="omendb",instance!="bad",db_id!="bad"}"#;
        let for_all = format!("({expression}) or count by (job, instance, db_id) ({others})");
        assert!(!passes(&for_all), "no test of {name} wants it to be silent");
    }
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
