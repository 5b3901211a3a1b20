//! What administrators look into: who may, what is in it, and what is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};

/// Asks `path` until `is_there` holds of the answer.
fn until(client: &mut Client, path: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let answer = client.get(path).json();
        if is_there(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn recall_is_told_by_the_way_queries_were_answered() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    for name in ["main", "other"] {
        create_collection(&mut client, name, "Dot");
    }
    upsert(&mut client, "main", 0..100);
    let empty = json!({"db_id": "other", "samples": 0, "recall": null, "lower_bound": null, "classes": [], "worst": []});
    assert_eq!(
        client.get("/debug/recall?db_id=other").json(),
        json!({"collections": [&empty]})
    );

    let filter = json!({"must": {"has_id": [1, 2, 3, 4, 5]}});
    let filtered = json!({"query": [1, 2, 3, 4], "limit": 3, "filter": filter});
    let class = |answer: &Value| answer["collections"][0]["classes"][0].clone();
    let measured = until(&mut client, "/debug/recall?db_id=main", |answer| {
        let mut client = server.client_with(&admin);
        client.post("/collections/main/points/query", &filtered).result();
        class(answer)["samples"]
            .as_u64()
            .is_some_and(|samples| samples >= 2)
    });
    let class = class(&measured);
    assert_eq!(
        [&class["plan"], &class["selectivity"]],
        ["filtered_scan", "1_to_10_percent"],
        "{measured}"
    );
    assert_eq!(class["recall"], 1.0);
    assert_eq!(class["lower_bound"], 1.0);
    assert_eq!(
        measured["collections"][0]["worst"],
        json!([]),
        "an exact answer misses nothing"
    );

    let both = client.get("/debug/recall").json();
    assert_eq!(both["collections"][1], empty, "{both}");
    let mut check = |path: &str, status: u16| assert_eq!(client.get(path).status, status, "{path}");
    check("/debug/recall?db_id=nowhere", 404);
    check("/debug/recall?name=main", 400);
    assert_eq!(server.client_with(&metrics).get("/debug/recall").status, 403);
}

#[test]
fn a_bundle_has_everything_for_a_ticket_and_no_secrets() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let bootstrap = directory.path().join("bootstrap");
    std::fs::write(&bootstrap, "planted-bootstrap-secret-0123456789abcdef").expect("a file");
    let server = Server::start_in(
        &directory,
        &["--bootstrap-token-file", &bootstrap.to_string_lossy()],
    );
    let mut client = server.client_with(&admin);
    create_collection(&mut client, "main", "Dot");
    let points = json!({"points": [{"id": 987_654_321, "vector": [0.123_456, 1, 2, 3], "payload": {"note": "planted-payload"}}]});
    client.put("/collections/main/points?wait=true", &points).result();
    let filter = json!({"must": {"key": "note", "match": {"value": "planted-value"}}});
    let query = json!({"query": [0.654_321, 1, 2, 3], "filter": filter});
    client.post("/collections/main/points/query", &query).result();
    let login = json!({"user": "nobody", "password": "planted-password"});
    assert_eq!(client.post("/auth/login", &login).status, 401);
    assert_eq!(
        server
            .client_with("planted-wrong-token")
            .get("/collections")
            .status,
        401
    );

    assert_eq!(server.client().get("/debug/bundle").status, 401);
    assert_eq!(server.client_with(&metrics).get("/debug/bundle").status, 403);
    let answer = client.get("/debug/bundle");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let hashes = std::fs::read_to_string(directory.data().join("credentials.json")).expect("credentials");
    let hash = hashes
        .split("sha256:")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let secrets = [
        &admin,
        &metrics,
        "planted",
        "0123456789abcdef",
        "987654321",
        "0.123456",
        "0.654321",
        hash.expect("a hash"),
    ];
    for secret in secrets {
        assert!(!answer.text().contains(secret), "{secret} is in the bundle");
    }
    let audit = std::fs::read_to_string(directory.data().join("audit.log")).expect("an audit log");
    assert!(audit.contains("bundle.taken"), "{audit}");
    let bundle = answer.json();
    assert_eq!(bundle["collections"][0]["points"], 1, "{}", bundle["collections"]);
    assert_eq!(bundle["health"]["components"].as_array().map(Vec::len), Some(12));
    assert_eq!(bundle["configuration"]["http.max_body"], "33554432");
    assert_eq!(bundle["recall"]["collections"][0]["db_id"], "main");
    let families = |part: &str| bundle[part]["families"].as_array().map_or(0, Vec::len);
    assert!(families("metrics") > 60 && families("metrics") <= families("catalogue"));
    assert!(bundle["versions"]["omendb"].is_string() && bundle["history"].is_array());
    let zipped = client.send("GET", "/debug/bundle", &[("accept-encoding", "gzip")], b"");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(
        zipped.body.len() < answer.body.len() / 4,
        "{} bytes",
        zipped.body.len()
    );
}

#[test]
fn history_is_asked_for_by_name_and_refuses_what_is_wrong() {
    let directory = Directory::new();
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let limited = directory.token(
        "limited",
        &["--permission", "metrics:read", "--collection", "main"],
    );
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&metrics);
    assert_eq!(server.client().get("/metrics/history").status, 401);
    let names = client.get("/metrics/history").json();
    assert!(
        names["names"].as_array().is_some_and(|names| names.len() > 15),
        "{names}"
    );
    let page = until(
        &mut client,
        "/metrics/history?name=process_open_fds&since=60",
        |page| page["series"].as_array().is_some_and(|series| !series.is_empty()),
    );
    assert!(
        page["series"][0]["values"][0]
            .as_f64()
            .is_some_and(|files| files > 3.0),
        "{page}"
    );
    assert_eq!(
        page["times"].as_array().map(Vec::len),
        Some(1),
        "it began with the server: {page}"
    );
    let seen = server
        .client_with(&limited)
        .get("/metrics/history?name=process_open_fds")
        .json();
    assert_eq!(
        seen["series"],
        json!([]),
        "the whole server's figures are not theirs"
    );
    let mut check = |query: &str, code: u16, part: &str| {
        let answer = client.get(&format!("/metrics/history?{query}"));
        assert_eq!(answer.status, code, "{query}: {}", answer.text());
        assert!(answer.error().contains(part), "{query}: {}", answer.error());
    };
    check(
        "name=no_such",
        404,
        "there is one of omendb_engine_queries_total,",
    );
    check(
        "name=process_open_fds&since=yesterday",
        400,
        "since: \"yesterday\"",
    );
    check(
        "name=process_open_fds&since=2999-01-01T00:00:00Z",
        400,
        "has not come yet",
    );
    check("name=process_open_fds&since=90000", 400, "since: 90000");
    check("name=process_open_fds&step=7", 400, "step: 7");
    check("name=process_open_fds&step=x", 400, "step: \"x\"");
    check("nam=process_open_fds", 400, "nam=process_open_fds");
}
