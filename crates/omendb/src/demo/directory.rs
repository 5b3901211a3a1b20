//! The demo's data directory: a fresh one, removed with everything in it when the demo ends.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Names tried before giving up: others are left behind only by demos that were killed.
const ATTEMPTS: u32 = 100;

/// A directory that exists as long as this does.
#[derive(Debug)]
pub(super) struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    /// Makes a directory below `parent` that only its owner may enter.
    ///
    /// # Errors
    /// When `parent` cannot be written to.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..ATTEMPTS {
            let path = parent.join(format!("omendb-demo-{}-{attempt}", std::process::id()));
            // Not `create_dir_all`: what exists already is somebody else's.
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(directory = %self.0.display(), %error, "the demo's directory is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_new_private_and_goes_with_its_content() {
        use std::os::unix::fs::PermissionsExt;
        let parent = TemporaryDirectory::create(&std::env::temp_dir()).expect("a writable place");
        let first = TemporaryDirectory::create(parent.path()).expect("a directory");
        let second = TemporaryDirectory::create(parent.path()).expect("another");
        assert_ne!(first.path(), second.path());
        let mode = std::fs::metadata(first.path())
            .expect("it exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::create_dir(first.path().join("collections")).expect("it is writable");
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
        assert!(TemporaryDirectory::create(&path).is_err(), "no parent");
    }
}
