//! Which of many candidates a node leads to: near ones, in different directions.
//!
//! Robust pruning: Subramanya et al., "DiskANN", NeurIPS 2019, algorithm 2. A candidate is passed over if one chosen
//! before is nearer to it, by the factor `SLACK`, than the node is: whoever goes there goes through that one.

use omendb_distance::Kernels;

use crate::graph::{Graph, Near, Origin};

/// Of squared distances. More than 1 keeps some long links, which make walks short.
const SLACK: f32 = 1.2;

/// Keeps those of `candidates`, which are seen from one node, nearest first, that the node is to lead to; at most
/// `most`.
pub(super) fn prune(kernels: &'static Kernels, graph: &Graph, candidates: &mut Vec<Near>, most: usize) {
    candidates.sort_unstable();
    candidates.dedup_by_key(|near| near.node);
    let mut chosen: Vec<Origin<'_>> = Vec::with_capacity(most);
    candidates.retain(|candidate| {
        let Some(place) = graph.locate(candidate.node).filter(|_| chosen.len() < most) else {
            return false;
        };
        // Not nearer by the factor, for copies of one vector: they are all at no distance, and one of them is enough.
        let is_behind = |before: &Origin<'_>| before.distance(place.0, place.1) * SLACK <= candidate.distance;
        if chosen.iter().any(is_behind) {
            return false;
        }
        chosen.push(Origin::node(kernels, graph, place));
        true
    });
}

#[cfg(test)]
mod tests {
    use omendb_distance::Distance;

    use super::*;
    use crate::graph::fixtures::Ground;

    /// The node is at (0, 0); `expected` are the places of those that it leads to.
    #[track_caller]
    fn check(places: &[[f32; 2]], most: usize, expected: &[usize]) {
        let mut ground = Ground::new(2, Distance::Euclid);
        let rows: Vec<&[f32]> = places.iter().map(|place| place.as_slice()).collect();
        ground.upsert(0, &[&[0.0, 0.0]]);
        ground.upsert(1, &rows);
        let mut graph = ground.empty();
        graph.add_block(0, (ground.state().chunk(0).unwrap(), 0), &ground.ledger);
        let kernels = Kernels::detected();
        let origin = Origin::node(kernels, &graph, graph.locate(0).unwrap());
        let seen = |node: u32| {
            let (block, position) = graph.locate(node).unwrap();
            Near::new(origin.distance(block, position), node)
        };
        // In any order, and each twice.
        let nodes = 1..=places.len() as u32;
        let mut candidates: Vec<Near> = nodes.clone().rev().chain(nodes).map(seen).collect();
        prune(kernels, &graph, &mut candidates, most);
        let kept: Vec<usize> = candidates.iter().map(|near| near.node as usize - 1).collect();
        assert_eq!(kept, expected, "of {places:?}, at most {most}");
    }

    #[test]
    fn who_is_behind_another_is_passed_over() {
        check(&[], 8, &[]);
        check(&[[2.0, 0.0], [1.0, 0.0], [3.0, 0.0]], 8, &[1]);
        check(&[[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], 8, &[0, 1, 2]);
        // Behind the second, which is itself behind the first and was not chosen.
        check(&[[1.0, 0.0], [1.0, 2.0], [1.0, 5.0]], 8, &[0, 2]);
    }

    #[test]
    fn a_little_nearer_is_not_behind() {
        // From (1, 0) it is 4 to this one, times 1.2 less than the 5 from the node.
        check(&[[1.0, 0.0], [1.0, 2.0]], 8, &[0]);
        // 5.29 here, less than 6.29, and times 1.2 more.
        check(&[[1.0, 0.0], [1.0, 2.3]], 8, &[0, 1]);
    }

    #[test]
    fn the_nearest_are_kept_when_there_are_too_many() {
        let places = [[0.0, 3.0], [1.0, 0.0], [0.0, -4.0], [-2.0, 0.0]];
        check(&places, 8, &[1, 3, 0, 2]);
        check(&places, 2, &[1, 3]);
        check(&places, 0, &[]);
    }

    #[test]
    fn one_of_several_copies_is_enough() {
        check(&[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], 8, &[0]);
        check(&[[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]], 8, &[0, 2]);
    }
}
