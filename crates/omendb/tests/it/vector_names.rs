//! Vectors added to a collection and deleted from it over HTTP: found at once, there after kill -9, and refused by name.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

const ROUTE: &str = "/collections/:collection/vectors/:vector";

fn nearest(client: &mut Client, using: &str, vector: &Value) -> Vec<Value> {
    let body = json!({"query": vector, "using": using, "limit": 10});
    let found = client.post("/collections/c/points/query", &body).result();
    let points = found["points"].as_array().expect("points");
    points.iter().map(|point| point["id"].clone()).collect()
}

#[test]
fn vectors_come_and_go_and_kill_9_forgets_neither() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    client.put("/collections/c", &json!({})).result();
    let bare = json!([{"id": 1, "vector": [], "payload": {"n": 1}}, {"id": 2, "vector": {}}]);
    client
        .put("/collections/c/points?wait=true", &json!({"points": bare}))
        .result();
    let text = json!({"dense": {"size": 2, "distance": "Dot", "datatype": "float32"}});
    let added = client
        .put("/collections/c/vectors/text?wait=true", &text)
        .result();
    assert_eq!(added, json!({"operation_id": 1, "status": "completed"}));
    client
        .put(
            "/collections/c/vectors/words",
            &json!({"sparse": {"modifier": "idf"}}),
        )
        .result();
    let doomed = json!({"dense": {"size": 3, "distance": "Cosine"}});
    client.put("/collections/c/vectors/doomed", &doomed).result();
    let words = json!({"indices": [7], "values": [0.5]});
    let points = json!([
        {"id": 1, "vector": {"text": [1, 2], "doomed": [1, 0, 0]}},
        {"id": 2, "vector": {"text": [3, 4], "words": words}},
    ]);
    client
        .put("/collections/c/points/vectors", &json!({"points": points}))
        .result();
    assert_eq!(nearest(&mut client, "text", &json!([1, 1])), [2, 1]);
    assert_eq!(nearest(&mut client, "doomed", &json!([1, 0, 0])), [1]);
    client.delete("/collections/c/vectors/doomed").result();

    let server = Server::start_in(&server.kill(), &[]);
    let mut client = server.client();
    assert_eq!(nearest(&mut client, "text", &json!([1, 1])), [2, 1]);
    assert_eq!(nearest(&mut client, "words", &words), [2]);
    let params = &client.get("/collections/c").result()["config"]["params"];
    assert_eq!(
        params["vectors"],
        json!({"text": {"size": 2, "distance": "Dot", "datatype": "float32"}})
    );
    assert_eq!(params["sparse_vectors"], json!({"words": {"modifier": "idf"}}));
    let point = client.get("/collections/c/points/1").result();
    assert_eq!(
        (&point["vector"], &point["payload"]),
        (&json!({"text": [1.0, 2.0]}), &json!({"n": 1}))
    );
}

#[test]
fn a_vector_that_goes_takes_its_figures_along() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..10);
    let more = json!({"dense": {"size": 2, "distance": "Dot"}});
    let add = |client: &mut Client| {
        client
            .put("/collections/c/vectors/more?wait=true", &more)
            .result()
    };
    let _warm = Page::scrape(&mut scraper);
    check(
        &mut scraper,
        ["PUT", ROUTE, "200"],
        || drop(add(&mut client)),
        &[],
    );
    let points = [3, 4].map(|id| json!({"id": id, "vector": {"more": [1, 2]}}));
    client
        .put(
            "/collections/c/points/vectors?wait=true",
            &json!({"points": points}),
        )
        .result();
    let delete = || drop(client.delete("/collections/c/vectors/more").result());
    let moves = [(r#"omendb_engine_vectors{db_id="c"}"#, -2.0)];
    check(&mut scraper, ["DELETE", ROUTE, "200"], delete, &[&moves]);
}

#[test]
fn a_wrong_vector_is_refused_by_name() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let good = json!({"dense": {"size": 2, "distance": "Dot"}});
    // The second time there is nothing to do.
    for _ in 0..2 {
        client.put("/collections/c/vectors/a", &good).result();
    }
    let mut check = |method: &str, path: &str, body: Value, expected: (u16, &str)| {
        let answer = client.send(method, path, &[], body.to_string().as_bytes());
        assert_eq!(
            answer.status,
            expected.0,
            "{method} {path} {body}: {}",
            answer.text()
        );
        assert!(
            answer.text().contains(expected.1),
            "{method} {path} {body}: {}",
            answer.text()
        );
    };
    let (a, b) = ("/collections/c/vectors/a", "/collections/c/vectors/b");
    let exists = (
        400,
        "Wrong input: Vector `a` already exists with a different configuration",
    );
    check("PUT", a, json!({"dense": {"size": 3, "distance": "Dot"}}), exists);
    check(
        "PUT",
        a,
        json!({"sparse": {}}),
        (400, "Wrong input: Vector `a` already exists as a dense vector"),
    );
    check(
        "PUT",
        b,
        json!({"dense": {"size": 65_537, "distance": "Dot"}}),
        (422, "size 65537, not 1 to 65536"),
    );
    check(
        "PUT",
        b,
        json!({"dense": {"size": 2, "distance": "Jaccard"}}),
        (400, "unknown variant `Jaccard`"),
    );
    let multi =
        json!({"dense": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}});
    check("PUT", b, multi, (422, "dense.multivector_config"));
    let none = (404, "Not found: Collection `none` doesn't exist!");
    check("PUT", "/collections/none/vectors/b", good, none);
    check("DELETE", "/collections/none/vectors/b", Value::Null, none);
    let unknown = (400, "Wrong input: Not existing vector name error: b");
    check("DELETE", b, Value::Null, unknown);
    check(
        "POST",
        "/collections/c/points/query",
        json!({"query": [1, 2], "using": "b"}),
        unknown,
    );
    check(
        "PUT",
        "/collections/c/points",
        json!({"points": [{"id": 1, "vector": {"b": [1]}}]}),
        unknown,
    );
    let info = client.get("/collections/c").result();
    assert!(info["config"]["params"]["vectors"]["b"].is_null(), "{info}");
}
