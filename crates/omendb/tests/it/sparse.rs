//! Sparse vectors over HTTP: alone and beside dense ones, what they find, and what is refused.

use serde_json::{Value, json};

use crate::client::Client;
use crate::page::Page;
use crate::server::{Server, finds};

const POINTS: &str = "/collections/c/points?wait=true";
const QUERY: &str = "/collections/c/points/query";

/// A collection of a dense vector without a name and two sparse ones, `plain` and `weighed`.
fn hybrid(client: &mut Client) {
    let config = json!({
        "vectors": {"size": 2, "distance": "Dot"},
        "sparse_vectors": {"plain": {"index": {"on_disk": true}}, "weighed": {"modifier": "idf"}},
    });
    client.put("/collections/c", &config).result();
    let terms = |indices: &[u32], values: &[f32]| json!({"indices": indices, "values": values});
    let points = json!([
        {"id": 1, "vector": {"": [1, 0], "plain": terms(&[9, 2], &[2.0, 1.0]), "weighed": terms(&[1, 2], &[1.0, 1.0])}},
        {"id": 2, "vector": {"": [2, 0], "plain": terms(&[9], &[3.0]), "weighed": terms(&[1], &[1.0])}},
        {"id": 3, "vector": {"": [3, 0], "weighed": terms(&[1, 7], &[1.0, 1.0])}},
        {"id": 4, "vector": [4, 0]},
    ]);
    client.put(POINTS, &json!({"points": points})).result();
}

#[test]
fn sparse_vectors_are_kept_found_and_told_about() {
    let server = Server::start();
    let mut client = server.client();
    hybrid(&mut client);
    let collection = client.get("/collections/c").result();
    assert_eq!(
        collection["config"]["params"]["sparse_vectors"],
        json!({"plain": {"index": {"on_disk": true}}, "weighed": {"modifier": "idf"}})
    );
    let point = client.get("/collections/c/points/1").result();
    assert_eq!(
        point["vector"],
        json!({
            "": [1.0, 0.0],
            "plain": {"indices": [2, 9], "values": [1.0, 2.0]},
            "weighed": {"indices": [1, 2], "values": [1.0, 1.0]},
        })
    );
    let columns = json!({"batch": {"ids": [5], "vectors": {"plain": [{"indices": [4], "values": [-1]}]}}});
    client.put(POINTS, &columns).result();

    let nine = json!({"indices": [9], "values": [0.5]});
    finds(
        &mut client,
        &json!({"query": nine, "using": "plain"}),
        &[(2, 1.5), (1, 1.0)],
    );
    // A negative score is one; no term in common is none.
    let four = json!({"query": {"nearest": {"indices": [4, 5], "values": [2, 2]}}, "using": "plain"});
    finds(&mut client, &four, &[(5, -2.0)]);
    finds(&mut client, &json!({"query": 2, "using": "plain"}), &[(1, 6.0)]);
    let with_words = json!({"query": nine, "using": "plain", "filter": {"must": {"has_id": [1]}}});
    finds(&mut client, &with_words, &[(1, 1.0)]);
    // Of the three points that have the vector all have term 1, one has term 7.
    let idf = |with: f64| ((3.0 - with + 0.5) / (with + 0.5) + 1.0).ln();
    let weighed = json!({"query": {"indices": [7, 1], "values": [1, 1]}, "using": "weighed"});
    finds(
        &mut client,
        &weighed,
        &[(3, idf(1.0) + idf(3.0)), (1, idf(3.0)), (2, idf(3.0))],
    );
    // Of the two points of the corpus that have the vector, both have term 1 and one has term 7.
    let mut scoped = weighed.clone();
    scoped["params"] = json!({"idf": {"corpus": {"must": {"has_id": [2, 3, 4]}}}});
    let idf = |with: f64| ((2.0 - with + 0.5) / (with + 0.5) + 1.0).ln();
    let expected = [(3, idf(1.0) + idf(2.0)), (1, idf(2.0)), (2, idf(2.0))];
    finds(&mut client, &scoped, &expected);
    let prefetch = json!({"query": [1, 0], "prefetch": scoped, "limit": 1});
    finds(&mut client, &prefetch, &[(3, 3.0)]);
    let fused = json!({
        "prefetch": [{"query": [1, 0], "limit": 2}, {"query": nine, "using": "plain"}],
        "query": {"fusion": "rrf"},
    });
    finds(
        &mut client,
        &fused,
        &[(2, 0.5), (4, 0.5), (1, 1.0 / 3.0), (3, 1.0 / 3.0)],
    );
    let count = json!({"filter": {"must": {"has_vector": "plain"}}});
    let counted = client.post("/collections/c/points/count", &count).result();
    assert_eq!(counted["count"], 3);
}

#[test]
fn a_collection_of_sparse_vectors_alone_is_indexed_and_explained() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    client
        .put("/collections/c", &json!({"sparse_vectors": {"words": {}}}))
        .result();
    let point =
        |id: u32| json!({"id": id, "vector": {"words": {"indices": [id % 10, 10], "values": [1, id]}}});
    let points: Vec<_> = (0..1_000).map(point).collect();
    client.put(POINTS, &json!({"points": points})).result();
    let body = json!({
        "db_id": "c",
        "vector": {"indices": [3], "values": [2]},
        "using": "words",
        "k": 2,
        "explain": true,
    });
    let mut answer = client.post("/query", &body).json();
    for _ in 0..200 {
        if answer["explain"]["plan"] == "sparse_index" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        answer = client.post("/query", &body).json();
    }
    let explain = &answer["explain"];
    assert_eq!(
        explain["plan"], "sparse_index",
        "the index was built in the background"
    );
    // Three of four chunks are full: 76 or 77 of their points have the term. The others are compared one by one.
    assert_eq!(explain["postings"], 77, "{explain}");
    assert_eq!(explain["distance_computations"], 77 + 1_000 - 768, "{explain}");
    assert_eq!(answer["hits"][0]["id"], 3);
    assert_eq!(answer["hits"][1]["score"], 2.0);
    let page = Page::scrape(&mut scraper);
    assert!(page.value(r#"omendb_engine_postings_total{db_id="c"}"#) >= 77.0);
    let index = r#"omendb_engine_memory_component_bytes{db_id="c",component="sparse_index"}"#;
    assert!(page.value(index) > 768.0 * 2.0 * 6.0);
}

#[test]
fn wrong_sparse_vectors_are_refused_by_name() {
    let server = Server::start();
    let mut client = server.client();
    hybrid(&mut client);
    let mut check = |(method, path): (&str, &str), body: &Value, (status, part): (u16, &str)| {
        let response = client.send(method, path, &[], body.to_string().as_bytes());
        let error = response.error();
        assert_eq!(response.status, status, "{body}: {error}");
        assert!(error.contains(part), "{body}: {error}");
    };
    let create = ("PUT", "/collections/d");
    let clash = json!({"vectors": {"a": {"size": 2, "distance": "Dot"}}, "sparse_vectors": {"a": {}}});
    check(create, &clash, (422, "\"a\" is the name of a dense vector too"));
    let upsert = |terms: Value| json!({"points": [{"id": 9, "vector": {"plain": terms}}]});
    let twice = upsert(json!({"indices": [1, 1], "values": [1, 2]}));
    check(
        ("PUT", POINTS),
        &twice,
        (422, "points[0].vector.plain.indices: 1 is given twice"),
    );
    let unequal = upsert(json!({"indices": [1], "values": []}));
    check(
        ("PUT", POINTS),
        &unequal,
        (422, "values: 0 of them for 1 indices"),
    );
    check(
        ("PUT", POINTS),
        &upsert(json!([1, 2])),
        (400, "vector \"plain\" is sparse"),
    );
    let query = json!({"query": [1, 2], "using": "plain"});
    check(
        ("POST", QUERY),
        &query,
        (400, "it is dense, the collection's is sparse"),
    );
    let query = json!({"query": {"indices": [1], "values": [1]}});
    check(
        ("POST", QUERY),
        &query,
        (400, "it is sparse, the collection's is dense"),
    );
    let count = client.post("/collections/c/points/count", &json!({})).result();
    assert_eq!(count["count"], 4);
}
