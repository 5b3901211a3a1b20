//! A server of our own in this process, on a free port and a directory that goes with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use omendb::client::Client;
use omendb::config::Config;
use omendb::http::App;
use omendb::log::LogLevel;
use omendb_engine::Engine;
use serde_json::Value;
use tokio::runtime::Runtime;

/// A server that answers until it is dropped.
pub(crate) struct Server {
    runtime: Runtime,
    server: Option<omendb::server::Server>,
    address: SocketAddr,
    directory: PathBuf,
}

impl Server {
    /// Starts a server without any data. `name` tells its directory apart.
    pub(crate) fn start(name: &str) -> Result<Self, String> {
        let directory = std::env::temp_dir().join(format!("omendb-bench-{}-{name}", std::process::id()));
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: directory.clone(),
            ..Config::default()
        };
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.enable_all().build().map_err(|error| error.to_string())?;
        let start = async {
            let mut server = omendb::server::Server::start(config, LogLevel::fixed()).await?;
            server.loaded().await?;
            Ok(server)
        };
        let server = runtime
            .block_on(start)
            .map_err(|error: omendb::server::StartError| error.to_string())?;
        Ok(Self {
            runtime,
            address: server.address,
            server: Some(server),
            directory,
        })
    }

    /// A new connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Its parts.
    pub(crate) fn app(&self) -> Option<&Arc<App>> {
        self.server.as_ref().map(|server| &server.app)
    }

    /// The engine behind it.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.app().map(|app| &*app.engine)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
        // What cannot be removed is left in the directory for temporary files.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// Sends one request that must succeed; its answer as JSON.
pub(crate) fn send(client: &mut Client, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let answer = client
        .send(method, path, body)
        .map_err(|error| format!("{method} {path}: {error}"))?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 {
        return Err(format!("{method} {path}: {} {text}", answer.status));
    }
    serde_json::from_str(&text).map_err(|error| format!("{method} {path}: {error}: {text}"))
}
