//! A node as seen from somewhere.

use std::cmp::Ordering;

/// The bit of a float that says it is negative.
const SIGN: u32 = 1 << 31;

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

impl Near {
    /// A number that is ordered as nodes are.
    #[inline]
    pub(crate) fn key(self) -> u64 {
        let bits = self.distance.to_bits();
        // As in `total_cmp`, for numbers without a sign: those of negative floats are turned about.
        let ordered = bits ^ if bits & SIGN == 0 { SIGN } else { u32::MAX };
        u64::from(ordered) << 32 | u64::from(self.node)
    }

    /// The node of a key.
    #[inline]
    pub(crate) fn of_key(key: u64) -> Self {
        let ordered = (key >> 32) as u32;
        let bits = ordered ^ if ordered & SIGN == 0 { u32::MAX } else { SIGN };
        Self {
            distance: f32::from_bits(bits),
            node: key as u32,
        }
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
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_distances_and_nodes() {
        let (inf, least) = (f32::INFINITY, f32::from_bits(1));
        let distances = [-inf, -2.0, -1.5, -least, -0.0, 0.0, least, 1.0, 3e38, inf];
        let mut before = None;
        for distance in distances {
            for node in [0, 1, u32::MAX - 1] {
                let near = Near::new(distance, node);
                let again = Near::of_key(near.key());
                assert_eq!((again.distance.to_bits(), again.node), (distance.to_bits(), node));
                assert!(before < Some(near.key()), "{near:?} after {before:?}");
                before = Some(near.key());
            }
        }
        assert_eq!(Near::new(f32::NAN, 3).key(), Near::new(inf, 3).key());
    }
}
