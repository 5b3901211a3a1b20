//! The two builds of one program that runs queries: as it is, and with nothing counted, timed or recorded.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use omendb_bench::dataset::Matrix;
use omendb_engine::Payload;

use crate::ann::{COLLECTION, Scratch, insert, open};
use crate::callgrind;

/// Where `cargo x bench` has built the two programs.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/overhead");

/// One of the two builds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Twin {
    Measured,
    Unmeasured,
}

/// A directory with a collection and its graph, and a file of query vectors.
pub(crate) struct Prepared {
    scratch: Scratch,
    queries: PathBuf,
}

/// What a program says in the end.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Of all hits together.
    pub(crate) hits: String,
    pub(crate) indexed_vectors: u64,
    /// Of a query, the median.
    pub(crate) query_us: f64,
    /// Resident memory that was added since the program began.
    pub(crate) resident_bytes: f64,
}

impl Prepared {
    /// A collection of these points.
    pub(crate) fn new(points: &Matrix<f32>, queries: &Matrix<f32>) -> Result<Self, String> {
        let scratch = Scratch::new()?;
        let (engine, collection) = open(&scratch, points.columns())?;
        insert(&collection, points, |_| Payload::default())?;
        engine.tick();
        engine.close();
        drop((engine, collection));
        let file = scratch.path().join("queries.f32");
        let bytes: Vec<u8> = queries
            .values()
            .iter()
            .flat_map(|float| float.to_le_bytes())
            .collect();
        std::fs::write(&file, bytes).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self {
            scratch,
            queries: file,
        })
    }

    fn arguments<'a>(&'a self, number: &'a str) -> [&'a OsStr; 4] {
        [
            self.scratch.path().as_os_str(),
            COLLECTION.as_ref(),
            self.queries.as_os_str(),
            number.as_ref(),
        ]
    }
}

impl Twin {
    /// Instructions of one query of `number`, and what was found.
    pub(crate) fn query_instructions(
        self,
        prepared: &Prepared,
        number: usize,
    ) -> Result<(f64, Found), String> {
        let arguments = number.to_string();
        let arguments = prepared.arguments(&arguments);
        let (instructions, said) =
            callgrind::collected(&self.program()?, &arguments, "*queries::counted_query*")?;
        Ok((instructions as f64 / number as f64, Found::parse(&said)?))
    }

    /// What `number` queries find, and how long they take.
    pub(crate) fn run(self, prepared: &Prepared, number: usize) -> Result<Found, String> {
        let program = self.program()?;
        let output = Command::new(&program)
            .args(prepared.arguments(&number.to_string()))
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        Found::parse(&said).map_err(|error| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            format!("{}: {error}: {complaint}", program.display())
        })
    }

    fn program(self) -> Result<PathBuf, String> {
        let build = match self {
            Self::Measured => "measured",
            Self::Unmeasured => "unmeasured",
        };
        let program: PathBuf = [PROGRAMS, build, "release/examples/queries"].iter().collect();
        let program = program.canonicalize();
        program.map_err(|error| format!("{PROGRAMS}/{build}: {error}; `cargo x bench` builds it"))
    }
}

impl Found {
    fn parse(said: &str) -> Result<Self, String> {
        let value = |name: &str| {
            let mut lines = said.lines().filter_map(|line| line.split_once(' '));
            let line = lines.find(|(known, _)| *known == name);
            line.map(|(_, value)| value)
                .ok_or_else(|| format!("no {name} in {said:?}"))
        };
        let number = |name: &str| {
            let text = value(name)?;
            text.parse::<f64>()
                .map_err(|error| format!("{name} {text}: {error}"))
        };
        Ok(Self {
            hits: value("hits")?.to_owned(),
            indexed_vectors: number("indexed_vectors")? as u64,
            query_us: number("query_us")?,
            resident_bytes: number("resident_bytes")?,
        })
    }
}
