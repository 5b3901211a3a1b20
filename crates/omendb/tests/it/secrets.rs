//! Secrets planted in every input are in no output: metrics, JSON, health, logs, traces, audit log and error texts.

use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::collector::{Collector, Manner};
use crate::server::{Directory, Server, create_collection};

/// splitmix64: every secret is another one, and a failure can be run again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut id = self.0;
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (id >> 33) as usize
    }

    fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut draw = || char::from(ALPHABET[self.next() % ALPHABET.len()]);
        (0..length).map(|_| draw()).collect()
    }
}

/// Secrets that have been planted, by the stretch of each that must appear nowhere.
struct Planter {
    chance: Chance,
    planted: Vec<String>,
}

impl Planter {
    /// A new secret in one of the shapes, which take turns.
    fn secret(&mut self) -> String {
        // Ends with a letter and a digit, so that the whole has both whatever chance drew.
        let body = self.chance.text(46) + "q7";
        let secret = match self.planted.len() % 6 {
            0 => format!("sk-{body}"),
            1 => format!("ghp_{}", &body[..36]),
            2 => format!("AKIA{}", body[..16].to_uppercase()),
            3 => format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{body}"),
            4 => format!("{}@example.com", body[..20].to_lowercase()),
            _ => body.clone(),
        };
        let start = secret.find(&body[..8]).unwrap_or(4);
        self.planted.push(secret[start..start + 12].to_owned());
        secret
    }

    /// Checks that nothing planted is in `output`.
    #[track_caller]
    fn check(&self, what: &str, output: &str) {
        for planted in &self.planted {
            assert!(
                !output.contains(planted),
                "{planted} is in {what}: {}",
                excerpt(output, planted)
            );
        }
    }
}

fn excerpt(output: &str, planted: &str) -> String {
    let lines = output.lines().filter(|line| line.contains(planted));
    lines.take(3).collect::<Vec<_>>().join("\n")
}

/// One request with secrets in it.
struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>, body: Value) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body,
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    fn send(&self, client: &mut Client) -> Response {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let body = if self.body.is_null() {
            String::new()
        } else {
            self.body.to_string()
        };
        client.send(self.method, &self.path, &headers, body.as_bytes())
    }
}

/// Secrets where names, ids and values belong, in paths, query strings and headers.
fn heads(planter: &mut Planter) -> Vec<Request> {
    let mut s = || planter.secret();
    let get = |path: String| Request::new("GET", path, Value::Null);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    vec![
        get(format!("/{}", s())),
        get(format!("/collections/{}", s())),
        get(format!("/collections/{}/exists", s())),
        get(format!("/collections/c/points/{}", s())),
        get(format!("/collections/c/{}", s())),
        get(format!("/metrics?db_id={}", s())),
        get(format!("/metrics?name[]={}", s())),
        get(format!("/metrics?{}=1", s())),
        get(format!("/debug/recall?db_id={}", s())),
        get(format!("/debug/recall?{}=1", s())),
        get(format!("/debug/slow-queries?db_id={}", s())),
        get(format!("/debug/slow-queries?trace_id={}", s())),
        get(format!("/debug/slow-queries?{}=1", s())),
        get(format!("/metrics/history?name={}", s())),
        get(format!(
            "/metrics/history?name=omendb_metrics_series&since={}",
            s()
        )),
        get(format!("/metrics/history?{}=1", s())),
        Request::new("DELETE", format!("/collections/{}", s()), Value::Null),
        Request::new("DELETE", format!("/auth/tokens/{}", s()), Value::Null),
        Request::new("DELETE", format!("/collections/c/index/{}", s()), Value::Null),
        Request::new(
            "PUT",
            format!("/collections/c/points?wait={}", s()),
            json!({"points": []}),
        ),
        Request::new(
            "POST",
            format!("/collections/c/points/query?{}=1", s()),
            json!({}),
        ),
        get("/collections".to_owned()).with("authorization", format!("Bearer {}", s())),
        get("/collections".to_owned()).with("authorization", s()),
        get("/collections".to_owned()).with("api-key", s()),
        get("/collections".to_owned()).with("x-request-id", s()),
        get("/collections".to_owned()).with("user-agent", s()),
        get("/collections".to_owned()).with("cookie", s()),
        get("/collections".to_owned()).with("traceparent", s()),
        get("/collections".to_owned())
            .with("traceparent", trace.to_owned())
            .with("tracestate", format!("k={}", s())),
        Request::new("POST", "/query", json!({})).with("content-type", s()),
        Request::new(
            "PUT",
            format!("/collections/{}", s()),
            json!({"vectors": {"size": 4, "distance": "Dot"}}),
        ),
    ]
}

/// Secrets in bodies.
fn bodies(planter: &mut Planter) -> Vec<Request> {
    let mut s = || planter.secret();
    let post = |path: &str, body: Value| Request::new("POST", path, body);
    let query = "/collections/c/points/query";
    vec![
        post("/query", json!({"db_id": s(), "vector": [1, 2, 3, 4], "k": 1})),
        post("/query", json!({"db_id": "c", "vector": s()})),
        post("/query", json!({"db_id": "c", s(): 1})),
        post(query, json!({"query": s()})),
        post(query, json!({"query": [1, 2, 3, 4], "using": s()})),
        post(query, json!({"query": {s(): 1}})),
        post(
            query,
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": s(), "match": {"value": s()}}]}}),
        ),
        post(
            query,
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"key": "a", "range": {"gt": s()}}]}}),
        ),
        post(
            query,
            json!({"query": [1, 2, 3, 4], "filter": {"must": [{"has_id": [s()]}]}}),
        ),
        post(query, json!({"query": [1, 2, 3, 4], "filter": {s(): []}})),
        post(
            query,
            json!({"query": [1, 2, 3, 4], "lookup_from": {"collection": s()}}),
        ),
        post(query, json!(s())),
        post("/collections/c/points/scroll", json!({"order_by": s()})),
        post("/collections/c/points/scroll", json!({"offset": s()})),
        post("/collections/c/facet", json!({"key": s()})),
        post("/collections/c/points", json!({"ids": [s()]})),
        post(
            "/collections/c/points/payload",
            json!({"payload": {s(): s()}, "points": [1]}),
        ),
        post(
            "/collections/c/points/payload",
            json!({"payload": s(), "points": [1]}),
        ),
        post("/collections/c/points/delete", json!({"points": [s()]})),
        post(
            "/collections/aliases",
            json!({"actions": [{"create_alias": {"collection_name": s(), "alias_name": s()}}]}),
        ),
        post("/collections/aliases", json!({"actions": [{s(): {}}]})),
        post("/auth/login", json!({"user": s(), "password": s()})),
        post("/auth/login", json!({"user": "ada", "password": {"is": s()}})),
        post("/auth/login", json!({s(): "ada"})),
        post(
            "/auth/tokens",
            json!({"name": format!("{} ", s()), "permissions": ["admin"]}),
        ),
        post("/auth/tokens", json!({"name": "t", "permissions": [s()]})),
        post(
            "/auth/tokens",
            json!({"name": "t", "permissions": ["admin"], "expires": s()}),
        ),
    ]
}

/// Secrets in bodies that change something in place.
fn changes(planter: &mut Planter) -> Vec<Request> {
    let mut s = || planter.secret();
    let vectors = |distance: String| json!({"vectors": {"size": 4, "distance": distance}});
    vec![
        Request::new("PUT", "/debug/log-level", json!({"level": s()})),
        Request::new("PUT", "/collections/d", vectors(s())),
        Request::new(
            "PUT",
            "/collections/c/index",
            json!({"field_name": s(), "field_schema": s()}),
        ),
        Request::new(
            "PUT",
            "/collections/c/points",
            json!({"points": [{"id": s(), "vector": [1, 2, 3, 4]}]}),
        ),
        Request::new(
            "PUT",
            "/collections/c/points",
            json!({"points": [{"id": 1, "vector": {s(): [1]}}]}),
        ),
        Request::new(
            "PUT",
            "/collections/c/points",
            json!({"points": [{"id": 2, "vector": [1, 2, 3, 4], "payload": {"a": s()}}]}),
        ),
        Request::new("PATCH", "/collections/c", json!({"metadata": {s(): s()}})),
        Request::new("PATCH", "/collections/c", json!({s(): 1})),
    ]
}

#[test]
fn what_is_planted_in_every_input_is_in_no_output() {
    let collector = Collector::start(Manner::Willing);
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let endpoint = collector.endpoint();
    let arguments = [
        "--log-level",
        "trace",
        "--traces-ratio",
        "1",
        "--traces-endpoint",
        &endpoint,
    ];
    let mut server = Server::start_in(&directory, &arguments);
    let mut client = server.client_with(&admin);
    create_collection(&mut client, "c", "Dot");
    let mut planter = Planter {
        chance: Chance(20_261_124),
        planted: vec![admin.trim_start_matches("omendb_").to_owned()],
    };
    let mut refused = 0;
    for _ in 0..6 {
        let mut requests = heads(&mut planter);
        requests.extend(bodies(&mut planter));
        requests.extend(changes(&mut planter));
        for request in requests {
            let answer = request.send(&mut client);
            if answer.status >= 400 {
                refused += 1;
                let what = format!(
                    "the answer to {} {} {}",
                    request.method, request.path, request.body
                );
                planter.check(&what, answer.text());
            }
        }
    }
    assert!(refused > 200, "{refused} error texts");
    for path in [
        "/metrics",
        "/metrics/json",
        "/metrics/catalog",
        "/health",
        "/debug/recall",
    ] {
        let answer = client.get(path);
        assert!(
            answer.status == 200 || answer.status == 503,
            "{path}: {}",
            answer.status
        );
        planter.check(path, answer.text());
    }
    let open_metrics = client.send(
        "GET",
        "/metrics",
        &[("accept", "application/openmetrics-text")],
        b"",
    );
    planter.check("/metrics as OpenMetrics", open_metrics.text());
    server.signal_term();
    assert!(server.wait().success());
    assert!(collector.spans().len() > 200, "{} spans", collector.spans().len());
    planter.check("the spans", &format!("{:?}", collector.messages()));
    let log = server.log();
    assert!(log.lines().count() > 200, "{log}");
    planter.check("the log", &log);
    let audit = std::fs::read_to_string(directory.data().join("audit.log")).expect("the audit log");
    assert!(audit.lines().count() > 20, "{audit}");
    planter.check("the audit log", &audit);
}

#[test]
fn a_wrong_configuration_is_refused_without_showing_secrets() {
    let mut planter = Planter {
        chance: Chance(7),
        planted: Vec::new(),
    };
    for flag in [
        "--listen",
        "--log-level",
        "--log-format",
        "--traces-endpoint",
        "--traces-ratio",
        "--http-max-body",
    ] {
        let secret = planter.secret();
        let output = Directory::new().omendb(&["serve", flag, &secret]);
        assert_eq!(output.status.code(), Some(64), "{flag}");
        planter.check(flag, &String::from_utf8_lossy(&output.stderr));
    }
}

/// The stretch of a secret that must appear nowhere, by itself: as a password is, it looks like a word.
fn shapeless(secret: &str) -> String {
    let body = secret.rsplit(['-', '_', '.']).next().unwrap_or(secret);
    body.split('@').next().unwrap_or(body).chars().take(20).collect()
}

#[test]
fn a_wrong_file_is_refused_without_showing_secrets() {
    let mut planter = Planter {
        chance: Chance(11),
        planted: Vec::new(),
    };
    // The configuration file, the variables, and the files of credentials that they name.
    let refused = |planter: &mut Planter, file: &dyn Fn(&str) -> String, flag: &str| {
        for _ in 0..6 {
            let directory = Directory::new();
            let path = directory.path().join("file");
            std::fs::write(&path, file(&planter.secret())).expect("the file can be written");
            let output = directory.omendb(&["serve", flag, &path.display().to_string()]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(64), "{flag}: {said}");
            assert!(!said.is_empty(), "{flag}");
            planter.check(flag, &said);
        }
    };
    let configurations: [&dyn Fn(&str) -> String; 8] = [
        &|secret| format!("[http]\nmax_body = \"{secret}\"\n"),
        &|secret| format!("listen = \"{secret}\"\n"),
        &|secret| format!("[log]\nlevel = \"{secret}\"\n"),
        &|secret| format!("\"{secret}\" = 1\n"),
        &|secret| format!("[\"{secret}\"]\nlevel = 1\n"),
        &|secret| format!("listen = {secret} ]\n"),
        &|secret| format!("api_key = \"{secret}\"\n"),
        // Not even its shape tells that it is one.
        &|secret| format!("password = \"{}\"\n", shapeless(secret)),
    ];
    for configuration in configurations {
        refused(&mut planter, configuration, "--config");
    }
    let credentials: [&dyn Fn(&str) -> String; 3] = [
        &|secret| format!("{{\"version\": 1, \"{secret}\": 1}}"),
        &|secret| format!("{{\"version\": 1, \"tokens\": \"{secret}\"}}"),
        &|secret| format!("{{ {secret}"),
    ];
    for credentials in credentials {
        refused(&mut planter, credentials, "--auth-tokens-file");
    }
    for variable in ["OMENDB_LISTEN", "OMENDB_HTTP_MAX_BODY", "OMENDB_TRACES_RATIO"] {
        let directory = Directory::new();
        let data = directory.data().display().to_string();
        let mut command = crate::server::command(&["serve", "--data-dir", &data]);
        let output = command
            .env(variable, planter.secret())
            .output()
            .expect("omendb starts");
        assert_eq!(output.status.code(), Some(64), "{variable}");
        planter.check(variable, &String::from_utf8_lossy(&output.stderr));
    }
}
