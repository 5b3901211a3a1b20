//! Hits in groups: the best few of each value that a payload key has.
//!
//! A group is complete when it is full, or when every point that has its value was seen. So the ranking is read in
//! rounds: the first from its top, the next only among points that can still add something, each deeper than the one
//! before. So are the prefetches that it is made of.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::filter::{Condition, Filter, Match, MatchSet, Test};
use crate::payload::{PayloadPath, ValueRef};
use crate::projection::Projection;
use crate::search::find::{Found, Level, Subject, both, check_prefetches};
use crate::search::request::{Hit, Prefetch, Query, SearchRequest};
use crate::search::{Searcher, check_ef, hit};
use crate::state::State;
use crate::{Error, PointId, SearchStats, Uuid, limits};

/// How much deeper each round reads.
const GROWTH: usize = 4;

/// A search whose hits are grouped by the values of a payload key.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupRequest {
    /// What is searched for. Its `limit` is of groups and its `offset` zero; the limits of its prefetches are multiplied
    /// by the size of the groups, and more where groups are not full then.
    pub search: SearchRequest,
    /// Where the values are. A point with several is in several groups, one without is in none.
    pub group_by: PayloadPath,
    /// Most hits of a group.
    pub group_size: usize,
}

/// The value that the hits of a group have in common. Other kinds of values make no groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupKey {
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// A string.
    String(String),
}

/// The best hits that have one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The value.
    pub key: GroupKey,
    /// Best first.
    pub hits: Vec<Hit>,
}

/// What a search in groups found.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupResponse {
    /// In order of their best hits.
    pub groups: Vec<Group>,
    /// What it took.
    pub stats: SearchStats,
}

impl GroupKey {
    /// The point of which this is the id: an unsigned number, or a UUID in a string.
    pub fn point_id(&self) -> Option<PointId> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok().map(PointId::Number),
            Self::Uint(number) => Some(PointId::Number(*number)),
            Self::String(text) => text.parse::<Uuid>().ok().map(PointId::Uuid),
        }
    }

    fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Int(number) => Some(Self::Int(number)),
            ValueRef::Uint(number) => Some(Self::Uint(number)),
            ValueRef::String(text) => Some(Self::String(text.to_owned())),
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Float(_)
            | ValueRef::List(_)
            | ValueRef::Object(_) => None,
        }
    }
}

impl Searcher {
    /// Searches one version of a collection and groups the hits.
    pub(crate) fn search_groups(
        &mut self,
        subject: Subject<'_>,
        request: &GroupRequest,
    ) -> Result<GroupResponse, Error> {
        let mut begun = self.clock.now();
        let GroupRequest {
            search,
            group_by,
            group_size,
        } = request;
        let mut stats = SearchStats {
            sequence: subject.state.sequence,
            ..SearchStats::default()
        };
        let mut rounds = Rounds::new(subject.state, request)?;
        search.filter.as_deref().map_or(Ok(()), Filter::check)?;
        search.idf_corpus.as_deref().map_or(Ok(()), Filter::check)?;
        check_ef(search.ef)?;
        check_prefetches(&search.query, &widened(&search.prefetch, rounds.share))?;
        let projection = Projection::new(&subject.state.layout, &search.with_payload, &search.with_vector)?;
        let mut gathered = Gathered::new(search.limit, *group_size);
        loop {
            let prefetch = widened(&search.prefetch, rounds.share);
            self.is_cut = false;
            let level = Level {
                using: &search.using,
                query: &search.query,
                depth: rounds.depth,
                exact: search.exact,
                ef: search.ef,
                idf_corpus: search.idf_corpus.as_deref(),
                score_threshold: search.score_threshold,
                filter: both(search.filter.as_ref(), gathered.missing(group_by).as_ref()),
                prefetch: &prefetch,
            };
            let found = self.find(subject, &level, &mut begun, &mut stats)?;
            let is_last = rounds.is_last(found.len(), self.is_cut);
            gathered.take(subject.state, group_by, found);
            if is_last || gathered.is_complete() {
                break;
            }
            rounds.go_deeper();
        }
        if !rounds.is_only && !search.prefetch.is_empty() {
            gathered.sort();
        }
        let group = |(key, found): (GroupKey, Vec<Found>)| {
            let hits = found
                .into_iter()
                .filter_map(|found| hit(&projection, subject.state, found).transpose());
            Ok(Group {
                key,
                hits: hits.collect::<Result<_, Error>>()?,
            })
        };
        let groups = gathered
            .groups
            .into_iter()
            .map(group)
            .collect::<Result<Vec<_>, Error>>()?;
        stats.hits += groups.iter().map(|group| group.hits.len() as u64).sum::<u64>();
        stats.gather_ns += self.clock.now().nanos_since(begun);
        Ok(GroupResponse { groups, stats })
    }
}

/// How deep the ranking is read.
struct Rounds {
    depth: usize,
    /// How many times as many points as they were to find prefetches find.
    share: usize,
    /// Whether another round could lose what this one found: see [`is_steady`].
    is_only: bool,
}

impl Rounds {
    fn new(state: &State, request: &GroupRequest) -> Result<Self, Error> {
        let (search, size) = (&request.search, request.group_size);
        if size == 0 {
            return Err(Error::invalid("group_size: 0 is not at least 1"));
        }
        let depth = search.limit.saturating_mul(size);
        if depth > limits::MAX_SEARCH_DEPTH {
            let (limit, most) = (search.limit, limits::MAX_SEARCH_DEPTH);
            return Err(Error::invalid(format!(
                "limit {limit} and group_size {size}: more than {most} hits together"
            )));
        }
        if search.offset > 0 {
            let offset = search.offset;
            return Err(Error::invalid(format!("offset {offset}: groups have none")));
        }
        if let Query::Diverse(diverse) = &search.query {
            let depth = diverse.candidates.unwrap_or(depth);
            return Ok(Self {
                depth,
                share: size,
                is_only: true,
            });
        }
        let points = usize::try_from(state.ids.len()).unwrap_or(usize::MAX);
        // Behind prefetches groups are sorted by scores, which these do not have.
        let is_unscored = matches!(search.query, Query::Listed | Query::OrderBy(_));
        let is_only =
            !is_steady(&search.query, &search.prefetch) || (is_unscored && !search.prefetch.is_empty());
        let depth = if is_only { points } else { depth };
        Ok(Self {
            depth,
            share: size,
            is_only,
        })
    }

    /// Whether the round that found so many has seen all there is. If one of its prefetches `is_cut`, there may be more.
    fn is_last(&self, found: usize, is_cut: bool) -> bool {
        self.is_only || (found < self.depth && !is_cut)
    }

    fn go_deeper(&mut self) {
        self.depth = self.depth.saturating_mul(GROWTH);
        self.share = self.share.saturating_mul(GROWTH);
    }
}

/// The groups so far.
struct Gathered {
    limit: usize,
    size: usize,
    /// In order of their best hits, as they were when they were found.
    groups: Vec<(GroupKey, Vec<Found>)>,
    places: HashMap<GroupKey, usize>,
    /// Whether scores rise from the best to the worst.
    is_rising: bool,
}

impl Gathered {
    fn new(limit: usize, size: usize) -> Self {
        Self {
            limit,
            size,
            groups: Vec::new(),
            places: HashMap::new(),
            is_rising: false,
        }
    }

    /// Adds what a round found: all points that can still add something, down to its depth.
    fn take(&mut self, state: &State, group_by: &PayloadPath, found: Vec<Found>) {
        let size = self.size;
        let incomplete = self.groups.iter_mut().filter(|(_, hits)| hits.len() < size);
        // They are found again, since the round began at the top.
        incomplete.for_each(|(_, hits)| hits.clear());
        if let (Some(best), Some(worst)) = (found.first(), found.last()) {
            self.is_rising |= best.score < worst.score;
        }
        for found in found {
            let Some((chunk, position)) = state.locate(found.slot) else {
                continue;
            };
            let mut visit = |value: ValueRef<'_>| {
                if let ValueRef::List(list) = value {
                    list.filter_map(GroupKey::of).for_each(|key| self.add(key, found));
                } else if let Some(key) = GroupKey::of(value) {
                    self.add(key, found);
                }
                ControlFlow::Continue(())
            };
            // Nothing breaks off.
            let _ = group_by.visit(chunk.payload(position).fields(), &mut visit);
        }
    }

    fn add(&mut self, key: GroupKey, found: Found) {
        let place = match self.places.get(&key) {
            Some(&place) => place,
            None if self.groups.len() == self.limit => return,
            None => {
                self.places.insert(key.clone(), self.groups.len());
                self.groups.push((key, Vec::new()));
                self.groups.len() - 1
            }
        };
        let hits = &mut self.groups[place].1;
        // A list may hold a value twice.
        if hits.len() < self.size && hits.iter().all(|hit| hit.slot != found.slot) {
            hits.push(found);
        }
    }

    /// Puts them in order of their best hits, which wider prefetches may have changed.
    fn sort(&mut self) {
        let is_rising = self.is_rising;
        let best = |hits: &[Found]| {
            let best = hits.first();
            best.map(|best| (if is_rising { best.score } else { -best.score }, best.id))
        };
        self.groups.sort_by(|(_, a), (_, b)| match (best(a), best(b)) {
            (Some(a), Some(b)) => a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
    }

    fn is_complete(&self) -> bool {
        self.groups.len() == self.limit && self.groups.iter().all(|(_, hits)| hits.len() == self.size)
    }

    /// A filter that passes all points that can still add something, and as few others as it can tell: `None` before the
    /// first round.
    fn missing(&self, group_by: &PayloadPath) -> Option<Arc<Filter>> {
        if self.groups.is_empty() {
            return None;
        }
        let condition = |wanted| Condition::Field(group_by.clone(), Test::Match(wanted));
        let keys = |is_full: bool| {
            let groups = self.groups.iter();
            groups.filter_map(move |(key, hits)| (is_full == (hits.len() == self.size)).then_some(key))
        };
        let filter = match match_sets(keys(false)) {
            // There will be no more groups.
            Some(sets) if self.groups.len() == self.limit => Filter {
                should: sets.into_iter().map(|set| condition(Match::Any(set))).collect(),
                ..Filter::default()
            },
            Some(_) | None => {
                let full = keys(true).filter(|key| !matches!(key, GroupKey::Uint(_)));
                let sets = match_sets(full).unwrap_or_default();
                Filter {
                    must: sets
                        .into_iter()
                        .map(|set| condition(Match::Except(set)))
                        .collect(),
                    ..Filter::default()
                }
            }
        };
        Some(Arc::new(filter))
    }
}

/// The keys as values to match; `None` if one is beyond what is matched.
fn match_sets<'k>(keys: impl Iterator<Item = &'k GroupKey>) -> Option<Vec<MatchSet>> {
    let (mut integers, mut keywords) = (HashSet::new(), HashSet::new());
    for key in keys {
        match key {
            GroupKey::Int(number) => drop(integers.insert(*number)),
            GroupKey::Uint(_) => return None,
            GroupKey::String(text) => drop(keywords.insert(text.clone())),
        }
    }
    let mut sets = Vec::new();
    if !integers.is_empty() {
        sets.push(MatchSet::Integers(integers));
    }
    if !keywords.is_empty() {
        sets.push(MatchSet::Keywords(keywords));
    }
    Some(sets)
}

/// Whether the points of a ranking stay in their order, and are found again, when it is read deeper or without others:
/// when none of its lists is left to chance, or depends on what else is in it.
fn is_steady(query: &Query, prefetch: &[Prefetch]) -> bool {
    let is_steady_itself = match query {
        Query::Nearest(_)
        | Query::NearestTo(_)
        | Query::Recommend(_)
        | Query::Discover(..)
        | Query::Context(_)
        | Query::Feedback(_)
        | Query::Listed
        | Query::OrderBy(_) => true,
        Query::Diverse(_) | Query::Fusion(_) | Query::Formula(_) | Query::Sample => false,
    };
    is_steady_itself
        && prefetch
            .iter()
            .all(|inner| is_steady(&inner.query, &inner.prefetch))
}

/// Prefetches that find `share` times as many points.
fn widened(prefetch: &[Prefetch], share: usize) -> Vec<Prefetch> {
    let widened = prefetch.iter().map(|inner| Prefetch {
        limit: inner.limit.saturating_mul(share),
        prefetch: widened(&inner.prefetch, share),
        ..inner.clone()
    });
    widened.collect()
}
