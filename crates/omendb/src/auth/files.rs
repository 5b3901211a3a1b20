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

    /// Reads all of them.
    ///
    /// # Errors
    /// The first file that cannot be used. A missing file in the data directory is an empty one; one that the
    /// configuration names must be there.
    pub(crate) fn read(&self) -> Result<Index, Unusable> {
        let own_path = self.directory.join(FILE_NAME);
        let own = Credentials::read(&own_path).map_err(|error| unusable("data_dir", &own_path, error))?;
        let mut files = vec![own];
        if let Some(path) = &self.tokens_file {
            fs::metadata(path).map_err(|error| unusable("auth.tokens_file", path, error))?;
            files.push(Credentials::read(path).map_err(|error| unusable("auth.tokens_file", path, error))?);
        }
        let mut index = Index::new(&files.iter().collect::<Vec<_>>()).map_err(|reason| Unusable {
            key: "data_dir",
            path: own_path,
            reason,
        })?;
        if let Some(path) = &self.bootstrap_file {
            let text =
                fs::read_to_string(path).map_err(|error| unusable("bootstrap_token_file", path, error))?;
            let secret = text.trim();
            if secret.len() < SHORTEST_BOOTSTRAP {
                let reason = format!("the secret is shorter than {SHORTEST_BOOTSTRAP} bytes");
                return Err(unusable("bootstrap_token_file", path, reason));
            }
            index.add_admin("bootstrap", SecretHash::of(secret));
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
