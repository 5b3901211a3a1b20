//! Readiness while data is loaded: a disk that holds the reading of each collection's log in turn shows every step.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use omendb_sim::SimFs;
use serde_json::{Value, json};

use crate::client::Client;
use crate::health::Server;
use crate::page::Page;
use crate::server::{create_collection, upsert};

/// In the order in which they are loaded; all of one size.
const COLLECTIONS: [&str; 4] = ["a", "b", "c", "d"];

fn logs(fs: &SimFs) -> BTreeSet<PathBuf> {
    let files = fs.files().into_iter();
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect()
}

/// What `/readyz` says, once a read waits and `loaded` collections are there.
fn progress(fs: &SimFs, client: &mut Client, loaded: u64) -> Value {
    let begin = Instant::now();
    loop {
        let answer = client.get("/readyz");
        assert_eq!(answer.status, 503, "{loaded} loaded: {}", answer.text());
        let body = answer.json();
        if body["loaded_collections"] == loaded && fs.reads_waiting() == 1 {
            return body;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{loaded}: {body}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn readyz_says_how_far_loading_is_until_all_is_there() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    let mut log_of = Vec::new();
    for name in COLLECTIONS {
        let before = logs(&fs);
        create_collection(&mut server.client(), name, "Dot");
        upsert(&mut server.client(), name, 0..500);
        log_of.push(logs(&fs).difference(&before).next().expect("a log").clone());
    }
    let directory = Arc::clone(&server.directory);
    drop(server);

    let holds: Vec<_> = log_of.iter().map(|log| fs.hold_reads(log)).collect();
    let server = Server::start_in(directory, &fs, |_| ());
    let mut client = server.client();
    let mut total = Value::Null;
    for (loaded, hold) in holds.into_iter().enumerate() {
        let body = progress(&fs, &mut client, loaded as u64);
        assert_eq!(body["status"], "loading", "{body}");
        assert_eq!(body["total_collections"], 4, "{body}");
        assert_eq!(body["percent"], 25 * loaded, "{body}");
        // All was measured before the first was read.
        if loaded > 0 {
            assert_eq!(body["total_bytes"], total, "{body}");
        }
        total = body["total_bytes"].clone();
        assert!(total.as_u64().is_some_and(|bytes| bytes > 4 * 500 * 16), "{body}");

        // It lives and tells its figures; what is loaded can be read, what is not has to be asked for later.
        assert_eq!(client.get("/livez").status, 200);
        let component = "omendb_health_component_state{component=\"recovery\"}";
        assert_eq!(
            Page::scrape(&mut client).get(component),
            Some(2.0),
            "unhealthy until it is there"
        );
        for (number, name) in COLLECTIONS.iter().enumerate() {
            let query = json!({"query": [1, 2, 3, 4], "limit": 1});
            let answer = client.post(&format!("/collections/{name}/points/query"), &query);
            let expected = if number < loaded { 200 } else { 503 };
            assert_eq!(answer.status, expected, "{name} of {loaded}: {}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), expected == 503, "{name}");
        }
        drop(hold);
    }
    let begin = Instant::now();
    while client.get("/readyz").status != 200 {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{}",
            client.get("/readyz").text()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    for name in COLLECTIONS {
        let count = client.post(&format!("/collections/{name}/points/count"), &json!({}));
        assert_eq!(count.result()["count"], 500, "{name}");
    }
}
