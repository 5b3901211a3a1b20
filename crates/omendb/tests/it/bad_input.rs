//! Every mistake is answered with its code and a message that names the field and the value, and changes nothing.

use std::io::{BufReader, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::server::{Server, create_collection, upsert};

/// Everything that is stored, read back through the API.
fn stored(client: &mut Client) -> Value {
    let everything = json!({"limit": 1000, "with_payload": true, "with_vector": true});
    let collections = client.get("/collections").result();
    let points = client.post("/collections/c/points/scroll", &everything).result();
    assert_eq!(points["points"].as_array().map(Vec::len), Some(3), "{points}");
    json!([collections, points])
}

/// A server with one collection, `c`, of three points.
fn filled() -> Server {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 1..4);
    server
}

/// A request, the code it must get, and what its message must contain.
type Case<'a> = (&'a str, &'a str, &'a str, u16, &'a [&'a str]);

const POINTS: &str = "/collections/c/points";
const QUERY: &str = "/collections/c/points/query";

const CASES: &[Case<'_>] = &[
    // Vectors that do not fit.
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,3]}]}"#,
        400,
        &["vector", "4", "3"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,3,4,5]}]}"#,
        400,
        &["vector", "4", "5"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[]}]}"#,
        400,
        &["vector", "4", "0"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,NaN,4]}]}"#,
        400,
        &["points[0].vector", "NaN"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,1e39,4]}]}"#,
        400,
        &["vector"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,"three",4]}]}"#,
        400,
        &["points[0].vector", "three"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":{"image":[1,2,3,4]}}]}"#,
        400,
        &["image"],
    ),
    // One bad point refuses the whole batch.
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":8,"vector":[1,2,3,4]},{"id":9,"vector":[1]}]}"#,
        400,
        &["vector", "4", "1"],
    ),
    ("POST", QUERY, r#"{"query":[1,2,3],"limit":3}"#, 400, &["4", "3"]),
    ("POST", QUERY, r#"{"query":[],"limit":3}"#, 400, &["query"]),
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,1e39],"limit":3}"#,
        400,
        &["query"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"using":"image"}"#,
        400,
        &["image"],
    ),
    (
        "POST",
        "/query",
        r#"{"db_id":"c","vector":[1,2,3],"k":3}"#,
        400,
        &["4", "3"],
    ),
    (
        "POST",
        "/query",
        r#"{"db_id":"c","vector":[],"k":3}"#,
        400,
        &["vector"],
    ),
    // Collections and points that are not there.
    (
        "POST",
        "/collections/nowhere/points/query",
        r#"{"query":[1,2,3,4]}"#,
        404,
        &["nowhere"],
    ),
    (
        "PUT",
        "/collections/nowhere/points",
        r#"{"points":[{"id":9,"vector":[1,2,3,4]}]}"#,
        404,
        &["nowhere"],
    ),
    (
        "POST",
        "/query",
        r#"{"db_id":"nowhere","vector":[1,2,3,4],"k":3}"#,
        404,
        &["nowhere"],
    ),
    ("GET", "/collections/nowhere", "", 404, &["nowhere"]),
    ("GET", "/collections/c/points/99", "", 404, &["99"]),
    ("GET", "/nothing/here", "", 404, &["/nothing/here"]),
    ("PATCH", "/query", "{}", 405, &["PATCH"]),
    // Fields that do not exist or say nothing sensible.
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"limits":3}"#,
        400,
        &["limits"],
    ),
    (
        "POST",
        "/query",
        r#"{"db_id":"c","vector":[1,2,3,4],"kk":3}"#,
        400,
        &["kk"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"limit":-1}"#,
        400,
        &["limit", "-1"],
    ),
    (
        "POST",
        "/query",
        r#"{"db_id":"c","vector":[1,2,3,4],"k":-1}"#,
        400,
        &["k", "-1"],
    ),
    (
        "PUT",
        "/collections/d",
        r#"{"vectors":{"size":-4,"distance":"Dot"}}"#,
        400,
        &["size", "-4"],
    ),
    (
        "PUT",
        "/collections/d",
        r#"{"vectors":{"size":0,"distance":"Dot"}}"#,
        422,
        &["size", "0"],
    ),
    (
        "PUT",
        "/collections/d",
        r#"{"vectors":{"size":4,"distance":"Hamming"}}"#,
        400,
        &["distance", "Hamming"],
    ),
    (
        "PUT",
        "/collections/c",
        r#"{"vectors":{"size":4,"distance":"Dot"}}"#,
        409,
        &["c"],
    ),
    // What would change the answer and is not served yet.
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"shard_key":"a"}"#,
        422,
        &["shard_key", "\"a\""],
    ),
    ("POST", QUERY, r#"{"query":{"text":"cat"}}"#, 400, &["`text`"]),
    (
        "POST",
        QUERY,
        r#"{"query":{"relevance_feedback":{}}}"#,
        400,
        &["missing field `target`"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"prefetch":{"params":{"idf":"local"}}}"#,
        400,
        &["prefetch.params.idf: unknown variant `local`"],
    ),
    // Queries that ask for nothing that can be found.
    (
        "POST",
        QUERY,
        r#"{"query":{"fusion":"rrf"}}"#,
        400,
        &["fusion", "prefetch"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":{"rrf":{"weights":[1]}},"prefetch":[{},{}]}"#,
        400,
        &["rrf", "1 weights", "2 prefetches"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":{"recommend":{"negative":[1]}}}"#,
        400,
        &["recommend", "positive"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":{"recommend":{"positive":[777]}}}"#,
        404,
        &["777"],
    ),
    (
        "POST",
        QUERY,
        r#"{"query":{"nearest":[1,2,3,4],"mmr":{"diversity":2}}}"#,
        422,
        &["diversity", "2"],
    ),
    (
        "POST",
        "/collections/c/points/query/batch",
        r#"{"searches":[{"query":[1,2,3,4]},{"query":[1,2,3,4],"limit":0}]}"#,
        422,
        &["searches[1].limit", "0"],
    ),
    // Filters that are none.
    (
        "POST",
        QUERY,
        r#"{"query":[1,2,3,4],"filter":{"must":[{"key":"n","match":{"value":1.5}}]}}"#,
        400,
        &["filter.must[0].match.value", "1.5"],
    ),
    (
        "POST",
        "/collections/c/points/delete",
        r#"{"filter":{"should":[{"key":"n..m","is_null":true}]}}"#,
        400,
        &["filter.should[0].key", "n..m"],
    ),
    // Ids of the wrong kind.
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":-1,"vector":[1,2,3,4]}]}"#,
        400,
        &["id", "-1"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":1.5,"vector":[1,2,3,4]}]}"#,
        400,
        &["id", "1.5"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":"seven","vector":[1,2,3,4]}]}"#,
        400,
        &["id", "seven"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":true,"vector":[1,2,3,4]}]}"#,
        400,
        &["id", "true"],
    ),
    (
        "POST",
        "/collections/c/points/delete",
        r#"{"points":["seven"]}"#,
        400,
        &["seven"],
    ),
    ("GET", "/collections/c/points/seven", "", 400, &["seven"]),
    // What is not JSON.
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9,"vector":[1,2,3,4]}"#,
        400,
        &["EOF"],
    ),
    (
        "PUT",
        POINTS,
        r#"{"points":[{"id":9 "vector":[1,2,3,4]}]}"#,
        400,
        &["expected"],
    ),
    ("PUT", POINTS, "", 400, &["empty"]),
    ("PUT", POINTS, "null", 400, &["null"]),
    ("PUT", POINTS, "\u{0}", 400, &["expected value"]),
];

#[test]
fn each_mistake_gets_its_code_and_a_message_and_changes_nothing() {
    let server = filled();
    let mut client = server.client();
    let before = stored(&mut client);
    for (method, path, body, status, parts) in CASES {
        let headers = [("content-type", "application/json")];
        let response = client.send(
            method,
            path,
            &headers[usize::from(!body.is_empty())..],
            body.as_bytes(),
        );
        assert_eq!(
            response.status,
            *status,
            "{method} {path} {body}: {}",
            response.text()
        );
        let message = response.error();
        for part in *parts {
            assert!(
                message.contains(part),
                "{method} {path} {body}: {message:?} does not name {part:?}"
            );
        }
        assert_eq!(stored(&mut client), before, "after {method} {path} {body}");
    }
}

#[test]
fn deep_json_is_refused_without_harm() {
    let server = filled();
    let mut client = server.client();
    let before = stored(&mut client);
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    for body in [
        format!(r#"{{"points":[{{"id":9,"vector":[1,2,3,4],"payload":{{"deep":{open}{close}}}}}]}}"#),
        format!(r#"{{"points":[{{"id":9,"vector":{open}{close}}}]}}"#),
        format!(r#"{{"points":{open}"#),
    ] {
        let response = client.send("PUT", POINTS, &[], body.as_bytes());
        assert_eq!(response.status, 400, "{}", response.text());
        assert!(
            response.error().len() < 1000,
            "the message does not repeat the body"
        );
    }
    let filter = format!(r#"{{"query":[1,2,3,4],"filter":{open}{close}}}"#);
    assert_eq!(client.send("POST", QUERY, &[], filter.as_bytes()).status, 400);
    assert_eq!(stored(&mut client), before);
}

#[test]
fn a_body_of_100_megabytes_is_refused_and_the_client_can_read_why() {
    let server = filled();
    let before = stored(&mut server.client());
    let length = 100_000_000;

    // Announced: refused by the header alone, while the client is still sending.
    let mut stream = client::connect(server.address()).unwrap();
    let head = format!(
        "PUT {POINTS} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let block = vec![b' '; 64 * 1024];
    // The server reads on for a bounded while only; that the rest cannot be sent is expected.
    let sent = (0..length / block.len())
        .take_while(|_| stream.write_all(&block).is_ok())
        .count();
    let response =
        client::read(&mut BufReader::new(stream)).expect("the answer arrives before the connection ends");
    assert_eq!(response.status, 413, "{}", response.text());
    assert!(
        response.error().contains(&length.to_string()),
        "{}",
        response.text()
    );
    assert!(
        sent * block.len() < 50_000_000,
        "{sent} blocks were taken from a body that was refused by its header"
    );

    // Not announced: counted while it comes.
    let mut stream = client::connect(server.address()).unwrap();
    let head = format!(
        "PUT {POINTS} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", block.len()).as_bytes(), &block, b"\r\n"].concat();
    let _sent = (0..length / block.len())
        .take_while(|_| stream.write_all(&chunk).is_ok())
        .count();
    let response =
        client::read(&mut BufReader::new(stream)).expect("the answer arrives before the connection ends");
    assert_eq!(response.status, 413, "{}", response.text());

    assert_eq!(stored(&mut server.client()), before);
}

#[test]
fn requests_that_break_off_leave_nothing_behind() {
    let server = filled();
    let before = stored(&mut server.client());
    let whole = format!(
        "PUT {POINTS} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n\
         {{\"points\":[{{\"id\":9,\"vector\":[1,2,3,4]}}]}}",
        server.address()
    );
    // The body is 9 bytes short of what is announced, so no prefix is a request.
    for length in (0..=whole.len()).step_by(7) {
        if let Ok(response) = client::raw(server.address(), &whole.as_bytes()[..length]) {
            assert!(
                matches!(response.status, 400 | 408),
                "{length} bytes: {} {}",
                response.status,
                response.text()
            );
        }
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"\r\n\r\n\r\n",
        &[0; 1000],
    ] {
        if let Ok(response) = client::raw(server.address(), garbage) {
            assert_eq!(response.status, 400, "{garbage:?}");
        }
    }
    assert_eq!(stored(&mut server.client()), before);
}

#[test]
fn a_client_that_stops_sending_is_let_go() {
    let server = Server::start_in(
        &crate::server::Directory::new(),
        &[
            "--http-header-timeout",
            "300ms",
            "--http-body-timeout",
            "300ms",
            "--http-idle-timeout",
            "300ms",
        ],
    );
    let check = |what: &str, bytes: &str| {
        let mut stream = client::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let ended = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert!(ended.is_ok(), "{what}: the connection is still open after 10 s");
        String::from_utf8(answer).unwrap()
    };
    check("nothing sent", "");
    check(
        "half a header",
        "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow",
    );
    let body = check(
        "half a body",
        "PUT /collections/c HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    );
    assert!(body.starts_with("HTTP/1.1 408"), "{body:?}");
    let idle = check(
        "idle after an answer",
        "GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    );
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle:?}");
    assert_eq!(server.client().get("/livez").status, 200);
}
