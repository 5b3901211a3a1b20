//! The distances within a sample of points: the nearest others of each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::filter::{Condition, Filter};
use crate::search::Searcher;
use crate::search::find::{Found, Level, Subject, both};
use crate::search::request::Query;
use crate::{Error, PointId, SearchStats, limits};

/// A sample of points that are compared with one another.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixRequest {
    /// The vector to compare.
    pub using: String,
    /// Points to draw by chance, from those that have the vector.
    pub sample: usize,
    /// Neighbours of each to return.
    pub limit: usize,
    /// Only points that pass this are drawn.
    pub filter: Option<Arc<Filter>>,
}

/// The nearest others of each point of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixResponse {
    /// The sample, in order of ids; none if it would have fewer than two.
    pub ids: Vec<PointId>,
    /// For each of them its neighbours, best first: places in `ids`, and scores.
    pub rows: Vec<Vec<(usize, f32)>>,
    /// What it took.
    pub stats: SearchStats,
}

impl Searcher {
    /// Draws a sample of one version of a collection and compares its points with one another.
    pub(crate) fn search_matrix(
        &mut self,
        subject: Subject<'_>,
        request: &MatrixRequest,
    ) -> Result<MatrixResponse, Error> {
        let mut begun = self.clock.now();
        let MatrixRequest {
            using,
            sample,
            limit,
            filter,
        } = request;
        let mut stats = SearchStats {
            sequence: subject.state.sequence,
            ..SearchStats::default()
        };
        if *sample > limits::MAX_MATRIX_SAMPLE {
            let most = limits::MAX_MATRIX_SAMPLE;
            return Err(Error::invalid(format!("sample {sample}: more than {most}")));
        }
        filter.as_deref().map_or(Ok(()), Filter::check)?;
        subject.state.layout.dense_column(using)?;
        let has_vector = Filter::of(Condition::HasVector(using.clone()));
        let mut level = Level {
            using,
            query: &Query::Sample,
            depth: *sample,
            exact: true,
            ef: None,
            idf_corpus: None,
            score_threshold: None,
            filter: both(filter.as_ref(), Some(&Arc::new(has_vector))),
            prefetch: &[],
        };
        let mut drawn = self.find(subject, &level, &mut begun, &mut stats)?;
        if drawn.len() < 2 {
            drawn.clear();
        }
        drawn.sort_unstable_by_key(|found| found.id);
        let slots: HashSet<u32> = drawn.iter().map(|found| found.slot).collect();
        let places: HashMap<u32, usize> = drawn
            .iter()
            .enumerate()
            .map(|(at, found)| (found.slot, at))
            .collect();
        let place = |found: &Found| Some((*places.get(&found.slot)?, found.score));
        let mut rows = Vec::with_capacity(drawn.len());
        level.depth = *limit;
        for &Found { id, .. } in &drawn {
            let query = Query::NearestTo(id);
            let level = Level {
                query: &query,
                ..level.clone()
            };
            let found = self.find_among(subject, &level, Some(&slots), (&mut begun, &mut stats))?;
            rows.push(found.iter().filter_map(place).collect::<Vec<_>>());
        }
        stats.hits += rows.iter().map(|row| row.len() as u64).sum::<u64>();
        stats.gather_ns += self.clock.now().nanos_since(begun);
        Ok(MatrixResponse {
            ids: drawn.iter().map(|found| found.id).collect(),
            rows,
            stats,
        })
    }
}
