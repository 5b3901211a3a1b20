//! A node as seen from somewhere.

use std::cmp::Ordering;

/// A node and how far it is; ordered by the distance, then by the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    /// Never NaN.
    pub(crate) distance: f32,
    pub(crate) node: u32,
}

impl Near {
    /// A distance that is not a number counts as the farthest.
    #[inline]
    pub(crate) fn new(distance: f32, node: u32) -> Self {
        let distance = if distance.is_nan() {
            f32::INFINITY
        } else {
            distance
        };
        Self { distance, node }
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Near {}

impl Ord for Near {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
