//! 50,000 Debian packages: 384-dimensional embeddings of their descriptions, facts about them, queries that are not
//! packages, and the exact neighbours of each query.
//!
//! The data set lives outside the repository; its README describes the files.

pub use crate::npy::Matrix;
use crate::npy::{parse_f16, parse_i32};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// Where the data set is, unless told otherwise: beside the repository.
const BESIDE_THE_REPOSITORY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../shared/data/debian-packages"
);

/// Facts about one package; row `i` of the vectors is the package on line `i`.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Unique among the packages.
    pub name: String,
    /// Debian's classification: `games`, `mail`, ...
    pub section: String,
    /// Space taken when installed, in KiB.
    pub installed_size_kb: u64,
    /// Debian version.
    pub version: String,
    /// Debtags facets: `role::program`, `interface::x11`, ...
    pub tags: Vec<String>,
}

/// The data set's directory: `given`, else the variable `OMENDB_DATA`, else beside the repository.
pub fn directory(given: Option<&Path>) -> Result<PathBuf, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a developer's tool, which has no configuration file"
    )]
    let from_environment = || std::env::var("OMENDB_DATA").ok().map(PathBuf::from);
    let directory = given
        .map(Path::to_owned)
        .or_else(from_environment)
        .unwrap_or_else(|| BESIDE_THE_REPOSITORY.into());
    if directory.join("vectors.f16.npy").is_file() {
        return Ok(directory);
    }
    Err(format!(
        "no data set at {}: give --data DIR or set OMENDB_DATA to the directory of vectors.f16.npy",
        directory.display()
    ))
}

/// The points: one unit vector a package.
pub fn vectors(directory: &Path) -> Result<Matrix<f32>, String> {
    read(directory, "vectors.f16.npy", parse_f16)
}

/// The queries: unit vectors, from another source than the points.
pub fn queries(directory: &Path) -> Result<Matrix<f32>, String> {
    read(directory, "queries.f16.npy", parse_f16)
}

/// The rows of the 100 points nearest to each query by cosine, best first; equal ones in any order.
pub fn neighbors(directory: &Path) -> Result<Matrix<i32>, String> {
    read(directory, "neighbors100.i32.npy", parse_i32)
}

/// The facts, in the order of the vectors.
pub fn packages(directory: &Path) -> Result<Vec<Package>, String> {
    let path = directory.join("payloads.jsonl.gz");
    let in_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::File::open(&path).map_err(|error| in_file(&error))?;
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines
        .map(|line| {
            let line = line.map_err(|error| in_file(&error))?;
            serde_json::from_str(&line).map_err(|error| in_file(&error))
        })
        .collect()
}

fn read<T>(directory: &Path, name: &str, parse: fn(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let path = directory.join(name);
    let in_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(&path).map_err(|error| in_file(&error))?;
    parse(&bytes).map_err(|error| in_file(&error))
}
