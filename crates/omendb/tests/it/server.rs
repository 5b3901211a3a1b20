//! The real binary under test: started on a free port in a directory of its own, ended with the test.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::page::Page;

/// How long a start or an end may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is removed with its last user.
pub(crate) struct Directory(PathBuf);

/// A running server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    pub(crate) directory: Arc<Directory>,
}

impl Directory {
    pub(crate) fn new() -> Arc<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "it-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the test's directory can be made");
        Arc::new(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The server's `--data-dir`.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Creates a token with the command line, as an operator would, and returns its secret.
    pub(crate) fn token(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.omendb(&[&["token", "create", "--name", name], arguments].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let stdout = String::from_utf8(output.stdout).expect("the command prints UTF-8");
        stdout
            .lines()
            .last()
            .expect("the secret is on the last line")
            .to_owned()
    }

    /// Runs an `omendb` command on this data directory to its end.
    pub(crate) fn omendb(&self, arguments: &[&str]) -> Output {
        let mut command = command(arguments);
        command.arg("--data-dir").arg(self.data());
        command.output().expect("omendb starts")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Kept when the test failed: the log and the data are what one wants to look at then.
        if !std::thread::panicking() {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}

/// An `omendb` command with nothing of the developer's environment that could change what it does.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omendb"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OMENDB_") {
            command.env_remove(name);
        }
    }
    command
}

impl Server {
    /// A server with no data and no credentials: open, on loopback.
    pub(crate) fn start() -> Self {
        Self::start_in(&Directory::new(), &[])
    }

    /// A server on `directory`, ready to answer.
    pub(crate) fn start_in(directory: &Arc<Directory>, arguments: &[&str]) -> Self {
        let server = Self::start_unready(directory, arguments);
        let begin = Instant::now();
        while server.client().get("/readyz").status != 200 {
            assert!(
                begin.elapsed() < PATIENCE,
                "not ready after {PATIENCE:?}: {}",
                server.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// A server that has bound its port but may still be loading.
    pub(crate) fn start_unready(directory: &Arc<Directory>, arguments: &[&str]) -> Self {
        let log = File::create(directory.path().join("stderr.log")).expect("the log file can be made");
        let mut command = command(&["serve"]);
        command.arg("--data-dir").arg(directory.data()).args(arguments);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("omendb starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            let read = stdout.read_line(&mut line).expect("stdout can be read");
            let log = || std::fs::read_to_string(directory.path().join("stderr.log")).unwrap_or_default();
            assert!(read > 0, "omendb ended before it named its address: {}", log());
            if let Some(address) = address_in(&line) {
                break address;
            }
        };
        // The rest of what it prints is read so that it never blocks or dies on a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Self {
            child,
            address,
            directory: Arc::clone(directory),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its number as a process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) fn client_with(&self, token: &str) -> Client {
        Client::with_token(self.address, token)
    }

    /// A scrape of an open server.
    pub(crate) fn scrape(&self) -> Page {
        Page::scrape(&mut self.client())
    }

    /// What the server has written to stderr.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr.log")).unwrap_or_default()
    }

    /// `kill -9`: no chance to finish anything.
    pub(crate) fn kill(mut self) -> Arc<Directory> {
        self.child.kill().expect("the server still runs");
        self.child.wait().expect("the server can be waited for");
        Arc::clone(&self.directory)
    }

    /// Sends SIGTERM, as a supervisor does.
    pub(crate) fn signal_term(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill starts");
        assert!(sent.success(), "SIGTERM to {pid}");
    }

    /// Waits for the server to end by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the server can be waited for") {
                return status;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "still running after {PATIENCE:?}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stdout,
        reason = "shown by the test runner with the test that failed"
    )]
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("the server's log:\n{}", self.log());
        }
    }
}

/// The address in a line like `listening on http://127.0.0.1:41234`.
pub(crate) fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("http://")?;
    let end = after
        .find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c)))
        .unwrap_or(after.len());
    after[..end].parse().ok()
}

/// A collection named `name` of 4-dimensional vectors under `distance`, empty.
pub(crate) fn create_collection(client: &mut Client, name: &str, distance: &str) {
    let created = client.put(
        &format!("/collections/{name}"),
        &json!({"vectors": {"size": 4, "distance": distance}}),
    );
    assert_eq!(created.result(), json!(true));
}

/// Upserts points with ids `ids`, each with the vector `[id, 1, 0, 0]` and the payload `{"n": id}`.
pub(crate) fn upsert(client: &mut Client, name: &str, ids: std::ops::Range<u64>) {
    let points: Vec<_> = ids
        .map(|id| json!({"id": id, "vector": [id as f32, 1.0, 0.0, 0.0], "payload": {"n": id}}))
        .collect();
    let path = format!("/collections/{name}/points?wait=true");
    let upserted = client.put(&path, &json!({"points": points})).result();
    assert_eq!(upserted["status"], "completed", "{upserted}");
}

/// That the query of `body` on the collection `c` finds these points with these scores, in this order.
#[track_caller]
pub(crate) fn finds(client: &mut Client, body: &Value, expected: &[(u64, f64)]) {
    let result = client.post("/collections/c/points/query", body).result();
    let points = result["points"].as_array().expect("a list of points");
    let hit = |point: &Value| (point["id"].as_u64(), point["score"].as_f64().unwrap_or(f64::NAN));
    let hits: Vec<_> = points.iter().map(hit).collect();
    let is_equal = hits.len() == expected.len()
        && hits
            .iter()
            .zip(expected)
            .all(|(hit, expected)| hit.0 == Some(expected.0) && (hit.1 - expected.1).abs() < 1e-6);
    assert!(is_equal, "{body}: {hits:?}, expected {expected:?}");
}
