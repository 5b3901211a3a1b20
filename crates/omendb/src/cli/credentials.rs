//! `omendb token` and `omendb user`: credentials, with the server stopped or running.

use std::io::{BufRead as _, IsTerminal as _};
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use omendb_metrics::Clock;

use crate::audit::{Action, Audit};
use crate::auth::credentials::{self, CredentialError, Credentials, TokenRecord, UserRecord};
use crate::auth::{Permission, SecretHash, new_token, password};
use crate::cli::{FAILED, OK, USAGE, complain, configuration, say};
use crate::config::Config;
use crate::timestamp::UnixTime;

pub(super) fn token_command() -> Command {
    let create = Command::new("create")
        .about("Create a token; its secret is printed once, alone on the last line")
        .arg(name_argument().long("name"))
        .args(grant_arguments())
        .arg(
            Arg::new("expires")
                .long("expires")
                .value_name("TIME")
                .help("Time to live, such as 90d [default: none]"),
        );
    let revoke = Command::new("revoke")
        .about("Revoke a token")
        .arg(name_argument());
    Command::new("token")
        .about("Create, list and revoke API tokens")
        .subcommand_required(true)
        .subcommand(create.args(place_arguments()))
        .subcommand(
            Command::new("list")
                .about("List tokens, without their secrets")
                .args(place_arguments()),
        )
        .subcommand(revoke.args(place_arguments()))
}

pub(super) fn user_command() -> Command {
    let add = Command::new("add").about("Add a user; the password is the first line of standard input");
    Command::new("user")
        .about("Add users, who log in with a password")
        .subcommand_required(true)
        .subcommand(
            add.arg(name_argument())
                .args(grant_arguments())
                .args(place_arguments()),
        )
}

/// Where the credentials are: the server's configuration says so too.
fn place_arguments() -> [Arg; 2] {
    [
        Arg::new("data_dir")
            .long("data-dir")
            .value_name("path")
            .help("The server's data directory [OMENDB_DATA_DIR]"),
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("The server's configuration file"),
    ]
}

fn name_argument() -> Arg {
    Arg::new("name")
        .value_name("NAME")
        .required(true)
        .help("What it is called")
}

fn grant_arguments() -> [Arg; 2] {
    let known = Permission::ALL.map(Permission::name).join(", ");
    [
        Arg::new("permission")
            .long("permission")
            .value_name("PERMISSION")
            .required(true)
            .action(ArgAction::Append)
            .help(format!("What it may do, repeatable: {known}")),
        Arg::new("collection")
            .long("collection")
            .value_name("COLLECTION")
            .action(ArgAction::Append)
            .help("A collection it reaches, repeatable [default: all]"),
    ]
}

/// What a command could not do, and whether the command line is to blame.
enum Failure {
    Usage(String),
    Failed(String),
}

impl From<CredentialError> for Failure {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Refused(reason) => Self::Usage(reason),
            CredentialError::File(..) | CredentialError::NotFound(_) | CredentialError::Exists(_) => {
                Self::Failed(error.to_string())
            }
        }
    }
}

fn exit_code(result: Result<(), Failure>) -> u8 {
    match result {
        Ok(()) => OK,
        Err(Failure::Usage(message)) => {
            complain(message);
            USAGE
        }
        Err(Failure::Failed(message)) => {
            complain(message);
            FAILED
        }
    }
}

pub(super) fn token(matches: &ArgMatches) -> u8 {
    exit_code(match matches.subcommand() {
        Some(("create", matches)) => create_token(matches),
        Some(("revoke", matches)) => revoke_token(matches),
        Some((_, matches)) => list_tokens(matches),
        None => Err(Failure::Usage("token: create, list or revoke?".to_owned())),
    })
}

pub(super) fn user(matches: &ArgMatches) -> u8 {
    exit_code(match matches.subcommand() {
        Some((_, matches)) => add_user(matches),
        None => Err(Failure::Usage("user: add?".to_owned())),
    })
}

fn place(matches: &ArgMatches) -> Result<Config, Failure> {
    let flag = matches
        .get_one::<String>("data_dir")
        .map(|path| ("data_dir", path.clone()));
    configuration(matches, flag.into_iter().collect())
        .map_err(|error| Failure::Usage(format!("configuration: {error}")))
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches
        .get_many::<String>(name)
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

fn permissions(matches: &ArgMatches) -> Result<Vec<Permission>, Failure> {
    let parsed = texts(matches, "permission")
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<_>, String>>();
    parsed.map_err(Failure::Usage)
}

fn now() -> UnixTime {
    UnixTime::from_nanoseconds(Clock::system().wall())
}

/// Writes down what was done to the credential `name`. It is done, so a log that cannot be written is only complained of.
fn write_down(config: &Config, action: Action, name: &str) {
    let audit = Audit::new(config, Clock::system(), Arc::default());
    audit.note(action, "command line", Some(name));
    audit.sync();
    if let Some(problem) = audit.problem() {
        complain(format_args!("the audit log cannot be written: {problem}"));
    }
}

fn create_token(matches: &ArgMatches) -> Result<(), Failure> {
    let config = place(matches)?;
    let secret = new_token().map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
    let now = now();
    let expires = match matches.get_one::<String>("expires") {
        None => None,
        Some(text) => {
            let refused = |reason| Failure::Usage(format!("--expires = \"{text}\": {reason}"));
            Some(credentials::expiry(now, text).map_err(refused)?)
        }
    };
    let record = TokenRecord {
        name: text(matches, "name"),
        hash: SecretHash::of(&secret),
        permissions: permissions(matches)?,
        collections: texts(matches, "collection"),
        created: Some(now),
        expires,
        revoked: None,
    };
    let name = record.name.clone();
    credentials::update(&config.data_dir, |credentials| credentials.add_token(record))?;
    write_down(&config, Action::TokenCreated, &name);
    say(secret);
    Ok(())
}

fn revoke_token(matches: &ArgMatches) -> Result<(), Failure> {
    let config = place(matches)?;
    let name = text(matches, "name");
    credentials::update(&config.data_dir, |credentials| {
        credentials.revoke_token(&name, now())
    })?;
    write_down(&config, Action::TokenRevoked, &name);
    say(format_args!("token \"{name}\" is revoked"));
    Ok(())
}

fn list_tokens(matches: &ArgMatches) -> Result<(), Failure> {
    let config = place(matches)?;
    let credentials = Credentials::read(&config.data_dir.join(credentials::FILE_NAME))?;
    for token in &credentials.tokens {
        let permissions: Vec<_> = token
            .permissions
            .iter()
            .map(|permission| permission.name())
            .collect();
        let collections = if token.collections.is_empty() {
            "all".to_owned()
        } else {
            token.collections.join(",")
        };
        let state = match (token.revoked, token.expires) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) if at <= now() => format!("expired {at}"),
            (None, Some(at)) => format!("expires {at}"),
            (None, None) => "does not expire".to_owned(),
        };
        say(format_args!(
            "{}\t{}\t{collections}\t{state}",
            token.name,
            permissions.join(",")
        ));
    }
    Ok(())
}

fn add_user(matches: &ArgMatches) -> Result<(), Failure> {
    let config = place(matches)?;
    let (name, permissions) = (text(matches, "name"), permissions(matches)?);
    if std::io::stdin().is_terminal() {
        say(format_args!("password of {name} (shown as you type):"));
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::Failed(format!("reading the password: {error}")))?;
    let record = UserRecord {
        name,
        password: password::hash(line.trim_end_matches(['\r', '\n'])).map_err(Failure::Usage)?,
        permissions,
        collections: texts(matches, "collection"),
    };
    let added = record.name.clone();
    credentials::update(&config.data_dir, |credentials| credentials.add_user(record))?;
    write_down(&config, Action::UserAdded, &added);
    say(format_args!("user \"{added}\" may log in with POST /auth/login"));
    Ok(())
}
