//! Sorted keys, each with the positions that have it: three arrays, two bytes per entry beside the keys.

use std::ops::Range;

/// The positions of each key. The positions of neighbouring keys are neighbours, so a range of keys is one slice.
#[derive(Debug)]
pub(crate) struct Postings<K> {
    /// Ascending, each once.
    keys: Vec<K>,
    /// Where each key's positions begin, and the end of the last.
    starts: Vec<u32>,
    /// Ascending within a key.
    positions: Vec<u16>,
}

impl<K: Ord> Postings<K> {
    /// From entries in any order, repetitions included.
    pub(crate) fn new(mut entries: Vec<(K, u16)>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        let (mut keys, mut starts) = (Vec::new(), Vec::new());
        let mut positions = Vec::with_capacity(entries.len());
        for (key, position) in entries {
            if keys.last() != Some(&key) {
                keys.push(key);
                // Entries are as many as a payload's values at most: far below 2^32 per region.
                starts.push(positions.len() as u32);
            }
            positions.push(position);
        }
        starts.push(positions.len() as u32);
        keys.shrink_to_fit();
        starts.shrink_to_fit();
        Self {
            keys,
            starts,
            positions,
        }
    }

    /// All positions, those with several keys repeated.
    pub(crate) fn all(&self) -> &[u16] {
        &self.positions
    }

    /// The positions of one key; `order` says how a key compares with it.
    pub(crate) fn equal(&self, order: impl FnMut(&K) -> std::cmp::Ordering) -> &[u16] {
        match self.keys.binary_search_by(order) {
            Ok(at) => self.slice(at..at + 1),
            Err(_) => &[],
        }
    }

    /// The positions of the keys that are neither below nor above what is wanted.
    pub(crate) fn between(
        &self,
        is_below: impl FnMut(&K) -> bool,
        is_within: impl FnMut(&K) -> bool,
    ) -> &[u16] {
        let start = self.keys.partition_point(is_below);
        let length = self.keys[start..].partition_point(is_within);
        self.slice(start..start + length)
    }

    fn slice(&self, keys: Range<usize>) -> &[u16] {
        &self.positions[self.starts[keys.start] as usize..self.starts[keys.end] as usize]
    }

    /// Bytes on the heap, those that keys point to not included.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<K>()
            + self.starts.capacity() * size_of::<u32>()
            + self.positions.capacity() * size_of::<u16>()
    }

    pub(crate) fn keys(&self) -> &[K] {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ranges_of_keys_lead_to_positions() {
        let postings = Postings::new(vec![(5, 9), (1, 7), (5, 2), (1, 7), (3, 2)]);
        assert_eq!(postings.keys(), [1, 3, 5]);
        assert_eq!(postings.all(), [7, 2, 2, 9]);
        assert_eq!(postings.equal(|key| key.cmp(&5)), [2, 9]);
        assert_eq!(postings.equal(|key| key.cmp(&4)), []);
        assert_eq!(postings.between(|&key| key < 2, |&key| key < 6), [2, 2, 9]);
        assert_eq!(postings.between(|_| false, |_| true), [7, 2, 2, 9]);
        assert_eq!(postings.between(|_| true, |_| true), []);
        let empty: Postings<u32> = Postings::new(Vec::new());
        assert_eq!(empty.between(|_| false, |_| true), []);
    }
}
