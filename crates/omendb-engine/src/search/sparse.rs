//! Queries by sparse vectors: the same kinds as by dense ones, compared by the dot product.

use std::collections::HashSet;

use omendb_distance::Distance;
use omendb_metrics::Timestamp;

use crate::count;
use crate::search::Searcher;
use crate::search::diverse::choose;
use crate::search::find::{Found, Level, Subject, check_diverse, scored};
use crate::search::idf::weigh;
use crate::search::objective::{Examples, Formula, Objective, Space};
use crate::search::request::{Diverse, Query};
use crate::search::sparse_scan::SparseScan;
use crate::search::top_k::{Candidate, TopK};
use crate::state::{Chunk, State, Terms};
use crate::{Error, Modifier, SearchStats, SparseVector, Vector, limits};

/// The score of vectors without a term in common. No sum of products is this: it begins here, zero is added to each
/// product, so that none is -0, and a sum is -0 only where both its parts are.
pub(super) const UNTOUCHED: f32 = -0.0;

/// Whether a score is that of vectors with a term in common.
pub(super) fn is_touched(score: f32) -> bool {
    score.to_bits() != UNTOUCHED.to_bits()
}

/// The sum of the products of common terms, in order of terms, as postings give it.
pub(super) fn dot(query: Terms<'_>, row: Terms<'_>) -> f32 {
    let (mut sum, mut at) = (UNTOUCHED, 0);
    for (index, weight) in query.indices.iter().zip(query.values) {
        while row.indices.get(at).is_some_and(|term| term < index) {
            at += 1;
        }
        match row.indices.get(at) {
            None => break,
            Some(term) if term == index => sum += weight * row.values[at] + 0.0,
            Some(_) => {}
        }
    }
    sum
}

/// Sparse vector `column` of a collection.
struct SparseSpace<'a> {
    name: &'a str,
    column: usize,
}

impl Space for SparseSpace<'_> {
    type Row = SparseVector;

    fn name(&self) -> &str {
        self.name
    }

    fn given(&self, vector: &Vector) -> Result<SparseVector, Error> {
        let name = self.name;
        let Vector::Sparse(vector) = vector else {
            let message = format!("query vector {name:?}: it is dense, the collection's is sparse");
            return Err(Error::invalid(message));
        };
        let mut vector = vector.clone();
        vector
            .sort()
            .map_err(|error| Error::invalid(format!("query vector {name:?}: {error}")))?;
        Ok(vector)
    }

    fn stored(&self, chunk: &Chunk, position: usize) -> Option<SparseVector> {
        Some(chunk.sparse(self.column).row(position)?.to_vector())
    }

    fn average(&self, rows: &[SparseVector], positive: usize) -> SparseVector {
        let (positive, negative) = rows.split_at(positive);
        let share = |rows: &[SparseVector]| 1.0 / rows.len() as f64;
        let (lead, lag) = match negative {
            [] => (share(positive), 0.0),
            _ => (2.0 * share(positive), -share(negative)),
        };
        let shares = positive
            .iter()
            .map(|row| (row, lead))
            .chain(negative.iter().map(|row| (row, lag)));
        let terms = |(row, share): (&SparseVector, f64)| {
            let values: Vec<f64> = row.values.iter().map(|&value| f64::from(value) * share).collect();
            row.indices.clone().into_iter().zip(values)
        };
        let mut terms: Vec<(u32, f64)> = shares.flat_map(terms).collect();
        // Stable, so that equal terms are added in order of examples.
        terms.sort_by_key(|(index, _)| *index);
        let sums = terms.chunk_by(|a, b| a.0 == b.0);
        let sum = |same: &[(u32, f64)]| (same[0].0, same.iter().map(|(_, value)| value).sum::<f64>() as f32);
        let (indices, values) = sums.map(sum).unzip();
        SparseVector { indices, values }
    }
}

/// Refuses examples that are too much together.
fn check_terms(vectors: &[SparseVector]) -> Result<(), Error> {
    let terms: usize = vectors.iter().map(|vector| vector.indices.len()).sum();
    if terms > limits::MAX_QUERY_TERMS {
        let most = limits::MAX_QUERY_TERMS;
        return Err(Error::invalid(format!(
            "examples with {terms} terms together, more than {most}"
        )));
    }
    Ok(())
}

impl Searcher {
    /// The best points of a level that uses sparse vector `column`, out of `slots` if they are given.
    pub(super) fn find_sparse(
        &mut self,
        (subject, column): (Subject<'_>, usize),
        level: &Level<'_>,
        slots: Option<&HashSet<u32>>,
        (begun, stats): (&mut Timestamp, &mut SearchStats),
    ) -> Result<Vec<Found>, Error> {
        let state = subject.state;
        let layout = &state.layout.sparse[column];
        let space = SparseSpace {
            name: &layout.name,
            column,
        };
        let (raw, formula, excluded) = Examples::of(state, space).read(level.query)?;
        check_terms(&raw)?;
        let vectors = match layout.modifier {
            Modifier::None => raw.clone(),
            Modifier::Idf => weigh(subject, (column, level.idf_corpus), &raw, stats),
        };
        let depth = if let Query::Diverse(diverse) = level.query {
            check_diverse(diverse, level.depth)?
        } else {
            level.depth
        };
        let now = self.clock.now();
        stats.prepare_ns += now.nanos_since(*begun);
        *begun = now;
        let filtered_before = stats.filter_ns;
        let scan = SparseScan {
            clock: &self.clock,
            state,
            column,
            indexes: subject.sparse,
            vectors: &vectors,
            formula: &formula,
            excluded: &excluded,
        };
        let candidates = match slots {
            Some(slots) => rank_slots(&scan, slots, depth, stats),
            None => {
                let filter = level.filter.as_deref().filter(|filter| !filter.is_empty());
                let question = (filter, subject.indexes);
                scan.run(question, depth, (&mut self.sparse_scores, stats))
            }
        };
        let objective = Objective {
            distance: Distance::Dot,
            vectors: Vec::new(),
            formula,
        };
        let mut found = scored(&objective, candidates, level.score_threshold);
        if let Query::Diverse(Diverse { diversity, .. }) = level.query {
            found = diversify((state, column), &raw[0], found, (*diversity, level.depth));
        }
        let now = self.clock.now();
        stats.scan_ns += now
            .nanos_since(*begun)
            .saturating_sub(count::value(stats.filter_ns - filtered_before));
        *begun = now;
        Ok(found)
    }
}

/// Ranks points that passed the filter already.
fn rank_slots(
    scan: &SparseScan<'_>,
    slots: &HashSet<u32>,
    depth: usize,
    stats: &mut SearchStats,
) -> Vec<Candidate> {
    let mut top = TopK::new(depth, slots.len());
    let mut comparisons = Vec::new();
    for &slot in slots {
        if let Some((chunk, position)) = scan.state.locate(slot)
            && let Some(row) = chunk.sparse(scan.column).row(position)
            && !scan.excluded.contains(&slot)
        {
            let rank = scan.rank(row, (&mut comparisons, stats));
            if *scan.formula != Formula::Nearest || is_touched(rank) {
                top.offer(rank, chunk.id(position), slot);
            }
        }
    }
    stats.heap_pushes += top.pushes();
    top.into_sorted()
}

/// As for dense vectors, with values that no modifier has changed.
fn diversify(
    (state, column): (&State, usize),
    query: &SparseVector,
    candidates: Vec<Found>,
    wanted: (f32, usize),
) -> Vec<Found> {
    let row = |found: &Found| {
        let (chunk, position) = state.locate(found.slot)?;
        chunk.sparse(column).row(position)
    };
    let with_rows = candidates
        .into_iter()
        .filter_map(|found| Some((found, row(&found)?)));
    choose(with_rows, Terms::from(query), dot, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(terms: &[(u32, f32)]) -> SparseVector {
        let (indices, values) = terms.iter().copied().unzip();
        SparseVector { indices, values }
    }

    #[track_caller]
    fn check(a: &[(u32, f32)], b: &[(u32, f32)], expected: Option<f32>) {
        let (a, b) = (vector(a), vector(b));
        for score in [dot((&a).into(), (&b).into()), dot((&b).into(), (&a).into())] {
            assert_eq!(is_touched(score).then_some(score), expected, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn common_terms_make_a_score_even_where_it_is_zero() {
        check(&[(1, 2.0), (5, 3.0)], &[(0, 9.0), (5, 0.5), (9, 1.0)], Some(1.5));
        check(&[(1, 2.0), (5, 3.0)], &[(1, -1.5), (5, 1.0)], Some(0.0));
        check(&[(1, 0.0)], &[(1, -1.0)], Some(0.0));
        check(&[(1, f32::MIN_POSITIVE)], &[(1, -f32::MIN_POSITIVE)], Some(0.0));
        check(&[(1, 2.0)], &[(2, 2.0)], None);
        check(&[], &[(2, 2.0)], None);
    }

    #[test]
    fn the_average_has_the_terms_of_all() {
        let space = SparseSpace { name: "", column: 0 };
        let rows = [
            vector(&[(1, 1.0), (4, 2.0)]),
            vector(&[(1, 3.0)]),
            vector(&[(0, 1.0), (4, 4.0)]),
        ];
        assert_eq!(space.average(&rows[..2], 2), vector(&[(1, 2.0), (4, 1.0)]));
        assert_eq!(space.average(&rows, 2), vector(&[(0, -1.0), (1, 4.0), (4, -2.0)]));
    }
}
