//! Python environments under target/tools, one for each set of packages, made once and again when the set changes.

use std::path::PathBuf;

use crate::command::{Command, root};

/// What to install, each as `NAME==VERSION`: a new release must not fail an old commit.
#[derive(Clone, Copy)]
pub(crate) struct Packages {
    /// With all that they depend on.
    pub(crate) whole: &'static [&'static str],
    /// Alone: what they depend on is named among the others, as far as it is used.
    pub(crate) alone: &'static [&'static str],
}

/// The interpreter of the environment `name`, which can import `packages`.
pub(crate) fn environment(name: &str, packages: Packages) -> Result<PathBuf, String> {
    let directory = root().join("target/tools").join(name);
    let python = directory.join("bin/python");
    let ready = directory.join("packages.txt");
    let Packages { whole, alone } = packages;
    let wanted = [whole, alone].concat().join("\n");
    if std::fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("fetching {} into target/tools", wanted.replace('\n', ", "));
    Command::new("python3")
        .args(&[
            "-m".as_ref(),
            "venv".as_ref(),
            "--clear".as_ref(),
            directory.as_os_str(),
        ])
        .run_aside()?;
    install(&python, &[], whole)?;
    install(&python, &["--no-deps"], alone)?;
    std::fs::write(&ready, wanted).map_err(|error| format!("writing {}: {error}", ready.display()))?;
    Ok(python)
}

fn install(python: &PathBuf, options: &[&str], packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    Command::new(python)
        .args(&[&pip, options, packages].concat())
        .run_aside()
}
