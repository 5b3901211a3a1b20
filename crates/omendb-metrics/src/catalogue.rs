//! The catalogue: every family there is, derived from the declarations, whether or not it has series now.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::declare::Group;
use crate::descriptor::{Descriptor, Kind, Stability};
use crate::escape;
use crate::protobuf;

/// One family of the catalogue.
#[derive(Debug)]
pub struct FamilyInfo {
    /// The name on the page.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// `seconds`, `bytes`, `ratio` or empty.
    pub unit: &'static str,
    /// All label names, the open one first.
    pub labels: Vec<&'static str>,
    /// Upper bound of its series; a histogram counts as one.
    pub cardinality: usize,
    /// What it means, on one line.
    pub help: String,
    /// When to look at it, on one line; not on the page, which is read every few seconds.
    pub when_to_look: String,
    /// What its name promises.
    pub stability: Stability,
    /// The HELP and TYPE lines of the text format.
    pub(crate) text_header: String,
    /// The TYPE, UNIT and HELP lines of OpenMetrics.
    pub(crate) openmetrics_header: String,
    /// Name, help, type and unit as fields of `MetricFamily`.
    pub(crate) protobuf_header: Vec<u8>,
}

/// Every declared family, in the order of declaration; names are unique.
#[derive(Debug, Default)]
pub struct Catalogue {
    families: Vec<FamilyInfo>,
    first_of_group: HashMap<TypeId, usize>,
    names: HashSet<String>,
}

/// Why a declaration was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationError {
    /// The family.
    pub name: &'static str,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric {}: {}", self.name, self.reason)
    }
}

impl std::error::Error for DeclarationError {}

impl Catalogue {
    /// Adds the families of a group that has one instance.
    ///
    /// # Errors
    /// When a name is taken, malformed, or does not say what its kind requires, or when the group is keyed by an open
    /// label and must be added by [`Catalogue::open_group`].
    pub fn group<G: Group>(&mut self) -> Result<(), DeclarationError> {
        self.add::<G>(1)
    }

    /// Adds the families of a group with up to `members` instances told apart by its open label.
    ///
    /// # Errors
    /// As [`Catalogue::group`].
    pub fn open_group<G: Group>(&mut self, members: usize) -> Result<(), DeclarationError> {
        self.add::<G>(members)
    }

    fn add<G: Group>(&mut self, members: usize) -> Result<(), DeclarationError> {
        let first = self.families.len();
        for descriptor in G::descriptors() {
            let family = FamilyInfo::new(descriptor, G::OPEN_LABEL, members);
            let refuse = |reason| {
                Err(DeclarationError {
                    name: family.name,
                    reason,
                })
            };
            if let Err(reason) = family.check() {
                return refuse(reason);
            }
            if G::OPEN_LABEL.is_none() && members != 1 {
                return refuse("several instances need an open label (`by`)");
            }
            for name in family.sample_names() {
                if !self.names.insert(name) {
                    return refuse("name is already taken");
                }
            }
            self.families.push(family);
        }
        if self.first_of_group.insert(TypeId::of::<G>(), first).is_some() {
            return Err(DeclarationError {
                name: G::descriptors()[0].name,
                reason: "group is already declared",
            });
        }
        Ok(())
    }

    /// Every family, in the order of the page.
    pub fn families(&self) -> &[FamilyInfo] {
        &self.families
    }

    /// Where the families of `G` begin; `None` if it was never added.
    pub(crate) fn first_of<G: Group>(&self) -> Option<usize> {
        self.first_of_group.get(&TypeId::of::<G>()).copied()
    }
}

impl FamilyInfo {
    fn new(descriptor: &Descriptor, open_label: Option<&'static str>, members: usize) -> Self {
        let (name, kind, unit, help) = (
            descriptor.name,
            descriptor.kind,
            descriptor.unit(),
            descriptor.help(),
        );
        let mut labels: Vec<_> = open_label.into_iter().collect();
        labels.extend((descriptor.labels)());
        let stem = name.strip_suffix("_total").unwrap_or(name);
        let type_name = kind.as_str();
        let unit_line = if unit.is_empty() {
            String::new()
        } else {
            format!("# UNIT {stem} {unit}\n")
        };
        let text_help = escape::help(&help);
        let openmetrics_help = escape::openmetrics_help(&help);
        Self {
            name,
            kind,
            unit,
            labels,
            cardinality: (descriptor.cardinality)().saturating_mul(members),
            stability: descriptor.stability,
            text_header: format!("# HELP {name} {text_help}\n# TYPE {name} {type_name}\n"),
            openmetrics_header: format!(
                "# TYPE {stem} {type_name}\n{unit_line}# HELP {stem} {openmetrics_help}\n"
            ),
            protobuf_header: protobuf::header(name, &help, kind, unit),
            help,
            when_to_look: descriptor.when_to_look(),
        }
    }

    /// The rules that make a page valid in every format and names tell what they are.
    fn check(&self) -> Result<(), &'static str> {
        const RESERVED: [&str; 4] = ["_count", "_sum", "_bucket", "_created"];
        let is_counter = self.kind == Kind::Counter;
        if !is_name(self.name) {
            return Err("name is not lower-case words joined by underscores");
        }
        if self.help.is_empty() {
            return Err("help is empty");
        }
        if self.name.ends_with("_total") != is_counter {
            return Err("counters end in _total, and nothing else does");
        }
        if RESERVED.iter().any(|suffix| self.name.ends_with(suffix)) {
            return Err("name ends like a part of a histogram");
        }
        if self
            .labels
            .iter()
            .any(|label| !is_name(label) || matches!(*label, "le" | "quantile" | "job" | "instance"))
        {
            return Err("label name is malformed or reserved");
        }
        if self.labels.iter().collect::<HashSet<_>>().len() != self.labels.len() {
            return Err("label name occurs twice");
        }
        Ok(())
    }

    /// Every name it occupies on a page.
    fn sample_names(&self) -> Vec<String> {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        match self.kind {
            Kind::Gauge => vec![stem.into()],
            Kind::Counter => vec![stem.into(), self.name.into()],
            Kind::Histogram => ["", "_bucket", "_sum", "_count"]
                .iter()
                .map(|end| format!("{stem}{end}"))
                .collect(),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
