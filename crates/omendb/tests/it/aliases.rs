//! Aliases over HTTP: every route takes one, credentials and figures go by the collection, and kill -9 loses none.

use serde_json::{Value, json};

use crate::client::Client;
use crate::exactly::check;
use crate::page::Page;
use crate::server::{Directory, Server, create_collection, upsert};

fn create(alias: &str, collection: &str) -> Value {
    json!({"create_alias": {"alias_name": alias, "collection_name": collection}})
}

fn change(client: &mut Client, actions: &[Value]) {
    let changed = client.post("/collections/aliases", &json!({"actions": actions}));
    assert_eq!(changed.result(), json!(true));
}

fn described(pairs: &[(&str, &str)]) -> Value {
    let alias =
        |(alias, collection): &(&str, &str)| json!({"alias_name": alias, "collection_name": collection});
    json!({"aliases": pairs.iter().map(alias).collect::<Vec<_>>()})
}

#[test]
fn an_alias_stands_for_its_collection_also_after_kill_9() {
    let directory = Directory::new();
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client();
    for name in ["c", "d"] {
        create_collection(&mut client, name, "Dot");
    }
    change(&mut client, &[create("live", "c"), create("x", "d")]);
    upsert(&mut client, "live", 0..3);
    let server = Server::start_in(&server.kill(), &[]);
    let mut client = server.client();
    assert_eq!(
        client.get("/aliases").result(),
        described(&[("live", "c"), ("x", "d")])
    );
    assert_eq!(
        client.get("/collections/c/aliases").result(),
        described(&[("live", "c")])
    );
    let names = client.get("/collections").result();
    assert_eq!(names, json!({"collections": [{"name": "c"}, {"name": "d"}]}));
    for name in ["c", "live"] {
        assert_eq!(
            client.get(&format!("/collections/{name}")).result()["points_count"],
            3
        );
        assert_eq!(
            client.get(&format!("/collections/{name}/exists")).result()["exists"],
            true
        );
        let point = client.get(&format!("/collections/{name}/points/2")).result();
        assert_eq!(point["payload"], json!({"n": 2}));
    }
    let found = client.post(
        "/query",
        &json!({"db_id": "live", "vector": [1, 0, 0, 0], "k": 1}),
    );
    assert_eq!(found.json()["hits"][0]["id"], 2, "{}", found.text());

    // Moved at once, renamed, deleted.
    let rename = json!({"rename_alias": {"old_alias_name": "x", "new_alias_name": "y"}});
    change(&mut client, &[create("live", "d"), rename]);
    assert_eq!(client.get("/collections/live").result()["points_count"], 0);
    change(&mut client, &[json!({"delete_alias": {"alias_name": "y"}})]);
    assert_eq!(client.get("/aliases").result(), described(&[("live", "d")]));

    // What is created or deleted is named itself.
    assert_eq!(client.delete("/collections/live").result(), json!(false));
    let body = json!({"vectors": {"size": 1, "distance": "Dot"}});
    assert_eq!(client.put("/collections/live", &body).status, 409);
    assert_eq!(client.delete("/collections/d").result(), json!(true));
    assert_eq!(client.get("/collections/live").status, 404);
    // A collection may be called as the path is.
    create_collection(&mut client, "aliases", "Dot");
    assert_eq!(client.get("/collections/aliases").result()["points_count"], 0);
}

#[test]
fn what_is_asked_of_an_alias_is_counted_for_its_collection() {
    let server = Server::start();
    let (mut client, mut scraper) = (server.client(), server.client());
    create_collection(&mut client, "c", "Dot");
    upsert(&mut client, "c", 0..3);
    let _warm = Page::scrape(&mut scraper);
    let create = || change(&mut client, &[create("live", "c")]);
    check(&mut scraper, ["POST", "/collections/aliases", "200"], create, &[]);
    let list = || drop(client.get("/aliases").result());
    check(&mut scraper, ["GET", "/aliases", "200"], list, &[]);
    let list = || drop(client.get("/collections/live/aliases").result());
    let request = ["GET", "/collections/:collection/aliases", "200"];
    check(&mut scraper, request, list, &[]);
    let query = || {
        let body = json!({"query": [1, 2, 3, 4]});
        client.post("/collections/live/points/query", &body).result();
    };
    let moves = [
        (r#"omendb_engine_queries_total{db_id="c"}"#, 1.0),
        (r#"omendb_query_duration_seconds_count{db_id="c"}"#, 1.0),
        (r#"omendb_engine_distance_computations_total{db_id="c"}"#, 3.0),
        (r#"omendb_engine_bytes_touched_total{db_id="c"}"#, 48.0),
    ];
    let request = ["POST", "/collections/:collection/points/query", "200"];
    check(&mut scraper, request, query, &[&moves]);
}

#[test]
fn a_credential_reaches_by_an_alias_what_it_reaches_without() {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let both = ["--permission", "data:read", "--permission", "data:write"];
    // One that names the alias reaches nothing by it.
    let limited = |name: &str, collection: &str| {
        directory.token(name, &[&both[..], &["--collection", collection]].concat())
    };
    let (mine, by_alias) = (limited("mine", "mine"), limited("by-alias", "b"));
    let server = Server::start_in(&directory, &[]);
    let mut admin = server.client_with(&admin);
    for name in ["mine", "theirs"] {
        create_collection(&mut admin, name, "Dot");
    }
    change(&mut admin, &[create("a", "mine"), create("b", "theirs")]);
    let query = json!({"query": [1, 2, 3, 4]});
    let ours = |alias: &str| json!({"db_id": alias, "vector": [1, 2, 3, 4]});
    for (token, alias, status) in [(&mine, "a", 200), (&mine, "b", 403), (&by_alias, "b", 403)] {
        let mut client = server.client_with(token);
        let answers = [
            client.get(&format!("/collections/{alias}")),
            client.post(&format!("/collections/{alias}/points/query"), &query),
            client.post("/query", &ours(alias)),
            client.patch(
                &format!("/collections/{alias}"),
                &json!({"metadata": {"by": alias}}),
            ),
        ];
        for answer in answers {
            assert_eq!(answer.status, status, "{alias}: {}", answer.text());
            assert!(!answer.text().contains("theirs"), "{}", answer.text());
        }
    }
    let mut client = server.client_with(&mine);
    assert_eq!(client.get("/aliases").result(), described(&[("a", "mine")]));
    for action in [
        create("c", "theirs"),
        create("b", "mine"),
        json!({"delete_alias": {"alias_name": "b"}}),
        json!({"rename_alias": {"old_alias_name": "a", "new_alias_name": "b"}}),
    ] {
        let answer = client.post(
            "/collections/aliases",
            &json!({"actions": [create("n", "mine"), action]}),
        );
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    assert_eq!(
        admin.get("/aliases").result(),
        described(&[("a", "mine"), ("b", "theirs")])
    );
}

#[test]
fn a_wrong_change_of_aliases_is_refused_by_name_and_changes_nothing() {
    let server = Server::start();
    let mut client = server.client();
    create_collection(&mut client, "c", "Dot");
    change(&mut client, &[create("a", "c")]);
    let mut check = |action: Value, status: u16, part: &str| {
        let body = json!({"actions": [create("b", "c"), action]});
        let answer = client.post("/collections/aliases", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
        assert_eq!(client.get("/aliases").result(), described(&[("a", "c")]));
    };
    check(create("x", "none"), 404, "none");
    check(create("c", "c"), 409, "there is a collection of that name");
    check(
        json!({"rename_alias": {"old_alias_name": "z", "new_alias_name": "y"}}),
        404,
        "alias",
    );
    check(json!({"create_alias": {"alias_name": "x"}}), 400, "actions[1]");
    check(json!({"drop_alias": {}}), 400, "drop_alias");
    check(json!({}), 400, "actions[1]");
}
