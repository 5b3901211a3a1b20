//! What is written down, and the line it becomes.

use std::net::IpAddr;
use std::sync::Arc;

use omendb_metrics::{REDACTED, looks_secret, redacted};
use serde::Serialize;

use crate::timestamp::UnixTime;

/// Longest detail or target that is written down, bytes.
const LONGEST: usize = 256;

/// What was done or tried. The names are read by programs and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Action {
    /// The server began to accept connections.
    #[serde(rename = "server.started")]
    ServerStarted,
    /// It has stopped in good order.
    #[serde(rename = "server.stopped")]
    ServerStopped,
    /// Somebody logged in, or tried to.
    #[serde(rename = "login")]
    Login,
    /// A session was ended.
    #[serde(rename = "logout")]
    Logout,
    /// A token was used for the first time since the server started.
    #[serde(rename = "token.first_used")]
    TokenFirstUsed,
    /// A credential was presented that is not in force.
    #[serde(rename = "token.refused")]
    TokenRefused,
    /// A valid credential asked for what it does not permit.
    #[serde(rename = "access.denied")]
    AccessDenied,
    /// An API token was made.
    #[serde(rename = "token.created")]
    TokenCreated,
    /// An API token was revoked.
    #[serde(rename = "token.revoked")]
    TokenRevoked,
    /// Files of credentials had changed and were read again.
    #[serde(rename = "credentials.reloaded")]
    CredentialsReloaded,
    /// A user was added.
    #[serde(rename = "user.added")]
    UserAdded,
    /// A collection was created.
    #[serde(rename = "collection.created")]
    CollectionCreated,
    /// A collection's options or its vectors were changed.
    #[serde(rename = "collection.changed")]
    CollectionChanged,
    /// A collection was deleted.
    #[serde(rename = "collection.deleted")]
    CollectionDeleted,
    /// Aliases of collections were changed.
    #[serde(rename = "aliases.changed")]
    AliasesChanged,
    /// The log level was changed.
    #[serde(rename = "log_level.changed")]
    LogLevelChanged,
    /// A bundle for a ticket was taken.
    #[serde(rename = "bundle.taken")]
    BundleTaken,
}

/// What a request does, as far as it is written down. Its outcome is known when it is answered.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What.
    pub action: Action,
    /// Who: the name of a token or user.
    pub actor: Arc<str>,
    /// What it is done to.
    pub target: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
}

impl Entry {
    /// `actor` does `action`.
    pub fn new(action: Action, actor: impl Into<Arc<str>>) -> Self {
        Self {
            action,
            actor: actor.into(),
            target: None,
            detail: None,
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was done.
    Success,
    /// It was refused or failed.
    Failure,
    /// The client went away before it was answered; it may have been done.
    Abandoned,
    /// This line stands for failures that have none.
    Suppressed,
}

impl Outcome {
    /// Of a request answered with `status`; 499 when its client went away first.
    pub(super) fn of(status: u16) -> Self {
        match status {
            0..400 => Self::Success,
            499 => Self::Abandoned,
            _ => Self::Failure,
        }
    }
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) actor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<&'a str>,
}

impl Line<'_> {
    /// Done by the server itself.
    pub(super) fn new(action: Action) -> Self {
        Self {
            action,
            outcome: Outcome::Success,
            actor: "server",
            address: None,
            target: None,
            status: None,
            detail: None,
            request_id: None,
        }
    }

    /// As an object that begins with when it happened and ends with how many failures before it have no line.
    pub(super) fn json(&self, time: UnixTime, suppressed: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Dated<'a> {
            time: UnixTime,
            #[serde(flatten)]
            line: Line<'a>,
            #[serde(skip_serializing_if = "is_zero")]
            suppressed: u64,
        }
        let (target, detail) = (self.target.map(shown), self.detail.map(shown));
        let dated = Dated {
            time,
            line: Line {
                actor: named(self.actor),
                target: target.as_deref(),
                detail: detail.as_deref(),
                ..*self
            },
            suppressed,
        };
        let mut line = serde_json::to_vec(&dated).expect("text and numbers under text are JSON");
        line.push(b'\n');
        line
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The name of a credential. An auditor has to know it, also where it is an e-mail address; but whoever pastes a key for a name
/// has the key in no log.
fn named(actor: &str) -> &str {
    if actor.split('@').any(looks_secret) {
        REDACTED
    } else {
        actor
    }
}

/// What may be written of a value that anybody can have sent.
fn shown(value: &str) -> String {
    let mut value = redacted(value).into_owned();
    if value.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|at| value.is_char_boundary(*at));
        value.truncate(cut.unwrap_or(0));
        value.push('…');
    }
    value
}
