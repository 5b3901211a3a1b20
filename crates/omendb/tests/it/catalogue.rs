//! The catalogue and the page name the same families, and something moves each of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::Client;
use crate::page::Page;
use crate::server::{Directory, Server, command, create_collection, upsert};

/// Families that the exercise below does not move, each with the test that does.
const MOVED_ELSEWHERE: &[(&str, &str)] = &[];

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

/// Every kind of operation that the server knows, so that every figure has a reason to move.
fn exercise(server: &Server, admin: &str) {
    let mut client = server.client_with(admin);
    for name in ["main", "other"] {
        create_collection(&mut client, name, "Cosine");
        upsert(&mut client, name, 1..400);
        upsert(&mut client, name, 1..100);
        client
            .post(
                &format!("/collections/{name}/points/delete?wait=true"),
                &json!({"points": [1, 2]}),
            )
            .result();
    }
    for number in 0..200 {
        let body = json!({"query": [number, 1, 2, 3], "limit": 10});
        client.post("/collections/main/points/query", &body).result();
    }
    assert_eq!(
        client
            .post("/collections/main/points/query", &json!({"query": [1]}))
            .status,
        400
    );
    assert_eq!(server.client_with("wrong").get("/collections").status, 401);
    let reader = client
        .post(
            "/auth/tokens",
            &json!({"name": "reader", "permissions": ["data:read"]}),
        )
        .json();
    let reader = reader
        .get("token")
        .or_else(|| reader["result"].get("token"))
        .and_then(Value::as_str);
    assert_eq!(
        server
            .client_with(reader.expect("a token"))
            .get("/metrics")
            .status,
        403
    );
    let login = json!({"user": "nobody", "password": "x"});
    assert_eq!(server.client().post("/auth/login", &login).status, 401);
    // More connections than the pool takes: the last ones are turned away.
    let crowd: Vec<_> = (0..12)
        .map(|_| crate::client::connect(server.address()).expect("loopback accepts"))
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    drop(crowd);
}

#[test]
fn every_family_of_the_catalogue_is_on_the_page_and_is_moved() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let small = ["--http-max-connections", "8", "--http-connection-queue", "1"];
    let server = Server::start_in(&directory, &small);
    let mut scraper = server.client_with(&admin);
    let before = Page::scrape(&mut scraper);
    exercise(&server, &admin);
    let after = Page::scrape(&mut scraper);
    let catalogue = catalogue(&mut scraper);

    for family in before.types.keys().chain(after.types.keys()) {
        assert!(
            catalogue.contains_key(family),
            "{family} is exported and not in the catalogue"
        );
    }
    for (name, entry) in &catalogue {
        if let Some(kind) = after.types.get(name) {
            assert_eq!(*kind, entry.kind, "TYPE of {name}");
            assert!(
                entry.help.starts_with(after.help[name].trim_end_matches('.')),
                "HELP of {name}"
            );
        }
        assert!(entry.help.len() > 20, "HELP of {name} says nothing");
        assert!(
            entry.kind != "counter" || name.ends_with("_total"),
            "the name of counter {name}"
        );
    }

    let moved = after.since(&before);
    let moved = |family: &str| {
        let of_family = |series: &&String| after.family(series) == family;
        let gauge = after.types.get(family).is_some_and(|kind| kind == "gauge");
        let is_set = || {
            after
                .samples
                .iter()
                .any(|(series, value)| of_family(&series) && *value != 0.0)
        };
        moved.keys().any(|series| of_family(&series)) || (gauge && is_set())
    };
    let elsewhere = |family: &str| MOVED_ELSEWHERE.iter().any(|(name, _)| *name == family);
    let still: Vec<_> = catalogue
        .keys()
        .filter(|family| !moved(family) && !elsewhere(family))
        .collect();
    assert!(
        still.is_empty(),
        "in the catalogue, and nothing moves them: {still:#?}"
    );
    for (family, test) in MOVED_ELSEWHERE {
        assert!(
            catalogue.contains_key(*family),
            "{family} (moved by {test}) is no longer in the catalogue"
        );
    }
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
        "omendb_metrics_dropped_total",
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
