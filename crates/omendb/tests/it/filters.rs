//! Filters and payload changes over HTTP: what passes is what is found, counted, scrolled, changed and deleted.

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};

/// `{"n": {"lt": bound}}` of the points of [`upsert`].
fn below(bound: u64) -> Value {
    json!({"must": [{"key": "n", "range": {"lt": bound}}]})
}

fn ids(result: &Value) -> Vec<u64> {
    let points = result["points"].as_array().expect("a list of points");
    points.iter().filter_map(|point| point["id"].as_u64()).collect()
}

fn count(client: &mut Client, filter: &Value) -> u64 {
    let counted = client.post("/collections/c/points/count", &json!({"filter": filter}));
    counted.result()["count"].as_u64().expect("a count")
}

fn change(client: &mut Client, method: &str, path: &str, body: &Value) -> Value {
    let path = format!("/collections/c/points/{path}?wait=true");
    let headers = [("content-type", "application/json")];
    let response = client.send(method, &path, &headers, body.to_string().as_bytes());
    response.result()
}

fn payload(client: &mut Client, id: u64) -> Value {
    client.get(&format!("/collections/c/points/{id}")).result()["payload"].clone()
}

#[test]
fn what_passes_is_found_counted_and_scrolled() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..100);
    let before = server.scrape();
    let nearest = json!({"query": [1, 0, 0, 0], "limit": 3, "filter": below(50)});
    let found = client.post("/collections/c/points/query", &nearest).result();
    assert_eq!(ids(&found), [49, 48, 47]);
    let native = json!({"db_id": "c", "vector": [1, 0, 0, 0], "k": 2, "explain": true,
        "filter": {"must_not": [below(10), {"has_id": [99]}]}});
    let answer = client.post("/query", &native).json();
    assert_eq!(answer["hits"][0]["id"], 98, "{answer}");
    assert_eq!(answer["explain"]["plan"], "filtered_scan", "{answer}");
    let rejected = answer["explain"]["filter_rejected"].as_f64().expect("a number");
    assert!(rejected >= 11.0, "{answer}");
    let moved = server.scrape().since(&before);
    let family = r#"omendb_engine_filter_rejected_total{db_id="c"}"#;
    assert!(moved[family] >= rejected, "{moved:?}");
    assert_eq!(moved[r#"omendb_query_stage_seconds_count{stage="filter"}"#], 2.0);

    assert_eq!(count(&mut client, &below(50)), 50);
    assert_eq!(count(&mut client, &json!({})), 100);
    let page = json!({"limit": 4, "offset": 5, "filter": {"must": {"key": "n", "match": {"any": [3, 5, 6, 8, 9, 70]}}}});
    let page = client.post("/collections/c/points/scroll", &page).result();
    assert_eq!(ids(&page), [5, 6, 8, 9]);
    assert_eq!(page["next_page_offset"], 70);
    let listed = json!({"limit": 2, "offset": 1, "filter": {"must": [{"key": "n", "range": {"gte": 30}}]}});
    let listed = client.post("/collections/c/points/query", &listed).result();
    assert_eq!(ids(&listed), [31, 32]);
}

#[test]
fn payloads_are_changed_and_points_deleted_by_filter_and_both_survive_a_kill() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..20);
    let set = json!({"payload": {"tag": {"a": 1}}, "filter": below(10)});
    let outcome = change(&mut client, "POST", "payload", &set);
    assert_eq!(outcome["status"], "completed", "{outcome}");
    let nested = json!({"payload": {"b": 2}, "key": "tag", "points": [3]});
    change(&mut client, "POST", "payload", &nested);
    assert_eq!(payload(&mut client, 3), json!({"n": 3, "tag": {"a": 1, "b": 2}}));
    change(
        &mut client,
        "PUT",
        "payload",
        &json!({"payload": {"new": true}, "points": [4]}),
    );
    change(
        &mut client,
        "POST",
        "payload/delete",
        &json!({"keys": ["tag.a"], "filter": below(4)}),
    );
    change(&mut client, "POST", "payload/clear", &json!({"points": [5]}));
    change(
        &mut client,
        "POST",
        "delete",
        &json!({"filter": {"must": {"key": "n", "range": {"gte": 15}}}}),
    );

    let unknown = json!({"payload": {"x": 1}, "points": [0, 777]});
    let refused = client.post("/collections/c/points/payload?wait=true", &unknown);
    assert_eq!(refused.status, 404);
    assert!(refused.error().contains("777"), "{}", refused.error());

    let check = |client: &mut Client| {
        assert_eq!(count(client, &json!({})), 15);
        assert_eq!(payload(client, 0), json!({"n": 0, "tag": {}}));
        assert_eq!(payload(client, 3), json!({"n": 3, "tag": {"b": 2}}));
        assert_eq!(payload(client, 4), json!({"new": true}));
        assert_eq!(payload(client, 5), json!({}));
        assert_eq!(payload(client, 9), json!({"n": 9, "tag": {"a": 1}}));
        assert_eq!(payload(client, 12), json!({"n": 12}));
        assert_eq!(
            count(client, &json!({"must_not": {"is_empty": {"key": "tag.a"}}})),
            4
        );
    };
    check(&mut client);
    let directory = server.kill();
    check(&mut Server::start_in(&directory, &[]).client());
}

#[test]
fn an_index_is_built_described_used_and_comes_back_after_a_kill() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    for start in (0..4_000).step_by(1_000) {
        upsert(&mut client, "c", start..start + 1_000);
    }
    let index = json!({"field_name": "n", "field_schema": {"type": "integer", "lookup": true}});
    let outcome = client.put("/collections/c/index?wait=true", &index).result();
    assert_eq!(outcome["status"], "completed", "{outcome}");
    let described = json!({"n": {"data_type": "integer", "points": 4_000}});
    let search = |client: &mut Client| {
        let body =
            json!({"db_id": "c", "vector": [1, 0, 0, 0], "k": 3, "explain": true, "filter": below(300)});
        let answer = client.post("/query", &body).json();
        let hits = answer["hits"].as_array().expect("hits");
        let ids: Vec<_> = hits.iter().filter_map(|hit| hit["id"].as_u64()).collect();
        assert_eq!(ids, [299, 298, 297], "{answer}");
        assert_eq!(client.get("/collections/c").result()["payload_schema"], described);
        answer["explain"].clone()
    };
    let until_indexed = |client: &mut Client| {
        let begin = std::time::Instant::now();
        loop {
            let explain = search(client);
            let candidates = explain["filter_candidates"].as_u64().expect("a number");
            if explain["plan"] == "indexed_scan" && candidates < 600 {
                break;
            }
            assert!(begin.elapsed() < std::time::Duration::from_secs(30), "{explain}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    until_indexed(&mut client);
    let held = r#"omendb_engine_memory_component_bytes{component="payload_index",db_id="c"}"#;
    assert!(server.scrape().value(held) > 0.0);

    let directory = server.kill();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    until_indexed(&mut client);
    client.delete("/collections/c/index/n?wait=true").result();
    assert_eq!(client.get("/collections/c").result()["payload_schema"], json!({}));
    let refused = client.put(
        "/collections/c/index",
        &json!({"field_name": "a..b", "field_schema": "bool"}),
    );
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("a..b"), "{}", refused.error());
}

#[test]
fn several_writes_take_effect_together() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..5);
    let operations = json!({"operations": [
        {"upsert": {"points": [{"id": 7, "vector": [1, 2, 3, 4]}]}},
        {"set_payload": {"payload": {"tag": 1}, "points": [1, 7]}},
        {"overwrite_payload": {"payload": {"new": 2}, "points": [2]}},
        {"delete_payload": {"keys": ["n"], "points": [3]}},
        {"clear_payload": {"points": [4]}},
        {"delete": {"points": [0]}},
    ]});
    let results = change(&mut client, "POST", "batch", &operations);
    let results = results.as_array().expect("a list of results");
    assert_eq!(results.len(), 6);
    assert!(
        results.iter().all(|result| result["status"] == "completed"),
        "{results:?}"
    );
    assert_eq!(count(&mut client, &json!({})), 5);
    let payloads = [1, 2, 3, 4, 7].map(|id| payload(&mut client, id));
    let expected = [
        json!({"n": 1, "tag": 1}),
        json!({"new": 2}),
        json!({}),
        json!({}),
        json!({"tag": 1}),
    ];
    assert_eq!(payloads, expected);

    // The second is wrong, so the first is not carried out.
    let wrong = json!({"operations": [{"delete": {"points": [1]}}, {"set_payload": {"payload": {}, "points": [999]}}]});
    let refused = client.post("/collections/c/points/batch?wait=true", &wrong);
    assert_eq!(refused.status, 404, "{}", refused.error());
    assert_eq!(count(&mut client, &json!({})), 5);
}
