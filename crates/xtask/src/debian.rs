//! Programs of Debian's packages under target/tools, unpacked and not installed: a package would start its service and
//! change the machine.

use std::path::{Path, PathBuf};

use crate::command::{Command, root};

/// The directory that holds all of `programs`: on `PATH`, else of Debian's package `package`.
pub(crate) fn programs(package: &str, programs: &[&str]) -> Result<PathBuf, String> {
    if let Some(dir) = on_path(programs) {
        return Ok(dir);
    }
    let directory = root().join("target/tools").join(package);
    let unpacked = directory.join("usr/bin");
    if !holds(&unpacked, programs) {
        fetch(package, &directory)?;
    }
    if holds(&unpacked, programs) {
        Ok(unpacked)
    } else {
        Err(format!(
            "Debian's package `{package}` lacks one of {}",
            programs.join(", ")
        ))
    }
}

fn fetch(package: &str, directory: &Path) -> Result<(), String> {
    if on_path(&["apt-get", "dpkg"]).is_none() {
        return Err(format!(
            "not on PATH, and this is no Debian to fetch the package `{package}` from"
        ));
    }
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("creating {}: {error}", directory.display()))?;
    eprintln!("fetching Debian's package `{package}` into target/tools");
    let download = || {
        Command::new("apt-get")
            .args(&["download", "--quiet", package])
            .current_dir(directory)
            .run_aside()
    };
    if download().is_err() {
        // A new machine has no package lists yet.
        Command::new("apt-get").args(&["update", "--quiet"]).run_aside()?;
        download()?;
    }
    let archive = std::fs::read_dir(directory)
        .map_err(|error| format!("reading {}: {error}", directory.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    Command::new("dpkg")
        .args(&["--extract".as_ref(), archive.as_os_str(), ".".as_ref()])
        .current_dir(directory)
        .run_aside()
}

/// The first directory of `PATH` that holds all of `programs`.
fn on_path(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir: &PathBuf| holds(dir, programs))
}

fn holds(dir: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| dir.join(program).is_file())
}
