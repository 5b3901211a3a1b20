//! Who is asking, and what they may do.

pub mod api;
pub mod credentials;
mod files;
mod index;
mod login;
pub mod loopback;
pub mod password;
mod permission;
mod secret;
mod sessions;
mod throttle;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hyper::HeaderMap;
use hyper::header;
use omendb_metrics::Clock;

pub use files::{CredentialFiles, Unusable};
use index::{Index, TokenState};
pub use login::{LoginOptions, Logins};
pub use permission::{Caller, Grant, Permission};
pub use secret::{SecretHash, new_token};
use sessions::{SessionState, Sessions};

use crate::http::error::ApiError;
use crate::routes::Access;
use crate::telemetry::web::{Validation, WebMetrics};
use crate::timestamp::UnixTime;

/// Credentials as the server sees them.
#[derive(Debug)]
pub struct Auth {
    files: CredentialFiles,
    index: RwLock<Arc<Index>>,
    /// No credential has ever been seen. Once false it stays so: deleting the files locks everybody out, nobody in.
    is_open: AtomicBool,
    /// What the watcher last saw, and why it could not use it.
    watched: Mutex<Watched>,
    sessions: Sessions,
    logins: Logins,
    clock: Clock,
    metrics: Arc<WebMetrics>,
}

#[derive(Debug, Default)]
struct Watched {
    fingerprint: files::Fingerprint,
    problem: Option<String>,
}

impl Auth {
    /// Reads the credentials.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn open(
        files: CredentialFiles,
        logins: LoginOptions,
        clock: Clock,
        metrics: Arc<WebMetrics>,
    ) -> Result<Self, Unusable> {
        let fingerprint = files.fingerprint();
        let index = files.read()?;
        Ok(Self {
            files,
            is_open: AtomicBool::new(index.is_empty()),
            index: RwLock::new(Arc::new(index)),
            watched: Mutex::new(Watched {
                fingerprint,
                problem: None,
            }),
            sessions: Sessions::default(),
            logins: Logins::new(logins),
            clock,
            metrics,
        })
    }

    /// Whether no credential exists, so that everybody who reaches the server may do everything.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Why the newest version of a credentials file is not in force.
    pub fn problem(&self) -> Option<String> {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .problem
            .clone()
    }

    /// Reads the files again if they have changed. What cannot be used is logged once and leaves the credentials in
    /// force as they are.
    pub fn reload_if_changed(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: a change in between is then seen the next time.
        let fingerprint = self.files.fingerprint();
        if fingerprint == watched.fingerprint {
            return;
        }
        watched.fingerprint = fingerprint;
        match self.files.read() {
            Ok(index) => {
                if !index.is_empty() && self.is_open.swap(false, Ordering::AcqRel) {
                    tracing::info!("the first credential was created: every request now needs one");
                }
                *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
                watched.problem = None;
                tracing::info!("credentials read again");
            }
            Err(unusable) => {
                tracing::error!(%unusable, "credentials not usable, those read before stay in force");
                watched.problem = Some(unusable.to_string());
            }
        }
    }

    /// Decides who asks and whether they may call a route, from the head of the request alone.
    ///
    /// # Errors
    /// 401 without a credential or with one that is not in force, 403 with one that does not permit `access`.
    pub fn authorize(&self, headers: &HeaderMap, access: Access) -> Result<Caller, ApiError> {
        if self.is_open() {
            return Ok(Caller::anonymous(Grant::everything()));
        }
        let caller = match (self.authenticate(headers), access) {
            (Ok(Some(caller)), _) => caller,
            (Ok(None) | Err(_), Access::Public) => return Ok(Caller::anonymous(Grant::default())),
            (Ok(None), Access::Own | Access::Needs(_)) => {
                self.metrics.validations.increment(Validation::Missing);
                let how = "send \"Authorization: Bearer TOKEN\" or \"api-key: TOKEN\"";
                return Err(ApiError::unauthorized(format!("no credential: {how}")));
            }
            (Err(error), Access::Own | Access::Needs(_)) => return Err(error),
        };
        match access {
            Access::Needs(permission) if !caller.grant.permits(permission) => {
                let name = &caller.name;
                Err(ApiError::forbidden(format!(
                    "credential \"{name}\" lacks permission \"{permission}\""
                )))
            }
            Access::Public | Access::Own | Access::Needs(_) => Ok(caller),
        }
    }

    /// Whose credential the headers carry; none when they carry none.
    fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
        let refused = |validation: Validation, message: &str| {
            self.metrics.validations.increment(validation);
            Err(ApiError::unauthorized(message))
        };
        let presented = match presented_token(headers) {
            Ok(None) => return Ok(None),
            Ok(Some(token)) => SecretHash::of(token),
            Err(message) => return refused(Validation::Invalid, message),
        };
        let now = self.now();
        let index = Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner));
        let (name, grant, session) = match self.sessions.state(presented, now) {
            SessionState::Valid(user) => match index.user(&user) {
                Some(found) => (user, Arc::clone(&found.grant), Some(presented)),
                None => return refused(Validation::Revoked, "the session's user does not exist any more"),
            },
            SessionState::Expired => return refused(Validation::Expired, "the session has expired"),
            SessionState::Ended => return refused(Validation::Revoked, "the session was logged out"),
            SessionState::Unknown => match index.token(presented, now) {
                TokenState::Valid { name, grant } => (name, grant, None),
                TokenState::Expired => return refused(Validation::Expired, "the token has expired"),
                TokenState::Revoked => return refused(Validation::Revoked, "the token was revoked"),
                TokenState::Unknown => return refused(Validation::Invalid, "the token is not valid"),
            },
        };
        self.metrics.validations.increment(Validation::Valid);
        Ok(Some(Caller { name, grant, session }))
    }

    fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn now(&self) -> UnixTime {
        UnixTime::from_nanoseconds(self.clock.wall())
    }
}

/// The token in the headers: `Authorization: Bearer T`, else `api-key: T`.
fn presented_token(headers: &HeaderMap) -> Result<Option<&str>, &'static str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let malformed = "the Authorization header is not \"Bearer TOKEN\"";
        let (scheme, token) = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .ok_or(malformed)?;
        return if scheme.eq_ignore_ascii_case("bearer") {
            Ok(Some(token.trim()))
        } else {
            Err(malformed)
        };
    }
    match headers.get("api-key") {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .map(Some)
            .map_err(|_| "the api-key header is not text"),
    }
}
