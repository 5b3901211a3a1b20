//! Payload indexes: which slots may hold points whose values at a key meet a test.
//!
//! An index is beside the points, not part of them: for each region of slots a field has an immutable [`Region`], which
//! names the chunks it has read. A search uses it for the chunks of its snapshot that are still these very ones, and
//! tests the points of all others, so an index that lags behind costs time and never changes an answer. That is why
//! writers do not touch indexes, and a background pass brings them up to date.

mod build;
mod postings;
mod region;
mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::state::State;
use crate::{Error, PayloadPath};

pub(crate) use build::{Build, wants_reading};
pub(crate) use region::Region;
pub(crate) use select::Selection;

/// Slots of a region: positions in it are 16 bits.
pub(crate) const REGION_SLOTS: usize = 1 << 16;

/// What the values of an indexed key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// Strings that are matched whole, or by how they begin.
    Keyword,
    /// Whole numbers: matches, ranges.
    Integer,
    /// Numbers: ranges.
    Float,
    /// `true` and `false`.
    Bool,
    /// Dates and times in strings: ranges.
    Datetime,
    /// Words of strings.
    Text,
    /// Places on the globe.
    Geo,
    /// UUIDs in strings, matched whole.
    Uuid,
}

impl IndexKind {
    /// Every kind; the position of one is its number in the log.
    pub const ALL: [Self; 8] = [
        Self::Keyword,
        Self::Integer,
        Self::Float,
        Self::Bool,
        Self::Datetime,
        Self::Text,
        Self::Geo,
        Self::Uuid,
    ];

    /// The kind's name in the dialect.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Datetime => "datetime",
            Self::Text => "text",
            Self::Geo => "geo",
            Self::Uuid => "uuid",
        }
    }
}

/// The indexed keys of a collection, as they were written.
pub(crate) type Schema = BTreeMap<String, IndexKind>;

/// One index as a collection describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexInfo {
    /// The key.
    pub key: String,
    /// What its values are.
    pub kind: IndexKind,
    /// Points with such a value.
    pub points: u64,
}

/// The indexes of a collection at one moment; a clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Indexes {
    fields: BTreeMap<String, Field>,
}

/// The index of one key.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    path: PayloadPath,
    kind: IndexKind,
    /// By number, `None` where none was read yet.
    regions: Vec<Option<Arc<Region>>>,
}

impl Indexes {
    /// Brings the fields in line with a schema; says whether something changed.
    fn follow(&mut self, schema: &Schema) -> Result<bool, Error> {
        let known = self.fields.len();
        self.fields
            .retain(|key, field| schema.get(key) == Some(&field.kind));
        let mut is_changed = self.fields.len() != known;
        for (key, &kind) in schema {
            if !self.fields.contains_key(key) {
                let field = Field {
                    path: key.parse()?,
                    kind,
                    regions: Vec::new(),
                };
                self.fields.insert(key.clone(), field);
                is_changed = true;
            }
        }
        Ok(is_changed)
    }

    /// The index of a path, however it is written.
    fn of(&self, path: &PayloadPath) -> Option<&Field> {
        self.fields.values().find(|field| field.path == *path)
    }

    /// What a state has of each indexed key.
    ///
    /// # Errors
    /// None: keys of a schema were checked when they entered it.
    pub(crate) fn describe(&self, state: &State) -> Result<Vec<IndexInfo>, Error> {
        let mut described = Vec::new();
        for (key, &kind) in &*state.schema {
            let path = key.parse()?;
            let field = self.fields.get(key).filter(|field| field.kind == kind);
            let points = region::points(state, field, (&path, kind));
            described.push(IndexInfo {
                key: key.clone(),
                kind,
                points,
            });
        }
        Ok(described)
    }
}
