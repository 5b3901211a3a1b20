//! The built server on a free port and on a directory of its own, both gone when it is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::command;

/// Whether the server asks for a credential.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Clients carry a token that may read and write data.
    Credential,
    /// Open on loopback, for a client that cannot carry one over REST.
    Open,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Kept open: the server may have more to say.
    stdout: BufReader<ChildStdout>,
    /// Its data is below.
    pub(crate) directory: PathBuf,
    pub(crate) url: String,
    /// Empty when the server is open.
    pub(crate) token: String,
}

/// What the line that says that a server is ready begins with.
const READY: &str = "omendb is ready on ";

/// Builds what [`Server::start`] starts.
pub(crate) fn build() -> Result<(), String> {
    command::cargo(&["build", "--quiet", "--package", "omendb", "--bin", "omendb"]).run()
}

impl Server {
    /// A server without data; `name` tells its directory apart.
    pub(crate) fn start(name: &str, access: Access) -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("omendb-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory)
            .map_err(|error| format!("creating {}: {error}", directory.display()))?;
        let data = directory.join("data");
        let token = match access {
            Access::Credential => create_token(&data)?,
            Access::Open => String::new(),
        };
        let log = File::create(directory.join("server.log")).map_err(|error| error.to_string())?;
        let mut child = omendb(&data, &["serve", "--listen", "127.0.0.1:0"])?
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start the server: {error}"))?;
        let stdout = child.stdout.take().ok_or("the server has no stdout")?;
        let mut server = Self {
            child,
            stdout: BufReader::new(stdout),
            directory,
            url: String::new(),
            token,
        };
        server.url = server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<String, String> {
        for line in self.stdout.by_ref().lines() {
            let line = line.map_err(|error| format!("reading from the server: {error}"))?;
            if let Some(url) = line.strip_prefix(READY) {
                return Ok(url.to_owned());
            }
        }
        let log = std::fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        Err(format!("the server ended before it was ready:\n{log}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and what cannot be removed stays in the directory for temporary files.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// A token that may read and write data; its secret is the last line printed.
fn create_token(data: &Path) -> Result<String, String> {
    let create = [
        "token",
        "create",
        "--name",
        "client",
        "--permission",
        "data:read",
        "--permission",
        "data:write",
    ];
    let output = omendb(data, &create)?
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot create a token: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let secret = printed.lines().last().map(str::to_owned);
    secret.ok_or_else(|| format!("no token was created ({})", output.status))
}

/// An `omendb` command on a data directory, without anything of the developer's environment that could change it.
fn omendb(data: &Path, arguments: &[&str]) -> Result<Command, String> {
    // cargo puts all programs of a profile into one directory, this one included.
    let this = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let mut command = Command::new(this.with_file_name("omendb"));
    command.args(arguments).arg("--data-dir").arg(data);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OMENDB_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
