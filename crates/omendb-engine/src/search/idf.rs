//! The inverse document frequency of a query's terms, counted over the points of the snapshot that is searched, or some
//! of them.

use crate::filter::{Filter, select};
use crate::payload_index::REGION_SLOTS;
use crate::search::find::Subject;
use crate::sparse_index::{Region, SparseIndexes};
use crate::state::{SlotBits, State, Terms};
use crate::{SearchStats, SparseVector};

/// The vectors with their values times what their terms are worth, `ln((points - with + 0.5) / (with + 0.5) + 1)`, among the
/// points that have the vector, all of them or those of the corpus.
pub(super) fn weigh(
    subject: Subject<'_>,
    (column, corpus): (usize, Option<&Filter>),
    vectors: &[SparseVector],
    stats: &mut SearchStats,
) -> Vec<SparseVector> {
    let mut terms: Vec<u32> = vectors
        .iter()
        .flat_map(|vector| &vector.indices)
        .copied()
        .collect();
    terms.sort_unstable();
    terms.dedup();
    let (counts, points) = match corpus {
        None => count(subject.state, (subject.sparse, column), &terms, stats),
        Some(corpus) => count_among(subject, (column, corpus), &terms, stats),
    };
    let points = points as f64;
    let weight = |index: &u32| {
        let with = terms.binary_search(index).map_or(0, |at| counts[at]) as f64;
        ((points - with + 0.5) / (with + 0.5) + 1.0).ln()
    };
    let weighed = |vector: &SparseVector| {
        let SparseVector { indices, values } = vector;
        let values = indices.iter().zip(values);
        SparseVector {
            values: values
                .map(|(index, value)| (f64::from(*value) * weight(index)) as f32)
                .collect(),
            indices: indices.clone(),
        }
    };
    vectors.iter().map(weighed).collect()
}

/// How many points have each of `terms`, which are ascending, and how many have the vector at all.
fn count(
    state: &State,
    (indexes, column): (&SparseIndexes, usize),
    terms: &[u32],
    stats: &mut SearchStats,
) -> (Vec<u64>, u64) {
    let (mut counts, mut points) = (vec![0; terms.len()], 0);
    let per_region = REGION_SLOTS / state.layout.chunk_slots;
    for number in 0..state.chunk_count().div_ceil(per_region) {
        let region = indexes.region(state.layout.sparse[column].number, number);
        let mut living = Living::new(state.layout.chunk_slots);
        for at in 0..per_region {
            let Some(chunk) = state.chunk(number * per_region + at) else {
                continue;
            };
            let rows = chunk.sparse(column);
            points += chunk.alive.and(&rows.present).count() as u64;
            if region.is_some_and(|region| region.covers(at, rows)) {
                living.insert(at, chunk.alive);
                continue;
            }
            for row in chunk.alive.iter().filter_map(|position| rows.row(position)) {
                stats.bytes_touched += size_of_val(row.indices) as u64;
                count_common(terms, row, &mut counts);
            }
        }
        if let Some(region) = region {
            count_postings(region, terms, &living, (&mut counts, stats));
        }
    }
    (counts, points)
}

/// How many points of the corpus have each of `terms`, which are ascending, and how many have the vector at all.
fn count_among(
    subject: Subject<'_>,
    (column, corpus): (usize, &Filter),
    terms: &[u32],
    stats: &mut SearchStats,
) -> (Vec<u64>, u64) {
    let (mut counts, mut points) = (vec![0; terms.len()], 0);
    // What the corpus is selected by is no filter of the query.
    let selected = &mut SearchStats::default();
    let places = (subject.state, subject.indexes);
    select::for_each(places, corpus, selected, |chunk, position| {
        if let Some(row) = chunk.sparse(column).row(position) {
            points += 1;
            stats.bytes_touched += size_of_val(row.indices) as u64;
            count_common(terms, row, &mut counts);
        }
    });
    (counts, points)
}

fn count_common(terms: &[u32], row: Terms<'_>, counts: &mut [u64]) {
    let mut at = 0;
    for (term, count) in terms.iter().zip(counts) {
        while row.indices.get(at).is_some_and(|index| index < term) {
            at += 1;
        }
        *count += u64::from(row.indices.get(at) == Some(term));
    }
}

fn count_postings(
    region: &Region,
    terms: &[u32],
    living: &Living,
    (counts, stats): (&mut [u64], &mut SearchStats),
) {
    let is_whole = living.slots == region.slots();
    for (&term, count) in terms.iter().zip(counts) {
        let positions = region.postings(term).positions;
        if is_whole {
            *count += positions.len() as u64;
            continue;
        }
        stats.postings += positions.len() as u64;
        stats.bytes_touched += size_of_val(positions) as u64;
        *count += positions
            .iter()
            .filter(|&&position| living.contains(position))
            .count() as u64;
    }
}

/// The slots of a region whose postings stand for points that exist.
struct Living {
    words: Vec<u64>,
    chunk_slots: usize,
    /// How many there are.
    slots: usize,
}

impl Living {
    fn new(chunk_slots: usize) -> Self {
        Self {
            words: vec![0; REGION_SLOTS / 64],
            chunk_slots,
            slots: 0,
        }
    }

    /// Adds those of the chunk at a place of the region.
    fn insert(&mut self, at: usize, alive: SlotBits) {
        self.slots += alive.count();
        let start = at * self.chunk_slots;
        let words = &mut self.words[start / 64..];
        // A chunk has a power of two of slots: whole words, or a part of one.
        for (word, alive) in words
            .iter_mut()
            .zip(&alive.words()[..self.chunk_slots.div_ceil(64)])
        {
            *word |= alive << (start % 64);
        }
    }

    fn contains(&self, position: u16) -> bool {
        self.words[usize::from(position) / 64] >> (position % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_chunks_of_any_size_are_found() {
        for chunk_slots in [1, 16, 64, 256] {
            let mut living = Living::new(chunk_slots);
            let mut alive = SlotBits::default();
            alive.insert(0);
            alive.insert(chunk_slots - 1);
            living.insert(3, alive);
            living.insert(0, SlotBits::default());
            let first = 3 * chunk_slots;
            let found: Vec<usize> = (0..=u16::MAX)
                .filter(|&position| living.contains(position))
                .map(usize::from)
                .collect();
            let mut expected = vec![first, first + chunk_slots - 1];
            expected.dedup();
            assert_eq!(found, expected, "{chunk_slots} slots");
            assert_eq!(living.slots, expected.len());
        }
    }
}
