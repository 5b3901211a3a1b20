//! From start to end: what is refused before a port is bound, readiness, health, and draining.

use std::io::{BufReader, Write as _};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client;
use crate::server::{Directory, Server, command, create_collection, upsert};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn bad_configuration_is_refused_with_key_and_value() {
    let directory = Directory::new();
    let file = directory.path().join("omendb.toml");
    std::fs::write(&file, "[http]\nmax_body = \"many\"\n").unwrap();
    let check = |arguments: &[&str], parts: &[&str]| {
        let output = directory.omendb(&[&["serve"], arguments].concat());
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {message}");
        for part in parts {
            assert!(
                message.contains(part),
                "{arguments:?}: {message:?} does not name {part:?}"
            );
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(!stdout.contains("http://"), "{arguments:?}: a port was bound");
    };
    check(&["--listen", "localhost"], &["listen", "localhost"]);
    check(&["--listen", "127.0.0.1:99999"], &["listen", "127.0.0.1:99999"]);
    check(&["--http-max-body", "-1"], &["http.max_body", "-1"]);
    check(&["--no-such-flag"], &["no-such-flag"]);
    check(&["--config", &file.to_string_lossy()], &["http.max_body", "many"]);
    check(&["--config", "no-such-file.toml"], &["no-such-file.toml"]);
    // Open to the world without a credential.
    check(&["--listen", "0.0.0.0:0"], &["0.0.0.0:0", "token create"]);
    directory.token("first", &["--permission", "admin"]);
    drop(Server::start_in(&directory, &["--listen", "0.0.0.0:0"]));
}

#[test]
fn a_directory_has_one_server() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let second = directory.omendb(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    assert!(
        stderr(&second).contains("data"),
        "the message names the directory: {}",
        stderr(&second)
    );
    assert_eq!(server.client().get("/readyz").status, 200);
}

#[test]
fn liveness_comes_before_readiness_and_both_before_an_answer() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    create_collection(&mut server.client(), "c", "Dot");
    for first in (0..20_000).step_by(2_000) {
        upsert(&mut server.client(), "c", first..first + 2_000);
    }
    drop(server.kill());

    let server = Server::start_unready(&directory, &[]);
    let mut client = server.client();
    let begin = Instant::now();
    loop {
        assert_eq!(client.get("/livez").status, 200);
        let ready = client.get("/readyz");
        if ready.status == 200 {
            break;
        }
        assert_eq!(ready.status, 503, "{}", ready.text());
        let query = client.post("/collections/c/points/count", &json!({}));
        assert!(matches!(query.status, 200 | 503), "{}", query.text());
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(
        client.post("/collections/c/points/count", &json!({})).result(),
        json!({"count": 20_000})
    );
}

#[test]
fn health_tells_everybody_the_status_and_metrics_readers_the_rest() {
    let directory = Directory::new();
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let mut server = Server::start_in(&directory, &[]);
    let status = server.client().get("/health");
    assert_eq!(status.status, 200);
    let body = status.json();
    assert_eq!(body["status"], "healthy", "{body}");
    assert!(
        body.get("engine").is_none(),
        "no detail without a credential: {body}"
    );
    let body = server.client_with(&metrics).get("/health").json();
    assert_eq!(body["engine"]["is_healthy"], true, "{body}");
    assert_eq!(body["web_server"]["is_healthy"], true, "{body}");
    assert!(body["degraded"].is_array(), "{body}");
    assert!(
        body["timestamp"]
            .as_str()
            .is_some_and(|time| time.contains('T') && time.ends_with('Z')),
        "{body}"
    );
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(server.client().get(path).status, 200, "{path}");
    }

    let url = format!("http://{}", server.address());
    let health = || {
        command(&["health", "--url", &url])
            .output()
            .expect("omendb starts")
            .status
            .code()
    };
    assert_eq!(health(), Some(0));
    server.signal_term();
    server.wait();
    assert_eq!(health(), Some(1));
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_loses_nothing() {
    let directory = Directory::new();
    let mut server = Server::start_in(&directory, &["--drain-delay", "2s"]);
    create_collection(&mut server.client(), "c", "Dot");
    let body = json!({"points": [{"id": 1, "vector": [1, 2, 3, 4]}]}).to_string();
    let head = format!(
        "PUT /collections/c/points?wait=true HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        server.address(),
        body.len()
    );
    let mut slow = client::connect(server.address()).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    slow.write_all(&body.as_bytes()[..10]).unwrap();
    // The request is under way once the server counts it (this scrape is the other one in flight).
    while server.scrape().total("omendb_http_requests_in_flight") < 2.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.signal_term();
    // While the delay lasts, new connections are answered and told that it is not ready.
    let begin = Instant::now();
    while server.client().get("/readyz").status != 503 {
        assert!(
            begin.elapsed() < Duration::from_millis(1_900),
            "readyz still says 200"
        );
    }
    assert_eq!(server.client().get("/livez").status, 200);
    std::thread::sleep(Duration::from_millis(2_200));
    slow.write_all(&body.as_bytes()[10..]).unwrap();
    let answer = client::read(&mut BufReader::new(slow)).expect("a request in flight is answered");
    assert_eq!(answer.result()["status"], "completed");
    assert!(server.wait().success(), "{}", server.log());

    let server = Server::start_in(&directory, &[]);
    assert_eq!(server.client().get("/collections/c/points/1").status, 200);
}

#[test]
fn a_drain_that_takes_too_long_ends_anyway() {
    let directory = Directory::new();
    let mut server = Server::start_in(&directory, &["--drain-timeout", "300ms"]);
    let mut stuck = client::connect(server.address()).unwrap();
    stuck.write_all(b"PUT /collections/c HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{").unwrap();
    while server.scrape().total("omendb_http_requests_in_flight") < 2.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begin = Instant::now();
    server.signal_term();
    server.wait();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
