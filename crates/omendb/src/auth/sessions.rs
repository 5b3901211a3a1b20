//! Sessions: the short-lived tokens given out by `/auth/login`, kept in memory only.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::secret::SecretHash;
use crate::timestamp::UnixTime;

/// Most sessions kept, ended ones included; the oldest go first.
const MAX_SESSIONS: usize = 10_000;

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_hash: HashMap<SecretHash, Session>,
    /// In order of their beginning.
    order: VecDeque<SecretHash>,
}

#[derive(Debug)]
struct Session {
    user: Arc<str>,
    expires: UnixTime,
    has_ended: bool,
}

/// What a presented session token is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// In force, of this user.
    Valid(Arc<str>),
    /// Too old.
    Expired,
    /// Logged out.
    Ended,
    /// None of ours, or forgotten.
    Unknown,
}

impl Sessions {
    /// Begins one.
    pub(crate) fn begin(&self, hash: SecretHash, user: Arc<str>, expires: UnixTime) {
        let mut table = self.lock();
        if table.order.len() >= MAX_SESSIONS
            && let Some(oldest) = table.order.pop_front()
        {
            table.by_hash.remove(&oldest);
        }
        table.by_hash.insert(
            hash,
            Session {
                user,
                expires,
                has_ended: false,
            },
        );
        table.order.push_back(hash);
    }

    /// Ends one; false when it was not in force.
    pub(crate) fn end(&self, hash: SecretHash) -> bool {
        self.lock()
            .by_hash
            .get_mut(&hash)
            .is_some_and(|session| !std::mem::replace(&mut session.has_ended, true))
    }

    /// What a presented token is. Found by its hash: the table's own hashing is keyed at random, so the time it takes
    /// says nothing about other tokens.
    pub(crate) fn state(&self, hash: SecretHash, now: UnixTime) -> SessionState {
        match self.lock().by_hash.get(&hash) {
            None => SessionState::Unknown,
            Some(session) if session.has_ended => SessionState::Ended,
            Some(session) if session.expires <= now => SessionState::Expired,
            Some(session) => SessionState::Valid(Arc::clone(&session.user)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Each change is two insertions that cannot panic between each other.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_expired_ended_and_unknown_are_told_apart() {
        let sessions = Sessions::default();
        let user: Arc<str> = Arc::from("ada");
        let (first, second) = (SecretHash::of("1"), SecretHash::of("2"));
        sessions.begin(first, Arc::clone(&user), UnixTime(100));
        sessions.begin(second, Arc::clone(&user), UnixTime(100));
        assert_eq!(sessions.state(first, UnixTime(99)), SessionState::Valid(user));
        assert_eq!(sessions.state(first, UnixTime(100)), SessionState::Expired);
        assert!(sessions.end(second));
        assert!(!sessions.end(second));
        assert_eq!(sessions.state(second, UnixTime(99)), SessionState::Ended);
        assert_eq!(
            sessions.state(SecretHash::of("3"), UnixTime(99)),
            SessionState::Unknown
        );
    }

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        for number in 0..=MAX_SESSIONS {
            sessions.begin(
                SecretHash::of(&number.to_string()),
                Arc::from("ada"),
                UnixTime(100),
            );
        }
        assert_eq!(
            sessions.state(SecretHash::of("0"), UnixTime(0)),
            SessionState::Unknown
        );
        assert_ne!(
            sessions.state(SecretHash::of("1"), UnixTime(0)),
            SessionState::Unknown
        );
    }
}
