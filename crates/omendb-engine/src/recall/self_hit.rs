//! Stored vectors searched for by themselves: each has to be found, however unlike the stored ones the queries are.

use omendb_distance::{Distance, Kernels};
use omendb_metrics::labels;

use crate::chance::Chance;
use crate::search::{Searcher, Subject};
use crate::state::State;
use crate::{PointId, SearchRequest};

/// How much less than with itself the product of unit vectors may be before rounding does not explain it.
const ROUNDING: f32 = 1e-6;

labels! {
    /// What became of a stored vector that was searched for.
    pub(crate) enum SelfHit("outcome") {
        /// It was the nearest, or one as near was.
        Found = "found",
        /// Something farther away was taken for the nearest.
        Missed = "missed",
    }
}

/// Searches for a stored vector that chance picks; `None` where it picks none.
pub(crate) fn look(searcher: &mut Searcher, chance: &mut Chance, subject: Subject<'_>) -> Option<SelfHit> {
    let stored = Stored::pick(chance, subject.state)?;
    let request = SearchRequest {
        using: stored.name.to_owned(),
        ..SearchRequest::nearest(stored.row.to_vec(), 1)
    };
    let nearest = searcher.search(subject, &request).ok()?.hits.pop();
    let is_found = nearest.is_some_and(|hit| hit.id == stored.id || stored.is_as_near(hit.score));
    Some(if is_found { SelfHit::Found } else { SelfHit::Missed })
}

/// A vector as it is stored.
struct Stored<'a> {
    id: PointId,
    name: &'a str,
    distance: Distance,
    row: &'a [f32],
}

impl<'a> Stored<'a> {
    fn pick(chance: &mut Chance, state: &'a State) -> Option<Self> {
        // By the dot product, a longer vector is nearer to another than that is to itself.
        let has_nearest = |distance: Distance| distance != Distance::Dot;
        let columns = state.layout.columns.iter().enumerate();
        let columns: Vec<_> = columns
            .filter(|(_, column)| has_nearest(column.distance))
            .collect();
        let (position, column) = *columns.get(chance.below(columns.len() as u64) as usize)?;
        let chunk = state.chunk(chance.below(state.chunk_count() as u64) as usize)?;
        let rows = chunk.column(position);
        let points = chunk.alive.and(&rows.present);
        let point = points.iter().nth(chance.below(points.count() as u64) as usize)?;
        Some(Self {
            id: chunk.id(point),
            name: &column.name,
            distance: column.distance,
            row: rows.row(point)?,
        })
    }

    /// Whether a point with this score is as near to the vector as the vector itself, which may be stored twice.
    fn is_as_near(&self, score: f32) -> bool {
        match self.distance {
            Distance::Cosine | Distance::Dot => {
                score >= Kernels::detected().dot(self.row, self.row) - ROUNDING
            }
            Distance::Euclid | Distance::Manhattan => score <= 0.0,
        }
    }
}
