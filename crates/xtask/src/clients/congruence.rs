//! `cargo x clients congruence`: qdrant-client's own comparison of a server with its local mode, against ours.

use std::path::{Path, PathBuf};

use super::server::{self, Access, Server};
use crate::command::{Command, root};
use crate::python::{self, Packages};
use crate::test::Tally;

/// The tests belong to one version of the client.
const VERSION: &str = "1.18.0";
const PACKAGES: Packages = Packages {
    whole: &["qdrant-client==1.18.0", "pytest==7.4.4", "pytest-timeout==2.4.0"],
    alone: &[],
};

/// Runs the tests of the checkout at `--repo`; what follows is for pytest.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let [option, repository, rest @ ..] = arguments else {
        return Err(usage());
    };
    if option != "--repo" {
        return Err(usage());
    }
    let repository = checkout(Path::new(repository))?;
    let python = python::environment("clients-congruence", PACKAGES)?;
    server::build()?;
    let server = Server::start("congruence", Access::Credential)?;
    let options = [
        "-p",
        "congruence",
        "tests/congruence_tests",
        "--quiet",
        "--no-header",
        "--disable-warnings",
        "--tb=short",
        "--timeout=120",
        "-p",
        "no:cacheprovider",
    ];
    // Not `python -m pytest`, which would put the checkout's own package before the installed one.
    let tests = Command::new(python.with_file_name("pytest"))
        .args(&options)
        .args(rest)
        .current_dir(&repository)
        .env("OMENDB_URL", &server.url)
        .env("OMENDB_TOKEN", &server.token)
        .env("PYTHONPATH", root().join("clients"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut tally = Tally::default();
    let is_ok = tests.watch(|line| tally.read(line))?;
    if is_ok {
        tally.outcome()
    } else {
        Err("tests failed".to_owned())
    }
}

/// The checkout's absolute path, if it is of the right version.
fn checkout(repository: &Path) -> Result<PathBuf, String> {
    let repository = std::path::absolute(repository).map_err(|error| error.to_string())?;
    let project = repository.join("pyproject.toml");
    let text =
        std::fs::read_to_string(&project).map_err(|error| format!("{}: {error}", project.display()))?;
    let wanted = format!("version = \"{VERSION}\"");
    if text.lines().any(|line| line == wanted) {
        Ok(repository)
    } else {
        Err(format!("{} does not say `{wanted}`", project.display()))
    }
}

fn usage() -> String {
    format!(
        "`congruence --repo DIR [PYTEST OPTIONS]`: a checkout of qdrant-client's repository at v{VERSION}"
    )
}
