//! Names of metrics are public API: what was ever published stays, or CHANGELOG.md says what became of it.

use std::collections::BTreeSet;

use crate::command::root;

/// One `NAME TYPE` a line, of every stable family there ever was; `cargo x gen` adds to it and never takes away.
const PUBLISHED: &str = "docs/published-metrics.txt";
const CATALOGUE: &str = "docs/metrics.md";
const CHANGELOG: &str = "CHANGELOG.md";

/// Adds new families to the list, or with `check` only tells that they are missing.
///
/// # Errors
/// When a family is gone, or has another type, and no entry about metrics says that it was removed, renamed or changed.
pub(crate) fn run(check: bool) -> Result<(), String> {
    let read = |path: &str| {
        std::fs::read_to_string(root().join(path)).map_err(|error| format!("reading {path}: {error}"))
    };
    let published = read(PUBLISHED)?;
    let published: BTreeSet<&str> = published.lines().collect();
    let catalogue = read(CATALOGUE)?;
    let present = families(&catalogue);
    let silent = unexplained(&published, &present, &read(CHANGELOG)?);
    if !silent.is_empty() {
        return Err(format!(
            "no longer exported, and {CHANGELOG} does not say under Metrics that they were removed, renamed or changed: {}",
            silent.join(", ")
        ));
    }
    let all: BTreeSet<&str> = published
        .iter()
        .copied()
        .chain(present.iter().map(String::as_str))
        .collect();
    if all.len() == published.len() {
        return Ok(());
    }
    if check {
        return Err(format!("stale: {PUBLISHED}; `cargo x gen` writes it"));
    }
    let text: String = all.iter().map(|family| format!("{family}\n")).collect();
    std::fs::write(root().join(PUBLISHED), text).map_err(|error| format!("writing {PUBLISHED}: {error}"))?;
    println!("wrote {PUBLISHED}");
    Ok(())
}

/// `NAME TYPE` of the stable families in the rows of the catalogue.
fn families(catalogue: &str) -> BTreeSet<String> {
    let rows = catalogue.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect());
    let stable = cells.filter_map(|cells: Vec<&str>| match cells.as_slice() {
        ["", name, kind, _, _, _, "stable", ..] => Some(format!("{name} {kind}")),
        _ => None,
    });
    stable.collect()
}

/// Names of families that are gone without a word.
fn unexplained<'a>(
    published: &BTreeSet<&'a str>,
    present: &BTreeSet<String>,
    changelog: &str,
) -> Vec<&'a str> {
    let explained = entries(changelog);
    let is_explained = |name: &str| {
        explained.iter().any(|entry| {
            let says_so = ["removed", "renamed", "changed"]
                .iter()
                .any(|word| entry.contains(word));
            says_so && entry.contains(&format!("`{name}`"))
        })
    };
    let gone = published.iter().filter(|family| !present.contains(**family));
    let names = gone.filter_map(|family| family.split_once(' ').map(|(name, _)| name));
    names.filter(|name| !is_explained(name)).collect()
}

/// The entries under the headings `Metrics`, each on one line in lower case.
fn entries(changelog: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in changelog.lines() {
        if line.starts_with('#') {
            is_inside = line.trim_start_matches('#').trim() == "Metrics";
        } else if is_inside && line.starts_with("- ") {
            entries.push(line.to_lowercase());
        } else if is_inside && let Some(entry) = entries.last_mut() {
            entry.push_str(&line.to_lowercase());
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_is_gone_has_to_be_explained() {
        let head = "| name | type | unit | labels | series | stability | meaning |\n|---|---|\n";
        let rows = "| `a_total` | counter |  | db_id | 1 | stable | A. |\n| `b` | gauge |  |  | 1 | experimental | B. |\n";
        let present = families(&format!("{head}{rows}"));
        assert_eq!(present, BTreeSet::from(["a_total counter".to_owned()]));
        let check = |published: &[&str], changelog: &str, expected: &[&str]| {
            let published = published.iter().copied().collect();
            assert_eq!(
                unexplained(&published, &present, changelog),
                expected,
                "{changelog}"
            );
        };
        check(&["a_total counter"], "", &[]);
        check(&["c gauge"], "", &["c"]);
        check(&["a_total gauge"], "", &["a_total"]);
        check(&["c gauge"], "### Metrics\n- New: `c`.", &["c"]);
        check(&["c gauge"], "### Added\n- Removed `c`.", &["c"]);
        check(
            &["c gauge"],
            "### Metrics\n- Renamed\n  `c` to `d`.\n### Fixed\n",
            &[],
        );
        check(
            &["c gauge", "e gauge"],
            "### Metrics\n- Removed: `c`.\n- New: `e`.",
            &["e"],
        );
    }
}
