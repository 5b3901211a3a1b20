//! Credentials and permissions, and who may speak to a server that has none.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

/// One route for each permission, all of which succeed on a server with collection `c`.
const READ: (&str, &str, &str) = ("POST", "/collections/c/points/query", r#"{"query":[1,2,3,4]}"#);
const WRITE: (&str, &str, &str) = (
    "PUT",
    "/collections/c/points",
    r#"{"points":[{"id":1,"vector":[1,2,3,4]}]}"#,
);
const METRICS: (&str, &str, &str) = ("GET", "/metrics", "");
const ADMIN: (&str, &str, &str) = ("GET", "/auth/tokens", "");
const PUBLIC: (&str, &str, &str) = ("GET", "/livez", "");

fn send(client: &mut Client, (method, path, body): (&str, &str, &str)) -> Response {
    client.send(method, path, &[], body.as_bytes())
}

/// Tries `request` until it gets `status`: the server looks at its credentials file every so often.
fn eventually(client: &mut Client, request: (&str, &str, &str), status: u16) {
    let begin = Instant::now();
    loop {
        let response = send(client, request);
        if response.status == status {
            return;
        }
        let waited = begin.elapsed();
        assert!(
            waited < Duration::from_secs(15),
            "still {} after {waited:?}: {}",
            response.status,
            response.text()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn each_permission_opens_its_routes_and_no_others() {
    let directory = Directory::new();
    let token =
        |permission: &str| directory.token(&permission.replace(':', "-"), &["--permission", permission]);
    let [admin, read, write, metrics] = ["admin", "data:read", "data:write", "metrics:read"].map(token);
    let server = Server::start_in(&directory, &[]);
    create_collection(&mut server.client_with(&admin), "c", "Dot");
    let check = |token: &str, expected: [u16; 5]| {
        let mut client = server.client_with(token);
        let statuses = [READ, WRITE, METRICS, ADMIN, PUBLIC].map(|request| send(&mut client, request).status);
        assert_eq!(statuses, expected, "read, write, metrics, admin, public");
    };
    check(&admin, [200, 200, 200, 200, 200]);
    check(&read, [200, 403, 403, 403, 200]);
    check(&write, [403, 200, 403, 403, 200]);
    check(&metrics, [403, 403, 200, 403, 200]);
    check("wrong", [401, 401, 401, 401, 200]);

    // Nothing presented, and the other header that clients send.
    let mut client = server.client();
    let missing = send(&mut client, READ);
    assert_eq!(
        (missing.status, missing.header("www-authenticate").is_some()),
        (401, true)
    );
    let (method, path, body) = READ;
    assert_eq!(
        client
            .send(method, path, &[("api-key", &read)], body.as_bytes())
            .status,
        200
    );
    assert_eq!(
        client
            .send(method, path, &[("authorization", "Basic eDp5")], body.as_bytes())
            .status,
        401
    );
    assert!(
        send(&mut server.client_with(&read), WRITE)
            .error()
            .contains("data:write"),
        "the message says what is missing"
    );

    let page = Page::scrape(&mut server.client_with(&metrics));
    let validations = |status: &str| {
        page.value(&format!(
            "omendb_auth_token_validations_total{{status=\"{status}\"}}"
        ))
    };
    assert!(
        validations("invalid") >= 4.0 && validations("missing") >= 1.0,
        "{page:?}"
    );
    let denied = page.value(r#"omendb_auth_authorization_failures_total{permission="data:write"}"#);
    assert_eq!(
        denied, 3.0,
        "twice without it in the table above, once for the message"
    );
}

#[test]
fn a_refused_caller_is_refused_before_its_body_is_read() {
    let directory = Directory::new();
    let read = directory.token("read", &["--permission", "data:read"]);
    let server = Server::start_in(&directory, &[]);
    // The body announced here is never sent: an answer shows that nobody waited for it.
    let check = |token: &str, expected: u16| {
        let head = format!(
            "PUT /collections/c/points HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
        );
        let begin = Instant::now();
        let mut stream = crate::client::connect(server.address()).unwrap();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let response = crate::client::read(&mut std::io::BufReader::new(stream)).unwrap();
        assert_eq!(response.status, expected, "{}", response.text());
        assert!(begin.elapsed() < Duration::from_secs(5));
    };
    check("wrong", 401);
    check(&read, 403);
}

#[test]
fn tokens_expire_and_are_revoked_while_the_server_runs() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    create_collection(&mut server.client_with(&admin), "c", "Dot");
    let brief = directory.token("brief", &["--permission", "data:read", "--expires", "2s"]);
    let doomed = directory.token("doomed", &["--permission", "data:read"]);
    let mut brief = server.client_with(&brief);
    let mut doomed = server.client_with(&doomed);
    eventually(&mut doomed, READ, 200);
    assert!(directory.omendb(&["token", "revoke", "doomed"]).status.success());
    eventually(&mut doomed, READ, 401);
    eventually(&mut brief, READ, 401);
    // It was good, and it is known to be expired: not merely unknown.
    std::thread::sleep(Duration::from_secs(2));
    assert!(send(&mut brief, READ).error().contains("expired"));
    assert!(send(&mut doomed, READ).error().contains("revoked"));

    let page = Page::scrape(&mut server.client_with(&admin));
    for status in ["expired", "revoked", "valid"] {
        let series = format!("omendb_auth_token_validations_total{{status=\"{status}\"}}");
        assert!(page.value(&series) >= 1.0, "{series}");
    }
    let list = directory.omendb(&["token", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("admin") && list.contains("brief"), "{list}");
}

#[test]
fn a_token_reaches_only_its_collections() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let limited = [
        "--permission",
        "data:read",
        "--permission",
        "data:write",
        "--collection",
        "mine",
    ];
    let limited = directory.token("limited", &limited);
    let server = Server::start_in(&directory, &[]);
    for name in ["mine", "yours"] {
        create_collection(&mut server.client_with(&admin), name, "Dot");
        upsert(&mut server.client_with(&admin), name, 0..3);
    }
    let mut client = server.client_with(&limited);
    assert_eq!(
        client.get("/collections").result(),
        json!({"collections": [{"name": "mine"}]})
    );
    let check = |client: &mut Client, method: &str, path: &str, body: Value, expected: u16| {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let response = client.send(method, path, &[], body.as_bytes());
        assert_eq!(response.status, expected, "{method} {path}: {}", response.text());
    };
    let query = |name: &str| json!({"db_id": name, "vector": [1, 2, 3, 4], "k": 1});
    check(&mut client, "POST", "/query", query("mine"), 200);
    check(&mut client, "POST", "/query", query("yours"), 403);
    check(&mut client, "POST", "/query", query("nowhere"), 403);
    check(&mut client, "GET", "/collections/mine", Value::Null, 200);
    check(&mut client, "GET", "/collections/yours", Value::Null, 403);
    check(&mut client, "GET", "/collections/yours/exists", Value::Null, 403);
    check(&mut client, "DELETE", "/collections/yours", Value::Null, 403);
    check(
        &mut client,
        "PUT",
        "/collections/other",
        json!({"vectors": {"size": 4, "distance": "Dot"}}),
        403,
    );
    check(
        &mut client,
        "POST",
        "/collections/yours/points/scroll",
        json!({}),
        403,
    );
    assert_eq!(
        server.client_with(&admin).get("/collections/yours").result()["points_count"],
        3
    );

    // What is wrong with the server names collections, so it is for those who see them all.
    let metrics = ["--permission", "metrics:read"];
    let all = directory.token("all", &metrics);
    let one = directory.token("one", &[&metrics[..], &["--collection", "mine"]].concat());
    let details = |token: &str| {
        let mut client = server.client_with(token);
        eventually(&mut client, METRICS, 200);
        client.get("/health").json()["engine"].is_object()
    };
    assert_eq!(
        [&admin, &all, &one].map(|token| details(token)),
        [true, true, false]
    );
}

#[test]
fn an_open_server_answers_only_loopback_names() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    let port = server.address().port();
    let check = |client: &mut Client, header: (&str, &str), expected: u16| {
        let (method, path, body) = WRITE;
        let response = client.send(method, path, &[header], body.as_bytes());
        assert_eq!(response.status, expected, "{header:?}: {}", response.text());
    };
    check(&mut client, ("host", "evil.example"), 403);
    check(&mut client, ("host", &format!("evil.example:{port}")), 403);
    check(&mut client, ("host", "127.0.0.1.evil.example"), 403);
    check(&mut client, ("host", ""), 403);
    check(&mut client, ("origin", "http://evil.example"), 403);
    check(&mut client, ("origin", "null"), 403);
    assert_eq!(
        client.post("/collections/c/points/count", &json!({})).result(),
        json!({"count": 0})
    );
    check(&mut client, ("host", &format!("localhost:{port}")), 200);
    check(&mut client, ("host", &format!("[::1]:{port}")), 200);
    check(&mut client, ("origin", &format!("http://localhost:{port}")), 200);
    assert!(
        server.log().contains("open") || server.log().contains("credential"),
        "said at start: {}",
        server.log()
    );
}

#[test]
fn the_first_credential_closes_an_open_server() {
    let server = Server::start();
    let mut open = server.client();
    create_collection(&mut open, "c", "Dot");
    assert_eq!(send(&mut open, READ).status, 200);
    let token = server.directory.token("first", &["--permission", "data:read"]);
    eventually(&mut open, READ, 401);
    assert_eq!(send(&mut server.client_with(&token), READ).status, 200);
    // A closed server may be reached by any name.
    let (method, path, body) = READ;
    let response = server
        .client_with(&token)
        .send(method, path, &[("host", "db.example")], body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn tokens_are_made_listed_and_revoked_over_http() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    create_collection(&mut client, "c", "Dot");
    let made = client.post(
        "/auth/tokens",
        &json!({"name": "app", "permissions": ["data:read"]}),
    );
    assert!(
        made.status == 200 || made.status == 201,
        "{} {}",
        made.status,
        made.text()
    );
    let body = made.json();
    let secret = find(&body, "token")
        .and_then(Value::as_str)
        .unwrap_or_else(|| unreachable!("no token in {body}"));
    assert_eq!(send(&mut server.client_with(secret), READ).status, 200);
    assert_eq!(send(&mut server.client_with(secret), ADMIN).status, 403);
    let list = send(&mut client, ADMIN);
    assert!(
        list.text().contains("app") && !list.text().contains(secret),
        "{}",
        list.text()
    );
    assert_eq!(client.delete("/auth/tokens/app").status, 200);
    assert_eq!(send(&mut server.client_with(secret), READ).status, 401);
    assert_eq!(
        client
            .post(
                "/auth/tokens",
                &json!({"name": "x", "permissions": ["data:sing"]})
            )
            .status,
        422
    );

    // Wherever the secret would be, only its hash is.
    for secret in [admin.as_str(), secret] {
        let mut files = vec![directory.path().to_owned()];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(
                    std::fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes
                    .windows(secret.len())
                    .any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a secret", path.display());
            }
        }
    }
}

#[test]
fn a_user_logs_in_and_out() {
    let directory = Directory::new();
    add_user(&directory, "ada", "correct horse");
    let server = Server::start_in(&directory, &[]);
    let login = |password: &str| {
        server
            .client()
            .post("/auth/login", &json!({"user": "ada", "password": password}))
    };
    let refused = login("wrong");
    assert_eq!(refused.status, 401, "{}", refused.text());
    let unknown = server
        .client()
        .post("/auth/login", &json!({"user": "bob", "password": "x"}));
    assert_eq!(
        (unknown.status, unknown.error()),
        (401, refused.error()),
        "a guesser learns no names"
    );
    let answer = login("correct horse");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let token = find(&body, "token")
        .and_then(Value::as_str)
        .unwrap_or_else(|| unreachable!("no token in {body}"));
    let mut client = server.client_with(token);
    let page = Page::scrape(&mut client);
    assert_eq!(page.value(r#"omendb_auth_requests_total{status="success"}"#), 1.0);
    assert_eq!(page.value(r#"omendb_auth_requests_total{status="failure"}"#), 2.0);
    assert_eq!(client.send("POST", "/auth/logout", &[], b"").status, 200);
    assert_eq!(client.get("/collections").status, 401);

    // Guessing is slowed down.
    let statuses: Vec<u16> = (0..20).map(|_| login("guess").status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// Whoever logs in is nobody yet: what they may make the server hold is little.
#[test]
fn a_login_of_many_bytes_is_refused() {
    let server = Server::start();
    let body = json!({"user": "a".repeat(70_000), "password": "x"}).to_string();
    let refused = server.client().send("POST", "/auth/login", &[], body.as_bytes());
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(refused.text().contains("65536 bytes\""), "{}", refused.text());
}

/// Adds an admin user; the password is read from stdin, never from the arguments that everybody can list.
fn add_user(directory: &Directory, name: &str, password: &str) {
    let mut command = crate::server::command(&["user", "add", name, "--permission", "admin"]);
    command.arg("--data-dir").arg(directory.data());
    let piped = std::process::Stdio::piped;
    let mut child = command
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .expect("omendb starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    std::io::Write::write_all(&mut stdin, format!("{password}\n").as_bytes()).expect("the password is read");
    drop(stdin);
    let output = child.wait_with_output().expect("the command can be waited for");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The value of `key` at the top or in the dialect's `result`.
fn find<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    body.get(key).or_else(|| body.get("result")?.get(key))
}
