//! Which crate may use which: the arrows of ARCHITECTURE.md, which point down only.

use super::File;

/// A crate and the crates of ours it may depend on. Tests may use anything (`dev-dependencies`).
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "omendb",
        &[
            "omendb-engine",
            "omendb-storage",
            "omendb-distance",
            "omendb-metrics",
        ],
    ),
    (
        "omendb-ffi",
        &[
            "omendb-engine",
            "omendb-storage",
            "omendb-distance",
            "omendb-metrics",
        ],
    ),
    (
        "omendb-engine",
        &["omendb-storage", "omendb-distance", "omendb-metrics"],
    ),
    ("omendb-storage", &["omendb-metrics"]),
    ("omendb-distance", &["omendb-metrics"]),
    ("omendb-metrics", &[]),
    ("omendb-sim", &["omendb-storage", "omendb-metrics"]),
    (
        "omendb-bench",
        &[
            "omendb",
            "omendb-engine",
            "omendb-storage",
            "omendb-distance",
            "omendb-metrics",
        ],
    ),
    ("xtask", &[]),
];

/// Only these may know the network, JSON and the asynchronous runtime.
const OUTER: &[&str] = &["omendb", "omendb-bench"];
const OUTER_ONLY: &[&str] = &["tokio", "hyper", "serde_json", "clap", "tracing-subscriber"];

/// Forbidden edges, one sentence each.
pub(super) fn violations(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter_map(|file| {
        let name = file.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
        Some((name, dependencies(&file.text)))
    });
    let mut found = Vec::new();
    for (name, dependencies) in manifests {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
            found.push(format!(
                "crates/{name}: a new crate needs its place in crates/xtask/src/tidy/layers.rs"
            ));
            continue;
        };
        for dependency in dependencies {
            let ours = ALLOWED.iter().any(|(known, _)| *known == dependency);
            if (ours && !allowed.contains(&dependency))
                || (OUTER_ONLY.contains(&dependency) && !OUTER.contains(&name))
            {
                found.push(format!(
                    "crates/{name}/Cargo.toml: {name} must not depend on {dependency}"
                ));
            }
        }
    }
    found
}

/// The names under `[dependencies]`, `[dependencies.x]` and their `target` and `build` forms.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let tests_only = section.contains("dev-dependencies");
            inside = section.ends_with("dependencies") && !tests_only;
            if let Some((_, name)) = section.split_once("dependencies.").filter(|_| !tests_only) {
                names.push(name);
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.extend(line.split(['.', '=', ' ']).next());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down_only() {
        let check = |name: &str, manifest: &str, expected: usize| {
            let file = File {
                path: format!("crates/{name}/Cargo.toml"),
                text: manifest.to_owned(),
            };
            assert_eq!(violations(&[file]).len(), expected, "{name}: {manifest}");
        };
        check(
            "omendb",
            "[dependencies]\nomendb-engine.workspace = true\ntokio = \"1\"\n",
            0,
        );
        check(
            "omendb-storage",
            "[dependencies]\nomendb-metrics.workspace = true\n",
            0,
        );
        check(
            "omendb-storage",
            "[dependencies]\nomendb-engine.workspace = true\n",
            1,
        );
        check(
            "omendb-storage",
            "[dependencies.omendb-engine]\nworkspace = true\n",
            1,
        );
        check(
            "omendb-storage",
            "[target.'cfg(unix)'.dependencies]\nomendb-engine = { path = \"x\" }\n",
            1,
        );
        check(
            "omendb-storage",
            "[dev-dependencies]\nomendb-sim.workspace = true\n",
            0,
        );
        check("omendb-engine", "[dependencies]\n# why\nserde_json = \"1\"\n", 1);
        check("omendb-new", "[dependencies]\n", 1);
    }
}
