//! Relative links in Markdown must lead to a file.

use super::File;
use crate::command::root;

/// Links of one Markdown file whose target does not exist.
pub(super) fn broken(file: &File) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let path = root().join(&file.path);
    let missing = |target: &&str| path.parent().is_none_or(|dir| !dir.join(target).exists());
    let report = |target| format!("{}: link to '{target}', which does not exist", file.path);
    targets(&file.text)
        .into_iter()
        .filter(missing)
        .map(report)
        .collect()
}

/// The targets of `[text](target)` that are paths, without their `#section`; code blocks are left out.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for after in line.split("](").skip(1) {
            let target = after.split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_outside_code_are_targets() {
        let check = |text: &str, expected: &[&str]| assert_eq!(targets(text), expected, "{text}");
        check(
            "see [a](docs/api.md) and [b](LICENSE#x)",
            &["docs/api.md", "LICENSE"],
        );
        check("[web](https://example.org/a) [here](#part)", &[]);
        check("```\n[a](missing.md)\n```\n[b](c.md)", &["c.md"]);
    }

    #[test]
    fn a_link_to_nowhere_is_reported() {
        let file = |text: &str| File {
            path: "README.md".to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(broken(&file("[a](no-such-file.md)")).len(), 1);
        assert!(broken(&file("[a](Cargo.toml)")).is_empty());
    }
}
