//! `kill -9` under eight writers: every acknowledged write is there afterwards, whole, and once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};

const ROUNDS: u64 = 20;
const WRITERS: u64 = 8;
/// Ids that one writer uses over and over, so that upserts replace and deletes hit.
const IDS_PER_WRITER: u64 = 64;

/// What one writer knows about one id: the version last acknowledged and the one that may or may not have arrived.
/// A version of 0 means deleted.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    acknowledged: u64,
    attempted: u64,
}

type Ledger = BTreeMap<u64, Known>;

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_eight_writers() {
    let directory = Directory::new();
    let config = json!({"vectors": {"size": 4, "distance": "Euclid"}, "sparse_vectors": {"words": {}}});
    let created = Server::start_in(&directory, &[])
        .client()
        .put("/collections/c", &config);
    assert_eq!(created.result(), json!(true));
    let mut ledgers: Vec<Ledger> = vec![Ledger::new(); WRITERS as usize];
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let server = Server::start_in(&directory, &[]);
        let (after, count) = write_until_killed(server, ledgers, round);
        acknowledged += count;
        ledgers = after;
        let server = Server::start_in(&directory, &[]);
        verify(&mut server.client(), &mut ledgers, round);
        // This one is killed too: recovery must not rest on a clean end.
        drop(server);
    }
    assert!(
        acknowledged > ROUNDS * WRITERS,
        "only {acknowledged} writes were acknowledged: the test tested nothing"
    );
}

/// Eight writers write for a while; then the server is killed. Returns what they know and how many were acknowledged.
fn write_until_killed(server: Server, ledgers: Vec<Ledger>, round: u64) -> (Vec<Ledger>, u64) {
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = ledgers
        .into_iter()
        .zip(0..)
        .map(|(ledger, writer)| {
            let (client, stop) = (server.client(), Arc::clone(&stop));
            std::thread::spawn(move || write(client, ledger, writer * 1_000_003 + round, &stop))
        })
        .collect();
    // Spread over the first commits, a busy middle and, later on, whatever compaction or snapshot does.
    std::thread::sleep(Duration::from_millis(30 + round * 37 % 400));
    drop(server.kill());
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    let join = |handle: std::thread::JoinHandle<(Ledger, u64)>| {
        let (ledger, acknowledged) = handle.join().expect("the writer does not panic");
        count += acknowledged;
        ledger
    };
    let ledgers = writers.into_iter().map(join).collect();
    (ledgers, count)
}

/// One writer: upserts of one to four points and now and then a delete, each with the next version.
fn write(mut client: Client, mut ledger: Ledger, seed: u64, stop: &AtomicBool) -> (Ledger, u64) {
    let writer = seed / 1_000_003;
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut acknowledged = 0;
    while !stop.load(Ordering::Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let first = random % IDS_PER_WRITER;
        let count = 1 + random / IDS_PER_WRITER % 4;
        let ids: Vec<u64> = (first..first + count)
            .map(|id| writer * IDS_PER_WRITER + id % IDS_PER_WRITER)
            .collect();
        let delete = random >> 20 & 7 == 0;
        let next = 1 + ids
            .iter()
            .filter_map(|id| ledger.get(id))
            .map(|known| known.attempted)
            .max()
            .unwrap_or(0);
        let version = if delete { 0 } else { next };
        let body = if delete {
            json!({"points": ids})
        } else {
            batch(&ids, version)
        };
        for id in &ids {
            let known = ledger.entry(*id).or_default();
            // A delete keeps the number so that versions never repeat; it is recorded when acknowledged.
            known.attempted = if delete {
                DELETED | known.attempted
            } else {
                version
            };
        }
        let (method, path) = if delete {
            ("POST", "/collections/c/points/delete?wait=true")
        } else {
            ("PUT", "/collections/c/points?wait=true")
        };
        let Ok(answer) = client.try_send(method, path, &[], body.to_string().as_bytes()) else {
            break;
        };
        if answer.status != 200 {
            break;
        }
        acknowledged += 1;
        for id in &ids {
            let known = ledger.entry(*id).or_default();
            known.attempted &= !DELETED;
            known.acknowledged = version;
        }
    }
    (ledger, acknowledged)
}

/// Marks an attempt that was a delete.
const DELETED: u64 = 1 << 63;

fn batch(ids: &[u64], version: u64) -> Value {
    let points: Vec<_> = ids.iter().map(|&id| point(id, version)).collect();
    json!({"points": points})
}

/// A point whose every part tells id and version, so that a torn or mixed one shows.
fn point(id: u64, version: u64) -> Value {
    let vector: Vec<f32> = vec![id as f32, version as f32, (id + version) as f32, 0.5];
    let terms = json!({"indices": [version as u32, u32::MAX], "values": [id as f32, 0.25]});
    let vectors = json!({"": vector, "words": terms});
    json!({"id": id, "vector": vectors, "payload": {"version": version, "text": format!("{id}:{version}")}})
}

/// Reads everything back, checks it against the ledgers, and takes what is there as the new truth.
fn verify(client: &mut Client, ledgers: &mut [Ledger], round: u64) {
    let body = json!({"limit": 10_000, "with_payload": true, "with_vector": true});
    let points = client.post("/collections/c/points/scroll", &body).result()["points"].take();
    let mut found = BTreeMap::new();
    for stored in points.as_array().expect("points is a list") {
        let id = stored["id"].as_u64().expect("ids are numbers");
        let version = stored["payload"]["version"]
            .as_u64()
            .expect("the payload is whole");
        let expected = point(id, version);
        assert_eq!(
            stored["payload"], expected["payload"],
            "round {round}: point {id} is not whole"
        );
        assert_eq!(
            stored["vector"], expected["vector"],
            "round {round}: point {id} is not whole"
        );
        assert_eq!(
            found.insert(id, version),
            None,
            "round {round}: point {id} is there twice"
        );
    }
    let count = client
        .post("/collections/c/points/count", &json!({"exact": true}))
        .result();
    assert_eq!(
        count["count"],
        found.len(),
        "round {round}: count and scroll disagree"
    );
    for (id, known) in ledgers.iter_mut().flatten() {
        let is = found.remove(id).unwrap_or(0);
        let in_flight = if known.attempted & DELETED != 0 {
            0
        } else {
            known.attempted
        };
        assert!(
            is == known.acknowledged || is == in_flight,
            "round {round}: point {id} has version {is}; {known:?}"
        );
        known.acknowledged = is;
        known.attempted &= !DELETED;
    }
    assert!(found.is_empty(), "round {round}: nobody wrote {found:?}");
}

#[test]
fn collections_and_points_outlive_a_clean_restart() {
    let directory = Directory::new();
    let mut server = Server::start_in(&directory, &[]);
    create_collection(&mut server.client(), "c", "Dot");
    create_collection(&mut server.client(), "gone", "Dot");
    upsert(&mut server.client(), "c", 0..100);
    server.client().delete("/collections/gone").result();
    server.signal_term();
    assert!(server.wait().success(), "{}", server.log());

    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    assert_eq!(
        client.get("/collections").result(),
        json!({"collections": [{"name": "c"}]})
    );
    assert_eq!(
        client.post("/collections/c/points/count", &json!({})).result(),
        json!({"count": 100})
    );
    let hit = client
        .post(
            "/collections/c/points/query",
            &json!({"query": [1, 0, 0, 0], "limit": 1}),
        )
        .result();
    assert_eq!(hit["points"][0]["id"], 99);
}

#[test]
fn a_file_that_may_not_grow_refuses_writes_and_ends_nothing() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..10);
    let allow = |bytes: &str| {
        let status = std::process::Command::new("prlimit")
            .args([
                "--pid",
                &server.process().to_string(),
                &format!("--fsize={bytes}:unlimited"),
            ])
            .status();
        assert!(status.expect("util-linux is installed").success());
    };
    let write = |id: u64| {
        let point = json!({"id": id, "vector": [1, 2, 3, 4], "payload": {"text": "x".repeat(100_000)}});
        server
            .client()
            .put("/collections/c/points?wait=true", &json!({"points": [point]}))
    };
    allow("50000");
    let refused = write(10);
    assert_eq!(refused.status, 507, "{}", refused.text());
    let count = |client: &mut Client| {
        client.post("/collections/c/points/count", &json!({})).result()["count"].clone()
    };
    assert_eq!(count(&mut client), 10);
    allow("unlimited");
    write(10).result();
    let directory = server.kill();
    let server = Server::start_in(&directory, &[]);
    assert_eq!(count(&mut server.client()), 11);
}
