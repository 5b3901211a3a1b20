//! `omendb demo`: the real server on a temporary directory, loaded with real data through its own interface.

mod data;
mod directory;
mod guide;
mod load;
mod progress;
mod traffic;

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use omendb_metrics::Clock;

use crate::client::Client;
use crate::config::Config;
use crate::log::LogLevel;
use crate::server::{Server, StartError};
use data::DemoData;
use directory::TemporaryDirectory;
use progress::Progress;
use traffic::Traffic;

/// Serves the demo until `stop` is done, then removes its data. Without a `listen` address it takes the usual port, or
/// any free one when that is taken.
///
/// # Errors
/// Why it could not start or load.
pub async fn run(
    listen: Option<SocketAddr>,
    log_level: LogLevel,
    stop: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let data = DemoData::embedded().map_err(failed)?;
    let directory = TemporaryDirectory::create(&std::env::temp_dir()).map_err(failed)?;
    let config = Config {
        listen: listen.unwrap_or_else(usual_or_free),
        data_dir: directory.path().to_owned(),
        ..Config::default()
    };
    let mut server = Server::start(config, log_level).await?;
    let outcome = tokio::select! {
        outcome = serve(&mut server, data) => outcome.map(|never| match never {}),
        () = stop => Ok(()),
    };
    server.stop().await;
    outcome
}

/// Loads the data, prints what to do with it and keeps the traffic going.
async fn serve(server: &mut Server, data: DemoData) -> Result<std::convert::Infallible, StartError> {
    server.loaded().await?;
    let (address, clock) = (server.address, server.app.clock.clone());
    let loading = tokio::task::spawn_blocking(move || load_all(address, &clock, data));
    let data = loading.await.map_err(failed)?.map_err(failed)?;
    guide::write(&mut io::stdout(), address, &data).map_err(failed)?;
    let _traffic = Traffic::start(address, data).map_err(failed)?;
    std::future::pending().await
}

fn load_all(address: SocketAddr, clock: &Clock, data: DemoData) -> io::Result<DemoData> {
    let mut progress = Progress::on_stderr(data.len());
    let start = clock.now();
    load::load(&mut Client::new(address), &data, |done| {
        progress.show(done, clock.now().since(start))
    })?;
    Ok(data)
}

/// The default address, or one with a port that is free. Whoever takes the port between this look and the server's own
/// attempt makes that fail with a message of its own.
fn usual_or_free() -> SocketAddr {
    let usual = Config::default().listen;
    match TcpListener::bind(usual) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Whoever does not read it finds the address in the guide all the same.
            let _ = writeln!(
                io::stderr(),
                "omendb demo: {usual} is taken, so another port is used"
            );
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
        }
        Ok(_) | Err(_) => usual,
    }
}

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::System(format!("demo: {error}"))
}
