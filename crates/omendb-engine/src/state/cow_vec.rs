//! A vector whose clone is cheap and whose changes copy little: leaves of 64 elements, shared until written to.

use std::sync::Arc;

/// Elements of a leaf. Publishing a state copies one pointer per leaf; writing to a shared leaf copies 64 elements.
const LEAF: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct CowVec<T> {
    /// All full but the last.
    leaves: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T: Clone> CowVec<T> {
    pub(crate) fn new() -> Self {
        Self {
            leaves: Vec::new(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.leaves.get(index / LEAF)?.get(index % LEAF)
    }

    /// The element for writing; its leaf is copied if another clone shares it.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.leaves.get_mut(index / LEAF)?).get_mut(index % LEAF)
    }

    pub(crate) fn push(&mut self, element: T) {
        if self.len.is_multiple_of(LEAF) {
            self.leaves.push(Arc::new(Vec::with_capacity(LEAF)));
        }
        if let Some(last) = self.leaves.last_mut() {
            Arc::make_mut(last).push(element);
            self.len += 1;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.leaves.iter().flat_map(|leaf| leaf.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_was_cloned_from() {
        let mut vector = CowVec::new();
        for n in 0..200 {
            vector.push(n);
        }
        let before = vector.clone();
        *vector.get_mut(70).unwrap() = -1;
        for n in 200..300 {
            vector.push(n);
        }
        assert_eq!((before.len(), vector.len()), (200, 300));
        assert_eq!((before.get(70), before.get(200)), (Some(&70), None));
        assert!(before.iter().copied().eq(0..200));
        assert_eq!(
            (vector.get(70), vector.get(299), vector.get(300)),
            (Some(&-1), Some(&299), None)
        );
        assert!(vector.get_mut(300).is_none());
        assert!(
            Arc::ptr_eq(&before.leaves[0], &vector.leaves[0]),
            "untouched leaves are shared"
        );
    }
}
