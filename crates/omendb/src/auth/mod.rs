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
pub(crate) mod throttle;
pub(crate) mod token_uses;

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
use token_uses::TokenUses;

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
    /// What the watcher last saw. Locked while files are read.
    watched: Mutex<Watched>,
    /// Why it could not use all of it. A lock of its own: to ask for health is not to wait for a disk.
    problem: Mutex<Option<String>>,
    sessions: Sessions,
    logins: Logins,
    clock: Clock,
    metrics: Arc<WebMetrics>,
    token_uses: Arc<TokenUses>,
}

#[derive(Debug, Default)]
struct Watched {
    fingerprint: files::Fingerprint,
    contents: files::Contents,
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
        let mut contents = files::Contents::default();
        files.read(&mut contents)?;
        let token_uses = Arc::new(TokenUses::new(clock.clone()));
        let mut index = contents.index().map_err(|reason| Unusable {
            key: "data_dir",
            path: files.directory.clone(),
            reason,
        })?;
        index.follow(&Index::default(), &token_uses);
        Ok(Self {
            files,
            is_open: AtomicBool::new(index.is_empty()),
            index: RwLock::new(Arc::new(index)),
            watched: Mutex::new(Watched {
                fingerprint,
                contents,
            }),
            problem: Mutex::default(),
            sessions: Sessions::default(),
            logins: Logins::new(logins),
            clock,
            metrics,
            token_uses,
        })
    }

    /// How often each API token was used.
    pub(crate) fn token_uses(&self) -> Arc<TokenUses> {
        Arc::clone(&self.token_uses)
    }

    /// Whether no credential exists, so that everybody who reaches the server may do everything.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Why the newest version of a credentials file is not in force.
    pub fn problem(&self) -> Option<String> {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        problem.clone()
    }

    /// Reads the files again if they have changed; says whether all of them could be used, or nothing if none has changed. A file
    /// that cannot be used is logged once, and what was last read from it stays in force beside the newest contents
    /// of the others.
    pub fn reload_if_changed(&self) -> Option<Result<(), String>> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before reading: a change in between is then seen the next time.
        let fingerprint = self.files.fingerprint();
        if fingerprint == watched.fingerprint {
            return None;
        }
        watched.fingerprint = fingerprint;
        let read = self.files.read(&mut watched.contents);
        let index = watched.contents.index();
        let problem = match (&read, &index) {
            (Err(unusable), _) => Some(unusable.to_string()),
            (Ok(()), Err(reason)) => Some(reason.clone()),
            (Ok(()), Ok(_)) => None,
        };
        if let Ok(mut index) = index {
            index.follow(&self.index(), &self.token_uses);
            if !index.is_empty() && self.is_open.swap(false, Ordering::AcqRel) {
                tracing::info!("the first credential was created: every request now needs one");
            }
            *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(index);
            tracing::info!("credentials read again");
        }
        if let Some(problem) = &problem {
            tracing::error!(problem, "credentials not usable, those read before stay in force");
        }
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem.clone();
        Some(problem.map_or(Ok(()), Err))
    }

    /// Decides who asks, from the head of the request alone. What they may do is [`Caller::check_access`]'s to say.
    ///
    /// # Errors
    /// 401 without a credential where `access` needs one, or with one that is not in force.
    pub fn identify(&self, headers: &HeaderMap, access: Access) -> Result<Caller, ApiError> {
        if self.is_open() {
            return Ok(Caller::anonymous(Grant::everything()));
        }
        match (self.authenticate(headers), access) {
            (Ok(Some(caller)), _) => Ok(caller),
            (Ok(None) | Err(_), Access::Public) => Ok(Caller::anonymous(Grant::default())),
            (Ok(None), Access::Own | Access::Needs(_)) => {
                self.metrics.validations.increment(Validation::Missing);
                let how = "send \"Authorization: Bearer TOKEN\" or \"api-key: TOKEN\"";
                Err(ApiError::unauthorized(format!("no credential: {how}")))
            }
            (Err(error), Access::Own | Access::Needs(_)) => Err(error),
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
        let (name, grant, session, is_first_use) = match self.sessions.state(presented, now) {
            SessionState::Valid(user) => match index.user(&user) {
                Some(found) => (user, Arc::clone(&found.grant), Some(presented), false),
                None => return refused(Validation::Revoked, "the session's user does not exist any more"),
            },
            SessionState::Expired => return refused(Validation::Expired, "the session has expired"),
            SessionState::Ended => return refused(Validation::Revoked, "the session was logged out"),
            SessionState::Unknown => match index.token(presented, now) {
                TokenState::Valid {
                    name,
                    grant,
                    is_first_use,
                } => (name, grant, None, is_first_use),
                TokenState::Expired => return refused(Validation::Expired, "the token has expired"),
                TokenState::Revoked => return refused(Validation::Revoked, "the token was revoked"),
                TokenState::Unknown => return refused(Validation::Invalid, "the token is not valid"),
            },
        };
        self.metrics.validations.increment(Validation::Valid);
        Ok(Some(Caller {
            name,
            grant,
            session,
            is_first_use,
        }))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::auth::credentials::TokenRecord;

    /// A directory of credentials and what reads it.
    struct Fixture {
        directory: PathBuf,
        web: Arc<WebMetrics>,
    }

    impl Fixture {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("omendb-auth-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir_all(&directory).expect("a writable place");
            Self {
                directory,
                web: Arc::default(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.join(name)
        }

        fn open(&self, tokens: Option<&Path>, bootstrap: Option<&Path>) -> Result<Auth, Unusable> {
            let files = CredentialFiles {
                directory: self.directory.clone(),
                tokens_file: tokens.map(Path::to_owned),
                bootstrap_file: bootstrap.map(Path::to_owned),
            };
            let logins = LoginOptions {
                session_ttl: Duration::from_secs(60),
                concurrency: 1,
                per_minute: 60,
            };
            Auth::open(files, logins, Clock::system(), Arc::clone(&self.web))
        }

        /// Adds a token whose secret is its name.
        fn add(&self, name: &str, permission: Permission) {
            let token = TokenRecord {
                name: name.to_owned(),
                hash: SecretHash::of(name),
                permissions: vec![permission],
                collections: Vec::new(),
                created: None,
                expires: None,
                revoked: None,
            };
            let added = credentials::update(&self.directory, |credentials| credentials.add_token(token));
            added.expect("the name is free");
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    /// The status that `secret` gets where `permission` is needed; 200 for leave.
    fn status(auth: &Auth, secret: &str, permission: Permission) -> u16 {
        let mut headers = HeaderMap::new();
        headers.insert("api-key", HeaderValue::from_str(secret).expect("a header value"));
        let access = Access::Needs(permission);
        let caller = auth.identify(&headers, access);
        match caller.and_then(|caller| caller.check_access(access)) {
            Ok(()) => 200,
            Err(error) => error.status().as_u16(),
        }
    }

    #[test]
    fn a_bootstrap_secret_is_an_admin_and_can_be_changed() {
        let fixture = Fixture::new("bootstrap");
        let path = fixture.path("bootstrap");
        fs::write(&path, "a secret of many bytes\n").unwrap();
        let auth = fixture.open(None, Some(&path)).unwrap();
        assert!(!auth.is_open());
        assert_eq!(status(&auth, "a secret of many bytes", Permission::Admin), 200);
        fs::write(&path, "another, which is longer than the first\n").unwrap();
        auth.reload_if_changed();
        assert_eq!(status(&auth, "a secret of many bytes", Permission::Admin), 401);
        assert_eq!(
            status(
                &auth,
                "another, which is longer than the first",
                Permission::DataRead
            ),
            200
        );
    }

    #[test]
    fn files_that_the_configuration_names_must_be_usable_at_start() {
        let fixture = Fixture::new("unusable");
        let path = fixture.path("named");
        let key = |result: Result<Auth, Unusable>| result.err().map(|unusable| unusable.key);
        assert_eq!(key(fixture.open(None, Some(&path))), Some("bootstrap_token_file"));
        assert_eq!(key(fixture.open(Some(&path), None)), Some("auth.tokens_file"));
        fs::write(&path, "short").unwrap();
        assert_eq!(key(fixture.open(None, Some(&path))), Some("bootstrap_token_file"));
        assert_eq!(key(fixture.open(Some(&path), None)), Some("auth.tokens_file"));
        fs::write(fixture.path(credentials::FILE_NAME), "{}").unwrap();
        assert_eq!(key(fixture.open(None, None)), Some("data_dir"));
    }

    #[test]
    fn a_mounted_file_is_read_beside_our_own_and_again_when_it_changes() {
        let (own, mounted) = (Fixture::new("own"), Fixture::new("mounted"));
        own.add("mine", Permission::DataRead);
        mounted.add("theirs", Permission::MetricsRead);
        let path = mounted.path(credentials::FILE_NAME);
        let auth = own.open(Some(&path), None).unwrap();
        assert_eq!(status(&auth, "mine", Permission::DataRead), 200);
        assert_eq!(status(&auth, "theirs", Permission::MetricsRead), 200);
        assert_eq!(status(&auth, "theirs", Permission::DataRead), 403);
        mounted.add("new", Permission::DataWrite);
        assert_eq!(status(&auth, "new", Permission::DataWrite), 401);
        auth.reload_if_changed();
        assert_eq!(status(&auth, "new", Permission::DataWrite), 200);

        // What is half written or wrong changes nothing but the health report.
        fs::write(&path, "{\"version\":1,").unwrap();
        auth.reload_if_changed();
        assert_eq!(status(&auth, "new", Permission::DataWrite), 200);
        assert!(
            auth.problem()
                .is_some_and(|problem| problem.contains("auth.tokens_file"))
        );
        fs::write(&path, "{\"version\":1}").unwrap();
        auth.reload_if_changed();
        assert_eq!(status(&auth, "new", Permission::DataWrite), 401);
        assert_eq!(auth.problem(), None);
    }

    /// A mounted file with a mistake in it once kept every file from being read: a token revoked meanwhile, with an
    /// answer that said so, went on to be accepted.
    #[test]
    fn a_mistake_in_one_file_keeps_no_revoked_token_of_another_alive() {
        let (own, mounted) = (Fixture::new("revoking"), Fixture::new("mistaken"));
        own.add("mine", Permission::DataRead);
        mounted.add("theirs", Permission::DataRead);
        let path = mounted.path(credentials::FILE_NAME);
        let auth = own.open(Some(&path), None).unwrap();
        fs::write(&path, "{").unwrap();
        credentials::update(&own.directory, |credentials| {
            credentials.revoke_token("mine", UnixTime(1))
        })
        .unwrap();
        auth.reload_if_changed();
        assert_eq!(status(&auth, "mine", Permission::DataRead), 401);
        assert_eq!(status(&auth, "theirs", Permission::DataRead), 200, "as last read");
        assert!(auth.problem().is_some());
    }

    /// The throttle of logins remembers names: one of 30 MiB, tried again and again, once filled the memory.
    #[tokio::test]
    async fn a_name_that_nobody_can_have_is_not_remembered() {
        let fixture = Fixture::new("long");
        let auth = fixture.open(None, None).unwrap();
        let long = "a".repeat(credentials::MAX_NAME + 1);
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        for _ in 0..3 {
            assert_eq!(auth.login(&long, "x", address).await.unwrap_err().status(), 401);
        }
        assert!(!auth.logins.remembers(&long));
        assert_eq!(auth.login("short", "x", address).await.unwrap_err().status(), 401);
        assert!(auth.logins.remembers("short"));
    }

    #[test]
    fn a_server_that_was_closed_stays_closed_without_its_files() {
        let fixture = Fixture::new("closed");
        let auth = fixture.open(None, None).unwrap();
        assert!(auth.is_open());
        assert_eq!(status(&auth, "anything", Permission::Admin), 200);
        fixture.add("first", Permission::DataRead);
        auth.reload_if_changed();
        assert!(!auth.is_open());
        fs::remove_file(fixture.path(credentials::FILE_NAME)).unwrap();
        auth.reload_if_changed();
        assert!(!auth.is_open());
        assert_eq!(status(&auth, "first", Permission::DataRead), 401);
    }

    #[tokio::test]
    async fn a_session_lasts_until_its_end_or_that_of_its_user() {
        let fixture = Fixture::new("session");
        let user = credentials::UserRecord {
            name: "ada".to_owned(),
            password: password::hash("correct horse").unwrap(),
            permissions: vec![Permission::DataRead],
            collections: Vec::new(),
        };
        credentials::update(&fixture.directory, |credentials| credentials.add_user(user)).unwrap();
        let auth = fixture.open(None, None).unwrap();
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        assert_eq!(
            auth.login("ada", "wrong", address).await.unwrap_err().status(),
            401
        );
        let session = auth.login("ada", "correct horse", address).await.unwrap();
        assert_eq!(status(&auth, &session.token, Permission::DataRead), 200);
        assert_eq!(status(&auth, &session.token, Permission::DataWrite), 403);
        fs::write(fixture.path(credentials::FILE_NAME), "{\"version\":1}").unwrap();
        auth.reload_if_changed();
        assert_eq!(status(&auth, &session.token, Permission::DataRead), 401);
        assert_eq!(fixture.web.validations.get(Validation::Revoked), 1);
        assert_eq!(
            fixture
                .web
                .logins
                .get(crate::telemetry::web::LoginOutcome::Failure),
            1
        );
    }
}
