//! `cargo x check`: everything that can be refused without running the product's tests.

use crate::{command, generate, no_arguments, tidy};

/// All of them are tried, cheapest first, so that one run names everything there is to mend.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    no_arguments(arguments)?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ];
    // The build that `cargo x bench overhead` compares with; its tests would find that nothing is counted.
    let unmeasured = [
        "clippy",
        "--package",
        "omendb-engine",
        "--lib",
        "--examples",
        "--features",
        "unmeasured",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ];
    let steps: [(&str, Result<(), String>); 5] = [
        ("formatting", command::cargo(&["fmt", "--all", "--check"]).run()),
        ("tidy", tidy::run(&[])),
        ("clippy", command::cargo(&clippy).run()),
        ("clippy, unmeasured", command::cargo(&unmeasured).run()),
        ("generated files", generate::run(&["--check".to_owned()])),
    ];
    let mut failed = Vec::new();
    for (name, outcome) in steps {
        match outcome {
            Ok(()) => println!("{name}: ok"),
            Err(message) => {
                println!("{name}: FAILED\n{message}");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}
