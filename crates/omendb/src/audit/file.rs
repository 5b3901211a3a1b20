//! The file of the audit log: appended to, synced when asked, and followed by a new one when it is long enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Older files that are kept, `audit.log.1` being the youngest of them.
pub(super) const KEPT: usize = 4;

/// One file and its older ones.
#[derive(Debug)]
pub(super) struct AuditFile {
    path: PathBuf,
    max_bytes: u64,
    /// None before the first line and after an error.
    open: Option<File>,
    bytes: u64,
    is_dirty: bool,
}

impl AuditFile {
    pub(super) fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self {
            path,
            max_bytes,
            open: None,
            bytes: 0,
            is_dirty: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line with a single write, so that lines of the server and of the command line do not mix.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let result = self.try_append(line);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(self.open_file()?);
        }
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.max_bytes {
            self.sync()?;
            self.rotate()?;
            self.open = Some(self.open_file()?);
        }
        if let Some(file) = &mut self.open {
            file.write_all(line)?;
            self.bytes += line.len() as u64;
            self.is_dirty = true;
        }
        Ok(())
    }

    /// Has what was appended on disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if !self.is_dirty {
            return Ok(());
        }
        if let Some(file) = &self.open {
            file.sync_data()?;
        }
        self.is_dirty = false;
        Ok(())
    }

    /// Opens the file. A line that was cut off when the machine stopped is ended, so that the next one is whole.
    fn open_file(&mut self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(&self.path)?;
        self.bytes = file.metadata()?.len();
        if self.bytes == 0 {
            // The name has to be there after a power cut as well as what stands behind it.
            sync_directory_of(&self.path)?;
            return Ok(file);
        }
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            self.bytes += 1;
        }
        Ok(file)
    }

    /// Renames the file and its older ones; the oldest goes.
    fn rotate(&self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        sync_directory_of(&self.path)
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
