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
