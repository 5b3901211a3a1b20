//! Health over HTTP: each component does badly for a real reason, `/health` and its metric say so, and it recovers.
//!
//! The server runs in this process, on a simulated disk that fills up, fails and stalls on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use omendb::config::Config;
use omendb::log::LogLevel;
use omendb_engine::EngineOptions;
use omendb_sim::{Fault, SimFs};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::page::Page;
use crate::server::{Directory, command, create_collection, upsert};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server in this process, on a simulated disk.
pub(crate) struct Server {
    runtime: Runtime,
    server: Option<omendb::server::Server>,
    /// The name of the directory on the simulated disk; on the real one for credentials, of which there are none.
    pub(crate) directory: Arc<Directory>,
}

impl Server {
    /// Starts it and waits until it is loaded.
    pub(crate) fn start(fs: &SimFs, change: impl FnOnce(&mut Config)) -> Self {
        let server = Self::start_unready(fs, change);
        server.wait_ready();
        server
    }

    fn wait_ready(&self) {
        until("ready", || self.client().get("/readyz").status == 200);
    }

    fn start_unready(fs: &SimFs, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(Directory::new(), fs, change)
    }

    /// Stops it and starts another on what is in its directory on `fs`; does not wait until it is loaded.
    fn restarted(self, fs: &SimFs) -> Self {
        let directory = Arc::clone(&self.directory);
        drop(self);
        Self::start_in(directory, fs, |_| ())
    }

    pub(crate) fn start_in(directory: Arc<Directory>, fs: &SimFs, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: directory.data(),
            // Bad measurements count at once, so that the tests need not wait; the judge has tests of its own.
            health_worsen_after: Duration::ZERO,
            health_recover_after: Duration::ZERO,
            ..Config::default()
        };
        change(&mut config);
        let runtime = Runtime::new().expect("threads can be started");
        let on_disk = |options: &mut EngineOptions| options.fs = Arc::new(fs.clone());
        let server = runtime
            .block_on(omendb::server::Server::start_with(
                config,
                LogLevel::fixed(),
                on_disk,
            ))
            .expect("the server starts");
        Self {
            runtime,
            server: Some(server),
            directory,
        }
    }

    fn server(&self) -> &omendb::server::Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.server().address)
    }

    /// The component as `/health` tells it, with the status of the whole answer.
    fn component(&self, name: &str) -> (u16, Value) {
        let answer = self.client().get("/health");
        let body = answer.json();
        let components = body["components"].as_array().expect("a list of components");
        let found = components.iter().find(|component| component["name"] == name);
        (
            answer.status,
            found
                .unwrap_or_else(|| unreachable!("no {name} in {body}"))
                .clone(),
        )
    }

    /// Waits until `component` has `status` for a reason that contains `part`, and checks what goes with it: the code of
    /// the answer, the status of the whole, the list of reasons, and the metric.
    #[track_caller]
    fn check(&self, component: &str, status: &str, part: &str) {
        let begin = Instant::now();
        loop {
            let (code, found) = self.component(component);
            let reason = found["reason"].as_str().unwrap_or_default();
            if found["status"] == status && reason.contains(part) {
                let is_unhealthy = status == "unhealthy";
                assert_eq!(code, if is_unhealthy { 503 } else { 200 }, "{found}");
                let since = found["since"].as_str().unwrap_or_default();
                assert!(since.ends_with('Z'), "{found}");
                break;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{component} is not {status} ({part:?}): {found}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let state = ["healthy", "degraded", "unhealthy"]
            .iter()
            .position(|name| *name == status);
        let page = Page::scrape(&mut self.client());
        let series = format!("omendb_health_component_state{{component=\"{component}\"}}");
        assert_eq!(page.get(&series), state.map(|state| state as f64), "{series}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The status of an upsert of one point.
fn write(server: &Server, id: u64) -> u16 {
    let point = json!({"points": [{"id": id, "vector": [1, 2, 3, 4]}]});
    server
        .client()
        .put("/collections/c/points?wait=true", &point)
        .status
}

#[test]
fn a_full_disk_answers_507_and_is_degraded_until_there_is_room() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    create_collection(&mut server.client(), "c", "Dot");
    upsert(&mut server.client(), "c", 0..10);
    server.check("disk", "healthy", "");
    fs.set_capacity(fs.used_bytes());
    let points: Vec<_> = (0..1000)
        .map(|id| json!({"id": id, "vector": [id, 2, 3, 4]}))
        .collect();
    let points = json!({"points": points});
    let refused = server.client().put("/collections/c/points?wait=true", &points);
    assert_eq!(refused.status, 507, "{}", refused.text());
    let count = server
        .client()
        .post("/collections/c/points/count", &json!({}))
        .result();
    assert_eq!(
        count,
        json!({"count": 10}),
        "nothing of it, and nothing else is lost"
    );
    server.check(
        "disk",
        "degraded",
        "the disk is full: the newest write to collection \"c\" was refused",
    );
    fs.set_capacity(u64::MAX);
    server.check("disk", "healthy", "");
    let written = server.client().put("/collections/c/points?wait=true", &points);
    assert_eq!(written.status, 200, "{}", written.text());
}

#[test]
fn a_disk_with_little_room_is_degraded_before_it_is_full() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    fs.set_capacity(fs.used_bytes() + (100 << 20));
    server.check("disk", "degraded", "of the disk are free, fewer than 268435456");
    let (_, disk) = server.component("disk");
    assert_eq!(
        (&disk["limit"], &disk["value"]),
        (&json!(268_435_456.0), &json!(104_857_600.0))
    );
    fs.set_capacity(u64::MAX);
    server.check("disk", "healthy", "");
}

#[test]
fn a_poisoned_log_answers_503_until_a_restart() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    create_collection(&mut server.client(), "c", "Dot");
    assert_eq!(write(&server, 1), 200);
    // The write and then the sync of one append; the sync fails.
    fs.inject(Fault::io(fs.operations() + 1));
    assert_eq!(write(&server, 2), 500);
    let reason = "collection \"c\" takes no writes after a failed sync until a restart";
    server.check("log", "unhealthy", reason);
    let body = server.client().get("/health").json();
    assert_eq!(
        (&body["status"], &body["engine"]["is_healthy"]),
        (&json!("unhealthy"), &json!(false))
    );
    assert_eq!(body["web_server"]["is_healthy"], true, "{body}");
    assert_eq!(body["degraded"][0], reason, "{body}");
    let refused = server
        .client()
        .post("/collections/c/points/delete", &json!({"points": [1]}));
    assert_eq!((refused.status, refused.error().as_str()), (503, reason));
    assert_eq!(
        server.client().get("/collections/c/points/1").status,
        200,
        "reads go on"
    );
    let server = server.restarted(&fs);
    server.wait_ready();
    server.check("log", "healthy", "");
    assert_eq!(write(&server, 3), 200);
}

#[test]
fn a_panic_in_a_commit_answers_503_and_not_404() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    create_collection(&mut server.client(), "c", "Dot");
    assert_eq!(write(&server, 1), 200);
    fs.inject(Fault::panic(fs.operations()));
    assert_eq!(write(&server, 2), 500);
    server.check(
        "log",
        "unhealthy",
        "takes no writes after a fault of ours in a commit",
    );
    assert_eq!(write(&server, 2), 503);
    assert_eq!(server.client().get("/collections/c").result()["status"], "red");
    let server = server.restarted(&fs);
    server.wait_ready();
    assert_eq!(write(&server, 2), 200);
}

#[test]
fn a_log_that_cannot_be_written_recovers_without_a_write() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |_| ());
    create_collection(&mut server.client(), "c", "Dot");
    let operations = fs.operations();
    // Nothing can be created, the trials of the first seconds included, as in a directory that is read-only.
    (0..8).for_each(|operation| fs.inject(Fault::io(operations + operation)));
    assert_eq!(write(&server, 1), 500);
    server.check(
        "log",
        "unhealthy",
        "the newest write to collection \"c\" was refused: could not",
    );
    server.check("log", "healthy", "");
    assert_eq!(write(&server, 1), 200);
}

#[test]
fn a_slow_sync_is_degraded_and_one_that_does_not_end_unhealthy() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |config| {
        config.health_max_fsync = Duration::from_millis(200);
        config.health_stall_after = Duration::from_secs(3);
    });
    create_collection(&mut server.client(), "c", "Dot");
    assert_eq!(write(&server, 1), 200);
    let hold = fs.hold_syncs();
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(write(&server, 2), 200));
        server.check("fsync", "degraded", "more than 0.2 s");
        server.check("log", "unhealthy", "the disk has not answered for");
        drop(hold);
    });
    server.check("log", "healthy", "");
    let (code, fsync) = server.component("fsync");
    assert_eq!(
        (code, &fsync["status"]),
        (200, &json!("degraded")),
        "the slow sync is of the last minute: {fsync}"
    );
}

#[test]
fn a_full_queue_is_unhealthy_while_it_lasts() {
    let fs = SimFs::new(1);
    let server = Server::start(&fs, |config| {
        config.slots_count = 1;
        config.slots_queue = 4;
        config.slots_queue_timeout = Duration::from_secs(60);
    });
    create_collection(&mut server.client(), "c", "Dot");
    upsert(&mut server.client(), "c", 0..10);
    // One operation that takes its time, and queries behind it.
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let slots = Arc::clone(&server.server().app.slots);
    let slow = server
        .runtime
        .spawn(async move { slots.run(move |_| blocked.recv().is_err()).await });
    let query = || {
        let body = json!({"query": [1, 2, 3, 4]});
        server.client().post("/collections/c/points/query", &body).status
    };
    until("the slot is taken", || {
        server.server().app.slots.occupancy().0 == 1
    });
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(query)).collect();
        server.check(
            "queue",
            "degraded",
            "3 operations wait for an execution slot, more than 2",
        );
        let last = scope.spawn(query);
        server.check(
            "queue",
            "unhealthy",
            "4 operations wait for an execution slot, and no more may",
        );
        assert_eq!(query(), 503);
        drop(release);
        for query in waiting.into_iter().chain([last]) {
            assert_eq!(query.join().expect("the client does not panic"), 200);
        }
    });
    let ended = server.runtime.block_on(slow).expect("the slot does not panic");
    assert_eq!(ended, Ok(true));
    server.check("queue", "degraded", "some were turned away; 0 operations wait");
    server.check("queue", "healthy", "");
}

#[test]
fn the_command_line_prints_the_components_it_may_see() {
    let directory = Directory::new();
    let metrics = directory.token("metrics", &["--permission", "metrics:read"]);
    let server = crate::server::Server::start_in(&directory, &[]);
    let url = format!("http://{}", server.address());
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{metrics}\n")).expect("the token can be written");
    let print = |arguments: &[&str]| {
        let arguments = [&["health", "--url", &url], arguments].concat();
        let output = command(&arguments).output().expect("omendb starts");
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text)
    };
    assert_eq!(print(&[]), (Some(0), "healthy\n".to_owned()));
    let (code, text) = print(&["--token-file", &file.to_string_lossy()]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 13, "the whole and twelve components: {text}");
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("log ") && line.contains("healthy")),
        "{text}"
    );
    let (_, json) = print(&["--json", "--token-file", &file.to_string_lossy()]);
    let body: Value = serde_json::from_str(&json).expect("the answer as it came");
    assert_eq!(body["components"].as_array().map(Vec::len), Some(12));
    let (code, text) = print(&["--token-file", "/no/such/file"]);
    assert_eq!((code, text.as_str()), (Some(64), ""));
}
