//! The rules and alerts of deploy/prometheus: each alert is tested both ways, waits before it fires, and is in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::consumers::{Monitor, configure, provided};
use crate::server::{Directory, Server};
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

/// Vectors of the collections whose recall is judged: random, which graphs find hardest.
fn random_vectors(count: usize, seed: u64) -> Vec<Vec<f64>> {
    const DIMENSION: usize = 96;
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..count)
        .map(|_| (0..DIMENSION).map(|_| next()).collect())
        .collect()
}

/// A collection of random vectors that has a graph.
fn with_graph(server: &Server, token: &str, name: &str) {
    let mut client = server.client_with(token);
    let points: Vec<Value> = random_vectors(3_000, 1)
        .iter()
        .enumerate()
        .map(|(id, vector)| json!({"id": id, "vector": vector}))
        .collect();
    let config = json!({"vectors": {"size": 96, "distance": "Euclid"}, "optimizers_config": {"indexing_threshold": 1}});
    client.put(&format!("/collections/{name}"), &config).result();
    for points in points.chunks(1_000) {
        let path = format!("/collections/{name}/points?wait=true");
        client.put(&path, &json!({"points": points})).result();
    }
    let begin = Instant::now();
    let indexed = |client: &mut crate::client::Client| {
        let info = client.get(&format!("/collections/{name}")).result();
        info["indexed_vectors_count"].as_u64().unwrap_or(0)
    };
    while indexed(&mut client) < 2_500 {
        assert!(begin.elapsed() < Duration::from_secs(60), "no graph of {name}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An index that is walked with as few candidates as there are hits finds too little. The shipped rules say so over what a
/// real server exports, and of the other collection, which is compared exactly, they say nothing. Only the time for which a
/// condition has to hold is shorter.
#[test]
fn the_alert_for_low_recall_fires_over_a_degraded_index_and_no_other() {
    let Some(program) = provided("OMENDB_TEST_PROMETHEUS") else {
        return;
    };
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let scraper = directory.token("prometheus", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    with_graph(&server, &admin, "degraded");
    with_graph(&server, &admin, "exact");
    let configuration = configure(&server, &scraper);
    let rules = directory.path().join("rules/alerts.yml");
    let shipped = read(&rules);
    assert!(shipped.contains("for: 5m"), "{shipped}");
    std::fs::write(&rules, shipped.replace("for: 5m", "for: 1s")).expect("the rules can be written");
    let mut prometheus = Monitor::prometheus_with(program, &configuration, directory.path(), &[]);

    let measured = |name: &str| {
        let page = crate::page::Page::scrape(&mut server.client_with(&admin));
        let series = format!(r#"omendb_engine_accuracy_samples_total{{db_id="{name}",outcome="measured"}}"#);
        page.get(&series).unwrap_or(0.0)
    };
    // The probe draws fifty of each, and some before the first scrape that do not count as an increase.
    let mut client = server.client_with(&admin);
    let begin = Instant::now();
    while measured("degraded") < 70.0 || measured("exact") < 70.0 {
        assert!(
            begin.elapsed() < Duration::from_secs(240),
            "{} and {} samples",
            measured("degraded"),
            measured("exact")
        );
        for query in random_vectors(50, begin.elapsed().as_nanos() as u64) {
            let few = json!({"query": query, "limit": 10, "params": {"hnsw_ef": 10}});
            client.post("/collections/degraded/points/query", &few).result();
            let exact = json!({"query": query, "limit": 10, "params": {"exact": true}});
            client.post("/collections/exact/points/query", &exact).result();
        }
    }
    let ratio = |prometheus: &mut Monitor, name: &str| {
        prometheus.value(&format!(
            r#"omendb_engine_search_accuracy_ratio{{db_id="{name}"}}"#
        ))
    };
    let (low, high) = (
        ratio(&mut prometheus, "degraded"),
        ratio(&mut prometheus, "exact"),
    );
    assert!(low < 0.9 && high > 0.999, "{low} and {high}");
    let firing = r#"ALERTS{alertname="OmenDBRecallLow",alertstate="firing",db_id="degraded"}"#;
    assert_eq!(prometheus.value(firing), 1.0);
    let by_plan =
        r#"ALERTS{alertname="OmenDBRecallLowForAPlan",alertstate="firing",plan="graph",db_id="degraded"}"#;
    assert_eq!(prometheus.value(by_plan), 1.0);
    let others = prometheus.ask(r#"ALERTS{alertname=~"OmenDBRecall.*",db_id!="degraded"}"#);
    assert_eq!(others["data"]["result"], json!([]), "{others}");
}
