//! The audit log: every administrative act and every refusal has a line that says who, from where and what came of it.

use serde_json::{Value, json};

use crate::client::Client;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection};

fn lines(directory: &Directory) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.data().join("audit.log")).expect("the audit log");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| unreachable!("{error} in {line}"));
    text.lines().map(parse).collect()
}

/// Checks that a line has these values, the keys being action, outcome, actor, target and status.
#[track_caller]
fn check(lines: &[Value], expected: [Value; 5]) {
    let keys = ["action", "outcome", "actor", "target", "status"];
    let of = |line: &Value| keys.map(|key| line[key].clone());
    assert!(
        lines.iter().any(|line| of(line) == expected),
        "no {expected:?} in {lines:#?}"
    );
}

/// One of every act that is written down.
fn act(admin: &mut Client, server: &Server) {
    create_collection(admin, "c", "Dot");
    let again = json!({"vectors": {"size": 4, "distance": "Dot"}});
    assert_eq!(admin.put("/collections/c", &again).status, 409);
    admin
        .patch("/collections/c", &json!({"metadata": {"a": 1}}))
        .result();
    let alias = json!({"actions": [{"create_alias": {"collection_name": "c", "alias_name": "other"}}]});
    admin.post("/collections/aliases", &alias).result();
    admin.delete("/collections/c").result();
    let token = json!({"name": "reader", "permissions": ["data:read"]});
    let token = admin.post("/auth/tokens", &token).json()["token"].clone();
    let mut reader = server.client_with(token.as_str().expect("a token"));
    assert_eq!(reader.get("/collections").status, 200);
    assert_eq!(reader.get("/collections").status, 200);
    assert_eq!(reader.get("/metrics").status, 403);
    assert_eq!(admin.delete("/auth/tokens/reader").status, 200);
    assert_eq!(reader.get("/collections").status, 401);
    assert_eq!(
        admin.put("/debug/log-level", &json!({"level": "warn"})).status,
        200
    );
    let wrong = json!({"user": "ada", "password": "wrong battery"});
    assert_eq!(server.client().post("/auth/login", &wrong).status, 401);
}

#[test]
fn credentials_that_are_read_again_have_a_line() {
    let directory = Directory::new();
    directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    let until = |outcome: &str| {
        let begin = std::time::Instant::now();
        let is_there = |line: &Value| line["action"] == "credentials.reloaded" && line["outcome"] == outcome;
        loop {
            let found = lines(&directory).into_iter().find(is_there);
            if let Some(line) = found {
                return line;
            }
            assert!(
                begin.elapsed().as_secs() < 30,
                "no {outcome} in {:#?}",
                lines(&directory)
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    directory.token("second", &["--permission", "data:read"]);
    let line = until("success");
    assert_eq!(
        (&line["actor"], &line["detail"]),
        (&json!("server"), &Value::Null),
        "{line}"
    );
    let files = std::fs::read_dir(directory.data())
        .expect("the data directory")
        .flatten();
    let path = files
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "json"))
        .expect("the file of credentials");
    std::fs::write(&path, "{ this is none").expect("it can be written");
    let line = until("failure");
    assert!(
        line["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
        "{line}"
    );
    drop(server);
}

#[test]
fn every_act_and_refusal_has_its_line_and_none_a_secret() {
    let directory = Directory::new();
    let secret = directory.token("admin", &["--permission", "admin"]);
    let mut server = Server::start_in(&directory, &[]);
    act(&mut server.client_with(&secret), &server);
    let page = Page::scrape(&mut server.client_with(&secret));
    assert!(page.value("omendb_audit_events_total{outcome=\"written\"}") >= 14.0);
    assert_eq!(page.value("omendb_audit_events_total{outcome=\"failed\"}"), 0.0);
    let address = server.address().to_string();
    server.signal_term();
    assert!(server.wait().success());

    let lines = lines(&directory);
    check_acts(&lines, &address);
    for line in lines.iter().filter(|line| !line["status"].is_null()) {
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        assert!(
            line["request_id"].is_string() && line["time"].is_string(),
            "{line}"
        );
    }
    let text = std::fs::read_to_string(directory.data().join("audit.log")).expect("the audit log");
    assert!(!text.contains(&secret) && !text.contains("battery"), "{text}");
}

/// That the lines are those of [`act`] on the server at `address`.
fn check_acts(lines: &[Value], address: &str) {
    let null = Value::Null;
    let ok = |action: &str, target: &str| {
        let actor = "admin";
        [
            json!(action),
            json!("success"),
            json!(actor),
            json!(target),
            json!(200),
        ]
    };
    let by = |action: &str, actor: &str, target: &str| {
        [
            json!(action),
            json!("success"),
            json!(actor),
            json!(target),
            null.clone(),
        ]
    };
    check(lines, by("token.created", "command line", "admin"));
    check(lines, by("server.started", "server", address));
    check(lines, ok("collection.created", "c"));
    check(lines, ok("collection.changed", "c"));
    check(lines, ok("collection.deleted", "c"));
    check(lines, ok("token.revoked", "reader"));
    check(lines, ok("log_level.changed", "warn"));
    let failure = |action: &str, actor: &str, target: Value, status: u16| {
        [
            json!(action),
            json!("failure"),
            json!(actor),
            target,
            json!(status),
        ]
    };
    check(lines, failure("collection.created", "admin", json!("c"), 409));
    check(lines, failure("access.denied", "reader", null.clone(), 403));
    check(lines, failure("token.refused", "anonymous", null.clone(), 401));
    check(lines, failure("login", "anonymous", json!("ada"), 401));
    let created = [
        json!("token.created"),
        json!("success"),
        json!("admin"),
        json!("reader"),
        json!(201),
    ];
    check(lines, created);
    check(
        lines,
        [
            json!("server.stopped"),
            json!("success"),
            json!("server"),
            null.clone(),
            null,
        ],
    );
    let count = |action: &str, actor: &str| {
        let of = |line: &&Value| line["action"] == action && line["actor"] == actor;
        lines.iter().filter(of).count()
    };
    assert_eq!(
        (
            count("token.first_used", "reader"),
            count("token.first_used", "admin")
        ),
        (1, 1)
    );
    assert_eq!(count("aliases.changed", "admin"), 1);
}

#[test]
fn a_login_is_written_down_with_the_name_of_the_user() {
    let directory = Directory::new();
    let mut add = crate::server::command(&["user", "add", "ada@example.com", "--permission", "data:read"]);
    add.arg("--data-dir").arg(directory.data());
    let mut child = add
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("omendb starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut stdin, b"correct horse\n").expect("the password is read");
    drop(stdin);
    assert!(child.wait().expect("omendb ends").success());
    let server = Server::start_in(&directory, &[]);
    let login = json!({"user": "ada@example.com", "password": "correct horse"});
    let session = server.client().post("/auth/login", &login).json();
    let session = session["token"].as_str().expect("a session");
    assert_eq!(
        server
            .client_with(session)
            .post("/auth/logout", &json!({}))
            .status,
        200
    );
    let lines = lines(&directory);
    let by = |action: &str| {
        [
            json!(action),
            json!("success"),
            json!("ada@example.com"),
            Value::Null,
            json!(200),
        ]
    };
    check(&lines, by("login"));
    check(&lines, by("logout"));
}

#[test]
fn guessing_fills_no_disk() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    let mut guesser = server.client_with("a guess");
    for _ in 0..200 {
        assert_eq!(guesser.get("/collections").status, 401);
    }
    let refused = lines(&directory)
        .iter()
        .filter(|line| line["action"] == "token.refused")
        .count();
    assert!((10..20).contains(&refused), "{refused} lines");
    let page = Page::scrape(&mut server.client_with(&admin));
    assert!(page.value("omendb_audit_events_total{outcome=\"suppressed\"}") >= 180.0);
}

#[test]
fn an_audit_log_that_cannot_be_written_degrades_and_is_counted() {
    let directory = Directory::new();
    std::fs::create_dir_all(directory.data().join("audit.log")).expect("a directory in its place");
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let health = client.get("/health");
    assert_eq!(health.status, 200);
    assert!(
        health.text().contains("the audit log cannot be written"),
        "{}",
        health.text()
    );
    assert!(
        server
            .scrape()
            .value("omendb_audit_events_total{outcome=\"failed\"}")
            >= 2.0
    );
    std::fs::remove_dir(directory.data().join("audit.log")).expect("an empty directory");
    client.delete("/collections/c").result();
    assert_eq!(lines(&directory).len(), 1);
    // Health looks again after a moment.
    let begin = std::time::Instant::now();
    while client.get("/health").text().contains("audit log") {
        assert!(begin.elapsed().as_secs() < 10, "{}", client.get("/health").text());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
