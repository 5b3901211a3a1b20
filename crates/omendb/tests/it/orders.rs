//! Points in order of a payload key, and points drawn by chance, over HTTP.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::Server;

const SCROLL: &str = "/collections/c/points/scroll";
const QUERY: &str = "/collections/c/points/query";

/// Five points, three of them with years, one of which has two, and an index of those.
fn filled() -> Server {
    let server = Server::start();
    let mut client = server.client();
    let config = json!({"vectors": {"size": 1, "distance": "Dot"}});
    client.put("/collections/c", &config).result();
    let years = [
        json!(1999),
        json!([2003, 1987]),
        json!("1990"),
        json!(2003),
        json!(null),
    ];
    let point = |(id, year): (usize, &Value)| json!({"id": id, "vector": [id], "payload": {"year": year}});
    let points: Vec<_> = years.iter().enumerate().map(point).collect();
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    for (key, kind) in [("year", "integer"), ("name", "keyword")] {
        let index = json!({"field_name": key, "field_schema": kind});
        client.put("/collections/c/index?wait=true", &index).result();
    }
    server
}

fn values(result: &Value) -> Value {
    let points = result["points"].as_array().expect("a list of points").iter();
    Value::Array(
        points
            .map(|point| json!([point["id"], point["order_value"]]))
            .collect(),
    )
}

#[track_caller]
fn scrolls(client: &mut Client, body: &Value, expected: &Value) {
    let result = client.post(SCROLL, body).result();
    assert_eq!(values(&result), *expected, "{body}");
    assert_eq!(result["next_page_offset"], Value::Null);
}

#[test]
fn pages_are_in_order_of_a_payload_key() {
    let server = filled();
    let mut client = server.client();
    scrolls(
        &mut client,
        &json!({"order_by": "year"}),
        &json!([[1, 1987], [0, 1999], [1, 2003], [3, 2003]]),
    );
    scrolls(
        &mut client,
        &json!({"order_by": {"key": "year", "direction": "desc", "start_from": 2000}, "limit": 2}),
        &json!([[0, 1999], [1, 1987]]),
    );
    scrolls(
        &mut client,
        &json!({"order_by": {"key": "year", "start_from": 1999}, "filter": {"must_not": {"has_id": [0]}}, "with_payload": false}),
        &json!([[1, 2003], [3, 2003]]),
    );
    let query = json!({"query": {"order_by": {"key": "year", "direction": "desc"}}, "limit": 2, "offset": 1});
    let result = client.post(QUERY, &query).result();
    assert_eq!(values(&result), json!([[1, 2003], [0, 1999]]));
    assert_eq!(result["points"][0]["score"], 1.0);
    // Behind a prefetch only what that found is in order.
    let behind = json!({"query": {"order_by": "year"}, "prefetch": {"query": [1], "limit": 2, "filter": {"must_not": {"has_id": [4]}}}});
    assert_eq!(values(&client.post(QUERY, &behind).result()), json!([[3, 2003]]));
}

#[test]
fn orders_that_cannot_be_are_refused() {
    let server = filled();
    let mut client = server.client();
    let mut refused = |path: &str, body: Value, part: &str| {
        let answer = client.post(path, &body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.error().contains(part), "{body}: {}", answer.text());
    };
    refused(
        SCROLL,
        json!({"order_by": "name"}),
        "order_by: key \"name\" has no index",
    );
    refused(
        QUERY,
        json!({"query": {"order_by": "other"}}),
        "order_by: key \"other\" has no index",
    );
    refused(
        SCROLL,
        json!({"order_by": "year", "offset": 3}),
        "offset 3: with order_by",
    );
    refused(
        SCROLL,
        json!({"order_by": {"key": "year", "from": 3}}),
        "order_by.from: unknown field",
    );
    refused(
        QUERY,
        json!({"query": {"sample": "all"}}),
        "query.sample: unknown variant `all`",
    );
}

#[test]
fn a_sample_is_drawn_anew_and_is_one_query() {
    let server = filled();
    let (mut client, mut scraper) = (server.client(), server.client());
    let _warm = Page::scrape(&mut scraper);
    let body = json!({"query": {"sample": "random"}, "limit": 4, "filter": {"must_not": {"has_id": [2]}}});
    let mut sample = || {
        let result = client.post(QUERY, &body).result();
        let points = result["points"].as_array().expect("a list of points").iter();
        points.map(|point| point["id"].as_u64()).collect::<Vec<_>>()
    };
    let mut first = Vec::new();
    let moves = [
        (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
        (r#"omendb_engine_filter_rejected_total{db_id="c"}"#, 1.0),
    ];
    let request = ["POST", "/collections/:collection/points/query", "200"];
    check(&mut scraper, request, || first = sample(), &[&moves]);
    // One order of 24 in fifty tries: once in 10^69 by chance alone.
    assert!((0..50).any(|_| sample() != first), "always {first:?}");
    first.sort_unstable();
    assert_eq!(first, [0, 1, 3, 4].map(Some));
}
