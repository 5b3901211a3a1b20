//! What administrators look into: who may, what is in it, and what is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};

/// Asks `path` until `is_there` holds of the answer.
fn until(client: &mut Client, path: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let answer = client.get(path).json();
        if is_there(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn recall_is_told_by_the_way_queries_were_answered() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    for name in ["main", "other"] {
        create_collection(&mut client, name, "Dot");
    }
    upsert(&mut client, "main", 0..100);
    let empty = json!({"db_id": "other", "samples": 0, "recall": null, "lower_bound": null, "classes": [], "worst": []});
    assert_eq!(
        client.get("/debug/recall?db_id=other").json(),
        json!({"collections": [&empty]})
    );

    let filter = json!({"must": {"has_id": [1, 2, 3, 4, 5]}});
    let filtered = json!({"query": [1, 2, 3, 4], "limit": 3, "filter": filter});
    let class = |answer: &Value| answer["collections"][0]["classes"][0].clone();
    let measured = until(&mut client, "/debug/recall?db_id=main", |answer| {
        let mut client = server.client_with(&admin);
        client.post("/collections/main/points/query", &filtered).result();
        class(answer)["samples"]
            .as_u64()
            .is_some_and(|samples| samples >= 2)
    });
    let class = class(&measured);
    assert_eq!(
        [&class["plan"], &class["selectivity"]],
        ["filtered_scan", "1_to_10_percent"],
        "{measured}"
    );
    assert_eq!(class["recall"], 1.0);
    assert_eq!(class["lower_bound"], 1.0);
    assert_eq!(
        measured["collections"][0]["worst"],
        json!([]),
        "an exact answer misses nothing"
    );

    let both = client.get("/debug/recall").json();
    assert_eq!(both["collections"][1], empty, "{both}");
    let mut check = |path: &str, status: u16| assert_eq!(client.get(path).status, status, "{path}");
    check("/debug/recall?db_id=nowhere", 404);
    check("/debug/recall?name=main", 400);
    assert_eq!(server.client_with(&metrics).get("/debug/recall").status, 403);
}
