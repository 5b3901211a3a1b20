//! `cargo x bench NAME`: each benchmark fills one report of figures, printed as a table or as one JSON object.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's command line talks to its terminal"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

mod ann;
mod callgrind;
mod distance;
mod examples;
mod export;
mod filters;
mod http;
mod ingest;
mod memory;
mod metrics;
mod observability;
mod overhead;
mod probe;
mod recording;
mod report;
mod restart;
mod scrape;
mod seed;
mod server;

pub(crate) use report::Report;

/// What the command line asked for.
#[derive(Default)]
pub(crate) struct Options {
    /// `--json`: one object on the last line of stdout.
    pub(crate) json: bool,
    /// `--data DIR`: the data set with `vectors.f16.npy` and its companions.
    pub(crate) data: Option<PathBuf>,
    /// What only `http` takes.
    pub(crate) http: http::HttpOptions,
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
        "examples",
        "queries by several examples on 50,000 real points, beside comparing all",
        examples::measure,
    ),
    (
        "export",
        "a metrics page of 10,000 series, beside a copy of its bytes, and queries beside scrapes",
        export::measure,
    ),
    (
        "http",
        "1,000 queries over HTTP by 1 and by 8 clients [--url URL [--pid N]] [--ef N | --recall SHARE] [--queries N] [--filter NAME]",
        http::measure,
    ),
    (
        "filters",
        "nearest neighbours under filters on 50,000 real points, beside a scan of the matches",
        filters::measure,
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
        "observability",
        "throughput over HTTP with all that observes switched on, beside all of it off",
        observability::measure,
    ),
    (
        "overhead",
        "instructions of a query with all that is counted, timed and recorded, beside a build that does none of it",
        overhead::measure,
    ),
    (
        "probe",
        "what the recall probe says of queries on 50,000 real points, beside the truth, and its processor time",
        probe::measure,
    ),
    (
        "recording",
        "what callgrind runs for `metrics`; of no use by itself",
        recording::measure,
    ),
    (
        "requests",
        "what callgrind runs for `overhead`; of no use by itself",
        overhead::requests::measure,
    ),
    (
        "restart",
        "taking up a graph of 50,000 real points after a fifth was deleted, beside building it",
        restart::measure,
    ),
    (
        "seed",
        "10,000 vectors of 128 and 384 dimensions with metrics and without, pages and scrapes: the founding document's table",
        seed::measure,
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
    if name != "http" && options.http != http::HttpOptions::default() {
        return Err("--url, --pid, --ef, --queries and --filter are options of `http`".to_owned());
    }
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
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--json" => options.json = true,
                "--data" => options.data = Some(value()?.into()),
                "--url" => options.http.url = Some(value()?.clone()),
                "--pid" => options.http.pid = Some(number(argument, value()?)?),
                "--ef" => options.http.ef = Some(number(argument, value()?)?),
                "--recall" => options.http.recall = Some(share(argument, value()?)?),
                "--queries" => options.http.queries = Some(number(argument, value()?)?),
                "--filter" => options.http.filter = Some(value()?.clone()),
                unknown => return Err(format!("unknown argument '{unknown}'")),
            }
        }
        Ok(options)
    }
}

/// The value of an option that is a share, none and all included.
fn share(option: &str, value: &str) -> Result<f64, String> {
    let share = value.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{option} {value}: not a number from 0 to 1"))
}

/// The value of an option that is a number above zero.
fn number<T: FromStr + Default + PartialEq>(option: &str, value: &str) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| format!("{option} {value}: not a number above 0"))
}
