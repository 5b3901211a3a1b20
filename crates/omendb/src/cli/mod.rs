//! The command line: what `omendb` can be asked to do.

mod catalogue;
mod credentials;
mod datadog;
mod demo;
mod health;
mod serve;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Config, ConfigError, KEYS, Sources};

/// Everything went well.
const OK: u8 = 0;
/// It did not.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// Runs the process's command line and gives its exit code.
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are asked for; anything else is a mistake. A closed pipe changes nothing about that.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { OK });
        }
    };
    ExitCode::from(match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("demo", matches)) => demo::run(matches),
        Some(("token", matches)) => credentials::token(matches),
        Some(("user", matches)) => credentials::user(matches),
        Some(("health", matches)) => health::run(matches),
        Some(("metrics", matches)) => catalogue::run(matches),
        Some(("config", matches)) => config(matches),
        _ => unreachable_subcommand(),
    })
}

/// The command line itself, also for documentation.
pub fn command() -> Command {
    Command::new("omendb")
        .about("A vector-database server that measures itself")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(demo::command())
        .subcommand(credentials::token_command())
        .subcommand(credentials::user_command())
        .subcommand(health::command())
        .subcommand(catalogue::command())
        .subcommand(config_command())
}

/// The process's environment. Nothing else reads it.
fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// Configuration from `--config` (or `OMENDB_CONFIG`), the environment and the flags in `matches`.
fn configuration(matches: &ArgMatches, flags: Vec<(&'static str, String)>) -> Result<Config, ConfigError> {
    let variables = environment();
    let by_variable = variables
        .iter()
        .find(|(name, _)| name == "OMENDB_CONFIG")
        .map(|(_, path)| path.clone());
    let by_flag = matches.try_get_one::<String>("config").ok().flatten().cloned();
    let file = by_flag.or(by_variable).map(std::path::PathBuf::from);
    Config::load(&Sources {
        file: file.as_deref(),
        variables,
        flags,
    })
}

/// Says on standard error what went wrong.
#[expect(clippy::print_stderr, reason = "the command line talks to people")]
fn complain(message: impl Display) {
    eprintln!("omendb: {message}");
}

/// Says something on standard output; a reader that has gone away is no error.
fn say(message: impl Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{message}");
}

fn config_command() -> Command {
    let markdown = Arg::new("markdown")
        .long("markdown")
        .action(ArgAction::SetTrue)
        .help("As docs/config.md");
    Command::new("config")
        .about("List every configuration key: variable, flag, kind, default, meaning")
        .arg(markdown)
}

fn config(matches: &ArgMatches) -> u8 {
    if matches.get_flag("markdown") {
        say(crate::config::markdown().trim_end());
        return OK;
    }
    for key in KEYS {
        let default = if key.default.is_empty() {
            "none"
        } else {
            key.default
        };
        say(format_args!(
            "{} ({}, {}, --{})",
            key.name,
            key.kind,
            key.variable(),
            key.flag()
        ));
        say(format_args!("    {} [default: {default}]", key.help.trim()));
    }
    OK
}

/// clap refuses what is not in [`command`]; a subcommand that is there and not here is our mistake.
fn unreachable_subcommand() -> u8 {
    complain("this command is not built in");
    USAGE
}
