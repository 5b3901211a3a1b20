//! Vectors of living points replaced and taken away over HTTP, and upserts with a rule: what moves, what stays, and what
//! is there after kill -9.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

const VECTORS: &str = "/collections/:collection/points/vectors";
const DELETE: &str = "/collections/:collection/points/vectors/delete";
const COMMIT: &[(&str, f64)] = &[
    ("omendb_engine_batch_points_count", 1.0),
    ("omendb_log_commits_joined_count", 1.0),
    ("omendb_log_commits_joined_sum", 1.0),
    ("omendb_log_fsync_seconds_count", 1.0),
];

fn point(client: &mut Client, id: u64) -> Value {
    client.get(&format!("/collections/c/points/{id}")).result()
}

#[test]
fn vectors_change_and_the_rest_stays_also_after_kill_9() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    let vectors = json!({"a": {"size": 2, "distance": "Dot"}, "b": {"size": 1, "distance": "Dot"}});
    client
        .put("/collections/c", &json!({"vectors": vectors}))
        .result();
    let points = json!([
        {"id": 1, "vector": {"a": [1, 2], "b": [3]}, "payload": {"n": 1}},
        {"id": 2, "vector": {"a": [4, 5]}, "payload": {"n": 2}},
    ]);
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();

    let changes = json!({"points": [{"id": 1, "vector": {"a": [7, 8]}}, {"id": 2, "vector": {"b": [9]}}]});
    let changed = client
        .put("/collections/c/points/vectors?wait=true", &changes)
        .result();
    assert_eq!(changed["status"], "completed", "{changed}");
    let taken = json!({"vector": ["b"], "filter": {"must": [{"key": "n", "match": {"value": 1}}]}});
    client
        .post("/collections/c/points/vectors/delete?wait=true", &taken)
        .result();
    // The same as operations of a batch, which see one another.
    let operations = json!({"operations": [
        {"update_vectors": {"points": [{"id": 1, "vector": {"b": [5]}}]}},
        {"delete_vectors": {"vector": ["a"], "points": [2]}},
        {"upsert": {"points": [{"id": 2, "vector": {}}, {"id": 3, "vector": {}}], "update_mode": "insert_only"}},
    ]});
    client
        .post("/collections/c/points/batch?wait=true", &operations)
        .result();

    let expected = [
        (1, json!({"a": [7.0, 8.0], "b": [5.0]}), json!({"n": 1})),
        (2, json!({"b": [9.0]}), json!({"n": 2})),
        (3, json!({}), json!({})),
    ];
    let server = Server::start_in(&server.kill(), &[]);
    let mut client = server.client();
    for (id, vector, payload) in expected {
        let found = point(&mut client, id);
        assert_eq!(
            (&found["vector"], &found["payload"]),
            (&vector, &payload),
            "{found}"
        );
    }
}

#[test]
fn changes_of_vectors_move_what_they_wrote() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..10);
    let _warm = Page::scrape(&mut scraper);
    let moves = [
        ("omendb_engine_batch_points_sum", 2.0),
        (r#"omendb_engine_tombstones{db_id="c"}"#, 2.0),
        (r#"omendb_engine_vectors_indexed_total{db_id="c"}"#, 2.0),
    ];
    let update = || {
        let points = [3, 4].map(|id| json!({"id": id, "vector": [9, 9, 9, 9]}));
        client
            .put(
                "/collections/c/points/vectors?wait=true",
                &json!({"points": points}),
            )
            .result();
    };
    check(&mut scraper, ["PUT", VECTORS, "200"], update, &[COMMIT, &moves]);

    let moves = [
        ("omendb_engine_batch_points_sum", 1.0),
        (r#"omendb_engine_vectors{db_id="c"}"#, -1.0),
        (r#"omendb_engine_tombstones{db_id="c"}"#, 1.0),
    ];
    let delete = || {
        let body = json!({"vector": [""], "points": [5, 999]});
        client
            .post("/collections/c/points/vectors/delete?wait=true", &body)
            .result();
    };
    check(&mut scraper, ["POST", DELETE, "200"], delete, &[COMMIT, &moves]);
    assert_eq!(point(&mut client, 5)["payload"], json!({"n": 5}));
}

#[test]
fn a_wrong_change_of_vectors_is_refused_by_name_and_changes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..3);
    let everything = json!({"limit": 10, "with_vector": true});
    let stored = |client: &mut Client| client.post("/collections/c/points/scroll", &everything).result();
    let before = stored(&mut client);
    let mut check = |method: &str, body: Value, status: u16, part: &str| {
        let path = match method {
            "PUT" => "/collections/c/points/vectors",
            _ => "/collections/c/points/vectors/delete",
        };
        let answer = client.send(method, path, &[], body.to_string().as_bytes());
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
        assert_eq!(stored(&mut client), before, "{body}");
    };
    let good = json!({"id": 1, "vector": [0, 0, 0, 0]});
    check(
        "PUT",
        json!({"points": [good, {"id": 77, "vector": [0, 0, 0, 0]}]}),
        404,
        "no point with id 77 found",
    );
    check(
        "PUT",
        json!({"points": [good, {"id": 2, "vector": [0]}]}),
        400,
        "expected dim: 4, got 1",
    );
    check(
        "PUT",
        json!({"points": [good, {"id": 2, "vector": {"x": [0]}}]}),
        400,
        "Not existing vector name error",
    );
    check(
        "PUT",
        json!({"points": [good, {"id": 2, "vector": []}]}),
        422,
        "points[1].vector: no vector to update point 2 with",
    );
    check(
        "PUT",
        json!({"points": [good], "shard_key": "a"}),
        422,
        "shard_key",
    );
    check(
        "POST",
        json!({"points": [1], "vector": ["", "x"]}),
        400,
        "Not existing vector name error",
    );
    check(
        "POST",
        json!({"points": [1], "vector": []}),
        422,
        "vector: the list is empty",
    );
    check("POST", json!({"vector": [""]}), 400, "missing field `points`");
}
