//! The server that is measured: the binary of this checkout in a process of its own, or a peer at a URL.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::HttpOptions;
use super::connection::{Connection, request};

/// What the line that says that our server is ready begins with.
const READY: &str = "omendb is ready on http://";

/// A server that answers.
pub(crate) struct Target {
    address: SocketAddr,
    /// As it is named in requests.
    host: String,
    pid: Option<u32>,
    /// Kept while it is measured.
    _own: Option<OwnServer>,
}

/// The collection of this run; deleted when dropped.
pub(crate) struct Collection<'a> {
    target: &'a Target,
    connection: RefCell<Connection>,
    name: String,
}

impl Target {
    /// The peer of the options, or a server of our own.
    pub(crate) fn of(options: &HttpOptions) -> Result<Self, String> {
        let Some(url) = &options.url else {
            return Self::own("http", &[]);
        };
        let host = url.trim_end_matches('/').strip_prefix("http://");
        let host = host.ok_or_else(|| format!("--url {url}: not of the form http://HOST:PORT"))?;
        Self::at(host.to_owned(), options.pid, None)
    }

    /// A server of our own with these flags. `name` tells its directory apart.
    pub(crate) fn own(name: &str, flags: &[&str]) -> Result<Self, String> {
        let own = OwnServer::start(name, flags)?;
        Self::at(own.host.clone(), Some(own.child.id()), Some(own))
    }

    fn at(host: String, pid: Option<u32>, own: Option<OwnServer>) -> Result<Self, String> {
        let mut addresses = host
            .to_socket_addrs()
            .map_err(|error| format!("{host}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("{host} has no address"))?;
        let target = Self {
            address,
            host,
            pid,
            _own: own,
        };
        if let (Some(pid), None) = (target.pid, target.cpu_s()) {
            return Err(format!(
                "--pid {pid}: no such process, or not one with a /proc entry"
            ));
        }
        Ok(target)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor seconds the server has used, if its process is known: in steps of 10 ms.
    pub(crate) fn cpu_s(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid?)).ok()?;
        // The second field is the program's name in parentheses, which may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11);
        let user: u64 = times.next()?.parse().ok()?;
        let system: u64 = times.next()?.parse().ok()?;
        Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Memory the server has resident, if its process is known.
    pub(crate) fn resident_mb(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    }

    /// Makes an empty collection of this run.
    pub(crate) fn create_collection(&self, dimension: usize) -> Result<Collection<'_>, String> {
        let connection = Connection::open(self.address).map_err(|error| format!("{}: {error}", self.host))?;
        let collection = Collection {
            target: self,
            connection: RefCell::new(connection),
            name: format!("bench-http-{}", std::process::id()),
        };
        let config = json!({"vectors": {"size": dimension, "distance": "Cosine"}});
        collection.call("PUT", "", &config.to_string())?;
        Ok(collection)
    }
}

impl Collection<'_> {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/collections/{}{rest}", self.name)
    }

    pub(crate) fn host(&self) -> &str {
        &self.target.host
    }

    /// Sends one request about it that must succeed.
    pub(crate) fn call(&self, method: &str, rest: &str, body: &str) -> Result<Value, String> {
        self.exchange(&request(&self.target.host, (method, &self.path(rest)), body))
    }

    /// Sends one request as bytes that must succeed.
    pub(crate) fn exchange(&self, request: &[u8]) -> Result<Value, String> {
        let what = || {
            let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
            String::from_utf8_lossy(line).into_owned()
        };
        let mut connection = self.connection.borrow_mut();
        let (status, body) = connection
            .exchange(request)
            .map_err(|error| format!("{}: {error}", what()))?;
        if status != 200 {
            return Err(format!("{}: {status} {}", what(), String::from_utf8_lossy(body)));
        }
        serde_json::from_slice(body).map_err(|error| format!("{}: {error}", what()))
    }

    /// Indexes the keys that filters ask for.
    pub(crate) fn create_indexes(&self) -> Result<(), String> {
        for (field, kind) in [("section", "keyword"), ("installed_size_kb", "integer")] {
            let body = json!({"field_name": field, "field_schema": kind});
            self.call("PUT", "/index?wait=true", &body.to_string())?;
        }
        Ok(())
    }
}

impl Drop for Collection<'_> {
    fn drop(&mut self) {
        // If the peer does not answer any more, there is nothing to be done.
        drop(self.call("DELETE", "", ""));
    }
}

/// The `omendb` beside this program, on a free port and a directory of its own.
struct OwnServer {
    child: Child,
    /// Kept open: the server may have more to say.
    stdout: BufReader<ChildStdout>,
    host: String,
    directory: PathBuf,
}

impl OwnServer {
    fn start(name: &str, flags: &[&str]) -> Result<Self, String> {
        let this = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
        let program = this.with_file_name("omendb");
        let directory = std::env::temp_dir().join(format!("omendb-bench-{name}-{}", std::process::id()));
        let mut child = Command::new(&program)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log-level",
                "warn",
                "--data-dir",
            ])
            .arg(&directory)
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no stdout")?;
        let mut server = Self {
            child,
            stdout: BufReader::new(stdout),
            host: String::new(),
            directory,
        };
        server.host = server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<String, String> {
        for line in self.stdout.by_ref().lines() {
            let line = line.map_err(|error| format!("reading from the server: {error}"))?;
            if let Some(host) = line.strip_prefix(READY) {
                return Ok(host.to_owned());
            }
        }
        Err("the server ended before it was ready".to_owned())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may have ended by itself, and what cannot be removed stays in the directory for temporary files.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
