//! The true neighbours of the queries: those of the data set, or those among the points that pass a filter.

use std::collections::HashSet;

use omendb_bench::dataset::{Matrix, Package};
use omendb_distance::Kernels;
use serde_json::{Value, json};

use super::K;

/// A filter by name, as a test of a package and as the dialect has it.
type NamedFilter = (&'static str, fn(&Package) -> bool, fn() -> Value);

/// 10 %, 3 %, 7 % and 0.07 % of the packages.
const FILTERS: &[NamedFilter] = &[
    (
        "libs",
        |package| package.section == "libs",
        || json!({"must": [{"key": "section", "match": {"value": "libs"}}]}),
    ),
    (
        "rust",
        |package| package.section == "rust",
        || json!({"must": [{"key": "section", "match": {"value": "rust"}}]}),
    ),
    (
        "size",
        |package| package.installed_size_kb >= 10_000,
        || json!({"must": [{"key": "installed_size_kb", "range": {"gte": 10_000}}]}),
    ),
    (
        "few",
        |package| package.section == "admin" && package.installed_size_kb >= 10_000,
        || {
            json!({"must": [
                {"key": "section", "match": {"value": "admin"}},
                {"key": "installed_size_kb", "range": {"gte": 10_000}},
            ]})
        },
    ),
];

/// The nearest rows of each query.
pub(crate) struct Truth {
    nearest: Vec<HashSet<u64>>,
    filter: Option<Value>,
    matches: usize,
}

impl Truth {
    /// Among all points, as the data set gives them.
    pub(crate) fn given(neighbors: &Matrix<i32>) -> Self {
        let of_row = |row: usize| neighbors.row(row)[..K].iter().map(|&row| row as u64).collect();
        Self {
            nearest: (0..neighbors.rows()).map(of_row).collect(),
            filter: None,
            matches: 0,
        }
    }

    /// Among the points that pass the filter `name`.
    pub(crate) fn of_filter(
        name: &str,
        packages: &[Package],
        (points, queries): (&Matrix<f32>, &Matrix<f32>),
    ) -> Result<Self, String> {
        let known = FILTERS.iter().find(|(known, ..)| *known == name);
        let (_, passes, condition) = known.ok_or_else(|| {
            let names: Vec<_> = FILTERS.iter().map(|(name, ..)| *name).collect();
            format!("no filter '{name}' among {}", names.join(", "))
        })?;
        let matches: Vec<usize> = (0..points.rows()).filter(|&row| passes(&packages[row])).collect();
        let of_query = |query: usize| {
            // Both are unit vectors, so the dot product is the cosine.
            let score = |&row: &usize| Kernels::detected().dot(queries.row(query), points.row(row));
            let mut scored: Vec<_> = matches.iter().map(|row| (score(row), *row)).collect();
            scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
            scored.iter().take(K).map(|(_, row)| *row as u64).collect()
        };
        Ok(Self {
            nearest: (0..queries.rows()).map(of_query).collect(),
            filter: Some(condition()),
            matches: matches.len(),
        })
    }

    /// The filter of the queries.
    pub(crate) fn filter(&self) -> Option<&Value> {
        self.filter.as_ref()
    }

    /// How many points pass it.
    pub(crate) fn matches(&self) -> usize {
        self.matches
    }

    /// How many neighbours the query of `row` has.
    pub(crate) fn wanted(&self, row: usize) -> usize {
        self.nearest[row].len()
    }

    /// How many of them are among `found`.
    pub(crate) fn count_right(&self, row: usize, found: impl Iterator<Item = u64>) -> usize {
        found.filter(|id| self.nearest[row].contains(id)).count()
    }
}
