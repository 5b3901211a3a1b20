//! The real consumers of our metrics (Prometheus, promtool, prometheus-client), fetched into target/tools, never installed.

use std::path::{Path, PathBuf};

use crate::command::{Command, root};
use crate::python::{self, Packages};

/// The strict parser of OpenMetrics, pinned: a new release must not fail an old commit.
const PYTHON_CLIENT: Packages = Packages {
    whole: &["prometheus-client==0.26.0"],
    alone: &[],
};

/// A variable the tests read, with the program it names or the reason why there is none.
type Provided = (&'static str, Result<PathBuf, String>);

/// Finds each consumer on the machine or fetches it.
pub(crate) fn provide() -> Vec<Provided> {
    let debian = prometheus_package();
    let program = |name: &str| {
        let dir = debian
            .clone()
            .map_err(|reason| format!("{name} not run: {reason}"))?;
        Ok(dir.join(name))
    };
    vec![
        ("OMENDB_TEST_PROMTOOL", program("promtool")),
        ("OMENDB_TEST_PROMETHEUS", program("prometheus")),
        (
            "OMENDB_TEST_PYTHON",
            python::environment("python", PYTHON_CLIENT)
                .map_err(|reason| format!("prometheus-client not run: {reason}")),
        ),
    ]
}

/// The directory that holds `prometheus` and `promtool`: on `PATH`, else unpacked from Debian's package.
///
/// Unpacked and not installed: the package would start a service and change the machine.
fn prometheus_package() -> Result<PathBuf, String> {
    if let Some(dir) = on_path(&["prometheus", "promtool"]) {
        return Ok(dir);
    }
    let tools = root().join("target/tools/debian");
    let programs = tools.join("usr/bin");
    if programs.join("promtool").exists() {
        return Ok(programs);
    }
    if on_path(&["apt-get", "dpkg"]).is_none() {
        return Err("not on PATH, and this is no Debian to fetch the package `prometheus` from".to_owned());
    }
    std::fs::create_dir_all(&tools).map_err(|error| format!("creating {}: {error}", tools.display()))?;
    println!("fetching Debian's package `prometheus` into target/tools");
    let download = || {
        Command::new("apt-get")
            .args(&["download", "--quiet", "prometheus"])
            .current_dir(&tools)
            .run()
    };
    if download().is_err() {
        // A new machine has no package lists yet.
        Command::new("apt-get").args(&["update", "--quiet"]).run()?;
        download()?;
    }
    let package = std::fs::read_dir(&tools)
        .map_err(|error| format!("reading {}: {error}", tools.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get downloaded no package")?;
    Command::new("dpkg")
        .args(&["--extract".as_ref(), package.as_os_str(), ".".as_ref()])
        .current_dir(&tools)
        .run()?;
    Ok(programs)
}

/// The first directory of `PATH` that holds all of `programs`.
fn on_path(programs: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir: &PathBuf| holds(dir, programs))
}

fn holds(dir: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| dir.join(program).is_file())
}
