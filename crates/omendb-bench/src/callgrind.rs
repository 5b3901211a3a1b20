//! Instructions of one function, counted by callgrind.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Whether valgrind can be started here.
pub(crate) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Instructions that `program` collected while it was in functions with names like `function`, a pattern, and what it
/// wrote to stdout.
pub(crate) fn collected<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    function: &str,
) -> Result<(u64, String), String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={function}"))
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} under valgrind: {messages}", program.display()));
    }
    let collected = messages.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    let count = count
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("callgrind collected nothing in {function}:\n{messages}"))?;
    Ok((count, String::from_utf8_lossy(&output.stdout).into_owned()))
}
