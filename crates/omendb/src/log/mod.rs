//! The log on standard error: lines that say which request they are about and show no secrets, at a level that can be
//! changed while the server runs.

pub mod api;
mod level;
mod line;
pub(crate) mod scope;

use std::io::IsTerminal as _;

use omendb_metrics::Clock;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry, reload};

use crate::config::Config;
pub use level::{LogFilter, LogLevel};
use line::Lines;

/// Starts the process's log. Standard output is left to the one line that scripts wait for.
///
/// A second start in one process (tests) keeps the first log, which then cannot be changed by the second server.
pub fn start(config: &Config) -> LogLevel {
    let (filter, handle) = reload::Layer::new(config.log_level.targets());
    let lines = fmt::layer()
        .event_format(Lines {
            format: config.log_format,
            clock: Clock::system(),
        })
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match registry().with(filter).with(lines).try_init() {
        Ok(()) => LogLevel::new(config.log_level.clone(), handle),
        Err(_) => LogLevel::fixed(),
    }
}
