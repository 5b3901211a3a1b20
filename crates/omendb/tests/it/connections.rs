//! Connections: pools that fill up, heads that hyper refuses by itself, bodies nobody reads, and what is counted.

use std::io::{BufReader, Read as _, Write as _};

use serde_json::json;

use crate::client::{self, Client, Response};
use crate::page::Page;
use crate::server::{Directory, Server, create_collection};

/// Sends `bytes` and reads one answer, the sending half left open: nothing but the server ends this.
fn ask(server: &Server, bytes: &[u8]) -> Option<Response> {
    let mut stream = client::connect(server.address()).expect("the server listens");
    // The server may have refused before everything was sent.
    let _sent = stream.write_all(bytes);
    client::read(&mut BufReader::new(stream)).ok()
}

fn counted(page: &Page, method: &str, endpoint: &str, status: u16) -> f64 {
    let series = format!(
        "omendb_http_requests_total{{method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"}}"
    );
    page.get(&series).unwrap_or(0.0)
}

#[test]
fn a_head_that_is_refused_is_counted_as_a_request() {
    let server = Server::start();
    let check = |bytes: &[u8], status: u16| {
        let before = counted(&server.scrape(), "other", "unmatched", status);
        assert_eq!(ask(&server, bytes).map(|answer| answer.status), Some(status));
        let after = counted(&server.scrape(), "other", "unmatched", status);
        assert_eq!(after - before, 1.0, "{status}");
    };
    check(b"GET / HTTP/9.9\r\n\r\n", 400);
    check(b"nonsense\r\n\r\n", 400);
    check(b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n", 400);
    let endless = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(200_000)
    );
    check(endless.as_bytes(), 431);
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "y".repeat(65_600));
    check(long_target.as_bytes(), 431);
}

#[test]
fn a_slow_head_is_told_so_and_counted() {
    let server = Server::start_in(&Directory::new(), &["--http-header-timeout", "300ms"]);
    let answer = ask(&server, b"GET /livez HTTP/1.1\r\nhost: loc").expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(
        answer.error().contains("http.header_timeout"),
        "{}",
        answer.text()
    );
    assert_eq!(counted(&server.scrape(), "other", "unmatched", 408), 1.0);
}

#[test]
fn methods_and_media_types_are_checked_from_the_table() {
    let server = Server::start();
    let mut client = server.client();
    let wrong = client.send("PATCH", "/query", &[], b"");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(counted(&server.scrape(), "PATCH", "/query", 405), 1.0);
    assert_eq!(client.get("/no/such/path").status, 404);
    assert_eq!(counted(&server.scrape(), "GET", "unmatched", 404), 1.0);
    let head = "content-length: 2\r\n\r\n{}";
    let form = format!("POST /query HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n{head}");
    let refused = ask(&server, form.as_bytes()).unwrap();
    assert_eq!(refused.status, 415);
    assert!(refused.error().contains("text/plain"), "{}", refused.text());
    let mut stream = client::connect(server.address()).unwrap();
    stream
        .write_all(b"HEAD /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"),
        "{answer:?}"
    );
}

#[test]
fn a_connection_outlives_a_refusal_whose_body_was_short() {
    let server = Server::start();
    let mut stream = BufReader::new(client::connect(server.address()).unwrap());
    for _ in 0..3 {
        let body = "x".repeat(1000);
        let request =
            format!("POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{body}");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = client::read(&mut stream).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (404, None));
    }
    // Asked whether to send a body, the server says no by answering at once, and takes no later byte for a request.
    let request =
        b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    stream.get_mut().write_all(request).unwrap();
    let answer = client::read(&mut stream).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
}

#[test]
fn connections_beyond_the_pool_wait_and_are_then_refused() {
    let small = [
        "--http-max-connections",
        "2",
        "--http-connection-queue",
        "1",
        "--http-connection-queue-timeout",
        "300ms",
    ];
    let server = Server::start_in(&Directory::new(), &small);
    let mut scraper = server.client();
    assert_eq!(scraper.get("/livez").status, 200);
    let mut other = server.client();
    assert_eq!(other.get("/livez").status, 200);
    // One waits its time out, whoever comes while it waits finds the queue full.
    let waiting = client::connect(server.address()).unwrap();
    Page::until(&mut scraper, r#"omendb_connection_queue_depth{pool="http"}"#, 1.0);
    let full = ask(&server, b"").expect("an answer");
    assert_eq!((full.status, full.header("retry-after")), (503, Some("1")));
    let timed_out = client::read(&mut BufReader::new(waiting)).unwrap();
    assert_eq!(timed_out.status, 503);
    let page = Page::scrape(&mut scraper);
    let rejected = |reason: &str| {
        let series = format!("omendb_connection_pool_rejected_total{{pool=\"http\",reason=\"{reason}\"}}");
        page.value(&series)
    };
    assert_eq!((rejected("full"), rejected("timeout")), (1.0, 1.0));
    assert_eq!(counted(&page, "other", "unmatched", 503), 2.0);
    // A connection that ends makes room for the one that waits.
    let mut patient = client::connect(server.address()).unwrap();
    patient
        .write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    drop(other);
    assert_eq!(client::read(&mut BufReader::new(patient)).unwrap().status, 200);
}

#[test]
fn a_client_that_hangs_up_is_counted_too() {
    let server = Server::start();
    create_collection(&mut server.client(), "c", "Dot");
    let mut scraper = server.client();
    let mut stream = client::connect(server.address()).unwrap();
    let head = "PUT /collections/c/points HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).unwrap();
    let in_flight =
        r#"omendb_http_requests_in_flight{method="PUT",endpoint="/collections/:collection/points"}"#;
    Page::until(&mut scraper, in_flight, 1.0);
    drop(stream);
    Page::until(&mut scraper, in_flight, 0.0);
    let page = Page::scrape(&mut scraper);
    let endpoint = "/collections/:collection/points";
    let failed = [400, 499].map(|status| counted(&page, "PUT", endpoint, status));
    assert_eq!(failed.iter().sum::<f64>(), 1.0, "{failed:?}");
}

#[test]
fn bodies_share_one_budget_and_are_refused_beyond_it() {
    const HELD: &str = "omendb_memory_bytes{part=\"bodies\"}";
    let limits = ["--http-max-body", "100KiB", "--http-max-bodies", "100KiB"];
    let server = Server::start_in(&Directory::new(), &limits);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let body = |id: u64| {
        let payload = json!({"text": "x".repeat(70_000)});
        let points = [json!({"id": id, "vector": [1, 2, 3, 4], "payload": payload})];
        json!({"points": points})
    };
    let text = body(1).to_string();
    let head = format!(
        "PUT /collections/c/points?wait=true HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.address(),
        text.len()
    );
    let mut slow = client::connect(server.address()).expect("the server listens");
    slow.write_all(head.as_bytes()).unwrap();
    let (most, last) = text.split_at(text.len() - 1);
    slow.write_all(most.as_bytes()).unwrap();
    Page::until(&mut client, HELD, most.len() as f64);

    let refused = client.put("/collections/c/points?wait=true", &body(2));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.error().contains("http.max_bodies"), "{}", refused.text());
    // What fits into one packet needs no room.
    let mut client = server.client();
    let found = client.post("/collections/c/points/query", &json!({"query": [1, 2, 3, 4]}));
    assert_eq!(found.status, 200, "{}", found.text());

    slow.write_all(last.as_bytes()).unwrap();
    let answer = client::read(&mut BufReader::new(slow)).expect("the first is answered");
    assert_eq!(answer.result()["status"], "completed");
    Page::until(&mut client, HELD, 0.0);
    client.put("/collections/c/points?wait=true", &body(2)).result();
}

#[test]
fn the_metrics_of_a_limited_credential_are_those_of_its_collections() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let limited = directory.token(
        "limited",
        &["--permission", "metrics:read", "--collection", "mine"],
    );
    let server = Server::start_in(&directory, &[]);
    for name in ["mine", "yours"] {
        create_collection(&mut server.client_with(&admin), name, "Dot");
    }
    let mut client = server.client_with(&limited);
    let check = |client: &mut Client, query: &str, has_mine: bool| {
        let page = client.get(&format!("/metrics{query}"));
        assert_eq!(page.status, 200);
        assert_eq!(page.text().contains("db_id=\"mine\""), has_mine, "{query}");
        assert!(
            !page.text().contains("yours") && !page.text().contains("\nomendb_http"),
            "{}",
            page.text()
        );
    };
    check(&mut client, "", true);
    check(&mut client, "?db_id=mine", true);
    check(&mut client, "?db_id=yours", false);
    assert_eq!(client.get("/collections").status, 403);
}
