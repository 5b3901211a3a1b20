//! The files credentials come from, read together and watched for changes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::auth::credentials::{Credentials, FILE_NAME};
use crate::auth::index::Index;
use crate::auth::secret::SecretHash;

/// Shortest bootstrap secret, bytes: it is chosen by people and guards everything.
const SHORTEST_BOOTSTRAP: usize = 16;

/// Where credentials are read from.
#[derive(Debug, Clone)]
pub struct CredentialFiles {
    /// The data directory, with the file that the server and the command line write.
    pub directory: PathBuf,
    /// Further tokens, never written: `auth.tokens_file`.
    pub tokens_file: Option<PathBuf>,
    /// One secret that is an admin token: `bootstrap_token_file`.
    pub bootstrap_file: Option<PathBuf>,
}

/// What was last read from each file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    own: Credentials,
    mounted: Credentials,
    bootstrap: Option<SecretHash>,
}

/// What tells one version of the files from another without reading them. A replaced file has another inode, a mounted
/// secret that is a symbolic link another target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint(Vec<Option<Identity>>);

/// One file as the file system tells it from others; none when it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified_seconds: i64,
    modified_nanos: i64,
    bytes: u64,
}

/// A file whose contents cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The configuration key that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}): {}",
            self.path.display(),
            self.key,
            self.reason
        )
    }
}

impl CredentialFiles {
    /// The fingerprint of the files as they are now.
    pub fn fingerprint(&self) -> Fingerprint {
        let own = self.directory.join(FILE_NAME);
        let paths = [
            Some(own.as_path()),
            self.tokens_file.as_deref(),
            self.bootstrap_file.as_deref(),
        ];
        let identity = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some(Identity {
                device: metadata.dev(),
                inode: metadata.ino(),
                modified_seconds: metadata.mtime(),
                modified_nanos: metadata.mtime_nsec(),
                bytes: metadata.size(),
            })
        };
        Fingerprint(paths.into_iter().flatten().map(identity).collect())
    }

    /// Reads all of them into `contents`. A file that cannot be used leaves its part as it was and the others take
    /// effect all the same: a token that was revoked in one is not kept alive by a mistake in another.
    ///
    /// # Errors
    /// The first file that cannot be used. A missing file in the data directory is an empty one; one that the
    /// configuration names must be there.
    pub(crate) fn read(&self, contents: &mut Contents) -> Result<(), Unusable> {
        let own = self.read_own().map(|read| contents.own = read);
        let mounted = self.read_mounted().map(|read| contents.mounted = read);
        let bootstrap = self.read_bootstrap().map(|read| contents.bootstrap = read);
        own.and(mounted).and(bootstrap)
    }

    fn read_own(&self) -> Result<Credentials, Unusable> {
        let path = self.directory.join(FILE_NAME);
        Credentials::read(&path).map_err(|error| unusable("data_dir", &path, error))
    }

    fn read_mounted(&self) -> Result<Credentials, Unusable> {
        let Some(path) = &self.tokens_file else {
            return Ok(Credentials::default());
        };
        fs::metadata(path).map_err(|error| unusable("auth.tokens_file", path, error))?;
        Credentials::read(path).map_err(|error| unusable("auth.tokens_file", path, error))
    }

    fn read_bootstrap(&self) -> Result<Option<SecretHash>, Unusable> {
        let Some(path) = &self.bootstrap_file else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|error| unusable("bootstrap_token_file", path, error))?;
        let secret = text.trim();
        if secret.len() < SHORTEST_BOOTSTRAP {
            let reason = format!("the secret is shorter than {SHORTEST_BOOTSTRAP} bytes");
            return Err(unusable("bootstrap_token_file", path, reason));
        }
        Ok(Some(SecretHash::of(secret)))
    }
}

impl Contents {
    /// All of it, arranged for looking up.
    ///
    /// # Errors
    /// A sentence about the first record that contradicts itself; reading has refused those before.
    pub(crate) fn index(&self) -> Result<Index, String> {
        let mut index = Index::new(&[&self.own, &self.mounted])?;
        if let Some(hash) = self.bootstrap {
            index.add_admin("bootstrap", hash);
        }
        Ok(index)
    }
}

fn unusable(key: &'static str, path: &Path, reason: impl ToString) -> Unusable {
    Unusable {
        key,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
