//! `cargo x`: the one entry for developers, the same commands that continuous integration runs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's command line talks to its terminal"
)]

use std::process::ExitCode;

mod check;
mod clients;
mod command;
mod consumers;
mod debian;
mod generate;
mod published;
mod python;
mod test;
mod tidy;

/// One thing `cargo x` can do.
struct Task {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Result<(), String>,
}

const TASKS: &[Task] = &[
    Task {
        name: "check",
        arguments: "",
        help: "formatting, clippy, tidy, and whether the generated files are fresh",
        run: check::run,
    },
    Task {
        name: "test",
        arguments: "",
        help: "every test, the loom models; monitoring systems and two clients on a live server",
        run: test::run,
    },
    Task {
        name: "consumers",
        arguments: "",
        help: "fetch what reads our metrics and shipped files, and print the variables that name it to the tests",
        run: consumers::run,
    },
    Task {
        name: "clients",
        arguments: "[NAME .. | congruence]",
        help: "existing clients of the dialect, from PyPI, against the built server",
        run: clients::run,
    },
    Task {
        name: "bench",
        arguments: "NAME [--json] [--data DIR]",
        help: "one benchmark in the release profile; without NAME, the list of them",
        run: bench,
    },
    Task {
        name: "soak",
        arguments: "[MINUTES]",
        help: "collections and connections come and go under four formats of scrapes, for 10 minutes",
        run: soak,
    },
    Task {
        name: "gen",
        arguments: "[--check | boards [--check] | demo-data [DIR]]",
        help: "write what the code says into docs and deploy/datadog, or only compare; dashboards; the demo's data",
        run: generate::run,
    },
    Task {
        name: "run",
        arguments: "[SERVE OPTIONS]",
        help: "omendb serve in the release profile",
        run: serve,
    },
    Task {
        name: "tidy",
        arguments: "",
        help: "which crate may use which, file headers, module names, links, machine paths",
        run: tidy::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("help", String::as_str);
    if matches!(name, "help" | "--help" | "-h") {
        println!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("unknown command '{name}'\n\n{}", help());
        return ExitCode::from(64);
    };
    match (task.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cargo x {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = "cargo x COMMAND\n".to_owned();
    for task in TASKS {
        let call = format!("{} {}", task.name, task.arguments);
        text.push_str(&format!("\n  {call:<34} {}", task.help));
    }
    text
}

/// Benchmarks that measure the server as it is run, in a process of its own.
const SERVED: [&str; 3] = ["http", "memory", "observability"];

/// Benchmarks that compare two builds of one program, with and without what is measured.
const COMPARED: [&str; 2] = ["overhead", "seed"];

/// Benchmarks are a crate of their own, always optimised, so that `cargo x check` need not build what they compare.
fn bench(arguments: &[String]) -> Result<(), String> {
    if arguments
        .first()
        .is_some_and(|name| SERVED.contains(&name.as_str()))
    {
        let server = [
            "build",
            "--release",
            "--quiet",
            "--package",
            "omendb",
            "--bin",
            "omendb",
        ];
        command::cargo(&server).run()?;
    }
    if arguments
        .first()
        .is_some_and(|name| COMPARED.contains(&name.as_str()))
    {
        build_both()?;
    }
    command::cargo(&["run", "--release", "--quiet", "--package", "omendb-bench", "--"])
        .args(arguments)
        .run()
}

/// The long form of a test that `cargo x test` runs for seconds.
fn soak(arguments: &[String]) -> Result<(), String> {
    let minutes = match arguments {
        [] => "10",
        [minutes] if minutes.parse().is_ok_and(|minutes: u64| minutes > 0) => minutes,
        _ => return Err(format!("MINUTES is not a whole number: {}", arguments.join(" "))),
    };
    command::cargo(&["test", "--quiet", "--package", "omendb", "--test", "it", "--"])
        .args(&["--ignored", "--exact", "chaos::soak", "--nocapture"])
        .env("OMENDB_SOAK_MINUTES", minutes)
        .run()
}

/// The program of those benchmarks, as it is and with nothing counted, timed or recorded.
fn build_both() -> Result<(), String> {
    for (build, features) in [("measured", ""), ("unmeasured", "unmeasured")] {
        let target = format!("target/overhead/{build}");
        command::cargo(&["build", "--release", "--quiet", "--package", "omendb-engine"])
            .args(&[
                "--example",
                "queries",
                "--features",
                features,
                "--target-dir",
                &target,
            ])
            .run()?;
    }
    Ok(())
}

fn serve(arguments: &[String]) -> Result<(), String> {
    command::cargo(&["run", "--release", "--package", "omendb", "--", "serve"])
        .args(arguments)
        .run()
}

/// Refuses arguments for a command that takes none: a misspelt option must not look as if it had worked.
fn no_arguments(arguments: &[String]) -> Result<(), String> {
    match arguments.first() {
        None => Ok(()),
        Some(unknown) => Err(format!("unknown argument '{unknown}'")),
    }
}
