//! The figures of one benchmark, in the order in which they were measured.

use serde_json::Value;

/// Named figures; ratios are dimensionless, everything else carries its unit in the name (`text_ms`).
#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<(&'static str, Value)>,
}

impl Report {
    /// Adds one figure.
    pub(crate) fn push(&mut self, name: &'static str, value: impl Into<Value>) {
        self.figures.push((name, value.into()));
    }

    /// One JSON object on one line.
    pub(crate) fn json(&self) -> String {
        let members = self
            .figures
            .iter()
            .map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    /// One figure a line, for people.
    pub(crate) fn table(&self) -> String {
        let width = self.figures.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = self
            .figures
            .iter()
            .map(|(name, value)| format!("{name:<width$}  {value}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}
