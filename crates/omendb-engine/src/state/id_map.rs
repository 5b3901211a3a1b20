//! Where each id's point is: an ordered copy-on-write map, so that a reader's clone stays as it was.
//!
//! A B+ tree of shared nodes. A clone costs one pointer; a change copies the nodes on its path that a clone shares.
//! The order is that of scrolls. Removal does not rebalance strictly: a node is joined with a neighbour when both are
//! small, which bounds the waste without the usual borrowing between siblings.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::PointId;
use crate::ledger::{Charge, Component, Ledger};

/// Entries of a leaf and children of an inner node.
const FANOUT: usize = 64;
/// A node that falls below this looks for a neighbour to join.
const SMALL: usize = FANOUT / 4;
/// Two neighbours are joined up to this size, so that the next insertion does not split them again.
const JOINED: usize = FANOUT * 3 / 4;

#[derive(Clone, Debug)]
pub(crate) struct IdMap {
    root: Arc<Node>,
    len: u64,
    ledger: Arc<Ledger>,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one node in sixty-four is an inner one, and leaves are read most"
)]
enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

/// Sorted entries; only the first `len` mean anything.
#[derive(Clone, Debug)]
struct Leaf {
    len: usize,
    ids: [PointId; FANOUT],
    slots: [u32; FANOUT],
    _charge: Charge,
}

/// Children in order, each with the smallest id it may hold; the first one's is never looked at.
#[derive(Clone, Debug)]
struct Inner {
    children: Vec<(PointId, Arc<Node>)>,
    _charge: Charge,
}

/// A new right neighbour and the smallest id in it.
type Split = Option<(PointId, Arc<Node>)>;

impl IdMap {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            root: Arc::new(Node::Leaf(Leaf::new(ledger))),
            len: 0,
            ledger: Arc::clone(ledger),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn get(&self, id: PointId) -> Option<u32> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(inner) => node = &*inner.children[inner.child_of(id)].1,
                Node::Leaf(leaf) => return leaf.find(id).ok().map(|position| leaf.slots[position]),
            }
        }
    }

    /// Sets the slot of `id`; returns the one it had.
    pub(crate) fn insert(&mut self, id: PointId, slot: u32) -> Option<u32> {
        let (previous, split) = insert(&mut self.root, id, slot, &self.ledger);
        if let Some((first, right)) = split {
            let left = Arc::clone(&self.root);
            let children = vec![(id, left), (first, right)];
            self.root = Arc::new(Node::Inner(Inner::new(children, &self.ledger)));
        }
        if previous.is_none() {
            self.len += 1;
        }
        previous
    }

    /// Removes `id`; returns the slot it had.
    pub(crate) fn remove(&mut self, id: PointId) -> Option<u32> {
        // Looked up first: a path is not copied for an id that is not there.
        let slot = self.get(id)?;
        remove(&mut self.root, id);
        self.len -= 1;
        while let Node::Inner(inner) = &*self.root
            && inner.children.len() <= 1
        {
            let only = inner.children.first().map(|(_, child)| Arc::clone(child));
            self.root = only.unwrap_or_else(|| Arc::new(Node::Leaf(Leaf::new(&self.ledger))));
        }
        Some(slot)
    }

    /// Calls `visit` with the entries from `from` on, in order of ids, until it breaks.
    pub(crate) fn visit_from(
        &self,
        from: Option<PointId>,
        mut visit: impl FnMut(PointId, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit_node(&self.root, from, &mut visit)
    }
}

impl Leaf {
    fn new(ledger: &Arc<Ledger>) -> Self {
        let charge = Charge::new(ledger, Component::Ids, size_of::<Node>());
        Self {
            len: 0,
            ids: [PointId::Number(0); FANOUT],
            slots: [0; FANOUT],
            _charge: charge,
        }
    }

    fn find(&self, id: PointId) -> Result<usize, usize> {
        self.ids[..self.len].binary_search(&id)
    }

    fn insert_at(&mut self, position: usize, id: PointId, slot: u32) {
        self.ids.copy_within(position..self.len, position + 1);
        self.slots.copy_within(position..self.len, position + 1);
        self.ids[position] = id;
        self.slots[position] = slot;
        self.len += 1;
    }

    fn remove_at(&mut self, position: usize) {
        self.ids.copy_within(position + 1..self.len, position);
        self.slots.copy_within(position + 1..self.len, position);
        self.len -= 1;
    }

    /// Moves the entries from `position` on to a leaf of their own.
    fn split_off(&mut self, position: usize, ledger: &Arc<Ledger>) -> Self {
        let mut right = Self::new(ledger);
        right.append(&self.ids[position..self.len], &self.slots[position..self.len]);
        self.len = position;
        right
    }

    fn append(&mut self, ids: &[PointId], slots: &[u32]) {
        let end = self.len + ids.len();
        self.ids[self.len..end].copy_from_slice(ids);
        self.slots[self.len..end].copy_from_slice(slots);
        self.len = end;
    }
}

impl Inner {
    fn new(children: Vec<(PointId, Arc<Node>)>, ledger: &Arc<Ledger>) -> Self {
        let bytes = size_of::<Node>() + FANOUT * size_of::<(PointId, Arc<Node>)>();
        Self {
            children,
            _charge: Charge::new(ledger, Component::Ids, bytes),
        }
    }

    fn child_of(&self, id: PointId) -> usize {
        self.children[1..].partition_point(|(first, _)| *first <= id)
    }
}

impl Node {
    fn size(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len,
            Self::Inner(inner) => inner.children.len(),
        }
    }
}

fn insert(node: &mut Arc<Node>, id: PointId, slot: u32, ledger: &Arc<Ledger>) -> (Option<u32>, Split) {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => insert_into_leaf(leaf, id, slot, ledger),
        Node::Inner(inner) => {
            let child = inner.child_of(id);
            let (previous, split) = insert(&mut inner.children[child].1, id, slot, ledger);
            let Some(right) = split else {
                return (previous, None);
            };
            inner.children.insert(child + 1, right);
            if inner.children.len() <= FANOUT {
                return (previous, None);
            }
            let position = split_position(child + 1, inner.children.len());
            let children = inner.children.split_off(position);
            let first = children[0].0;
            (
                previous,
                Some((first, Arc::new(Node::Inner(Inner::new(children, ledger))))),
            )
        }
    }
}

fn insert_into_leaf(leaf: &mut Leaf, id: PointId, slot: u32, ledger: &Arc<Ledger>) -> (Option<u32>, Split) {
    let position = match leaf.find(id) {
        Ok(position) => return (Some(std::mem::replace(&mut leaf.slots[position], slot)), None),
        Err(position) => position,
    };
    if leaf.len < FANOUT {
        leaf.insert_at(position, id, slot);
        return (None, None);
    }
    let middle = split_position(position, leaf.len);
    let mut right = leaf.split_off(middle, ledger);
    if position <= middle && middle < FANOUT {
        leaf.insert_at(position, id, slot);
    } else {
        right.insert_at(position - middle, id, slot);
    }
    (None, Some((right.ids[0], Arc::new(Node::Leaf(right)))))
}

/// Where to split a full node after an insertion at `position`: in the middle, but at the end for ids that come in
/// order, which leaves full nodes behind instead of half-empty ones.
fn split_position(position: usize, len: usize) -> usize {
    if position + 1 >= len {
        len - usize::from(position < len)
    } else {
        len / 2
    }
}

fn remove(node: &mut Arc<Node>, id: PointId) {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            if let Ok(position) = leaf.find(id) {
                leaf.remove_at(position);
            }
        }
        Node::Inner(inner) => {
            let child = inner.child_of(id);
            remove(&mut inner.children[child].1, id);
            match inner.children[child].1.size() {
                0 => drop(inner.children.remove(child)),
                1..SMALL => join(inner, child),
                _ => {}
            }
        }
    }
}

/// Joins a small child with a neighbour if both fit one node.
fn join(inner: &mut Inner, child: usize) {
    let size = |position: usize| {
        inner
            .children
            .get(position)
            .map_or(FANOUT, |(_, node)| node.size())
    };
    let fits = |left: &usize| size(*left) + size(left + 1) <= JOINED;
    let Some(left) = [Some(child), child.checked_sub(1)]
        .into_iter()
        .flatten()
        .find(fits)
    else {
        return;
    };
    let (right_first, right) = inner.children.remove(left + 1);
    match (Arc::make_mut(&mut inner.children[left].1), &*right) {
        (Node::Leaf(left), Node::Leaf(right)) => {
            left.append(&right.ids[..right.len], &right.slots[..right.len]);
        }
        (Node::Inner(left), Node::Inner(right)) => {
            let mut children = right.children.clone();
            children[0].0 = right_first;
            left.children.append(&mut children);
        }
        // Siblings are of one kind, since every path has the same length.
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {}
    }
}

fn visit_node(
    node: &Node,
    from: Option<PointId>,
    visit: &mut impl FnMut(PointId, u32) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match node {
        Node::Leaf(leaf) => {
            let start = from.map_or(0, |id| leaf.find(id).unwrap_or_else(|position| position));
            (start..leaf.len).try_for_each(|position| visit(leaf.ids[position], leaf.slots[position]))
        }
        Node::Inner(inner) => {
            let start = from.map_or(0, |id| inner.child_of(id));
            let (first, rest) = (&inner.children[start].1, &inner.children[start + 1..]);
            visit_node(first, from, visit)?;
            rest.iter()
                .try_for_each(|(_, child)| visit_node(child, None, visit))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Uuid;
    use crate::chance::Chance as Random;

    fn id(number: u64) -> PointId {
        if number.is_multiple_of(3) {
            Uuid::from_u128(u128::from(number) << 60).into()
        } else {
            number.into()
        }
    }

    fn entries(map: &IdMap, from: Option<PointId>) -> Vec<(PointId, u32)> {
        let mut entries = Vec::new();
        let _ = map.visit_from(from, |id, slot| {
            entries.push((id, slot));
            ControlFlow::Continue(())
        });
        entries
    }

    fn check(map: &IdMap, model: &BTreeMap<PointId, u32>) {
        assert_eq!(map.len(), model.len() as u64);
        assert!(
            entries(map, None)
                .into_iter()
                .eq(model.iter().map(|(&id, &slot)| (id, slot)))
        );
    }

    #[test]
    fn random_changes_agree_with_a_model_and_clones_stay() {
        let ledger = Arc::new(Ledger::default());
        let mut random = Random::new(7);
        let (mut map, mut model) = (IdMap::new(&ledger), BTreeMap::new());
        let mut clones = Vec::new();
        for step in 0..60_000u32 {
            // Grows, shrinks to a tenth, grows again.
            let inserts = if (20_000..40_000).contains(&step) { 20 } else { 75 };
            let id = id(random.below(20_000));
            if random.below(100) < inserts {
                assert_eq!(map.insert(id, step), model.insert(id, step));
            } else {
                assert_eq!(map.remove(id), model.remove(&id));
            }
            assert_eq!(map.get(id), model.get(&id).copied());
            if step % 10_000 == 0 {
                clones.push((map.clone(), model.clone()));
            }
        }
        check(&map, &model);
        for (map, model) in &clones {
            check(map, model);
        }
        for _ in 0..200 {
            let from = id(random.below(21_000));
            assert!(
                entries(&map, Some(from))
                    .into_iter()
                    .eq(model.range(from..).map(|(&id, &slot)| (id, slot)))
            );
        }
        drop(clones);
        for id in model.keys() {
            map.remove(*id);
        }
        check(&map, &BTreeMap::new());
        assert_eq!(ledger.total(), size_of::<Node>() as u64, "one empty leaf remains");
        drop(map);
        assert_eq!((ledger.total(), ledger.retired()), (0, 0));
    }

    #[test]
    fn ids_in_order_leave_full_leaves() {
        let ledger = Arc::new(Ledger::default());
        let mut map = IdMap::new(&ledger);
        for number in 0..100_000u32 {
            map.insert(u64::from(number).into(), number);
        }
        let per_id = ledger.total() as f64 / 100_000.0;
        assert!(per_id < 31.0, "{per_id} bytes per id");
    }

    #[test]
    fn a_visit_stops_when_told() {
        let mut map = IdMap::new(&Arc::default());
        for number in 0..1_000 {
            map.insert(number.into(), 0);
        }
        let mut seen = 0;
        let flow = map.visit_from(Some(500.into()), |_, _| {
            seen += 1;
            if seen == 100 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!((flow, seen), (ControlFlow::Break(()), 100));
    }
}
