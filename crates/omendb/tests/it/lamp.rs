//! What a query did can be asked for with it, and looked up afterwards.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};

const EXPLAIN: (&str, &str) = ("x-omendb-explain", "true");

fn ask(client: &mut Client, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
    let answer = client.send("POST", path, headers, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What the ring has under a request's name.
fn kept(client: &mut Client, request_id: &str) -> Vec<Value> {
    let answer = client.get(&format!("/debug/slow-queries?request_id={request_id}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["queries"].as_array().expect("a list").clone()
}

fn below(n: u64) -> Value {
    json!({"must": [{"key": "n", "range": {"lt": n}}]})
}

#[test]
fn every_query_route_explains_itself_when_asked() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..500);
    let nearest = json!({"query": [1, 0, 0, 0], "limit": 3, "filter": below(200)});
    let mut check = |path: &str, body: &Value, plan: &str, actual: Value| {
        let path = format!("/collections/c/{path}");
        let plain = ask(&mut client, &path, &[], body);
        assert_eq!(plain.get("explain"), None, "{plain}");
        let answer = ask(&mut client, &path, &[EXPLAIN], body);
        assert_eq!(answer["result"], plain["result"], "{path}");
        let explain = &answer["explain"];
        assert_eq!(
            (&explain["plan"], &explain["matches"]["actual"]),
            (&json!(plan), &actual),
            "{path}: {explain}"
        );
        assert!(explain["why"].is_string(), "{path}: {explain}");
        let stages = explain["stages_us"].as_object().expect("times by stage");
        for stage in ["queue", "parse", "serialise", "other"] {
            assert!(stages[stage].as_f64() > Some(0.0), "{path}: {stage} in {explain}");
        }
    };
    check("points/query", &nearest, "filtered_scan", json!(200));
    check(
        "points/query",
        &json!({"query": [1, 0, 0, 0]}),
        "exact",
        Value::Null,
    );
    check(
        "points/query",
        &json!({"query": {"recommend": {"positive": [1], "negative": [2]}}}),
        "exact",
        Value::Null,
    );
    check(
        "points/query/groups",
        &json!({"query": [1, 0, 0, 0], "group_by": "n", "filter": below(9)}),
        "filtered_scan",
        json!(9),
    );
    check(
        "points/scroll",
        &json!({"filter": below(7)}),
        "filtered_scan",
        json!(7),
    );
    check(
        "points/count",
        &json!({"filter": below(7)}),
        "filtered_scan",
        json!(7),
    );
    let batch = json!({"searches": [&nearest, {"limit": 1}]});
    check("points/query/batch", &batch, "filtered_scan", Value::Null);
}

#[test]
fn batches_explain_each_search_and_only_true_asks_for_it() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..500);
    let batch = json!({"searches": [{"query": [1, 0, 0, 0]}, {"limit": 1}]});
    let answer = ask(
        &mut client,
        "/collections/c/points/query/batch",
        &[EXPLAIN],
        &batch,
    );
    assert_eq!(
        answer["explain"]["searches"].as_array().map(Vec::len),
        Some(2),
        "{answer}"
    );
    let native = json!({"db_id": "c", "vector": [1, 0, 0, 0], "k": 1});
    let answer = ask(&mut client, "/query", &[EXPLAIN], &native);
    assert_eq!(
        (
            &answer["explain"]["why"],
            &answer["explain"]["distance_computations"]
        ),
        (&json!("no_graph"), &json!(500))
    );
    let refused = client.send(
        "POST",
        "/collections/c/points/query",
        &[("x-omendb-explain", "yes")],
        b"{}",
    );
    assert_eq!(
        (refused.status, refused.error().contains("`yes`")),
        (400, true),
        "{}",
        refused.text()
    );
}

#[test]
fn what_an_index_expects_stands_beside_what_it_finds() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..2_000);
    let index = json!({"field_name": "n", "field_schema": "integer"});
    client.put("/collections/c/index?wait=true", &index).result();
    let body = json!({"query": [1, 0, 0, 0], "filter": below(150)});
    let begin = Instant::now();
    loop {
        let answer = ask(&mut client, "/collections/c/points/query", &[EXPLAIN], &body);
        let explain = &answer["explain"];
        let estimated = explain["matches"]["estimated"].as_f64().unwrap_or(0.0);
        if explain["plan"] == "indexed_scan" && (100.0..300.0).contains(&estimated) {
            assert_eq!(explain["matches"]["actual"], 150, "{explain}");
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{explain}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn slow_requests_are_kept_and_logged_without_what_they_carry() {
    let directory = Directory::new();
    let server = Server::start_in(
        &directory,
        &[
            "--slow-query-threshold",
            "1ms",
            "--slow-query-capacity",
            "3",
            "--log-format",
            "json",
        ],
    );
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..20_000);
    let secret = "hunter2-the-password";
    let body = json!({
        "query": {"recommend": {"positive": [[0.125, 1, 2, 3]], "strategy": "best_score"}}, "limit": 7,
        "filter": {"must_not": [{"key": "n", "match": {"value": secret}}]},
    });
    for number in 0..5 {
        let id = format!("slow-{number}");
        ask(
            &mut client,
            "/collections/c/points/query",
            &[("x-request-id", &id)],
            &body,
        );
    }
    let all = client.get("/debug/slow-queries").json();
    assert_eq!(all["threshold_ms"], 1, "{all}");
    let slow = |query: &&Value| {
        query["kept_for"]
            .as_array()
            .is_some_and(|kept| kept.contains(&json!("slow")))
    };
    let queries = all["queries"].as_array().expect("a list");
    assert!(queries.iter().filter(slow).count() <= 3, "{all}");
    let found = kept(&mut client, "slow-4");
    assert_eq!(found.len(), 1, "{all}");
    let record = &found[0];
    assert_eq!(
        (
            &record["endpoint"],
            &record["db_id"],
            &record["status"],
            &record["request"]["limit"]
        ),
        (
            &json!("/collections/:collection/points/query"),
            &json!("c"),
            &json!(200),
            &json!(7)
        ),
        "{record}"
    );
    assert_eq!(record["search"]["plan"], "filtered_scan", "{record}");
    assert_eq!(record["request"]["filter"]["must_not"][0]["key"], "n", "{record}");
    let stages = record["stages_us"].as_object().expect("times by stage");
    let sum: f64 = stages.values().filter_map(Value::as_f64).sum();
    let whole = record["whole_us"].as_f64().expect("a time");
    assert!((sum / whole - 1.0).abs() < 0.05, "{record}");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("slow query") && line.contains("slow-4"));
    assert!(line.is_some_and(|line| line.contains("stages_us")), "{log}");
    for text in [&log, &all.to_string()] {
        assert!(!text.contains(secret) && !text.contains("0.125"), "{text}");
    }
}

#[test]
fn what_an_exemplar_names_can_be_opened() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..100);
    ask(
        &mut client,
        "/collections/c/points/query",
        &[],
        &json!({"query": [1, 0, 0, 0]}),
    );
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let page = client.send("GET", "/metrics", &accept, b"");
    let named = page
        .text()
        .lines()
        .filter(|line| line.starts_with("omendb_query_duration_seconds_bucket"));
    let named: Vec<_> = named
        .filter_map(|line| line.split_once("request_id=\""))
        .collect();
    assert_eq!(named.len(), 1, "{}", page.text());
    let id = named[0].1.split('"').next().unwrap_or_default();
    let found = kept(&mut client, id);
    assert!(
        found.len() == 1
            && found[0]["kept_for"]
                .as_array()
                .is_some_and(|kept| kept.contains(&json!("exemplar"))),
        "{found:?}"
    );
}

#[test]
fn a_sampled_query_shows_its_recall() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..1_000);
    let begin = Instant::now();
    loop {
        ask(
            &mut client,
            "/collections/c/points/query",
            &[],
            &json!({"query": [1, 0, 0, 0]}),
        );
        let all = client.get("/debug/slow-queries").json();
        let queries = all["queries"].as_array().expect("a list");
        let measured = queries.iter().find(|query| query["recall"].is_number());
        if let Some(query) = measured {
            assert_eq!(
                (&query["recall"], &query["search"]["sampled"]),
                (&json!(1.0), &json!(true)),
                "{query}"
            );
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{all}");
    }
}

#[test]
fn only_administrators_look_and_off_keeps_nothing() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let reader = directory.token(
        "reader",
        &["--permission", "data:read", "--permission", "metrics:read"],
    );
    let server = Server::start_in(&directory, &["--slow-query-threshold", "1ms"]);
    let mut client = server.client_with(&admin);
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..5_000);
    assert_eq!(server.client_with(&reader).get("/debug/slow-queries").status, 403);
    assert_eq!(server.client().get("/debug/slow-queries").status, 401);
    assert_eq!(client.get("/debug/slow-queries?slow=1").status, 400);
    assert_eq!(kept(&mut client, "nobody"), Vec::<Value>::new());
    let kept = client.get("/debug/slow-queries").json();
    assert_eq!(kept["queries"][0]["write"]["points_upserted"], 5_000, "{kept}");
    let off = Server::start_in(
        &Directory::new(),
        &["--slow-query-capacity", "0", "--slow-query-threshold", "1ms"],
    );
    let mut client = off.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..5_000);
    let nothing = json!({"threshold_ms": 1, "queries": []});
    assert_eq!(client.get("/debug/slow-queries").json(), nothing);
    assert!(!off.log().contains("slow query"), "{}", off.log());
}
