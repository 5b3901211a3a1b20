//! `omendb demo`: the first thing to run.

use std::net::SocketAddr;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::cli::serve::{StopSignals, in_runtime};
use crate::config::Config;
use crate::demo;
use crate::log::{self, LogFilter};

pub(super) fn command() -> Command {
    let listen = Arg::new("listen")
        .long("listen")
        .value_name("ADDRESS")
        .value_parser(value_parser!(SocketAddr))
        .help("Loopback address to serve on [default: 127.0.0.1:8080, or any free port when that is taken]");
    Command::new("demo")
        .about("Serve a small real data set from a temporary directory, and say what to try")
        .arg(listen)
}

pub(super) fn run(matches: &ArgMatches) -> u8 {
    let listen = matches.get_one::<SocketAddr>("listen").copied();
    // What matters is printed; the rest would run through the progress bar.
    let log_level = log::start(&Config {
        log_level: LogFilter::of(tracing::Level::WARN),
        ..Config::default()
    });
    in_runtime(async move {
        let mut stop = StopSignals::listen()?;
        demo::run(listen, log_level, stop.first()).await
    })
}
