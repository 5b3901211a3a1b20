//! Logging in: a password is verified, within bounds of rate and memory, and exchanged for a session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::credentials::MAX_NAME;
use crate::auth::permission::Grant;
use crate::auth::secret::{SecretHash, new_session};
use crate::auth::throttle::Throttle;
use crate::auth::{Auth, password};
use crate::http::error::ApiError;
use crate::log::scope::Scope;
use crate::telemetry::web::{LoginFailure, LoginOutcome};
use crate::timestamp::UnixTime;

/// How long a login waits for others to be verified.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of logins.
#[derive(Debug, Clone, Copy)]
pub struct LoginOptions {
    /// How long a session lasts.
    pub session_ttl: Duration,
    /// Passwords verified at once.
    pub concurrency: usize,
    /// Logins a minute, for one user and for one address.
    pub per_minute: usize,
}

/// What bounds logins.
#[derive(Debug)]
pub struct Logins {
    session_ttl: Duration,
    slots: Arc<Semaphore>,
    by_address: Throttle<IpAddr>,
    by_user: Throttle<String>,
}

impl Logins {
    /// With the given bounds.
    pub fn new(options: LoginOptions) -> Self {
        Self {
            session_ttl: options.session_ttl,
            slots: Arc::new(Semaphore::new(options.concurrency)),
            by_address: Throttle::new(options.per_minute),
            by_user: Throttle::new(options.per_minute),
        }
    }

    #[cfg(test)]
    pub(super) fn remembers(&self, user: &str) -> bool {
        self.by_user.remembers(&user.to_owned())
    }
}

/// A session that has begun.
#[derive(Debug)]
pub struct Session {
    /// The token to send with every request.
    pub token: String,
    /// When it stops being valid.
    pub expires: UnixTime,
    /// What it permits.
    pub grant: Arc<Grant>,
}

impl Auth {
    /// Verifies a password and begins a session. Every outcome is counted.
    ///
    /// # Errors
    /// 401 for a wrong name or password (which of the two is not said), 429 when too many were tried, 503 when too
    /// many are being verified.
    pub async fn login(&self, user: &str, password: &str, address: IpAddr) -> Result<Session, ApiError> {
        let result = self.try_login(user, password, address).await;
        let outcome = match &result {
            Ok(_) => LoginOutcome::Success,
            Err((reason, _)) => {
                self.metrics.login_failures.increment(*reason);
                LoginOutcome::Failure
            }
        };
        self.metrics.logins.increment(outcome);
        result.map_err(|(_, error)| error)
    }

    async fn try_login(
        &self,
        user: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<Session, (LoginFailure, ApiError)> {
        let now = self.clock.now();
        let too_many = |wait| {
            let error = ApiError::too_many_requests("too many logins (auth.login_rate)", wait);
            (LoginFailure::TooMany, error)
        };
        let wrong = || {
            let error = ApiError::unauthorized("wrong user or password");
            (LoginFailure::Wrong, error)
        };
        let internal = |message| (LoginFailure::Internal, ApiError::internal(message));
        self.logins.by_address.take(address, now).map_err(too_many)?;
        if user.len() > MAX_NAME {
            // Nobody is called that, and the throttle remembers the names it is given.
            return Err(wrong());
        }
        self.logins.by_user.take(user.to_owned(), now).map_err(too_many)?;
        let busy = || {
            let message = "too many logins at once (auth.login_concurrency)";
            (LoginFailure::Busy, ApiError::unavailable(message, QUEUE_TIMEOUT))
        };
        let slot = tokio::time::timeout(QUEUE_TIMEOUT, Arc::clone(&self.logins.slots).acquire_owned());
        let slot = slot.await.map_err(|_| busy())?.map_err(|_| busy())?;
        let index = self.index();
        let (known_hash, tried) = (
            index.user(user).map(|user| user.password.clone()),
            password.to_owned(),
        );
        let verify = move || {
            // The slot is held until the work is done, also when the client has gone away meanwhile.
            let _slot = slot;
            password::verify(&tried, known_hash.as_deref())
        };
        let verified = tokio::task::spawn_blocking(Scope::carry(verify));
        let is_right = verified
            .await
            .map_err(|error| internal(format!("verifying: {error}")))?;
        let found = index.user(user).filter(|_| is_right);
        let found = found.ok_or_else(wrong)?;
        let token = new_session().map_err(|error| internal(format!("no randomness: {error}")))?;
        let expires = UnixTime(self.now().0 + self.logins.session_ttl.as_secs());
        self.sessions
            .begin(SecretHash::of(&token), Arc::from(user), expires);
        Ok(Session {
            token,
            expires,
            grant: Arc::clone(&found.grant),
        })
    }
}
