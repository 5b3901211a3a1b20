//! `cargo x test`: every test there is, and one closing line that says how many ran.

use std::path::PathBuf;

use crate::command::{self, cargo};
use crate::{clients, consumers, no_arguments};

/// What the summaries of `cargo test`, and of the clients' flows in the same words, add up to.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
    pub(crate) failed: u64,
    skipped: Vec<String>,
}

/// The marker a test prints when it could not run for want of data or of a tool.
const SKIPPED: &str = "skipped: ";

/// Runs the workspace's tests with the outside consumers in reach, then the loom models, then existing clients.
///
/// # Errors
/// When a test fails; with `CI=true` also when a consumer is missing, because there nothing may be skipped.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    no_arguments(arguments)?;
    let is_ci = variable("CI").is_some_and(|value| value == "true");
    let mut missing = Vec::new();
    let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
    for (name, found) in consumers::provide() {
        match found {
            Ok(path) => tests = tests.env(name, path),
            Err(reason) => missing.push(reason),
        }
    }
    let mut flows = Vec::new();
    for found in clients::ready_for_tests() {
        match found {
            Ok(flow) => flows.push(flow),
            Err(reason) => missing.push(reason),
        }
    }
    if is_ci && !missing.is_empty() {
        return Err(format!(
            "with CI=true nothing may be skipped: {}",
            missing.join("; ")
        ));
    }
    match data_set() {
        Some(dir) => tests = tests.env("OMENDB_DATA", dir),
        None => missing.push("no data set in OMENDB_DATA or ../shared/data/debian-packages".to_owned()),
    }
    let loom = cargo(&["test", "--package", "omendb-metrics", "--release", "--test", "it"])
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", command::root().join("target/loom"));

    let mut tally = Tally::default();
    let tests_ok = tests.watch(|line| tally.read(line))?;
    if !tests_ok && tally.failed == 0 {
        println!("the tests do not build, or one of their programs died");
        tally.failed += 1;
    }
    let before_loom = tally.count();
    println!("\nthe loom models of omendb-metrics:");
    let loom_ok = loom.watch(|line| tally.read(line))?;
    // A filter that matches nothing passes silently; the models would be gone without anybody noticing.
    if tally.count() == before_loom {
        println!("no loom model ran");
        tally.failed += 1;
    }
    println!("\nexisting clients:");
    for flow in &flows {
        flow.run(&mut tally)?;
    }
    for reason in missing.iter().chain(&tally.skipped) {
        println!("not run: {reason}");
    }
    println!("{}", tally.closing_line());
    if tests_ok && loom_ok {
        tally.outcome()
    } else {
        Err("tests failed".to_owned())
    }
}

impl Tally {
    /// How many ran.
    pub(crate) fn count(&self) -> u64 {
        self.passed + self.failed
    }

    /// Adds what another counted.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            passed,
            failed,
            skipped,
        } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped.extend_from_slice(skipped);
    }

    /// An error if anything failed.
    pub(crate) fn outcome(&self) -> Result<(), String> {
        if self.failed == 0 {
            Ok(())
        } else {
            Err("tests failed".to_owned())
        }
    }

    /// Adds one line of output, if it is a summary (`test result: ok. 3 passed; 0 failed; ..`) or names a skipped test.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(at) = line.find(SKIPPED) {
            self.skipped.push(line[at + SKIPPED.len()..].to_owned());
        }
        let Some(counts) = line.trim().strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// A test that printed the marker counts as passed for libtest; here it counts as what it is.
    pub(crate) fn closing_line(&self) -> String {
        let skipped = self.skipped.len() as u64;
        let (passed, failed) = (self.passed.saturating_sub(skipped), self.failed);
        if skipped == 0 {
            format!("{passed} passed, {failed} failed")
        } else {
            format!("{passed} passed, {failed} failed, {skipped} skipped")
        }
    }
}

/// The 50,000 real points: `OMENDB_DATA`, else beside the repository.
fn data_set() -> Option<PathBuf> {
    let beside = || {
        command::root()
            .parent()
            .map(|parent| parent.join("shared/data/debian-packages"))
    };
    variable("OMENDB_DATA")
        .map(PathBuf::from)
        .or_else(beside)
        .filter(|dir| dir.join("vectors.f16.npy").exists())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rule is the product's; this is the developer's environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_a_skipped_test_is_not_a_passed_one() {
        let check = |lines: &[&str], expected: &str| {
            let mut tally = Tally::default();
            lines.iter().for_each(|line| tally.read(line));
            assert_eq!(tally.closing_line(), expected, "{lines:?}");
        };
        let ok =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s";
        let bad = "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s";
        check(&[], "0 passed, 0 failed");
        check(&["running 12 tests", "test a ... ok", ok], "12 passed, 0 failed");
        check(&[ok, bad], "17 passed, 2 failed");
        check(
            &["test b ... skipped: no promtool", ok],
            "11 passed, 0 failed, 1 skipped",
        );
    }
}
