//! Child processes: started from the repository's root, failing with a sentence that names the command.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus, Stdio};

/// The repository's root: two levels above this crate's manifest.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// A child process that runs in the repository's root.
pub(crate) struct Command(Process);

/// The cargo that started us, so that a toolchain chosen on the command line stays chosen.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    Command::new(env!("CARGO")).args(arguments)
}

impl Command {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut process = Process::new(program);
        process.current_dir(root());
        Self(process)
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: &[S]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// Runs to its end with our terminal; a non-zero exit is an error.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let status = self.0.status().map_err(|error| self.cannot_start(&error))?;
        self.expect_success(status)
    }

    /// [`run`](Self::run) with all that it says on stderr: for what is fetched on the way, while our stdout is somebody's input.
    pub(crate) fn run_aside(mut self) -> Result<(), String> {
        self.0.stdout(std::io::stderr());
        self.run()
    }

    /// Runs to its end and returns what it wrote to stdout; stderr goes to our terminal.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let output = self
            .0
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| self.cannot_start(&error))?;
        self.expect_success(output.status)?;
        String::from_utf8(output.stdout).map_err(|_| format!("{} wrote text that is not UTF-8", self.line()))
    }

    /// Runs to its end, passing each line of stdout on to ours after showing it to `look`; tells whether it succeeded.
    pub(crate) fn watch(mut self, mut look: impl FnMut(&str)) -> Result<bool, String> {
        let mut child = self
            .0
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.cannot_start(&error))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line.map_err(|error| format!("reading from {}: {error}", self.line()))?;
                look(&line);
                println!("{line}");
            }
        }
        let status = child
            .wait()
            .map_err(|error| format!("waiting for {}: {error}", self.line()))?;
        Ok(status.success())
    }

    fn expect_success(&self, status: ExitStatus) -> Result<(), String> {
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} failed ({status})", self.line()))
        }
    }

    fn cannot_start(&self, error: &std::io::Error) -> String {
        format!("cannot start {}: {error}", self.line())
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.0.get_program()).chain(self.0.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        format!("`{}`", words.join(" "))
    }
}
