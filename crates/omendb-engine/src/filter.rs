//! Filters: conditions on a point's payload, id and vectors, combined by must, should, must_not and min_should.
//!
//! The rules are those of Qdrant's dialect. A condition on a key holds if any of the values that the key leads to meets
//! it, the elements of a list counting as values of their own. A filter is checked where it is built and evaluated on
//! the encoded payload in place.

mod bounds;
mod datetime;
mod evaluate;
mod geo;
mod matching;
mod range;
pub(crate) mod select;

pub use datetime::Datetime;
pub(crate) use evaluate::{Subject, datetime, geo_point, number};
pub(crate) use geo::distance;
pub use geo::{GeoArea, GeoPoint, GeoPolygon};
pub use matching::{Match, MatchSet, Words};
pub(crate) use matching::{lower, words};
pub use range::Range;

use std::collections::HashSet;

use crate::{PayloadPath, PointId};

/// Conditions that a point has to meet; one without any selects every point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// All of these have to hold.
    pub must: Vec<Condition>,
    /// At least one of these has to hold, unless there is none.
    pub should: Vec<Condition>,
    /// None of these may hold.
    pub must_not: Vec<Condition>,
    /// At least so many of these have to hold.
    pub min_should: Option<MinShould>,
}

/// At least `min_count` of `conditions`.
#[derive(Clone, Debug, PartialEq)]
pub struct MinShould {
    /// The conditions that are counted.
    pub conditions: Vec<Condition>,
    /// How many have to hold, at least 1.
    pub min_count: usize,
}

/// One condition of a filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The values of a payload key meet a test.
    Field(PayloadPath, Test),
    /// The point is one of these. Inside [`Condition::Nested`] it never holds.
    HasId(HashSet<PointId>),
    /// The point has the vector of this name. Inside [`Condition::Nested`] it never holds.
    HasVector(String),
    /// An object in the list at this key meets a filter on its own.
    Nested(PayloadPath, Filter),
    /// A filter in a filter.
    Filter(Filter),
}

/// What the values of a payload key are tested for.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// A value equals, or contains words.
    Match(Match),
    /// A number lies in a range.
    Range(Range<f64>),
    /// A string is a date and time that lies in a range.
    Datetime(Range<Datetime>),
    /// An object with `lat` and `lon` lies in an area.
    Geo(GeoArea),
    /// How many values there are: the elements of a list, 1 for what is no list, 0 for null and for no value.
    ValuesCount(Range<u64>),
    /// Whether there is no value, or only nulls and empty lists.
    IsEmpty(bool),
    /// Whether a value is null, or a list with a null in it.
    IsNull(bool),
}

impl Filter {
    /// A filter of one condition.
    pub fn of(condition: Condition) -> Self {
        Self {
            must: vec![condition],
            ..Self::default()
        }
    }

    /// Whether it has no condition, so that every point passes.
    pub fn is_empty(&self) -> bool {
        let Self {
            must,
            should,
            must_not,
            min_should,
        } = self;
        must.is_empty() && should.is_empty() && must_not.is_empty() && min_should.is_none()
    }
}
