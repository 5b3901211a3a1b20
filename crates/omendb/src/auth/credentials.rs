//! The credentials file: tokens by hash and users by password hash, shared by the server and the command line.
//!
//! It lies beside the data with a lock of its own, so that `omendb token create` works with the server stopped or
//! running. It is replaced as a whole: whoever reads it sees one version or the next.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::password;
use crate::auth::permission::{Grant, Permission};
use crate::auth::secret::SecretHash;
use crate::config::Setting as _;
use crate::timestamp::UnixTime;

/// The file's name in the data directory.
pub const FILE_NAME: &str = "credentials.json";

/// The only version of the format.
const VERSION: u32 = 1;
/// Most tokens and users together, revoked ones included.
const MAX_ENTRIES: usize = 10_000;
/// Revoked and expired tokens kept so that their use is told apart from guessing; the oldest go first.
const MAX_TOMBSTONES: usize = 1_000;
/// Longest name of a token or user, bytes.
pub(crate) const MAX_NAME: usize = 64;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    version: u32,
    /// API tokens, revoked ones included.
    #[serde(default)]
    pub tokens: Vec<TokenRecord>,
    /// People who log in with a password.
    #[serde(default)]
    pub users: Vec<UserRecord>,
}

/// One API token. Its secret is known only to whoever was shown it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Unique among the tokens that are not revoked.
    pub name: String,
    /// The hash of the secret.
    pub hash: SecretHash,
    /// What it permits.
    pub permissions: Vec<Permission>,
    /// The collections it reaches; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<UnixTime>,
    /// When it stops being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<UnixTime>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<UnixTime>,
}

/// One user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// Unique.
    pub name: String,
    /// Argon2id in PHC form.
    pub password: String,
    /// What a login permits.
    pub permissions: Vec<Permission>,
    /// The collections it reaches; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<String>,
}

/// Why the credentials could not be read or changed.
#[derive(Debug)]
pub enum CredentialError {
    /// The file cannot be read or written, or does not hold what it should.
    File(PathBuf, String),
    /// What was asked for is not possible; the file is unchanged.
    Refused(String),
    /// The token or user does not exist.
    NotFound(String),
    /// The name is taken.
    Exists(String),
}

impl std::fmt::Display for CredentialError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, reason) => write!(formatter, "{}: {reason}", path.display()),
            Self::Refused(reason) => formatter.write_str(reason),
            Self::NotFound(what) => write!(formatter, "{what} does not exist"),
            Self::Exists(what) => write!(formatter, "{what} exists already"),
        }
    }
}

impl std::error::Error for CredentialError {}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            version: VERSION,
            tokens: Vec::new(),
            users: Vec::new(),
        }
    }
}

impl Credentials {
    /// Reads the file; none there is the same as an empty one.
    ///
    /// # Errors
    /// When it cannot be read, is malformed, of another version or too large.
    pub fn read(path: &Path) -> Result<Self, CredentialError> {
        let refuse = |reason: String| CredentialError::File(path.to_owned(), reason);
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(refuse(error.to_string())),
        };
        let credentials: Self = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        credentials.check().map_err(refuse)?;
        Ok(credentials)
    }

    /// Whether nobody can authenticate, nor ever could.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.users.is_empty()
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "version {} is not known to this server (it knows {VERSION})",
                self.version
            ));
        }
        if self.tokens.len() + self.users.len() > MAX_ENTRIES {
            return Err(format!("more than {MAX_ENTRIES} credentials"));
        }
        for token in &self.tokens {
            check_name(&token.name)?;
            Grant::new(token.permissions.clone(), token.collections.clone())
                .map_err(|reason| format!("token \"{}\": {reason}", token.name))?;
        }
        for user in &self.users {
            check_name(&user.name)?;
            Grant::new(user.permissions.clone(), user.collections.clone())
                .and_then(|_| password::check_hash(&user.password))
                .map_err(|reason| format!("user \"{}\": {reason}", user.name))?;
        }
        Ok(())
    }

    /// Adds a token.
    ///
    /// # Errors
    /// When a token of that name is in force.
    pub fn add_token(&mut self, token: TokenRecord) -> Result<(), CredentialError> {
        if self
            .tokens
            .iter()
            .any(|other| other.name == token.name && other.revoked.is_none())
        {
            return Err(CredentialError::Exists(format!("token \"{}\"", token.name)));
        }
        self.tokens.push(token);
        Ok(())
    }

    /// Marks a token as revoked; it stays in the file so that its use can be recognised.
    ///
    /// # Errors
    /// When no token of that name is in force.
    pub fn revoke_token(&mut self, name: &str, now: UnixTime) -> Result<(), CredentialError> {
        let token = self
            .tokens
            .iter_mut()
            .find(|token| token.name == name && token.revoked.is_none());
        let token = token.ok_or_else(|| CredentialError::NotFound(format!("token \"{name}\"")))?;
        token.revoked = Some(now);
        self.drop_oldest_tombstones(now);
        Ok(())
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When one of that name exists.
    pub fn add_user(&mut self, user: UserRecord) -> Result<(), CredentialError> {
        if self.users.iter().any(|other| other.name == user.name) {
            return Err(CredentialError::Exists(format!("user \"{}\"", user.name)));
        }
        self.users.push(user);
        Ok(())
    }

    fn drop_oldest_tombstones(&mut self, now: UnixTime) {
        let died = |token: &TokenRecord| token.revoked.or(token.expires.filter(|expires| *expires <= now));
        let mut deaths: Vec<UnixTime> = self.tokens.iter().filter_map(died).collect();
        if deaths.len() > MAX_TOMBSTONES {
            deaths.sort_unstable();
            let oldest_kept = deaths[deaths.len() - MAX_TOMBSTONES];
            self.tokens
                .retain(|token| died(token).is_none_or(|death| death >= oldest_kept));
        }
    }
}

/// Checks the name of a token or user.
///
/// # Errors
/// When it is empty, too long, or has characters that would need quoting somewhere.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        return Err(format!(
            "name \"{name}\" is not 1 to {MAX_NAME} letters, digits or any of . _ - @"
        ));
    }
    Ok(())
}

/// When a token made `now` with the time to live `text` stops being valid.
///
/// # Errors
/// What was expected, to stand after the offending value.
pub fn expiry(now: UnixTime, text: &str) -> Result<UnixTime, String> {
    let time_to_live = Duration::parse(text)?;
    now.checked_add(time_to_live)
        .ok_or_else(|| "expected a time that ends before the year 10000".to_owned())
}

/// Changes the credentials in `directory` under their lock, which another process may hold for a moment. The new
/// version is on disk, and will be found after a power cut, when this returns.
///
/// # Errors
/// Those of [`Credentials::read`], of `change`, and of the file system; the file is then unchanged.
pub fn update<T>(
    directory: &Path,
    change: impl FnOnce(&mut Credentials) -> Result<T, CredentialError>,
) -> Result<T, CredentialError> {
    let path = directory.join(FILE_NAME);
    let failed = |error: io::Error| CredentialError::File(path.clone(), error.to_string());
    fs::create_dir_all(directory).map_err(failed)?;
    let lock_path = directory.join("credentials.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(lock_path);
    let lock = lock.map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut credentials = Credentials::read(&path)?;
    let result = change(&mut credentials)?;
    credentials.check().map_err(CredentialError::Refused)?;
    replace(&path, &credentials).map_err(failed)?;
    Ok(result)
}

/// Writes a new file beside the old one, makes it durable, and only then gives it the name.
fn replace(path: &Path, credentials: &Credentials) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let new_path = path.with_extension("json.new");
    let mut text = serde_json::to_vec_pretty(credentials)?;
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new_path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new_path, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str) -> TokenRecord {
        TokenRecord {
            name: name.to_owned(),
            hash: SecretHash::of(name),
            permissions: vec![Permission::DataRead],
            collections: Vec::new(),
            created: None,
            expires: None,
            revoked: None,
        }
    }

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("omendb-credentials-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_name_is_free_again_once_its_token_is_revoked() {
        let mut credentials = Credentials::default();
        credentials.add_token(token("ci")).unwrap();
        assert!(matches!(
            credentials.add_token(token("ci")),
            Err(CredentialError::Exists(_))
        ));
        credentials.revoke_token("ci", UnixTime(5)).unwrap();
        assert!(matches!(
            credentials.revoke_token("ci", UnixTime(6)),
            Err(CredentialError::NotFound(_))
        ));
        credentials.add_token(token("ci")).unwrap();
        assert_eq!(credentials.tokens.len(), 2);
    }

    #[test]
    fn tombstones_are_bounded_and_the_oldest_go_first() {
        let mut credentials = Credentials::default();
        for number in 0..MAX_TOMBSTONES as u64 + 10 {
            let name = number.to_string();
            credentials.add_token(token(&name)).unwrap();
            credentials.revoke_token(&name, UnixTime(number)).unwrap();
        }
        credentials.add_token(token("live")).unwrap();
        assert_eq!(credentials.tokens.len(), MAX_TOMBSTONES + 1);
        assert_eq!(credentials.tokens[0].revoked, Some(UnixTime(10)));
    }

    #[test]
    fn a_refused_change_leaves_the_file_as_it_was() {
        let directory = directory("refused");
        update(&directory, |credentials| credentials.add_token(token("kept"))).unwrap();
        let refused = update(&directory, |credentials| {
            credentials.add_token(token("not a name"))
        });
        assert!(matches!(refused, Err(CredentialError::Refused(_))), "{refused:?}");
        let read = Credentials::read(&directory.join(FILE_NAME)).unwrap();
        assert_eq!(read.tokens.len(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }

    /// A token for 27,000 years was once written with a year of five digits, and the file could not be read again: the
    /// server kept the old credentials, no token could be created or revoked, and the next start was refused.
    #[test]
    fn an_expiry_that_could_not_be_read_again_is_refused() {
        let now = UnixTime(1_800_000_000);
        assert_eq!(expiry(now, "90d"), Ok(UnixTime(1_800_000_000 + 90 * 86_400)));
        assert!(expiry(now, "9999999d").is_err_and(|reason| reason.contains("year 10000")));
        assert!(expiry(now, "soon").is_err_and(|reason| reason.contains("90d")));
    }

    #[test]
    fn concurrent_changes_are_all_kept() {
        let directory = directory("concurrent");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let directory = &directory;
                scope.spawn(move || {
                    for number in 0..5 {
                        let name = format!("{writer}-{number}");
                        update(directory, |credentials| credentials.add_token(token(&name))).unwrap();
                    }
                });
            }
        });
        assert_eq!(
            Credentials::read(&directory.join(FILE_NAME))
                .unwrap()
                .tokens
                .len(),
            20
        );
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_not_a_credentials_file_is_refused_with_its_path() {
        let directory = directory("malformed");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(FILE_NAME);
        let check = |text: &str, part: &str| {
            fs::write(&path, text).unwrap();
            let message = Credentials::read(&path).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains(FILE_NAME), "{message}");
        };
        check("{", "EOF");
        check("{\"version\":2}", "version 2");
        check("{\"version\":1,\"tokenz\":[]}", "tokenz");
        check(
            "{\"version\":1,\"tokens\":[{\"name\":\"a\",\"hash\":\"12\",\"permissions\":[\"admin\"]}]}",
            "sha256",
        );
        check(
            &format!(
                "{{\"version\":1,\"tokens\":[{{\"name\":\"a\",\"hash\":\"{}\",\"permissions\":[]}}]}}",
                "0".repeat(64)
            ),
            "no permission",
        );
        fs::remove_dir_all(&directory).unwrap();
    }
}
