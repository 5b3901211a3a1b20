//! The credentials in force, arranged for looking them up: what was read from the files, validated.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use omendb_metrics::Series;

use crate::auth::credentials::{Credentials, TokenRecord, UserRecord};
use crate::auth::permission::Grant;
use crate::auth::secret::SecretHash;
use crate::auth::token_uses::{TokenMetrics, TokenUses};
use crate::timestamp::UnixTime;

/// Tokens by hash and users by name. Replaced as a whole when a file changes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tokens: HashMap<[u8; 8], Vec<Token>>,
    users: HashMap<String, User>,
}

#[derive(Debug)]
struct Token {
    hash: SecretHash,
    name: Arc<str>,
    grant: Arc<Grant>,
    expires: Option<UnixTime>,
    is_revoked: bool,
    was_used: AtomicBool,
    /// None if it is revoked.
    uses: Option<Arc<Series<TokenMetrics>>>,
}

/// Someone who may log in.
#[derive(Debug)]
pub(crate) struct User {
    /// Argon2id in PHC form.
    pub(crate) password: String,
    /// What a login permits.
    pub(crate) grant: Arc<Grant>,
}

/// What a presented token is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    /// In force.
    Valid {
        /// Its name.
        name: Arc<str>,
        /// What it permits.
        grant: Arc<Grant>,
        /// Whether nobody has asked for it before.
        is_first_use: bool,
    },
    /// Too old.
    Expired,
    /// Withdrawn.
    Revoked,
    /// None of ours.
    Unknown,
}

impl Index {
    /// Arranges `files`, read and validated before; where two define one thing, the first counts.
    ///
    /// # Errors
    /// A sentence about the first record that contradicts itself.
    pub(crate) fn new(files: &[&Credentials]) -> Result<Self, String> {
        let mut index = Self::default();
        for file in files {
            for token in &file.tokens {
                index.add_token(token)?;
            }
            for user in &file.users {
                index.add_user(user)?;
            }
        }
        Ok(index)
    }

    /// Adds a secret that permits everything.
    pub(crate) fn add_admin(&mut self, name: &str, hash: SecretHash) {
        let grant = Arc::new(Grant::everything());
        let token = Token {
            hash,
            name: Arc::from(name),
            grant,
            expires: None,
            is_revoked: false,
            was_used: AtomicBool::new(false),
            uses: None,
        };
        self.tokens.entry(hash.prefix()).or_default().push(token);
    }

    /// Whether there is nothing at all, not even something revoked.
    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty()
    }

    /// What a presented token is. Candidates are found by eight bytes of its hash, then compared in full in constant
    /// time.
    pub(crate) fn token(&self, presented: SecretHash, now: UnixTime) -> TokenState {
        let candidates = self
            .tokens
            .get(&presented.prefix())
            .map_or(&[][..], Vec::as_slice);
        match candidates.iter().find(|token| token.hash.is_same(&presented)) {
            None => TokenState::Unknown,
            Some(token) if token.is_revoked => TokenState::Revoked,
            Some(token) if token.expires.is_some_and(|expires| expires <= now) => TokenState::Expired,
            Some(token) => {
                if let Some(series) = &token.uses {
                    series.uses.increment();
                }
                TokenState::Valid {
                    name: Arc::clone(&token.name),
                    grant: Arc::clone(&token.grant),
                    // Read first: a store by every request would take the line from all other processors.
                    is_first_use: !token.was_used.load(Relaxed) && !token.was_used.swap(true, Relaxed),
                }
            }
        }
    }

    /// Takes the place of `older`: tokens that were used there are marked as used, and their uses are counted on.
    pub(crate) fn follow(&mut self, older: &Self, uses: &TokenUses) {
        let known = older.tokens.values().flatten();
        let known =
            known.filter_map(|token| Some((Arc::clone(&token.name), Arc::clone(token.uses.as_ref()?))));
        let in_force = self.tokens.values().flatten().filter(|token| !token.is_revoked);
        let mut names: Vec<_> = in_force.map(|token| Arc::clone(&token.name)).collect();
        // Which of too many get a series of their own does not depend on chance.
        names.sort_unstable();
        let series = uses.series(known.collect(), names.into_iter());
        for token in self.tokens.values_mut().flatten() {
            let candidates = older.tokens.get(&token.hash.prefix()).into_iter().flatten();
            let was_used = candidates
                .filter(|other| other.hash.is_same(&token.hash))
                .any(|other| other.was_used.load(Relaxed));
            *token.was_used.get_mut() = was_used;
            token.uses = series.get(&token.name).filter(|_| !token.is_revoked).cloned();
        }
    }

    /// The user of that name.
    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    fn add_token(&mut self, record: &TokenRecord) -> Result<(), String> {
        let grant = Grant::new(record.permissions.clone(), record.collections.clone())?;
        let token = Token {
            hash: record.hash,
            name: Arc::from(record.name.as_str()),
            grant: Arc::new(grant),
            expires: record.expires,
            is_revoked: record.revoked.is_some(),
            was_used: AtomicBool::new(false),
            uses: None,
        };
        self.tokens.entry(record.hash.prefix()).or_default().push(token);
        Ok(())
    }

    fn add_user(&mut self, record: &UserRecord) -> Result<(), String> {
        let grant = Arc::new(Grant::new(
            record.permissions.clone(),
            record.collections.clone(),
        )?);
        let user = User {
            password: record.password.clone(),
            grant,
        };
        self.users.entry(record.name.clone()).or_insert(user);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Permission;

    #[test]
    fn valid_expired_revoked_and_unknown_are_told_apart() {
        let record = |name: &str, expires, revoked| TokenRecord {
            name: name.to_owned(),
            hash: SecretHash::of(name),
            permissions: vec![Permission::DataRead],
            collections: Vec::new(),
            created: None,
            expires,
            revoked,
        };
        let mut credentials = Credentials::default();
        credentials.tokens = vec![
            record("endless", None, None),
            record("until 100", Some(UnixTime(100)), None),
            record("revoked", Some(UnixTime(100)), Some(UnixTime(1))),
        ];
        let index = Index::new(&[&credentials]).unwrap();
        let check = |secret: &str, now: u64, expected: &str| {
            let state = match index.token(SecretHash::of(secret), UnixTime(now)) {
                TokenState::Valid { name, .. } => name.to_string(),
                other @ (TokenState::Expired | TokenState::Revoked | TokenState::Unknown) => {
                    format!("{other:?}")
                }
            };
            assert_eq!(state, expected, "{secret} at {now}");
        };
        check("endless", 1_000_000, "endless");
        check("until 100", 99, "until 100");
        check("until 100", 100, "Expired");
        check("revoked", 5, "Revoked");
        check("revoked", 500, "Revoked");
        check("guess", 5, "Unknown");
    }

    #[test]
    fn a_token_is_used_for_the_first_time_once() {
        let record = TokenRecord {
            name: "t".to_owned(),
            hash: SecretHash::of("t"),
            permissions: vec![Permission::DataRead],
            collections: Vec::new(),
            created: None,
            expires: None,
            revoked: None,
        };
        let mut credentials = Credentials::default();
        credentials.tokens = vec![record];
        let is_first_use = |index: &Index| match index.token(SecretHash::of("t"), UnixTime(1)) {
            TokenState::Valid { is_first_use, .. } => is_first_use,
            TokenState::Expired | TokenState::Revoked | TokenState::Unknown => {
                panic!("the token is in force")
            }
        };
        let index = Index::new(&[&credentials]).unwrap();
        assert_eq!([is_first_use(&index), is_first_use(&index)], [true, false]);
        let mut newer = Index::new(&[&credentials]).unwrap();
        newer.follow(&index, &TokenUses::new(omendb_metrics::Clock::system()));
        assert!(!is_first_use(&newer));
    }
}
