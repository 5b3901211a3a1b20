//! The demo as a newcomer meets it: it says what to paste, that works, its figures move, and nothing is left behind.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::page::Page;
use crate::server::{Directory, address_in, command};

/// How long loading and moving may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo with its data below a directory of the test, ended with it.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What stands between `before` and `after` in `text`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect("the guide has the command");
    rest.split_once(after)
        .expect("the guide has all of the command")
        .0
}

/// The three commands of the guide, pasted.
fn paste_commands(client: &mut Client, guide: &str, site: &str) {
    let path = between(guide, site, " -H")
        .split_once(site)
        .map_or("", |(_, path)| path);
    let body: Value = serde_json::from_str(between(guide, "-d '", "'")).expect("the guide's body is JSON");
    let alike = client.post(path, &body).result();
    let names: Vec<_> = alike["points"]
        .as_array()
        .expect("points is a list")
        .iter()
        .map(|point| &point["payload"]["name"])
        .collect();
    assert!(
        names
            .iter()
            .any(|name| name.as_str().is_some_and(|name| name.contains("vim"))),
        "{names:?}"
    );
    let page = client.get(between(guide, &format!("-sg '{site}"), "'"));
    assert!(
        page.text()
            .contains("omendb_engine_queries_total{db_id=\"packages\"}"),
        "{}",
        page.text()
    );
    assert!(guide.contains(&format!("curl -s {site}/health")), "{guide}");
    assert_eq!(client.get("/health").json()["status"], "healthy");
}

/// Queries and writes go on by themselves.
fn wait_for_traffic(client: &mut Client) {
    let before = Page::scrape(client);
    let moves = [
        "omendb_engine_queries_total{db_id=\"packages\"}",
        "omendb_log_fsync_seconds_count",
    ];
    let begin = Instant::now();
    loop {
        let moved = Page::scrape(client).since(&before);
        if moves.iter().all(|series| moved.contains_key(*series)) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "nothing moves: {moved:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_demo_says_what_to_paste_and_leaves_nothing_behind() {
    let directory = Directory::new();
    let data = directory.path().join("temporary");
    std::fs::create_dir(&data).unwrap();
    let log = File::create(directory.path().join("stderr.log")).unwrap();
    let mut starting = command(&["demo", "--listen", "127.0.0.1:0"]);
    let spawned = starting
        .env("TMPDIR", &data)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn();
    let mut demo = Demo(spawned.expect("omendb starts"));
    let mut stdout = BufReader::new(demo.0.stdout.take().unwrap());
    let mut guide = String::new();
    while !guide.contains("Ctrl-C") {
        assert_ne!(stdout.read_line(&mut guide).unwrap(), 0, "ended after {guide}");
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1, "its data is there");

    let address = address_in(&guide).expect("the guide names the address");
    let mut client = Client::new(address);
    paste_commands(&mut client, &guide, &format!("http://{address}"));
    wait_for_traffic(&mut client);

    // Ctrl-C.
    let process = demo.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &process])
            .status()
            .expect("kill starts")
            .success()
    );
    stdout.read_to_string(&mut guide).unwrap();
    let status = demo.0.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "its data is removed"
    );
}
