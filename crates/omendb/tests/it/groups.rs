//! Hits in groups over HTTP, with what other collections know of the groups.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server};

const GROUPS: &str = "/collections/c/points/query/groups";

/// Chunks of three documents on a line, the first of which also belongs to a string.
fn documents(client: &mut Client) {
    for name in ["c", "documents"] {
        let config = json!({"vectors": {"size": 1, "distance": "Manhattan"}});
        client.put(&format!("/collections/{name}"), &config).result();
    }
    let chunk =
        |id: u64, document: Value| json!({"id": id, "vector": [id], "payload": {"document": document}});
    let chunks = [
        chunk(0, json!([1, "first"])),
        chunk(1, json!(1)),
        chunk(2, json!(1)),
        chunk(3, json!(2)),
        chunk(4, json!(3.5)),
        chunk(5, json!(2)),
        chunk(6, json!(-1)),
        json!({"id": 7, "vector": [7]}),
    ];
    let write = json!({"points": chunks});
    client.put("/collections/c/points?wait=true", &write).result();
    let titles = json!({"points": [{"id": 1, "vector": [0], "payload": {"title": "one", "year": 1}}]});
    client
        .put("/collections/documents/points?wait=true", &titles)
        .result();
}

#[track_caller]
fn finds(client: &mut Client, body: &Value, expected: &Value) {
    let result = client.post(GROUPS, body).result();
    let groups = result["groups"].as_array().expect("a list of groups");
    let group = |group: &Value| {
        let hits = group["hits"].as_array().expect("a list of hits").iter();
        json!([group["id"], hits.map(|hit| hit["id"].clone()).collect::<Vec<_>>()])
    };
    let found = Value::Array(groups.iter().map(group).collect());
    assert_eq!(found, *expected, "{body}");
}

#[test]
fn hits_are_grouped_best_first() {
    let server = Server::start();
    let mut client = server.client();
    documents(&mut client);
    let with = |field: &str, value: Value| {
        let mut body = json!({"query": [0], "group_by": "document", "group_size": 2});
        body[field] = value;
        body
    };
    finds(
        &mut client,
        &with("limit", json!(10)),
        &json!([[1, [0, 1]], ["first", [0]], [2, [3, 5]], [-1, [6]]]),
    );
    finds(
        &mut client,
        &with("limit", json!(2)),
        &json!([[1, [0, 1]], ["first", [0]]]),
    );
    finds(
        &mut client,
        &with(
            "filter",
            json!({"must": {"key": "document", "match": {"except": [1]}}}),
        ),
        &json!([[1, [0]], ["first", [0]], [2, [3, 5]], [-1, [6]]]),
    );
    finds(
        &mut client,
        &with("score_threshold", json!(1.5)),
        &json!([[1, [0, 1]], ["first", [0]]]),
    );
    finds(
        &mut client,
        &with("prefetch", json!({"query": [5], "limit": 1})),
        &json!([[1, [0, 1]], ["first", [0]], [2, [3, 5]], [-1, [6]]]),
    );
    // A fusion is of what its prefetches find at first.
    let mut fused = with("prefetch", json!({"query": [5], "limit": 1}));
    fused["query"] = json!({"fusion": "rrf"});
    finds(&mut client, &fused, &json!([[2, [5]]]));
    let group = client
        .post(GROUPS, &with("with_payload", json!(["document"])))
        .result();
    assert_eq!(
        group["groups"][1]["hits"][0]["payload"],
        json!({"document": [1, "first"]})
    );
    assert_eq!(group["groups"][1]["hits"][0].get("vector"), None);
}

#[test]
fn groups_are_looked_up_where_the_credential_reaches() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let limited = ["--permission", "data:read", "--collection", "c"];
    let limited = directory.token("limited", &limited);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    documents(&mut client);
    let body =
        |lookup: Value| json!({"query": [0], "group_by": "document", "limit": 3, "with_lookup": lookup});
    let mut lookups = |lookup: Value| {
        let result = client.post(GROUPS, &body(lookup)).result();
        let groups = result["groups"].as_array().expect("a list of groups").iter();
        Value::Array(groups.map(|group| group["lookup"].clone()).collect())
    };
    let whole = json!({"id": 1, "payload": {"title": "one", "year": 1}});
    assert_eq!(lookups(json!("documents")), json!([whole, null, null]));
    let selected = json!({"collection": "documents", "with_payload": ["title"], "with_vectors": true});
    assert_eq!(
        lookups(selected)[0],
        json!({"id": 1, "payload": {"title": "one"}, "vector": [0.0]})
    );
    let refused = |token: &str, lookup: Value| server.client_with(token).post(GROUPS, &body(lookup)).status;
    assert_eq!(refused(&limited, json!("documents")), 403);
    assert_eq!(refused(&limited, json!("c")), 200);
    assert_eq!(refused(&admin, json!("nowhere")), 404);
}

#[test]
fn a_search_in_groups_is_one_query() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    documents(&mut client);
    let _warm = Page::scrape(&mut scraper);
    let ask = || {
        let body = json!({"query": [0], "group_by": "document", "group_size": 4, "limit": 1});
        client.post(GROUPS, &body).result();
    };
    let moves = [
        (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
        // All, and again with those that are in the group, which might have had a fourth hit.
        (r#"omendb_engine_distance_computations_total{db_id="c"}"#, 16.0),
        (r#"omendb_engine_filter_rejected_total{db_id="c"}"#, 5.0),
        (r#"omendb_engine_bytes_touched_total{db_id="c"}"#, 16.0 * 4.0),
    ];
    let request = ["POST", "/collections/:collection/points/query/groups", "200"];
    check(&mut scraper, request, ask, &[&moves]);
}
