//! The configuration of a collection: what was said is told again, changes are there after kill -9, and what is refused
//! changes nothing.

use serde_json::{Value, json};

use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection};

const COLLECTION: &str = "/collections/:collection";

fn creation() -> Value {
    json!({
        "vectors": {
            "a": {"size": 4, "distance": "Dot", "on_disk": true, "hnsw_config": {"m": 8, "payload_m": 2}},
            "b": {"size": 2, "distance": "Cosine"},
        },
        "hnsw_config": {"ef_construct": 64, "full_scan_threshold": 500},
        "optimizers_config": {"indexing_threshold": 1000, "default_segment_number": 2},
        "wal_config": {"wal_capacity_mb": 16},
        "on_disk_payload": true,
        "metadata": {"owner": "me", "tags": [1, 2.5, null]},
    })
}

/// What is reported after [`creation`].
fn described() -> Value {
    json!({
        "params": {
            "vectors": {
                "a": {"size": 4, "distance": "Dot", "on_disk": true, "hnsw_config": {"m": 8, "payload_m": 2}},
                "b": {"size": 2, "distance": "Cosine"},
            },
            "shard_number": 1,
            "replication_factor": 1,
            "write_consistency_factor": 1,
            "on_disk_payload": true,
        },
        "hnsw_config": {"m": 16, "ef_construct": 64, "full_scan_threshold": 500, "max_indexing_threads": 0, "on_disk": false},
        "optimizer_config": {"default_segment_number": 2, "flush_interval_sec": 0, "indexing_threshold": 1000},
        "wal_config": {"wal_capacity_mb": 16},
        "quantization_config": null,
        "metadata": {"owner": "me", "tags": [1, 2.5, null]},
    })
}

#[test]
fn what_was_said_is_told_again_and_changes_survive_kill_9() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    client.put("/collections/c", &creation()).result();
    let mut expected = described();
    assert_eq!(client.get("/collections/c").result()["config"], expected);

    let change = json!({
        "vectors": {"a": {"hnsw_config": {"m": 0}}, "b": {"on_disk": false}},
        "hnsw_config": {"m": 24},
        "optimizers_config": {"indexing_threshold": 0},
        "params": {"read_fan_out_factor": 2},
        "metadata": {"owner": null, "since": 2024},
    });
    assert_eq!(client.patch("/collections/c", &change).result(), json!(true));
    expected["params"]["vectors"]["a"]["hnsw_config"]["m"] = json!(0);
    expected["params"]["vectors"]["b"]["on_disk"] = json!(false);
    expected["params"]["read_fan_out_factor"] = json!(2);
    expected["hnsw_config"]["m"] = json!(24);
    expected["optimizer_config"]["indexing_threshold"] = json!(0);
    expected["metadata"] = json!({"tags": [1, 2.5, null], "since": 2024});
    assert_eq!(client.get("/collections/c").result()["config"], expected);

    let server = Server::start_in(&server.kill(), &[]);
    assert_eq!(server.client().get("/collections/c").result()["config"], expected);
}

#[test]
fn a_change_moves_its_request_and_what_is_refused_changes_nothing() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    let _warm = Page::scrape(&mut scraper);
    let change = || {
        drop(
            client
                .patch("/collections/c", &json!({"metadata": {"a": 1}}))
                .result(),
        )
    };
    check(&mut scraper, ["PATCH", COLLECTION, "200"], change, &[]);

    let before = client.get("/collections/c").result();
    let refused = [
        (
            json!({"metadata": {"a": 2}, "hnsw_config": {"m": 2000}}),
            422,
            "m 2000, more than 1024",
        ),
        (
            json!({"metadata": {"a": 2}, "vectors": {"x": {}}}),
            400,
            "Wrong input: Not existing vector name error: x",
        ),
        (
            json!({"metadata": {"a": 2}, "shard_number": 1}),
            400,
            "unknown field `shard_number`",
        ),
    ];
    for (body, status, part) in refused {
        let answer = client.patch("/collections/c", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(
            answer.text().contains(&part.replace('"', "\\\"")),
            "{body}: {}",
            answer.text()
        );
        assert_eq!(client.get("/collections/c").result(), before, "{body}");
    }
    let answer = client.patch("/collections/none", &json!({"metadata": {}}));
    assert_eq!(answer.status, 404, "{}", answer.text());
}
