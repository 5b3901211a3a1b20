//! What a family is called and what it means, as derived from its declaration.

use crate::reading::Metric;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Goes up, from zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by bucket.
    Histogram,
}

impl Kind {
    /// As on a TYPE line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What the name of a family promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stability {
    /// Changes only with an entry under "Metrics" in the CHANGELOG.
    Stable,
    /// May change in any version.
    Experimental,
}

impl Stability {
    /// As in the catalogue.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Experimental => "experimental",
        }
    }
}

/// A family as its declaration has it; made by [`crate::metrics!`].
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// The name on the page.
    pub name: &'static str,
    /// The doc comment, one line per line.
    pub doc: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What its name promises.
    pub stability: Stability,
    /// Keys of the closed labels.
    pub labels: fn() -> Vec<&'static str>,
    /// Upper bound of the series, per value of the open label.
    pub cardinality: fn() -> usize,
}

impl Descriptor {
    /// The family that a field of type `M` is.
    pub const fn of<M: Metric>(name: &'static str, doc: &'static str, stability: Stability) -> Self {
        Self {
            name,
            doc,
            kind: M::KIND,
            stability,
            labels: M::labels,
            cardinality: M::cardinality,
        }
    }

    /// The unit, which names end with: `seconds`, `bytes`, `ratio` or nothing.
    pub fn unit(&self) -> &'static str {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes", "ratio"]
            .into_iter()
            .find(|unit| stem.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
            .unwrap_or("")
    }

    /// The first paragraph of the doc comment as one line: what it means.
    pub fn help(&self) -> String {
        self.paragraph(0)
    }

    /// The second paragraph as one line: when to look at it. Empty where there is none.
    pub fn when_to_look(&self) -> String {
        self.paragraph(1)
    }

    fn paragraph(&self, number: usize) -> String {
        let lines: Vec<&str> = self.doc.lines().map(str::trim).collect();
        let mut paragraphs = lines
            .split(|line| line.is_empty())
            .filter(|lines| !lines.is_empty());
        paragraphs
            .nth(number)
            .map_or_else(String::new, |lines| lines.join(" "))
    }
}
