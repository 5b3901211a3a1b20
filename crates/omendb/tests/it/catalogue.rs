//! The catalogue and the page name the same families, and something moves each of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::page::Page;
use crate::server::{Directory, Server, command, create_collection, upsert};

/// Families that the exercise below does not move, each with the reason.
pub(crate) const NOT_MOVED_HERE: &[(&str, &str)] = &[
    (
        "omendb_health_component_state",
        "zero for as long as all is well; the tests of health move each component",
    ),
    (
        "process_virtual_memory_max_bytes",
        "absent where the system sets no limit to the address space",
    ),
    (
        "omendb_engine_vector_norm_drift_ratio",
        "compares with half an hour ago; the engine's tests move time",
    ),
    (
        "omendb_engine_graph_unreachable_nodes",
        "zero unless a graph is worse than any that is built of these points",
    ),
];

/// Dimension of the vectors of the exercise: more than one register's width, so that full registers are used.
const DIMENSION: u64 = 96;

/// One family as the catalogue describes it.
struct Entry {
    kind: String,
    help: String,
}

fn catalogue(client: &mut Client) -> BTreeMap<String, Entry> {
    let body = client.get("/metrics/catalog").json();
    let families = body
        .get("families")
        .unwrap_or(&body)
        .as_array()
        .expect("the catalogue is a list")
        .clone();
    let text = |family: &Value, key: &str| {
        let value = family[key].as_str();
        value
            .unwrap_or_else(|| unreachable!("no {key} in {family}"))
            .to_owned()
    };
    let entry = |family: &Value| {
        assert!(
            family["labels"].is_array() && family["stability"].is_string(),
            "{family}"
        );
        (
            text(family, "name"),
            Entry {
                kind: text(family, "type"),
                help: text(family, "help"),
            },
        )
    };
    families.iter().map(entry).collect()
}

/// Points of the exercise, each vector another, with a payload of `padding` bytes.
fn points(ids: std::ops::Range<u64>, padding: usize) -> Value {
    let vector = |id: u64| -> Vec<u64> { (0..DIMENSION).map(|at| (id * 7 + at * 3) % 11).collect() };
    let point = |id| json!({"id": id, "vector": vector(id), "payload": {"padding": "x".repeat(padding)}});
    json!({"points": ids.map(point).collect::<Vec<_>>()})
}

fn write(client: &mut Client, ids: std::ops::Range<u64>, padding: usize) {
    let path = "/collections/main/points?wait=true";
    client.put(path, &points(ids, padding)).result();
}

fn query(client: &mut Client) {
    let vector: Vec<u64> = (0..DIMENSION).collect();
    let body = json!({"query": vector, "limit": 10});
    client.post("/collections/main/points/query", &body).result();
}

/// Writes sparse vectors and asks for them until their index answers.
fn query_words(client: &mut Client) {
    let config = json!({"sparse_vectors": {"words": {}}});
    client.put("/collections/words", &config).result();
    let terms = json!({"indices": [1], "values": [1]});
    let point = |id: u64| json!({"id": id, "vector": {"words": terms}});
    let points: Vec<_> = (0..300).map(point).collect();
    client
        .put("/collections/words/points?wait=true", &json!({"points": points}))
        .result();
    let query = json!({"db_id": "words", "vector": terms, "using": "words", "explain": true});
    let begin = Instant::now();
    while client.post("/query", &query).json()["explain"]["postings"] == 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "no index is built");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Who reads the figures while the exercise moves them.
pub(crate) trait Watcher {
    /// Reads all figures; whether one of `family` is other than zero now.
    fn look(&mut self, family: &str) -> bool;
}

/// Every page there was.
pub(crate) struct Pages {
    scraper: Client,
    seen: Vec<Page>,
}

impl Pages {
    pub(crate) fn of(scraper: Client) -> Self {
        let seen = Vec::new();
        Self { scraper, seen }
    }
}

impl Watcher for Pages {
    fn look(&mut self, family: &str) -> bool {
        let page = Page::scrape(&mut self.scraper);
        let has_moved = is_moved(&page, family);
        self.seen.push(page);
        has_moved
    }
}

/// Looks until `family` has a figure other than zero.
fn until_moved(watcher: &mut impl Watcher, family: &str) {
    let begin = Instant::now();
    while !watcher.look(family) {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{family} does not move"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a series of `family` is other than zero. Counters start at zero with the process, so that is movement.
fn is_moved(page: &Page, family: &str) -> bool {
    let mut samples = page.samples.iter();
    samples.any(|(series, value)| *value != 0.0 && page.family(series) == family)
}

/// A server with data that it had to read and with little room for connections, and a token that may do everything.
pub(crate) fn server_in_its_second_life() -> (Server, String) {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    let vectors = json!({"vectors": {"size": DIMENSION, "distance": "Cosine"}});
    client.put("/collections/main", &vectors).result();
    write(&mut client, 0..3000, 0);
    drop(server.kill());
    let mut options = vec!["--http-max-connections", "8", "--http-connection-queue", "1"];
    // Whoever waits in that queue does so until somebody has looked.
    options.extend(["--http-connection-queue-timeout", "20s"]);
    // Spans of every request, to a collector that is not there.
    options.extend(["--traces-endpoint", "http://127.0.0.1:1", "--traces-ratio", "1"]);
    (Server::start_in(&directory, &options), admin)
}

/// Every kind of operation that the server knows, so that every figure has a reason to move.
pub(crate) fn exercise(server: &Server, admin: &str, watcher: &mut impl Watcher) {
    let mut client = server.client_with(admin);
    (0..100).for_each(|_| query(&mut client));
    query_words(&mut client);
    let filter = json!({"must_not": {"has_id": (0..500).collect::<Vec<u64>>()}});
    let filtered = json!({"query": vec![1; DIMENSION as usize], "filter": filter});
    client.post("/collections/main/points/query", &filtered).result();
    let batch = json!({"searches": [&filtered, {"limit": 1}]});
    client
        .post("/collections/main/points/query/batch", &batch)
        .result();
    let wrong = client.post("/collections/main/points/query", &json!({"query": [1]}));
    assert_eq!(wrong.status, 400);
    let short = json!({"points": [{"id": 1, "vector": [1]}]});
    assert_eq!(client.put("/collections/main/points", &short).status, 400);
    refused_callers(server, &mut client);

    // Most of some chunks deleted: what is left of them moves together.
    let doomed: Vec<u64> = (0..1500).collect();
    let delete = json!({"points": doomed});
    client
        .post("/collections/main/points/delete?wait=true", &delete)
        .result();
    until_moved(watcher, "omendb_engine_rebalance_seconds");
    // A log too long to read again at every start: a snapshot takes its place.
    (0..10).for_each(|id| write(&mut client, id..id + 1, 7_000_000));
    until_moved(watcher, "omendb_snapshot_trimmed_log_bytes_total");
    // The series of a removed collection leave the page.
    create_collection(&mut client, "brief", "Dot");
    client.delete("/collections/brief").result();

    // A collection with a graph, and a search that keeps few enough candidates for it to be the cheaper way.
    let with_graph = json!({"vectors": {"size": DIMENSION, "distance": "Euclid"}, "optimizers_config": {"indexing_threshold": 1}});
    client.put("/collections/near", &with_graph).result();
    client
        .put("/collections/near/points?wait=true", &points(0..3000, 0))
        .result();
    until_moved(watcher, "omendb_engine_index_build_seconds");
    let near = json!({"query": vec![1; DIMENSION as usize], "params": {"hnsw_ef": 10}});
    client.post("/collections/near/points/query", &near).result();

    // Writers change what readers are looking at.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = server.client_with(admin);
            while !stop.load(Ordering::Relaxed) {
                query(&mut reader);
            }
        });
        scope.spawn(|| {
            let mut writer = server.client_with(admin);
            while !stop.load(Ordering::Relaxed) {
                write(&mut writer, 2000..2010, 0);
            }
        });
        until_moved(watcher, "omendb_engine_retired_bytes");
        // Two queries of one class have to be drawn, and the probe takes its time.
        let bound = "omendb_engine_plan_accuracy_lower_bound_ratio";
        until_moved(watcher, bound);
        stop.store(true, Ordering::Relaxed);
    });

    // More connections than the pool takes: one waits, the others are turned away.
    let connect = |_| crate::client::connect(server.address()).expect("loopback accepts");
    let crowd: Vec<_> = (0..12).map(connect).collect();
    until_moved(watcher, "omendb_connection_queue_depth");
    drop(crowd);
    watcher.look("omendb_http_requests_total");
}

/// Callers with a wrong credential, too little permission, and a wrong password.
fn refused_callers(server: &Server, admin: &mut Client) {
    assert_eq!(server.client_with("wrong").get("/collections").status, 401);
    let reader = json!({"name": "reader", "permissions": ["data:read"]});
    let reader = admin.post("/auth/tokens", &reader).json();
    let reader = reader["token"]
        .as_str()
        .or_else(|| reader["result"]["token"].as_str());
    let mut reader = server.client_with(reader.expect("a token"));
    assert_eq!(reader.get("/metrics").status, 403);
    let login = json!({"user": "nobody", "password": "x"});
    assert_eq!(server.client().post("/auth/login", &login).status, 401);
}

#[test]
fn every_family_of_the_catalogue_is_on_the_page_and_is_moved() {
    let (server, admin) = server_in_its_second_life();
    let mut pages = Pages::of(server.client_with(&admin));
    exercise(&server, &admin, &mut pages);
    let pages = pages.seen;
    let catalogue = catalogue(&mut server.client_with(&admin));
    for page in &pages {
        for (family, kind) in &page.types {
            let entry = catalogue.get(family);
            let entry =
                entry.unwrap_or_else(|| unreachable!("{family} is exported and not in the catalogue"));
            assert_eq!((kind, &page.help[family]), (&entry.kind, &entry.help), "{family}");
        }
    }
    for (name, entry) in &catalogue {
        assert!(entry.help.ends_with('.'), "HELP of {name}: {:?}", entry.help);
        assert!(
            entry.kind != "counter" || name.ends_with("_total"),
            "the name of counter {name}"
        );
    }
    let is_moved = |family: &&String| pages.iter().any(|page| is_moved(page, family));
    let excused = |family: &&String| NOT_MOVED_HERE.iter().any(|(name, _)| name == family);
    let still: Vec<_> = catalogue
        .keys()
        .filter(|family| !is_moved(family) && !excused(family))
        .collect();
    assert!(
        still.is_empty(),
        "in the catalogue, and nothing moves them: {still:#?}"
    );
}

#[test]
fn families_with_closed_labels_start_at_zero() {
    let page = Server::start().scrape();
    for series in [
        r#"omendb_auth_requests_total{status="success"}"#,
        r#"omendb_auth_requests_total{status="failure"}"#,
        r#"omendb_auth_token_validations_total{status="expired"}"#,
        r#"omendb_auth_token_validations_total{status="revoked"}"#,
        r#"omendb_auth_authorization_failures_total{permission="admin"}"#,
        r#"omendb_connection_queue_depth{pool="main"}"#,
        r#"omendb_connection_queue_depth{pool="http"}"#,
        r#"omendb_metrics_dropped_total{reason="removed"}"#,
    ] {
        assert_eq!(page.value(series), 0.0, "{series}");
    }
}

#[test]
fn the_page_keeps_the_rules_of_its_consumers() {
    let server = Server::start();
    create_collection(&mut server.client(), "main", "Dot");
    upsert(&mut server.client(), "main", 0..10);
    let page = server.scrape();
    for series in page.samples.keys() {
        let family = page.family(series);
        assert!(page.types.contains_key(family), "{series} has no TYPE");
        assert!(page.help.contains_key(family), "{series} has no HELP");
        assert!(!series.contains("_created"), "{series}");
    }
}

#[test]
fn the_command_line_prints_the_same_catalogue() {
    let output = command(&["metrics"]).output().expect("omendb starts");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("the catalogue is UTF-8");
    for (name, _) in catalogue(&mut Server::start().client()) {
        assert!(text.contains(&name), "{name} is missing from `omendb metrics`");
    }
}
