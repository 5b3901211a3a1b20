//! The log: one line for an event, with the request it is about, without secrets, at a level that is changed live.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Directory, Server, create_collection};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SECRET: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

/// Waits until the log has a line with `part` and returns it.
fn line_with(server: &Server, part: &str) -> String {
    let begin = Instant::now();
    loop {
        let log = server.log();
        if let Some(line) = log.lines().find(|line| line.contains(part)) {
            return line.to_owned();
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "no {part} in:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_line_names_the_request_and_its_trace() {
    let check = |format: &str| {
        let server = Server::start_in(
            &Directory::new(),
            &["--log-level", "debug", "--log-format", format],
        );
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-00");
        let headers = [("x-request-id", "the-one"), ("traceparent", parent.as_str())];
        server.client().send("GET", "/livez", &headers, b"");
        let line = line_with(&server, "the-one");
        if format == "text" {
            let names = format!("request_id=the-one trace_id={TRACE}");
            assert!(
                line.contains("path=\"/livez\"") && line.ends_with(&names),
                "{line}"
            );
        } else {
            let line: Value = serde_json::from_str(&line).expect("a line is an object");
            assert_eq!(
                (&line["request_id"], &line["trace_id"]),
                (&json!("the-one"), &json!(TRACE))
            );
            assert_eq!(
                (&line["level"], &line["fields"]["path"]),
                (&json!("DEBUG"), &json!("/livez"))
            );
        }
    };
    check("text");
    check("json");
}

#[test]
fn a_path_with_a_secret_is_logged_without_it() {
    let server = Server::start_in(&Directory::new(), &["--log-level", "debug"]);
    let headers = [("x-request-id", "the-one")];
    let path = format!("/collections/{SECRET}?api_key={SECRET}");
    let answer = server.client().send("GET", &path, &headers, b"");
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    assert!(answer.error().contains("_redacted"), "{}", answer.text());
    let line = line_with(&server, "the-one");
    assert!(line.contains("/collections/_redacted"), "{line}");
    assert!(!server.log().contains(SECRET));
}

#[test]
fn the_level_is_changed_while_the_server_runs() {
    let server = Server::start();
    let mut client = server.client();
    let level = |client: &mut crate::client::Client| client.get("/debug/log-level").json()["level"].clone();
    assert_eq!(level(&mut client), "info");
    let named = |name: &str| server.log().lines().filter(|line| line.contains(name)).count();
    client.send("GET", "/livez", &[("x-request-id", "first-call")], b"");

    let changed = client.put("/debug/log-level", &json!({"level": "info,omendb::http=debug"}));
    assert_eq!(changed.json()["level"], "info,omendb::http=debug");
    assert_eq!(level(&mut client), "info,omendb::http=debug");
    client.send("GET", "/livez", &[("x-request-id", "second-call")], b"");
    line_with(&server, "second-call");

    let refused = client.put("/debug/log-level", &json!({"level": "loud"}));
    assert_eq!(refused.status, 422);
    assert!(
        refused.error().contains("level = \"loud\": expected error"),
        "{}",
        refused.error()
    );
    assert_eq!(
        client.put("/debug/log-level", &json!({"levle": "info"})).status,
        422
    );
    assert_eq!(level(&mut client), "info,omendb::http=debug");

    client.put("/debug/log-level", &json!({"level": "warn"}));
    client.send("GET", "/livez", &[("x-request-id", "third-call")], b"");
    create_collection(&mut client, "c", "Dot");
    assert_eq!(
        (named("first-call"), named("third-call")),
        (0, 0),
        "{}",
        server.log()
    );
    assert_eq!(named("the log level was changed"), 2);
}

#[test]
fn only_an_admin_changes_the_level() {
    let directory = Directory::new();
    let reader = directory.token("reader", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    let level = json!({"level": "trace"});
    assert_eq!(server.client().put("/debug/log-level", &level).status, 401);
    assert_eq!(
        server.client_with(&reader).put("/debug/log-level", &level).status,
        403
    );
    assert_eq!(server.client_with(&reader).get("/debug/log-level").status, 403);
}

#[test]
fn a_level_that_is_none_is_refused_at_start() {
    let check = |level: &str| {
        let output = Directory::new().omendb(&["serve", "--listen", "127.0.0.1:0", "--log-level", level]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(&format!("log.level = \"{level}\"")), "{text}");
    };
    check("loud");
    check("info,hyper=trace");
}
