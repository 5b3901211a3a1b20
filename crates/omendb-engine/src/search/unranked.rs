//! Points that are found without a comparison of vectors: listed, in order of a payload key, or drawn by chance.

use std::collections::HashSet;

use omendb_metrics::{Clock, Timestamp};

use crate::count;
use crate::filter::select;
use crate::search::Searcher;
use crate::search::find::{Found, Level, Subject};
use crate::search::order::{OrderBy, Place, Places};
use crate::search::passing::for_each_passing;
use crate::search::request::Query;
use crate::state::{Chunk, State};
use crate::{Error, PointId, SearchStats};

/// The score of a point that nothing was compared with, as in the dialect.
const UNRANKED: f32 = 1.0;

impl Searcher {
    /// The points of a level whose query compares no vectors, out of `slots` if they are given; `None` for another query.
    pub(crate) fn unranked(
        &mut self,
        subject: Subject<'_>,
        level: &Level<'_>,
        slots: Option<&HashSet<u32>>,
        (begun, stats): (&mut Timestamp, &mut SearchStats),
    ) -> Result<Option<Vec<Found>>, Error> {
        let filtered_before = stats.filter_ns;
        let found = match level.query {
            Query::Listed => list(subject.state, (level, slots), (&self.clock, stats)),
            Query::OrderBy(order_by) => self.ordered(subject, (level, order_by), slots, stats)?,
            Query::Sample => self.sample(subject, level, slots, stats),
            Query::Nearest(_)
            | Query::NearestTo(_)
            | Query::Diverse(_)
            | Query::Recommend(_)
            | Query::Discover(..)
            | Query::Context(_)
            | Query::Feedback(_)
            | Query::Fusion(_)
            | Query::Formula(_) => return Ok(None),
        };
        let now = self.clock.now();
        stats.scan_ns += now
            .nanos_since(*begun)
            .saturating_sub(count::value(stats.filter_ns - filtered_before));
        *begun = now;
        Ok(Some(found))
    }

    fn ordered(
        &self,
        subject: Subject<'_>,
        (level, order_by): (&Level<'_>, &OrderBy),
        slots: Option<&HashSet<u32>>,
        stats: &mut SearchStats,
    ) -> Result<Vec<Found>, Error> {
        let mut places = Places::new(order_by, &subject.state.schema, level.depth)?;
        visit(
            subject,
            (level, slots),
            (&self.clock, stats),
            |chunk, position, slot| {
                places.offer(chunk, position, slot);
            },
        );
        let found = |Place { value, id, slot }| Found {
            slot,
            id,
            score: UNRANKED,
            order_value: Some(value),
        };
        Ok(places.into_sorted().into_iter().map(found).collect())
    }

    /// Any `depth` of the points, in any order, each choice as likely as another.
    ///
    /// Vitter's algorithm R ("Random sampling with a reservoir", 1985), and a shuffle, since the reservoir has early
    /// points in early places.
    fn sample(
        &mut self,
        subject: Subject<'_>,
        level: &Level<'_>,
        slots: Option<&HashSet<u32>>,
        stats: &mut SearchStats,
    ) -> Vec<Found> {
        let (mut drawn, mut seen) = (Vec::new(), 0);
        let chance = &mut self.chance;
        visit(
            subject,
            (level, slots),
            (&self.clock, stats),
            |chunk, position, slot| {
                let found = unranked(chunk.id(position), slot);
                seen += 1;
                if drawn.len() < level.depth {
                    drawn.push(found);
                } else if let Ok(place) = usize::try_from(chance.below(seen))
                    && let Some(drawn) = drawn.get_mut(place)
                {
                    *drawn = found;
                }
            },
        );
        for place in (1..drawn.len()).rev() {
            drawn.swap(place, chance.below(place as u64 + 1) as usize);
        }
        drawn
    }
}

/// Calls `visit` with the chunk, position and slot of each point of a level.
fn visit<'a>(
    subject: Subject<'a>,
    (level, slots): (&Level<'_>, Option<&HashSet<u32>>),
    (clock, stats): (&Clock, &mut SearchStats),
    mut visit: impl FnMut(&'a Chunk, usize, u32),
) {
    let Some(slots) = slots else {
        return for_each_passing(subject, level.filter.as_deref(), (clock, stats), visit);
    };
    let mut slots: Vec<_> = slots.iter().copied().collect();
    // Chance is to come from its seed alone.
    slots.sort_unstable();
    for slot in slots {
        if let Some((chunk, position)) = subject.state.locate(slot) {
            visit(chunk, position, slot);
        }
    }
}

fn unranked(id: PointId, slot: u32) -> Found {
    Found {
        slot,
        id,
        score: UNRANKED,
        order_value: None,
    }
}

/// The first points of a level in order of ids.
fn list(
    state: &State,
    (level, slots): (&Level<'_>, Option<&HashSet<u32>>),
    work: (&Clock, &mut SearchStats),
) -> Vec<Found> {
    let listed = |slot: u32| {
        let (chunk, position) = state.locate(slot)?;
        Some(unranked(chunk.id(position), slot))
    };
    let Some(slots) = slots else {
        let (slots, _) = select::page(state, level.filter.as_deref(), (None, level.depth), work);
        return slots.into_iter().filter_map(listed).collect();
    };
    let mut found: Vec<_> = slots.iter().copied().filter_map(listed).collect();
    found.sort_unstable_by_key(|found| found.id);
    found.truncate(level.depth);
    found
}
