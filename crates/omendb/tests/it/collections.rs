//! The dialect end to end: what is written is what is read, searched, counted and scrolled.

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Server, create_collection, upsert};

const UUID: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

fn ids(points: &Value) -> Vec<Value> {
    let points = points
        .as_array()
        .unwrap_or_else(|| unreachable!("no list of points: {points}"));
    points.iter().map(|point| point["id"].clone()).collect()
}

fn query(client: &mut Client, body: &Value) -> Value {
    client.post("/collections/c/points/query", body).result()["points"].clone()
}

#[test]
fn collections_are_created_listed_described_and_deleted() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.get("/collections").result(), json!({"collections": []}));
    create_collection(&mut client, "c", "Cosine");
    let named = json!({"vectors": {"image": {"size": 2, "distance": "Euclid"}, "text": {"size": 3, "distance": "Manhattan"}}});
    assert_eq!(client.put("/collections/named", &named).result(), json!(true));

    assert_eq!(
        client.get("/collections").result(),
        json!({"collections": [{"name": "c"}, {"name": "named"}]})
    );
    assert_eq!(
        client.get("/collections/c/exists").result(),
        json!({"exists": true})
    );
    assert_eq!(
        client.get("/collections/d/exists").result(),
        json!({"exists": false})
    );
    let info = client.get("/collections/c").result();
    assert_eq!(info["status"], "green", "{info}");
    assert_eq!(info["points_count"], 0, "{info}");
    assert_eq!(
        info["config"]["params"]["vectors"],
        json!({"size": 4, "distance": "Cosine"}),
        "{info}"
    );
    let info = client.get("/collections/named").result();
    assert_eq!(info["config"]["params"]["vectors"], named["vectors"], "{info}");

    assert_eq!(client.delete("/collections/c").result(), json!(true));
    assert_eq!(
        client.get("/collections/c/exists").result(),
        json!({"exists": false})
    );
    assert_eq!(client.get("/collections/c").status, 404);
    // The name is free again, and what it held is gone.
    create_collection(&mut client, "c", "Dot");
    assert_eq!(client.get("/collections/c").result()["points_count"], 0);
}

#[test]
fn points_come_back_as_they_were_written() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let payload = json!({
        "name": "zlib1g", "size": 18446744073709551615_u64, "offset": -7, "ratio": 0.1, "essential": false, "none": null,
        "tags": ["role::shared-lib", 2, [], {}], "nested": {"a": {"b": "c\u{0}\u{1F600}\"\\"}}, "": "empty key"
    });
    let points = json!([
        {"id": 7, "vector": [1.5, -2.25, 0.1, 3.4e38], "payload": payload},
        {"id": UUID, "vector": [0, 0, 0, 1]},
        {"id": 18446744073709551615_u64, "vector": [1, 1e-40, 0, 0], "payload": {}},
    ]);
    let upserted = client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    assert_eq!(upserted["status"], "completed", "{upserted}");

    let one = client.get("/collections/c/points/7").result();
    assert_eq!(one["payload"], payload, "{one}");
    let vector: Vec<f32> = serde_json::from_value(one["vector"].clone()).unwrap();
    assert_eq!(vector, [1.5, -2.25, 0.1, 3.4e38]);
    assert_eq!(
        client.get(&format!("/collections/c/points/{UUID}")).result()["id"],
        UUID
    );

    let asked =
        json!({"ids": [18446744073709551615_u64, 99, 7], "with_payload": ["name"], "with_vector": false});
    let several = client.post("/collections/c/points", &asked).result();
    let mut found = ids(&several);
    found.sort_by_key(Value::as_u64);
    assert_eq!(
        found,
        [json!(7), json!(18446744073709551615_u64)],
        "a missing id is left out"
    );
    let seven = several
        .as_array()
        .unwrap()
        .iter()
        .find(|point| point["id"] == 7)
        .unwrap();
    assert_eq!(seven["payload"], json!({"name": "zlib1g"}));
    assert!(seven["vector"].is_null(), "{seven}");

    // An upsert replaces the whole point.
    let again = json!({"points": [{"id": 7, "vector": [0, 0, 0, 2], "payload": {"new": 1}}]});
    client.put("/collections/c/points?wait=true", &again).result();
    let one = client.get("/collections/c/points/7").result();
    assert_eq!(
        (&one["payload"], &one["vector"]),
        (&json!({"new": 1}), &json!([0.0, 0.0, 0.0, 2.0]))
    );
    assert_eq!(
        client
            .post("/collections/c/points/count", &json!({"exact": true}))
            .result(),
        json!({"count": 3})
    );

    client
        .post(
            "/collections/c/points/delete?wait=true",
            &json!({"points": [7, UUID, 12345]}),
        )
        .result();
    assert_eq!(client.get("/collections/c/points/7").status, 404);
    assert_eq!(
        client.post("/collections/c/points/count", &json!({})).result(),
        json!({"count": 1})
    );
    assert_eq!(client.get("/collections/c").result()["points_count"], 1);
}

#[test]
fn each_distance_orders_and_scores_its_own_way() {
    let points = json!([
        {"id": 1, "vector": [1, 0, 0, 0]},
        {"id": 2, "vector": [3, 4, 0, 0]},
        {"id": 3, "vector": [-2, 0, 0, 0]},
    ]);
    let check = |distance: &str, expected: [(u64, f64); 3]| {
        let server = Server::start();
        let mut client = server.client();
        create_collection(&mut client, "c", distance);
        client
            .put("/collections/c/points?wait=true", &json!({"points": points}))
            .result();
        let hits = query(&mut client, &json!({"query": [2, 0, 0, 0], "limit": 10}));
        let got: Vec<_> = hits
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| (hit["id"].as_u64().unwrap(), hit["score"].as_f64().unwrap()))
            .collect();
        for ((id, score), (expected_id, expected_score)) in got.iter().zip(expected) {
            let close = (score - expected_score).abs() < 1e-5;
            assert!(
                *id == expected_id && close,
                "{distance}: {got:?}, expected {expected:?}"
            );
        }
        assert_eq!(got.len(), 3, "{distance}");
    };
    check("Dot", [(2, 6.0), (1, 2.0), (3, -4.0)]);
    check("Cosine", [(1, 1.0), (2, 0.6), (3, -1.0)]);
    check("Euclid", [(1, 1.0), (3, 4.0), (2, 17.0_f64.sqrt())]);
    check("Manhattan", [(1, 1.0), (3, 4.0), (2, 5.0)]);
}

#[test]
fn a_query_obeys_limit_offset_threshold_and_what_to_return() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..20);
    let base = json!({"query": [1, 0, 0, 0]});
    let check = |client: &mut Client, more: Value, expected: &[u64]| {
        let mut body = base.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let hits = query(client, &body);
        let expected: Vec<Value> = expected.iter().map(|id| json!(id)).collect();
        assert_eq!(ids(&hits), expected, "{body}");
        hits
    };
    check(&mut client, json!({"limit": 3}), &[19, 18, 17]);
    check(&mut client, json!({"limit": 3, "offset": 2}), &[17, 16, 15]);
    check(&mut client, json!({"limit": 3, "offset": 30}), &[]);
    check(
        &mut client,
        json!({"limit": 5, "score_threshold": 17.5}),
        &[19, 18],
    );
    assert_eq!(
        query(&mut client, &base).as_array().unwrap().len(),
        10,
        "the dialect's default limit"
    );
    assert_eq!(
        query(&mut client, &json!({"query": [1, 0, 0, 0], "limit": 1000}))
            .as_array()
            .unwrap()
            .len(),
        20
    );

    let plain = check(&mut client, json!({"limit": 1}), &[19]);
    assert!(
        plain[0]["payload"].is_null() && plain[0]["vector"].is_null(),
        "{plain}"
    );
    let full = check(
        &mut client,
        json!({"limit": 1, "with_payload": true, "with_vector": true}),
        &[19],
    );
    assert_eq!(full[0]["payload"], json!({"n": 19}));
    assert_eq!(full[0]["vector"], json!([19.0, 1.0, 0.0, 0.0]));
    let none = check(
        &mut client,
        json!({"limit": 1, "with_payload": {"exclude": ["n"]}}),
        &[19],
    );
    assert_eq!(none[0]["payload"], json!({}));
}

#[test]
fn named_vectors_are_searched_apart() {
    let server = Server::start();
    let mut client = server.client();
    let vectors = json!({"image": {"size": 2, "distance": "Dot"}, "text": {"size": 3, "distance": "Dot"}});
    client
        .put("/collections/c", &json!({"vectors": vectors}))
        .result();
    let points = json!([
        {"id": 1, "vector": {"image": [1, 0], "text": [0, 0, 1]}},
        {"id": 2, "vector": {"image": [2, 0], "text": [0, 0, -1]}},
        {"id": 3, "vector": {"text": [0, 0, 5]}},
    ]);
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    let image = query(&mut client, &json!({"query": [1, 0], "using": "image"}));
    assert_eq!(
        ids(&image),
        [json!(2), json!(1)],
        "a point without the vector is not found by it"
    );
    let text = query(
        &mut client,
        &json!({"query": [0, 0, 1], "using": "text", "with_vector": ["image"]}),
    );
    assert_eq!(ids(&text), [json!(3), json!(1), json!(2)]);
    assert_eq!(text[1]["vector"], json!({"image": [1.0, 0.0]}));
    let unnamed = client.post("/collections/c/points/query", &json!({"query": [1, 0]}));
    assert_eq!(unnamed.status, 400, "{}", unnamed.text());
}

#[test]
fn scroll_walks_every_point_once_in_order() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..25);
    let uuid_point = json!({"points": [{"id": UUID, "vector": [0, 0, 0, 0]}]});
    client
        .put("/collections/c/points?wait=true", &uuid_point)
        .result();
    let mut seen = Vec::new();
    let mut offset = Value::Null;
    loop {
        let page = client
            .post(
                "/collections/c/points/scroll",
                &json!({"limit": 10, "offset": offset}),
            )
            .result();
        seen.extend(ids(&page["points"]));
        offset = page["next_page_offset"].clone();
        if offset.is_null() {
            break;
        }
    }
    let expected: Vec<Value> = (0..25).map(|id| json!(id)).chain([json!(UUID)]).collect();
    assert_eq!(seen, expected);
}

#[test]
fn our_own_query_answers_in_its_own_shape() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "main", "Dot");
    upsert(&mut client, "main", 0..5);
    let response = client.post(
        "/query",
        &json!({"db_id": "main", "vector": [1, 0, 0, 0], "k": 2}),
    );
    assert_eq!(response.status, 200, "{}", response.text());
    let body = response.json();
    assert_eq!(ids(&body["hits"]), [json!(4), json!(3)], "{body}");
    assert_eq!(body["hits"][0]["score"], 4.0);
    assert_eq!(body["hits"][0]["payload"], json!({"n": 4}));
    assert!(body["time_ms"].as_f64().is_some_and(|time| time > 0.0), "{body}");

    let explained = client.post(
        "/query",
        &json!({"db_id": "main", "vector": [1, 0, 0, 0], "k": 2, "explain": true}),
    );
    let body = explained.json();
    assert_eq!(
        body["explain"]["distance_computations"], 5,
        "an exact search looks at every point: {body}"
    );
}

#[test]
fn the_root_says_what_answers() {
    let body = Server::start().client().get("/").json();
    assert!(
        body["title"]
            .as_str()
            .is_some_and(|title| title.contains("omendb")),
        "{body}"
    );
    assert!(body["version"].is_string(), "{body}");
}
