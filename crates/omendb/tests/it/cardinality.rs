//! Labels that users choose: so many series and no more, none for what is gone, none that shows a secret, and keys that come
//! from the declarations alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::client::Client;
use crate::client_model;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

/// A name that looks like a credential.
const SECRET: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

fn query(client: &mut Client, name: &str) {
    let path = format!("/collections/{name}/points/query");
    client.post(&path, &json!({"query": [1, 2, 3, 4]})).result();
}

/// The values of a label, of all series.
fn values(page: &Page, key: &str) -> BTreeSet<String> {
    let value = |series: &String| {
        let (_, rest) = series.split_once(&format!("{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    page.samples.keys().filter_map(value).collect()
}

fn dropped(page: &Page) -> [f64; 4] {
    ["limit", "removed", "redacted", "undeclared"]
        .map(|reason| page.value(&format!("omendb_metrics_dropped_total{{reason=\"{reason}\"}}")))
}

#[test]
fn collections_beyond_the_limit_share_one_series_in_every_format() {
    let directory = Directory::new();
    let limit = ["--metrics-max-collections", "3"];
    let server = Server::start_in(&directory, &limit);
    let mut client = server.client();
    let names = ["a", "b", "c", "late", "later", SECRET];
    for (number, name) in names.iter().enumerate() {
        create_collection(&mut client, name, "Cosine");
        upsert(&mut client, name, 1..11);
        (0..=number).for_each(|_| query(&mut client, name));
    }
    let of = |page: &Page, family: &str, name: &str| page.get(&format!("{family}{{db_id=\"{name}\"}}"));
    let queries = "omendb_engine_queries_total";
    let page = server.scrape();
    let expected = ["_overflow", "_redacted", "a", "b", "c"];
    assert!(
        values(&page, "db_id").iter().eq(expected),
        "{:?}",
        values(&page, "db_id")
    );
    assert_eq!(
        expected.map(|name| of(&page, queries, name)),
        [9.0, 6.0, 1.0, 2.0, 3.0].map(Some)
    );
    // Of two collections in one series, counts and sizes are added up, and ratios are nobody's.
    assert_eq!(of(&page, "omendb_engine_vectors", "_overflow"), Some(20.0));
    assert_eq!(of(&page, "omendb_engine_tombstone_ratio", "_overflow"), None);
    assert_eq!(
        of(&page, "omendb_query_duration_seconds_count", "_overflow"),
        Some(9.0)
    );
    assert_eq!(dropped(&page), [2.0, 0.0, 1.0, 0.0]);

    let accept = [("accept", "application/vnd.google.protobuf")];
    let protobuf = client.send("GET", "/metrics", &accept, b"");
    let samples = client_model::samples(&client_model::families(&protobuf.body));
    let in_protobuf: BTreeSet<_> = samples
        .keys()
        .filter_map(|(_, labels)| labels.get("db_id").cloned())
        .collect();
    let in_json = db_ids(&client.get("/metrics/json").json());
    for (format, found) in [("protobuf", in_protobuf), ("JSON", in_json)] {
        assert!(found.iter().eq(expected), "{format}: {found:?}");
    }
    let history = client.get("/metrics/history?name=omendb_engine_queries_total");
    assert!(
        !history.text().contains("late") && !history.text().contains("ghp_"),
        "{}",
        history.text()
    );

    // Who came late stays where it is when a place becomes free; the next to come gets it. What has left was counted.
    client.delete("/collections/a").result();
    client.delete("/collections/later").result();
    create_collection(&mut client, "new", "Dot");
    query(&mut client, "late");
    query(&mut client, "new");
    let page = server.scrape();
    let expected = ["_overflow", "_redacted", "b", "c", "new"];
    assert!(
        values(&page, "db_id").iter().eq(expected),
        "{:?}",
        values(&page, "db_id")
    );
    assert_eq!(of(&page, queries, "_overflow"), Some(10.0));
    assert_eq!(of(&page, queries, "new"), Some(1.0));
    assert_eq!(dropped(&page), [2.0, 1.0, 1.0, 0.0]);
}

/// The collections in a JSON page.
fn db_ids(page: &Value) -> BTreeSet<String> {
    let families = page["families"].as_array().expect("families").iter();
    let samples = families.flat_map(|family| family["samples"].as_array().expect("samples"));
    let values = samples.filter_map(|sample| sample["labels"]["db_id"].as_str());
    values.map(str::to_owned).collect()
}

#[test]
fn paths_and_methods_that_nobody_knows_have_one_series() {
    let server = Server::start();
    let mut client = server.client();
    for number in 0..50 {
        let (path, method) = (format!("/tenant-{number}/{SECRET}"), format!("METHOD{number}"));
        assert_eq!(client.get(&path).status, 404);
        assert_eq!(client.send(&method, "/collections", &[], b"").status, 405);
        assert_eq!(client.get(&format!("/collections/tenant-{number}")).status, 404);
    }
    let page = server.scrape();
    let requests = |method: &str, endpoint: &str, status: &str| {
        page.get(&format!(
            "omendb_http_requests_total{{method=\"{method}\",endpoint=\"{endpoint}\",status=\"{status}\"}}"
        ))
    };
    assert_eq!(requests("GET", "unmatched", "404"), Some(50.0));
    assert_eq!(requests("other", "/collections", "405"), Some(50.0));
    assert_eq!(requests("GET", "/collections/:collection", "404"), Some(50.0));
    let series: Vec<_> = page
        .samples
        .keys()
        .filter(|series| series.contains("tenant") || series.contains("METHOD"))
        .collect();
    assert!(series.is_empty(), "{series:?}");
}

#[test]
fn tokens_beyond_the_limit_share_one_series() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    let tokens: Vec<String> = (0..110)
        .map(|number| {
            let body = json!({"name": format!("t{number:03}"), "permissions": ["data:read"]});
            let answer = client.post("/auth/tokens", &body).json();
            let token = answer["token"]
                .as_str()
                .or_else(|| answer["result"]["token"].as_str());
            token.expect("a token").to_owned()
        })
        .collect();
    for token in &tokens {
        assert_eq!(server.client_with(token).get("/collections").status, 200);
    }
    let page = Page::scrape(&mut client);
    let uses: BTreeMap<_, _> = page
        .samples
        .iter()
        .filter(|(series, _)| series.starts_with("omendb_auth_token_uses_total"))
        .collect();
    assert_eq!(uses.len(), 101, "a hundred of their own and one shared: {uses:?}");
    let overflow = page.value(r#"omendb_auth_token_uses_total{token="_overflow"}"#);
    // The administrator's is one of the hundred.
    assert_eq!(overflow, 11.0);
}

#[test]
fn keys_of_labels_are_those_that_are_declared() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..10);
    query(&mut client, "c");
    let catalogue = client.get("/metrics/catalog").json();
    let families = catalogue["families"].as_array().expect("families").iter();
    let declared: BTreeMap<String, BTreeSet<String>> = families
        .map(|family| {
            let labels = serde_json::from_value(family["labels"].clone()).expect("keys");
            (family["name"].as_str().expect("a name").to_owned(), labels)
        })
        .collect();
    let page = client.get("/metrics/json").json();
    let mut compared = 0;
    for family in page["families"].as_array().expect("families") {
        let declared = &declared[family["name"].as_str().expect("a name")];
        for sample in family["samples"].as_array().expect("samples") {
            let labels = sample["labels"].as_object().expect("labels");
            assert!(labels.keys().eq(declared.iter()), "{sample} of {declared:?}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} series");
}
