//! The stages of requests for data add up to the whole of them, and each is moved by what it names.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, connect};
use crate::page::Page;
use crate::server::{Directory, Server};

const DIMENSION: usize = 64;

/// Seconds in each stage, and of whole requests, and how many of these there were.
#[derive(Debug)]
struct Stages {
    sums: BTreeMap<String, f64>,
    whole: f64,
    requests: f64,
}

impl Stages {
    fn of(&self, stage: &str) -> f64 {
        self.sums.get(stage).copied().unwrap_or(0.0)
    }

    fn total(&self) -> f64 {
        self.sums.values().sum()
    }
}

/// What `traffic`, of `requests` requests for data, takes by stage.
fn taken(server: &Server, requests: f64, traffic: impl FnOnce()) -> Stages {
    const WHOLE: &str = "omendb_query_exchange_seconds_count";
    let before = server.scrape();
    traffic();
    // A request is recorded just after its last byte was written, so the client may be quicker.
    Page::until(&mut server.client(), WHOLE, before.value(WHOLE) + requests);
    let moved = server.scrape().since(&before);
    let stage = |(series, seconds): (&String, &f64)| {
        let stage = series.strip_prefix("omendb_query_stage_seconds_sum{stage=\"")?;
        Some((stage.trim_end_matches("\"}").to_owned(), *seconds))
    };
    Stages {
        sums: moved.iter().filter_map(stage).collect(),
        whole: moved["omendb_query_exchange_seconds_sum"],
        requests: moved[WHOLE],
    }
}

fn vector(seed: u64) -> Vec<f64> {
    (0..DIMENSION as u64)
        .map(|at| ((seed * 31 + at * 17) % 101) as f64 / 50.0 - 1.0)
        .collect()
}

fn upsert(client: &mut Client, ids: std::ops::Range<u64>, padding: usize) {
    let point = |id: u64| {
        let payload = json!({"n": id, "text": "x".repeat(padding)});
        json!({"id": id, "vector": vector(id), "payload": payload})
    };
    let points: Vec<_> = ids.map(point).collect();
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
}

fn query(client: &mut Client, body: &Value) {
    client.post("/collections/c/points/query", body).result();
}

fn start() -> (Server, Client) {
    let server = Server::start_in(&Directory::new(), &["--slots-count", "1"]);
    let mut client = server.client();
    let config = json!({"vectors": {"size": DIMENSION, "distance": "Dot"}});
    client.put("/collections/c", &config).result();
    (server, client)
}

#[test]
fn stages_add_up_to_the_time_between_first_and_last_byte() {
    let (server, mut client) = start();
    let begun = Instant::now();
    let stages = taken(&server, 700.0, || {
        for round in 0..100 {
            upsert(&mut client, round * 20..round * 20 + 20, 50);
            let filter = json!({"must": [{"key": "n", "range": {"lt": 1_000}}]});
            let nearest = json!({"query": vector(round), "limit": 20, "with_payload": true});
            query(&mut client, &nearest);
            query(&mut client, &json!({"query": vector(round), "filter": filter}));
            let batch = json!({"searches": [&nearest, {"limit": 3}]});
            client.post("/collections/c/points/query/batch", &batch).result();
            let native = json!({"db_id": "c", "vector": vector(round), "explain": true});
            assert_eq!(client.post("/query", &native).status, 200);
            client
                .post("/collections/c/points/scroll", &json!({"filter": filter}))
                .result();
            client
                .post("/collections/c/points", &json!({"ids": [1, 2, 3]}))
                .result();
        }
    });
    let elapsed = begun.elapsed().as_secs_f64();
    assert_eq!(stages.requests, 700.0);
    let ratio = stages.total() / stages.whole;
    assert!((0.95..1.05).contains(&ratio), "{ratio}: {stages:?}");
    // One after the other, so what the server saw is within what the client saw.
    assert!(stages.whole < elapsed, "{stages:?} in {elapsed} s");
    for stage in [
        "receive",
        "queue",
        "parse",
        "filter",
        "search",
        "rescore",
        "fetch",
        "apply",
        "fsync",
        "serialise",
        "send",
        "other",
    ] {
        assert!(stages.of(stage) > 0.0, "{stage}: {stages:?}");
    }
}

/// Asks for `usual` and for `more` in turns; in one round of eight `stage` must take `factor` times as long for `more`. A round may
/// be spoilt by whatever else runs on the machine; a stage that is not moved by what it names stays as it is in all of them.
fn grows(server: &Server, stage: &str, factor: f64, usual: &Value, more: &Value) {
    let mut client = server.client();
    let mut of = |body: &Value| taken(server, 10.0, || (0..10).for_each(|_| query(&mut client, body)));
    let rounds: Vec<_> = (0..8).map(|_| (of(usual), of(more))).collect();
    assert!(
        rounds
            .iter()
            .any(|(usual, more)| more.of(stage) > usual.of(stage) * factor),
        "{stage}: {rounds:?}"
    );
}

#[test]
fn each_stage_grows_with_what_it_names() {
    let (server, mut client) = start();
    let usual = json!({"query": vector(1), "limit": 20, "with_payload": ["n"], "params": {"exact": true}});
    let with = |key: &str, value: Value| {
        let mut body = usual.clone();
        body[key] = value;
        body
    };
    upsert(&mut client, 0..1_000, 4_000);
    let check = |stage, factor, more: &Value| grows(&server, stage, factor, &usual, more);

    // More hits to gather, with their vectors.
    let mut more = with("limit", json!(1_000));
    more["with_vector"] = json!(true);
    check("fetch", 4.0, &more);

    // Long payloads to write.
    check("serialise", 2.0, &with("with_payload", json!(true)));

    // A filter that every point has to be tested against.
    let filter =
        json!({"must_not": [{"key": "text", "match": {"text": "y"}}, {"key": "n", "match": {"value": 3}}]});
    check("filter", 1.0, &with("filter", filter));

    // Many values to read.
    let filter = json!({"must_not": [{"has_id": (2_000..42_000).collect::<Vec<u64>>()}]});
    check("parse", 2.0, &with("filter", filter));
}

#[test]
fn queries_that_wait_for_a_slot_are_seen_in_queue() {
    let (server, mut client) = start();
    upsert(&mut client, 0..1_000, 0);
    let body = json!({"query": vector(1), "limit": 100, "params": {"exact": true}});
    let queries = |count: usize| {
        let mut client = Client::new(server.address());
        (0..count).for_each(|_| query(&mut client, &body));
    };
    let rounds = (0..8).map(|_| {
        let usual = taken(&server, 20.0, || queries(20));
        let queued = taken(&server, 20.0, || {
            std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| queries(5)))));
        });
        (usual, queued)
    });
    let rounds: Vec<_> = rounds.collect();
    assert!(
        rounds
            .iter()
            .any(|(usual, queued)| queued.of("queue") > usual.of("queue") * 2.0),
        "{rounds:?}"
    );
}

#[test]
fn only_a_write_waits_for_the_disk_and_only_a_query_searches() {
    let (server, mut client) = start();
    let written = taken(&server, 1.0, || upsert(&mut client, 0..100, 0));
    let asked = taken(&server, 1.0, || query(&mut client, &json!({"query": vector(1)})));
    let check = |stages: &Stages, moved: &[&str], still: &[&str]| {
        let each = |names: &[&str], right: fn(f64) -> bool| names.iter().all(|stage| right(stages.of(stage)));
        assert!(
            each(moved, |seconds| seconds > 0.0) && each(still, |seconds| seconds == 0.0),
            "{stages:?}"
        );
    };
    check(&written, &["fsync", "apply"], &["filter", "search", "fetch"]);
    check(&asked, &["search", "fetch"], &["filter", "fsync", "apply"]);
}

#[test]
fn a_client_that_reads_slowly_is_seen_in_send() {
    let (server, mut client) = start();
    // More than the sockets on the way take: 20 MB.
    (0..20).for_each(|part| upsert(&mut client, part * 50..part * 50 + 50, 20_000));
    let body = json!({"query": vector(1), "limit": 1_000, "with_payload": true}).to_string();
    let slow = taken(&server, 1.0, || {
        let mut stream = connect(server.address()).expect("the server accepts");
        let request = format!(
            "POST /collections/c/points/query HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            server.address(),
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut begin = [0];
        stream.read_exact(&mut begin).expect("the server answers");
        std::thread::sleep(Duration::from_millis(200));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        assert!(answer.len() > 20_000_000, "{}", answer.len());
    });
    assert!((0.19..10.0).contains(&slow.of("send")), "{slow:?}");
}

#[test]
fn a_client_that_sends_slowly_is_seen_in_receive() {
    let (server, _client) = start();
    let body = json!({"query": vector(1)});
    let text = body.to_string();
    let slow = taken(&server, 1.0, || {
        let mut stream = connect(server.address()).expect("the server accepts");
        let head = format!(
            "POST /collections/c/points/query HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            server.address(),
            text.len()
        );
        for part in [&head[..20], &head[20..], &text[..10], &text[10..]] {
            stream.write_all(part.as_bytes()).expect("the server reads");
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
    assert!((0.14..10.0).contains(&slow.of("receive")), "{slow:?}");
}
