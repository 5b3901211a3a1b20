//! `omendb serve`: the server, in the foreground, until it is told to stop.

use clap::{Arg, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{FAILED, OK, USAGE, complain, configuration, environment, say};
use crate::config::{Config, KEYS, unknown_variables};
use crate::log::{self, LogLevel};
use crate::server::{Server, StartError};

pub(super) fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("TOML file of the keys below");
    let flags = KEYS.iter().map(|key| {
        let default = if key.default.is_empty() {
            "none"
        } else {
            key.default
        };
        let help = format!("{} [{}] [default: {default}]", key.help.trim(), key.variable());
        Arg::new(key.name)
            .long(key.flag())
            .value_name(key.kind)
            .help(help)
            .allow_hyphen_values(true)
    });
    Command::new("serve")
        .about("Serve a data directory over HTTP, until SIGTERM or SIGINT")
        .arg(config)
        .args(flags)
}

/// The flags of [`command`] that were given.
fn flags(matches: &ArgMatches) -> Vec<(&'static str, String)> {
    KEYS.iter()
        .filter_map(|key| Some((key.name, matches.get_one::<String>(key.name)?.clone())))
        .collect()
}

pub(super) fn run(matches: &ArgMatches) -> u8 {
    let config = match configuration(matches, flags(matches)) {
        Ok(config) => config,
        Err(error) => {
            complain(format!("configuration: {error}"));
            return USAGE;
        }
    };
    let log_level = log::start(&config);
    for name in unknown_variables(&environment()) {
        tracing::warn!("environment variable {name} is none of ours and is ignored");
    }
    in_runtime(serve(config, log_level))
}

/// Runs a server's life on threads of its own and turns its end into an exit code.
pub(super) fn in_runtime(life: impl Future<Output = Result<(), StartError>>) -> u8 {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.thread_name("omendb-http").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format!("cannot start threads: {error}"));
            return FAILED;
        }
    };
    let ended = runtime.block_on(life);
    // After a second signal something may still be closing; the process ends without it.
    runtime.shutdown_background();
    match ended {
        Ok(()) => OK,
        Err(error) => {
            complain(&error);
            if matches!(error, StartError::Config(_)) {
                USAGE
            } else {
                FAILED
            }
        }
    }
}

async fn serve(config: Config, log_level: LogLevel) -> Result<(), StartError> {
    // Listened for before anything is started, so that no signal is lost.
    let mut stop = StopSignals::listen()?;
    let mut server = Server::start(config, log_level).await?;
    tokio::select! {
        loaded = server.loaded() => {
            if let Err(error) = loaded {
                server.stop().await;
                return Err(error);
            }
            if server.app.auth.is_open() {
                tracing::warn!("no credentials exist: everybody on this machine may do everything");
            }
            say(format_args!("omendb is ready on http://{}", server.address));
            stop.first().await;
        }
        () = stop.first() => {}
    }
    tracing::info!("stopping: finishing the requests in flight; a second signal stops at once");
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        () = stop.first() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// SIGTERM and SIGINT.
pub(super) struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(|error| StartError::System(format!("signals: {error}")));
        // A file over the limit of its length would end the process; with a listener, even one that is gone, the write fails.
        drop(listen(SignalKind::from_raw(libc::SIGXFSZ))?);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn first(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
