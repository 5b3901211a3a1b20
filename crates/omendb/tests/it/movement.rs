//! Each kind of operation moves exactly the figures it is about: a scrape before, a scrape after, and nothing else.

use serde_json::json;

use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

const POINTS: &str = "/collections/:collection/points";
const QUERY: &str = "/collections/:collection/points/query";

/// What every write does to the log.
const COMMIT: &[(&str, f64)] = &[
    ("omendb_engine_batch_points_count", 1.0),
    ("omendb_log_commits_joined_count", 1.0),
    ("omendb_log_commits_joined_sum", 1.0),
    ("omendb_log_fsync_seconds_count", 1.0),
];

#[test]
fn writes_move_what_they_wrote() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    // Its connection is counted, so it is made before the first comparison.
    let _warm = Page::scrape(&mut scraper);

    // Ten new points.
    let moves = [
        ("omendb_engine_batch_points_sum", 10.0),
        (r#"omendb_engine_vectors{db_id="c"}"#, 10.0),
        (r#"omendb_engine_vectors_indexed_total{db_id="c"}"#, 10.0),
    ];
    let write = || upsert(&mut client, "c", 0..10);
    check(&mut scraper, ["PUT", POINTS, "200"], write, &[COMMIT, &moves]);

    // Four of them again and one new: the four leave tombstones.
    let moves = [
        ("omendb_engine_batch_points_sum", 5.0),
        (r#"omendb_engine_vectors{db_id="c"}"#, 1.0),
        (r#"omendb_engine_tombstones{db_id="c"}"#, 4.0),
        (r#"omendb_engine_vectors_indexed_total{db_id="c"}"#, 5.0),
    ];
    let write = || upsert(&mut client, "c", 6..11);
    check(&mut scraper, ["PUT", POINTS, "200"], write, &[COMMIT, &moves]);

    // Two deleted, and one that is not there.
    let moves = [
        ("omendb_engine_batch_points_sum", 3.0),
        (r#"omendb_engine_vectors{db_id="c"}"#, -2.0),
        (r#"omendb_engine_tombstones{db_id="c"}"#, 2.0),
    ];
    let delete = || {
        let ids = json!({"points": [0, 1, 999]});
        client
            .post("/collections/c/points/delete?wait=true", &ids)
            .result();
    };
    let request = ["POST", "/collections/:collection/points/delete", "200"];
    check(&mut scraper, request, delete, &[COMMIT, &moves]);

    // Refused: counted as a request and as nothing else.
    let refused = || {
        let body = json!({"points": [{"id": 1, "vector": [1, 2]}]});
        assert_eq!(client.put("/collections/c/points", &body).status, 400);
    };
    check(&mut scraper, ["PUT", POINTS, "400"], refused, &[]);
}

#[test]
fn vectors_with_a_defect_are_counted_however_they_are_refused() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Cosine");
    let defects = || {
        let page = server.scrape();
        ["not_finite", "wrong_dimension", "zero_length"].map(|kind| {
            page.value(&format!(
                r#"omendb_engine_vector_defects_total{{db_id="c",kind="{kind}"}}"#
            ))
        })
    };
    let mut check = |vector: &str, status: u16, expected: [f64; 3]| {
        let body = format!(r#"{{"points": [{{"id": 1, "vector": {vector}}}]}}"#);
        let answer = client.send("PUT", "/collections/c/points", &[], body.as_bytes());
        assert_eq!(answer.status, status, "{vector}: {}", answer.text());
        assert_eq!(defects(), expected, "{vector}");
    };
    check("[1, 2, 3, 4]", 200, [0.0, 0.0, 0.0]);
    check("[1, 2, NaN, 4]", 400, [1.0, 0.0, 0.0]);
    check("[1, -Infinity, 3, 4]", 400, [2.0, 0.0, 0.0]);
    check("[1, 1e999, 3, 4]", 400, [3.0, 0.0, 0.0]);
    check("[1, two, 3, 4]", 400, [3.0, 0.0, 0.0]);
    check("[1, 2]", 400, [3.0, 1.0, 0.0]);
    check("[0, 0, 0, 0]", 200, [3.0, 1.0, 1.0]);
}

#[test]
fn queries_move_the_work_they_did() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    for name in ["c", "other"] {
        create_collection(&mut client, name, "Dot");
        upsert(&mut client, name, 0..30);
    }
    let ids = json!({"points": [0, 1]});
    client
        .post("/collections/c/points/delete?wait=true", &ids)
        .result();
    let _warm = Page::scrape(&mut scraper);

    let queried = (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0);
    let work = [
        queried,
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
        // Rows of deleted points are compared with the chunk they lie in until compaction moves the others out of it.
        (r#"omendb_engine_distance_computations_total{db_id="c"}"#, 30.0),
        (r#"omendb_engine_bytes_touched_total{db_id="c"}"#, 30.0 * 16.0),
    ];
    let dialect = || {
        let body = json!({"query": [1, 2, 3, 4], "limit": 3});
        client.post("/collections/c/points/query", &body).result();
    };
    check(&mut scraper, ["POST", QUERY, "200"], dialect, &[&work]);
    let ours = || {
        let answer = client.post("/query", &json!({"db_id": "c", "vector": [1, 2, 3, 4], "k": 3}));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    check(&mut scraper, ["POST", "/query", "200"], ours, &[&work]);

    // A query that fails in the engine is counted with its kind, and its duration is nobody's.
    let failing = || {
        let answer = client.post("/collections/c/points/query", &json!({"query": [1, 2]}));
        assert_eq!(answer.status, 400);
    };
    let error = (
        r#"omendb_engine_query_errors_total{db_id="c",kind="invalid"}"#,
        1.0,
    );
    check(
        &mut scraper,
        ["POST", QUERY, "400"],
        failing,
        &[&[queried, error]],
    );

    let unknown = || assert_eq!(client.get("/no/such/route").status, 404);
    check(&mut scraper, ["GET", "unmatched", "404"], unknown, &[]);
    // Reading by id is no query.
    let read = || drop(client.get("/collections/c/points/5").result());
    let request = ["GET", "/collections/:collection/points/:id", "200"];
    check(&mut scraper, request, read, &[]);
}

#[test]
fn windowed_figures_appear_with_queries_and_agree_with_the_histogram() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..100);
    let windowed = [
        "query_duration_seconds",
        "query_latency_p50_seconds",
        "query_latency_p95_seconds",
        "query_latency_p99_seconds",
    ]
    .map(|name| format!("omendb_engine_{name}{{db_id=\"c\"}}"));
    let page = server.scrape();
    for series in &windowed {
        assert_eq!(page.get(series), None, "{series} without a query");
    }
    for _ in 0..50 {
        client
            .post("/collections/c/points/query", &json!({"query": [1, 2, 3, 4]}))
            .result();
    }
    let page = server.scrape();
    let [mean, p50, p95, p99] = windowed.map(|series| page.value(&series));
    assert!(p50 > 0.0 && p50 <= p95 && p95 <= p99, "{p50} {p95} {p99}");
    // All queries are within the window, so its mean is the histogram's.
    let histogram = |part: &str| page.value(&format!("omendb_query_duration_seconds_{part}{{db_id=\"c\"}}"));
    let overall = histogram("sum") / histogram("count");
    assert!(
        (mean / overall - 1.0).abs() < 0.01,
        "mean {mean} in the window, {overall} in the histogram"
    );
    assert_eq!(histogram("count"), 50.0);
    assert_eq!(
        page.value(r#"omendb_query_duration_seconds_bucket{db_id="c",le="+Inf"}"#),
        50.0
    );
}

#[test]
fn memory_follows_what_the_collection_holds() {
    let server = Server::start();
    let mut client = server.client();
    let size = 256;
    client
        .put(
            "/collections/c",
            &json!({"vectors": {"size": size, "distance": "Dot"}}),
        )
        .result();
    let allocated = |page: &Page| page.value(r#"omendb_engine_memory_allocated_bytes{db_id="c"}"#);
    let peak = |page: &Page| page.value(r#"omendb_engine_memory_peak_bytes{db_id="c"}"#);
    let empty = server.scrape();
    let points: Vec<_> = (0..2000)
        .map(|id| json!({"id": id, "vector": vec![0.5; size]}))
        .collect();
    client
        .put("/collections/c/points?wait=true", &json!({"points": points}))
        .result();
    let full = server.scrape();
    let raw = (2000 * size * 4) as f64;
    let grown = allocated(&full) - allocated(&empty);
    assert!(
        (raw..raw * 1.5).contains(&grown),
        "{grown} bytes for {raw} bytes of vectors"
    );
    assert!(peak(&full) >= allocated(&full));
    assert!(full.value(r#"omendb_engine_index_size_bytes{db_id="c"}"#) >= raw);
    let components: f64 = full
        .samples
        .iter()
        .filter(|(series, _)| series.starts_with("omendb_engine_memory_component_bytes{"))
        .map(|(_, bytes)| bytes)
        .sum();
    assert_eq!(components, allocated(&full), "the components add up to the whole");
    check_memory(&full, allocated(&full));

    client.delete("/collections/c").result();
    let gone = server.scrape();
    let left: Vec<_> = gone
        .samples
        .keys()
        .filter(|series| series.contains(r#"db_id="c""#))
        .collect();
    assert!(left.is_empty(), "series of a deleted collection: {left:?}");
}

/// The parts of the process's memory add up to it, to within what it allocates between two looks.
fn check_memory(page: &Page, collections: f64) {
    let part = |part: &str| page.value(&format!("omendb_memory_bytes{{part=\"{part}\"}}"));
    assert_eq!(part("collections"), collections);
    let metrics = part("metrics") / page.value("omendb_metrics_memory_bytes");
    assert!((0.9..=1.0).contains(&metrics), "{metrics} of the metrics");
    let parts = ["collections", "metrics", "code", "free", "unattributed"].map(part);
    assert!(parts.iter().all(|bytes| *bytes > 0.0), "{parts:?}");
    // The page is asked for without a body.
    assert_eq!(part("bodies"), 0.0);
    let (sum, whole) = (
        parts.iter().sum::<f64>(),
        page.value("process_resident_memory_bytes"),
    );
    assert!((sum / whole - 1.0).abs() < 0.05, "{parts:?} of {whole}");
    assert!(page.value("omendb_memory_peak_bytes") >= whole * 0.99);
}

#[test]
fn credentials_move_the_figures_about_them() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let reader = directory.token("reader", &["--permission", "data:read"]);
    let server = Server::start_in(&directory, &[]);
    let mut scraper = server.client_with(&admin);
    let _warm = Page::scrape(&mut scraper);
    // The second scrape itself is one valid token.
    let valid = |count: f64| (r#"omendb_auth_token_validations_total{status="valid"}"#, count);

    let good = || drop(server.client_with(&reader).get("/collections").result());
    let request = ["GET", "/collections", "200"];
    check(&mut scraper, request, good, &[&[valid(2.0)]]);

    let wrong = || assert_eq!(server.client_with("wrong").get("/collections").status, 401);
    let invalid = (r#"omendb_auth_token_validations_total{status="invalid"}"#, 1.0);
    let request = ["GET", "/collections", "401"];
    check(&mut scraper, request, wrong, &[&[invalid, valid(1.0)]]);

    let nothing = || assert_eq!(server.client().get("/collections").status, 401);
    let missing = (r#"omendb_auth_token_validations_total{status="missing"}"#, 1.0);
    check(&mut scraper, request, nothing, &[&[missing, valid(1.0)]]);

    let forbidden = || assert_eq!(server.client_with(&reader).get("/auth/tokens").status, 403);
    let denied = (
        r#"omendb_auth_authorization_failures_total{permission="admin"}"#,
        1.0,
    );
    let request = ["GET", "/auth/tokens", "403"];
    check(&mut scraper, request, forbidden, &[&[denied, valid(2.0)]]);

    let login = || {
        let body = json!({"user": "nobody", "password": "x"});
        assert_eq!(server.client().post("/auth/login", &body).status, 401);
    };
    let failure = (r#"omendb_auth_requests_total{status="failure"}"#, 1.0);
    let wrong = (
        r#"omendb_auth_login_failures_total{reason="wrong_credentials"}"#,
        1.0,
    );
    let request = ["POST", "/auth/login", "401"];
    check(&mut scraper, request, login, &[&[failure, wrong, valid(1.0)]]);
}

#[test]
fn logins_that_are_too_many_say_so() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &["--auth-login-rate", "2"]);
    let mut client = server.client();
    let mut login = || {
        let body = json!({"user": "nobody", "password": "x"});
        client.post("/auth/login", &body).status
    };
    assert_eq!([login(), login(), login()], [401, 401, 429]);
    let page = Page::scrape(&mut server.client_with(&admin));
    let failures = |reason: &str| {
        page.value(&format!(
            "omendb_auth_login_failures_total{{reason=\"{reason}\"}}"
        ))
    };
    let reasons = ["wrong_credentials", "rate_limited", "busy", "internal"];
    assert_eq!(reasons.map(failures), [2.0, 1.0, 0.0, 0.0]);
    assert_eq!(page.value(r#"omendb_auth_requests_total{status="failure"}"#), 3.0);
}

#[test]
fn the_uses_of_a_token_are_counted_by_its_name_while_it_is_in_force() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let reader = directory.token("reader", &["--permission", "data:read"]);
    let mail = directory.token("ada@example.com", &["--permission", "data:read"]);
    let server = Server::start_in(&directory, &[]);
    let mut scraper = server.client_with(&admin);
    let use_token = |token: &str| server.client_with(token).get("/collections").status;
    let uses =
        |page: &Page, token: &str| page.get(&format!("omendb_auth_token_uses_total{{token=\"{token}\"}}"));
    assert_eq!([&reader, &reader, &mail].map(|token| use_token(token)), [200; 3]);
    let page = Page::scrape(&mut scraper);
    assert_eq!(uses(&page, "reader"), Some(2.0));
    assert_eq!(uses(&page, "admin"), Some(1.0), "this scrape");
    // What a name looks like decides, not what it is.
    assert_eq!(
        (uses(&page, "ada@example.com"), uses(&page, "_redacted")),
        (None, Some(1.0))
    );

    // Files that are read again change nothing about those that are still in force.
    drop(scraper.delete("/auth/tokens/ada@example.com"));
    assert_eq!(use_token(&mail), 401);
    assert_eq!(use_token(&reader), 200);
    let page = Page::scrape(&mut scraper);
    assert_eq!(
        (uses(&page, "reader"), uses(&page, "_redacted")),
        (Some(3.0), Some(1.0))
    );
    drop(scraper.delete("/auth/tokens/reader"));
    assert_eq!(use_token(&reader), 401);
    assert_eq!(uses(&Page::scrape(&mut scraper), "reader"), None);
}

#[test]
fn bytes_of_bodies_are_those_of_their_route_and_status() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    let mut check = |method: &str, path: &str, endpoint: &str, body: &str| {
        let before = Page::scrape(&mut scraper);
        let answer = client.send(method, path, &[], body.as_bytes());
        let moved = Page::scrape(&mut scraper).since(&before);
        let of_route = |family: &str| {
            let mut of_family = moved.iter().filter(|(series, _)| {
                series.starts_with(family) && !series.contains("endpoint=\"/metrics\"")
            });
            let moved = of_family.next().map(|(series, bytes)| (series.clone(), *bytes));
            assert_eq!(of_family.next(), None, "{family} moves for one route");
            moved
        };
        let status = answer.status;
        let labels = format!("{{endpoint=\"{endpoint}\",method=\"{method}\",status=\"{status}\"}}");
        let bytes =
            |family: &str, bytes: usize| (bytes > 0).then(|| (format!("{family}{labels}"), bytes as f64));
        for (family, count) in [
            ("omendb_http_request_bytes_total", body.len()),
            ("omendb_http_response_bytes_total", answer.body.len()),
        ] {
            assert_eq!(of_route(family), bytes(family, count), "{method} {path}");
        }
    };
    let points = "/collections/:collection/points";
    let point = r#"{"points": [{"id": 1, "vector": [1, 2, 3, 4]}]}"#;
    check("PUT", "/collections/c/points", points, point);
    check(
        "PUT",
        "/collections/c/points",
        points,
        r#"{"points": [{"id": 1, "vector": [1]}]}"#,
    );
    check("PUT", "/collections/none/points", points, point);
    check("GET", "/collections/c", "/collections/:collection", "");
    check("GET", "/no/such/route", "unmatched", "");
    check(
        "POST",
        "/query",
        "/query",
        r#"{"db_id": "c", "vector": [1, 2, 3, 4]}"#,
    );
}

#[test]
fn the_process_says_what_it_is_and_for_how_long() {
    let server = Server::start();
    let first = server.scrape();
    let version = env!("CARGO_PKG_VERSION");
    let builds: Vec<_> = first
        .samples
        .iter()
        .filter(|(series, _)| series.starts_with("omendb_build_info{"))
        .collect();
    assert_eq!(builds.len(), 1, "{builds:?}");
    assert!(
        builds[0].0.contains(&format!("version=\"{version}\"")),
        "{builds:?}"
    );
    assert_eq!(*builds[0].1, 1.0);
    let second = server.scrape();
    let uptime = |page: &Page| page.value("omendb_uptime_seconds");
    assert!(uptime(&first) > 0.0 && uptime(&second) > uptime(&first));
    let started = second.value("process_start_time_seconds");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let since = now.expect("a clock after 1970").as_secs_f64() - started;
    // The kernel counts from its own start of the process, in hundredths of a second.
    assert!(uptime(&second) <= since + 1.0, "{} of {since} s", uptime(&second));
    assert!(second.value(r#"omendb_page_faults_total{kind="minor"}"#) > 100.0);
    assert!(second.value(r#"omendb_page_faults_total{kind="major"}"#) >= 0.0);
}

#[test]
fn connections_and_bytes_are_those_of_the_sockets() {
    let server = Server::start();
    let mut scraper = server.client();
    let before = Page::scrape(&mut scraper);
    let body = "x".repeat(100_000);
    for _ in 0..3 {
        // Refused as JSON, after it has been read.
        assert_eq!(
            server
                .client()
                .send("POST", "/query", &[], body.as_bytes())
                .status,
            400
        );
    }
    let page = Page::scrape(&mut scraper);
    let delta = |series: &str| page.value(series) - before.value(series);
    assert_eq!(delta("omendb_connections_total"), 3.0);
    let received = delta("omendb_network_receive_bytes_total");
    assert!((300_000.0..302_000.0).contains(&received), "{received} bytes");
    let sent = delta("omendb_network_transmit_bytes_total");
    assert!(sent > 1000.0, "{sent} bytes: the first page and three refusals");
    // Only the scraper stays connected.
    Page::until(&mut scraper, r#"omendb_connection_pool_active{pool="http"}"#, 1.0);
    let max = page.value(r#"omendb_connection_pool_max{pool="http"}"#);
    assert!(max >= 1.0, "{max}");
    assert_eq!(
        page.total("omendb_http_requests_in_flight"),
        1.0,
        "the scrape itself"
    );
}
