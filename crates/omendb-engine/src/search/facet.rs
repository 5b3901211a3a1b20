//! How many points have each value of a payload key.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::count;
use crate::filter::Filter;
use crate::payload::{PayloadPath, ValueRef};
use crate::payload_index::{IndexKind, Schema};
use crate::search::find::Subject;
use crate::search::passing::for_each_passing;
use crate::search::{Searcher, check_depth};
use crate::{Error, SearchStats, Uuid};

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetRequest {
    /// Where the values are. The key needs an index of kind keyword, integer, bool or UUID, which says what counts as
    /// one.
    pub key: PayloadPath,
    /// Most values to return.
    pub limit: usize,
    /// Only points that pass this are counted.
    pub filter: Option<std::sync::Arc<Filter>>,
}

/// A value of the key, ordered among its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FacetValue {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string.
    Keyword(String),
    /// A UUID, however it was written.
    Uuid(Uuid),
}

/// A value and how many points have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetHit {
    /// The value.
    pub value: FacetValue,
    /// Points that have it, each counted once.
    pub count: u64,
}

/// The values that most points have.
#[derive(Clone, Debug, PartialEq)]
pub struct FacetResponse {
    /// In order of counts, the greatest first, and equal counts in order of values.
    pub hits: Vec<FacetHit>,
    /// What it took.
    pub stats: SearchStats,
}

/// A value where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Value<'a> {
    Bool(bool),
    Int(i64),
    Keyword(&'a str),
    Uuid(Uuid),
}

impl<'a> Value<'a> {
    /// The value as an index of `kind` reads it.
    fn of(kind: IndexKind, value: ValueRef<'a>) -> Option<Self> {
        match (kind, value) {
            (IndexKind::Bool, ValueRef::Bool(value)) => Some(Self::Bool(value)),
            (IndexKind::Integer, ValueRef::Int(value)) => Some(Self::Int(value)),
            (IndexKind::Keyword, ValueRef::String(text)) => Some(Self::Keyword(text)),
            (IndexKind::Uuid, ValueRef::String(text)) => text.parse().ok().map(Self::Uuid),
            (_, _) => None,
        }
    }

    fn owned(self) -> FacetValue {
        match self {
            Self::Bool(value) => FacetValue::Bool(value),
            Self::Int(value) => FacetValue::Int(value),
            Self::Keyword(text) => FacetValue::Keyword(text.to_owned()),
            Self::Uuid(uuid) => FacetValue::Uuid(uuid),
        }
    }
}

impl Searcher {
    /// Counts the values of a key in one version of a collection.
    pub(crate) fn facet<'a>(
        &self,
        subject: Subject<'a>,
        request: &FacetRequest,
    ) -> Result<FacetResponse, Error> {
        let begun = self.clock.now();
        let FacetRequest { key, limit, filter } = request;
        let mut stats = SearchStats {
            sequence: subject.state.sequence,
            ..SearchStats::default()
        };
        check_depth(*limit, 0)?;
        filter.as_deref().map_or(Ok(()), Filter::check)?;
        let kind = countable(key, &subject.state.schema)?;
        let mut counts: HashMap<Value<'a>, u64> = HashMap::new();
        let mut own = HashSet::new();
        let work = (&self.clock, &mut stats);
        for_each_passing(subject, filter.as_deref(), work, |chunk, position, _| {
            own.clear();
            let mut visit = |value: ValueRef<'a>| {
                match value {
                    ValueRef::List(list) => own.extend(list.filter_map(|value| Value::of(kind, value))),
                    ValueRef::Null
                    | ValueRef::Bool(_)
                    | ValueRef::Int(_)
                    | ValueRef::Uint(_)
                    | ValueRef::Float(_)
                    | ValueRef::String(_)
                    | ValueRef::Object(_) => own.extend(Value::of(kind, value)),
                }
                ControlFlow::Continue(())
            };
            // Nothing breaks off.
            let _ = key.visit(chunk.payload(position).fields(), &mut visit);
            for &value in &own {
                *counts.entry(value).or_default() += 1;
            }
        });
        let counted = self.clock.now();
        stats.scan_ns += counted
            .nanos_since(begun)
            .saturating_sub(count::value(stats.filter_ns));
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|(one, count), (other, more)| more.cmp(count).then(one.cmp(other)));
        counts.truncate(*limit);
        let hit = |(value, count): (Value<'_>, u64)| FacetHit {
            value: value.owned(),
            count,
        };
        let hits: Vec<_> = counts.into_iter().map(hit).collect();
        stats.hits += hits.len() as u64;
        stats.gather_ns += self.clock.now().nanos_since(counted);
        Ok(FacetResponse { hits, stats })
    }
}

/// The kind of the index that says what the values of a key are.
fn countable(key: &PayloadPath, schema: &Schema) -> Result<IndexKind, Error> {
    let is_wanted = |known: &str| known.parse().is_ok_and(|path: PayloadPath| path == *key);
    let kind = schema
        .iter()
        .find_map(|(known, kind)| is_wanted(known).then_some(*kind));
    match kind {
        Some(kind @ (IndexKind::Keyword | IndexKind::Integer | IndexKind::Bool | IndexKind::Uuid)) => {
            Ok(kind)
        }
        Some(_) | None => Err(Error::invalid(format!(
            "facet: key \"{key}\" has no index of kind keyword, integer, bool or uuid; create one to count its values"
        ))),
    }
}
