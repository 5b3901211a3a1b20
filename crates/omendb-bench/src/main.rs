//! `cargo x bench NAME`: each benchmark fills one report of figures, printed as a table or as one JSON object.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's command line talks to its terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;

mod ann;
mod distance;
mod export;
mod ingest;
mod memory;
mod metrics;
mod recording;
mod report;
mod scrape;
mod server;

pub(crate) use report::Report;

/// What the command line asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// `--json`: one object on the last line of stdout.
    pub(crate) json: bool,
    /// `--data DIR`: the data set with `vectors.f16.npy` and its companions.
    pub(crate) data: Option<PathBuf>,
}

/// One benchmark: its name, what it measures, and the function that does.
type Benchmark = (&'static str, &'static str, fn(&Options) -> Result<Report, String>);

const BENCHMARKS: &[Benchmark] = &[
    (
        "ann",
        "nearest neighbours of 1,000 queries among 50,000 real points, through the engine",
        ann::measure,
    ),
    (
        "distance",
        "one query against 50,000 rows in memory, beside reading them",
        distance::measure,
    ),
    (
        "export",
        "a metrics page of 10,000 series, beside a copy of its bytes, and queries beside scrapes",
        export::measure,
    ),
    (
        "ingest",
        "50,000 real points over HTTP by 1 and by 16 clients, and the fsyncs they share",
        ingest::measure,
    ),
    (
        "memory",
        "what a server's metrics hold in memory and on the wire",
        memory::measure,
    ),
    (
        "metrics",
        "counting, beside a relaxed atomic, and instructions per recording",
        metrics::measure,
    ),
    (
        "recording",
        "what callgrind runs for `metrics`; of no use by itself",
        recording::measure,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        println!("cargo x bench NAME [--json] [--data DIR]\n");
        for (name, help, _) in BENCHMARKS {
            println!("  {name:<10} {help}");
        }
        return ExitCode::SUCCESS;
    };
    match run(name, rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let known = BENCHMARKS.iter().find(|(known, ..)| *known == name);
    let (_, _, measure) = known.ok_or("no such benchmark; without a name, the list is printed")?;
    let report = measure(&options)?;
    println!(
        "{}",
        if options.json {
            report.json()
        } else {
            report.table()
        }
    );
    Ok(())
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--json" => options.json = true,
                "--data" => options.data = Some(rest.next().ok_or("--data needs a directory")?.into()),
                unknown => return Err(format!("unknown argument '{unknown}'")),
            }
        }
        Ok(options)
    }
}
