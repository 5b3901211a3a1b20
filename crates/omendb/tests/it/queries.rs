//! Queries by examples, by fusion and in batches over HTTP: what they find is what their formulas say.

use serde_json::{Value, json};

use crate::exactly::check;
use crate::page::Page;
use crate::server::{Server, create_collection, finds, upsert};

const QUERY: &str = "/collections/c/points/query";
const BATCH: &str = "/collections/c/points/query/batch";

/// Five points on a line, compared by their places: 0, 1, 2, 4 and 8.
fn on_a_line() -> Server {
    let server = Server::start();
    let mut client = server.client();
    let config = json!({"vectors": {"size": 1, "distance": "Manhattan"}});
    client.put("/collections/c", &config).result();
    let point = |(id, at): (usize, &u32)| json!({"id": id, "vector": [at], "payload": {"at": at}});
    let points: Vec<_> = [0, 1, 2, 4, 8].iter().enumerate().map(point).collect();
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    server
}

#[test]
fn examples_decide_what_is_found() {
    let server = on_a_line();
    let mut client = server.client();
    // Twice 1.5 less 2 is 1; the examples are no hits.
    let average = json!({"positive": [1, 2], "negative": [[2]]});
    finds(
        &mut client,
        &json!({"query": {"recommend": average}, "limit": 2}),
        &[(0, 1.0), (3, 3.0)],
    );
    // Each is nearer to 1 than to 8, and the distance to 1 makes the score: halves, quarters, eighths.
    let best = json!({"positive": [[1]], "negative": [4], "strategy": "best_score"});
    finds(
        &mut client,
        &json!({"query": {"recommend": best}, "filter": {"must": {"key": "at", "range": {"gt": 0}}}}),
        &[(1, 0.5), (2, 0.25), (3, 0.125)],
    );
    let sums = json!({"positive": [[0], [2]], "negative": [4], "strategy": "sum_scores"});
    finds(
        &mut client,
        &json!({"query": {"recommend": sums}, "limit": 2, "score_threshold": 5.5}),
        &[(0, 6.0)],
    );
    let pair = json!({"positive": 0, "negative": 3});
    // 1 is on the positive side, 2 in the middle and 8 on the other.
    finds(
        &mut client,
        &json!({"query": {"discover": {"target": [3], "context": pair}}}),
        &[(1, 7.0 / 6.0), (2, 0.25), (4, -11.0 / 12.0)],
    );
    finds(
        &mut client,
        &json!({"query": {"context": [pair]}, "offset": 1}),
        &[(2, 0.0), (4, -0.8)],
    );
    // Twice the distance to 0, negated, and as much more as 8 is nearer than 2, which is less relevant.
    let feedback = |strategy: Value| {
        let examples = json!([{"example": 4, "score": 0.75}, {"example": 2, "score": 0.25}]);
        json!({"query": {"relevance_feedback": {"target": [0], "feedback": examples, "strategy": strategy}}})
    };
    finds(
        &mut client,
        &feedback(json!({"naive": {"a": 2, "b": 1, "c": 3}})),
        &[(0, -9.0), (1, -11.0), (3, -11.0)],
    );
    let mut few = feedback(json!({"naive": {"a": -1, "b": 2, "c": 0}}));
    few["score_threshold"] = json!(3.5);
    finds(&mut client, &few, &[(3, 4.0)]);
    let overflowing = client.post(QUERY, &feedback(json!({"naive": {"a": 1, "b": -1000, "c": 1}})));
    assert_eq!(overflowing.status, 400, "{}", overflowing.text());
    assert!(
        overflowing.error().contains("b = -1000"),
        "{}",
        overflowing.text()
    );
}

#[test]
fn diverse_hits_are_far_from_one_another() {
    let server = on_a_line();
    let mut client = server.client();
    let mmr = |diversity: f64| json!({"query": {"nearest": [0], "mmr": {"diversity": diversity, "candidates_limit": 5}}, "limit": 3});
    finds(&mut client, &mmr(0.0), &[(0, 0.0), (1, 1.0), (2, 2.0)]);
    // Only what is far from those before counts: after 0 and 8 that is 4.
    finds(&mut client, &mmr(1.0), &[(0, 0.0), (4, 8.0), (3, 4.0)]);
}

#[test]
fn prefetches_are_ranked_anew_or_fused() {
    let server = on_a_line();
    let mut client = server.client();
    let near_0 = json!({"query": [0], "limit": 2});
    let near_2 = json!({"query": [2], "limit": 2});
    finds(
        &mut client,
        &json!({"query": [8], "prefetch": [near_0, near_2]}),
        &[(2, 6.0), (1, 7.0), (0, 8.0)],
    );
    // The filter of the query holds for its prefetches.
    finds(
        &mut client,
        &json!({"query": [8], "prefetch": near_0, "filter": {"must_not": {"has_id": [0]}}}),
        &[(2, 6.0), (1, 7.0)],
    );
    finds(
        &mut client,
        &json!({"query": {"fusion": "rrf"}, "prefetch": [near_0, near_2], "limit": 2}),
        &[(1, 2.0 / 3.0), (0, 0.5)],
    );
    finds(
        &mut client,
        &json!({"query": {"fusion": "dbsf"}, "prefetch": [{"query": [0], "limit": 1}, {"limit": 1}]}),
        &[(0, 1.0)],
    );
}

#[test]
fn a_batch_is_answered_in_order_from_one_snapshot_and_counted() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..10);
    let _warm = Page::scrape(&mut scraper);
    let body =
        json!({"searches": [{"query": [1, 0, 0, 0], "limit": 2}, {"query": 3, "limit": 1}, {"limit": 1}]});
    let ask = || {
        let results = client.post(BATCH, &body).result();
        let results = results.as_array().expect("a list of results");
        let counts: Vec<_> = results
            .iter()
            .map(|result| result["points"].as_array().map(Vec::len))
            .collect();
        assert_eq!(counts, [Some(2), Some(1), Some(1)]);
        assert_eq!(results[2]["points"][0]["id"], 0);
        assert_eq!(results[2]["points"][0]["score"], 1.0);
        let versions = results.iter().map(|result| &result["points"][0]["version"]);
        assert!(
            versions.eq([&results[0]["points"][0]["version"]; 3]),
            "{results:?}"
        );
    };
    let moves = [
        ("omendb_engine_batch_queries_count", 1.0),
        ("omendb_engine_batch_queries_sum", 3.0),
        (r#"omendb_engine_queries_total{db_id="c"}"#, 3.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 3.0),
        (r#"omendb_engine_distance_computations_total{db_id="c"}"#, 20.0),
        (r#"omendb_engine_bytes_touched_total{db_id="c"}"#, 20.0 * 16.0),
    ];
    let request = ["POST", "/collections/:collection/points/query/batch", "200"];
    check(&mut scraper, request, ask, &[&moves]);
}
