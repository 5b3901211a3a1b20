//! Queries that read more than vectors, over HTTP: formulas, examples of other collections, facets, distance matrices.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, finds};

const QUERY: &str = "/collections/c/points/query";
const BATCH: &str = "/collections/c/points/query/batch";
const FACET: &str = "/collections/c/facet";
const PAIRS: &str = "/collections/c/points/search/matrix/pairs";
const OFFSETS: &str = "/collections/c/points/search/matrix/offsets";

/// Points at 0, 1, 2, 4 and 8, and in `other` one at 3 under the id 1.
fn fill(client: &mut Client) {
    for name in ["c", "other"] {
        let config = json!({"vectors": {"size": 1, "distance": "Manhattan"}});
        client.put(&format!("/collections/{name}"), &config).result();
    }
    let tags = [
        json!("a"),
        json!(["b", "a", "a"]),
        json!(["c"]),
        json!(7),
        json!("b"),
    ];
    let point = |(id, at): (usize, &u32)| json!({"id": id, "vector": [at], "payload": {"at": at, "tag": tags[id], "weight": if id == 2 { json!(null) } else { json!([id]) }}});
    let points: Vec<_> = [0, 1, 2, 4, 8].iter().enumerate().map(point).collect();
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    let other = json!({"points": [{"id": 1, "vector": [3]}]});
    client.put("/collections/other/points?wait=true", &other).result();
    for (key, kind) in [("tag", "keyword"), ("at", "integer"), ("weight", "float")] {
        let index = json!({"field_name": key, "field_schema": kind});
        client.put("/collections/c/index?wait=true", &index).result();
    }
}

fn filled() -> Server {
    let server = Server::start();
    fill(&mut server.client());
    server
}

#[track_caller]
fn refused(client: &mut Client, path: &str, body: &Value, (status, part): (u16, &str)) {
    let answer = client.post(path, body);
    assert_eq!(answer.status, status, "{body}: {}", answer.text());
    assert!(answer.error().contains(part), "{body}: {}", answer.text());
}

#[test]
fn formulas_score_what_prefetches_found() {
    let server = filled();
    let mut client = server.client();
    let near = |at: u32| json!({"query": [at], "limit": 2});
    let with = |formula: Value| json!({"query": {"formula": formula}, "prefetch": [near(0), near(2)]});
    // 0 and 1 by the first, 2 and 1 by the second: what a prefetch did not find has no score by it.
    finds(
        &mut client,
        &with(json!({"sum": [{"mult": [10, "$score[1]"]}, "$score", "at"]})),
        &[(1, 12.0), (2, 2.0), (0, 0.0)],
    );
    let boosted = json!({"sum": [1, {"key": "tag", "match": {"value": "c"}}]});
    finds(&mut client, &with(boosted), &[(2, 2.0), (0, 1.0), (1, 1.0)]);
    let mut defaulted = with(json!({"neg": "missing"}));
    refused(&mut client, QUERY, &defaulted, (400, "no value of missing"));
    defaulted["query"]["defaults"] = json!({"missing": 3});
    defaulted["score_threshold"] = json!(-3.5);
    defaulted["limit"] = json!(2);
    finds(&mut client, &defaulted, &[(0, -3.0), (1, -3.0)]);
    // A null is a value, and none for a formula.
    refused(&mut client, QUERY, &with(json!("weight")), (400, "is no number"));
    refused(
        &mut client,
        QUERY,
        &json!({"query": {"formula": 1}}),
        (400, "formula: there is no prefetch"),
    );
    refused(
        &mut client,
        QUERY,
        &with(json!({"ln": 0})),
        (400, "the expression ln(0) produced a non-finite number"),
    );
    refused(
        &mut client,
        QUERY,
        &with(json!({"cube": 1})),
        (400, "query.formula"),
    );
    // The same in a batch, and behind another query.
    let batch =
        json!({"searches": [with(json!("at")), {"query": [0], "prefetch": with(json!(1)), "limit": 1}]});
    let results = client.post(BATCH, &batch).result();
    assert_eq!(
        (&results[0]["points"][0]["id"], &results[1]["points"][0]["id"]),
        (&json!(2), &json!(0))
    );
}

#[test]
fn examples_are_looked_up_where_the_credential_reaches() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let limited = ["--permission", "data:read", "--collection", "c"];
    let limited = directory.token("limited", &limited);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    fill(&mut client);
    let from = |collection: &str| json!({"collection": collection});
    let body = |collection: &str| json!({"query": 1, "limit": 2, "lookup_from": from(collection)});
    // The point 1 of the other collection is at 3; here it may be a hit, where it is looked up here it may not.
    finds(&mut client, &body("other"), &[(2, 1.0), (3, 1.0)]);
    finds(&mut client, &body("c"), &[(0, 1.0), (2, 1.0)]);
    let best = json!({"query": {"recommend": {"positive": [1], "negative": [[8]], "strategy": "sum_scores"}},
        "lookup_from": from("other"), "limit": 1, "filter": {"must": {"has_id": [1, 4]}}});
    finds(&mut client, &best, &[(1, 5.0)]);
    let behind = json!({"query": [0], "prefetch": body("other")});
    finds(&mut client, &behind, &[(2, 2.0), (3, 4.0)]);

    refused(&mut client, QUERY, &body("nowhere"), (404, "nowhere"));
    let named = json!({"query": 1, "lookup_from": {"collection": "other", "vector": "image"}});
    refused(&mut client, QUERY, &named, (400, "image"));
    let unknown = json!({"query": 7, "lookup_from": from("other")});
    refused(
        &mut client,
        QUERY,
        &unknown,
        (404, "no point with id 7 found in collection \"other\""),
    );
    let mut client = server.client_with(&limited);
    for body in [body("other"), body("nowhere"), behind.clone()] {
        refused(&mut client, QUERY, &body, (403, "does not reach collection"));
        let batch = json!({"searches": [body]});
        refused(&mut client, BATCH, &batch, (403, "does not reach collection"));
    }
    let mut grouped = body("other");
    grouped["group_by"] = json!("tag");
    refused(
        &mut client,
        "/collections/c/points/query/groups",
        &grouped,
        (403, "does not reach collection"),
    );
    finds(&mut client, &body("c"), &[(0, 1.0), (2, 1.0)]);
}

#[test]
fn facets_count_the_points_that_have_a_value() {
    let server = filled();
    let (mut client, mut scraper) = (server.client(), server.client());
    let _warm = Page::scrape(&mut scraper);
    let mut hits = |body: Value| client.post(FACET, &body).result()["hits"].clone();
    let hit = |value: Value, count: u64| json!({"value": value, "count": count});
    let all = [hit(json!("a"), 2), hit(json!("b"), 2), hit(json!("c"), 1)];
    let mut found = Value::Null;
    let moves = [
        (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
    ];
    let request = ["POST", "/collections/:collection/facet", "200"];
    check(
        &mut scraper,
        request,
        || found = hits(json!({"key": "tag"})),
        &[&moves],
    );
    assert_eq!(found, json!(all));
    assert_eq!(
        hits(json!({"key": "tag", "limit": 1, "exact": true})),
        json!(all[..1])
    );
    let above = json!({"must": {"key": "at", "range": {"gt": 0}}});
    assert_eq!(
        hits(json!({"key": "tag", "filter": above})),
        json!([hit(json!("b"), 2), hit(json!("a"), 1), hit(json!("c"), 1)])
    );
    assert_eq!(
        hits(json!({"key": "at", "limit": 2})),
        json!([hit(json!(0), 1), hit(json!(1), 1)])
    );
    let mut client = server.client();
    refused(
        &mut client,
        FACET,
        &json!({"key": "weight"}),
        (400, "key \"weight\" has no index of kind keyword"),
    );
    refused(&mut client, FACET, &json!({"key": "none"}), (400, "key \"none\""));
    refused(
        &mut client,
        FACET,
        &json!({"key": "tag", "limit": 0}),
        (422, "limit: `0`"),
    );
    refused(
        &mut client,
        FACET,
        &json!({"limit": 1}),
        (400, "missing field `key`"),
    );
    refused(
        &mut client,
        FACET,
        &json!({"key": "tag", "by": 1}),
        (400, "unknown field `by`"),
    );
}

#[test]
fn matrices_have_the_nearest_others_of_each_point_of_a_sample() {
    let server = filled();
    let (mut client, mut scraper) = (server.client(), server.client());
    let _warm = Page::scrape(&mut scraper);
    let body = json!({"sample": 10, "limit": 2, "filter": {"must_not": {"has_id": [1]}}});
    let mut found = Value::Null;
    let moves = [
        (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
        (r#"omendb_engine_filter_rejected_total{db_id="c"}"#, 1.0),
        // Four points, each with three others.
        (r#"omendb_engine_distance_computations_total{db_id="c"}"#, 12.0),
        (r#"omendb_engine_bytes_touched_total{db_id="c"}"#, 12.0 * 4.0),
    ];
    let request = [
        "POST",
        "/collections/:collection/points/search/matrix/offsets",
        "200",
    ];
    let ask = || found = client.post(OFFSETS, &body).result();
    check(&mut scraper, request, ask, &[&moves]);
    // At 0, 2, 4 and 8.
    let expected = json!({"ids": [0, 2, 3, 4], "offsets_row": [0, 0, 1, 1, 2, 2, 3, 3], "offsets_col": [1, 2, 0, 2, 1, 0, 2, 1],
        "scores": [2.0, 4.0, 2.0, 2.0, 2.0, 4.0, 4.0, 6.0]});
    assert_eq!(found, expected);
    let pairs = client.post(PAIRS, &body).result();
    assert_eq!(pairs["pairs"][7], json!({"a": 4, "b": 2, "score": 6.0}));
    assert_eq!(pairs["pairs"].as_array().map(Vec::len), Some(8));
    let drawn = client.post(OFFSETS, &json!({"sample": 2})).result();
    assert_eq!(
        (drawn["ids"].as_array().map(Vec::len), &drawn["offsets_col"]),
        (Some(2), &json!([1, 0]))
    );
    let one = json!({"filter": {"must": {"has_id": [1]}}});
    assert_eq!(client.post(PAIRS, &one).result(), json!({"pairs": []}));
    refused(
        &mut client,
        PAIRS,
        &json!({"sample": 1}),
        (422, "sample: `1` is not at least 2"),
    );
    refused(
        &mut client,
        PAIRS,
        &json!({"sample": 100_000}),
        (400, "sample 100000: more than"),
    );
    refused(&mut client, OFFSETS, &json!({"limit": 0}), (422, "limit: `0`"));
    refused(&mut client, OFFSETS, &json!({"using": "image"}), (400, "image"));
}
