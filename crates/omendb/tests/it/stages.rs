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

#[test]
fn each_stage_grows_with_what_it_names() {
    let (server, mut client) = start();
    let body = json!({"query": vector(1), "limit": 100, "with_payload": true, "params": {"exact": true}});
    upsert(&mut client, 0..1_000, 0);
    query(&mut client, &body);
    let usual = taken(&server, 10.0, || (0..10).for_each(|_| query(&mut client, &body)));
    let check = |stage: &str, stages: &Stages, factor: f64| {
        assert!(
            stages.of(stage) > usual.of(stage) * factor,
            "{stage}: {stages:?}, usually {usual:?}"
        );
    };

    // More hits to gather, with their vectors.
    let mut more = body.clone();
    more["limit"] = json!(1_000);
    more["with_vector"] = json!(true);
    let more = taken(&server, 10.0, || (0..10).for_each(|_| query(&mut client, &more)));
    check("fetch", &more, 4.0);

    // Long payloads to write, and to send.
    upsert(&mut client, 0..1_000, 4_000);
    let padded = taken(&server, 10.0, || (0..10).for_each(|_| query(&mut client, &body)));
    check("serialise", &padded, 2.0);
    check("send", &padded, 2.0);

    // A filter that every point has to be tested against.
    assert_eq!(usual.of("filter"), 0.0);
    let mut filtered = body.clone();
    filtered["filter"] =
        json!({"must_not": [{"key": "text", "match": {"text": "y"}}, {"key": "n", "match": {"value": 3}}]});
    let filtered = taken(&server, 10.0, || {
        (0..10).for_each(|_| query(&mut client, &filtered))
    });
    check("filter", &filtered, 1.0);

    // Many values to read.
    let mut long = body.clone();
    long["filter"] = json!({"must_not": [{"has_id": (2_000..42_000).collect::<Vec<u64>>()}]});
    check("parse", &taken(&server, 1.0, || query(&mut client, &long)), 2.0);

    // One slot, and others before us.
    let queued = taken(&server, 20.0, || {
        let begin = |_| {
            let address = server.address();
            let body = body.clone();
            std::thread::spawn(move || {
                let mut client = Client::new(address);
                (0..5).for_each(|_| query(&mut client, &body));
            })
        };
        let clients: Vec<_> = (0..4).map(begin).collect();
        clients
            .into_iter()
            .for_each(|client| client.join().expect("its queries are answered"));
    });
    check("queue", &queued, 4.0);

    // A write waits for the disk; a query does not.
    assert_eq!((usual.of("fsync"), usual.of("apply")), (0.0, 0.0));
    let written = taken(&server, 1.0, || upsert(&mut client, 0..100, 0));
    assert!(
        written.of("fsync") > 0.0 && written.of("apply") > 0.0,
        "{written:?}"
    );
    assert_eq!(
        (written.of("search"), written.of("fetch")),
        (0.0, 0.0),
        "{written:?}"
    );
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
    assert!((0.14..1.0).contains(&slow.of("receive")), "{slow:?}");
}
