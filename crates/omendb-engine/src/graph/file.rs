//! A graph as it is kept on disk, so that a restart need not build it again.
//!
//! ```text
//! content = u16 length, UTF-8 name of the vector, u16 degree, u32 entry, u32 count,
//!           ids, { u32 print }, { u16 count, { u32 node } }
//! ```
//! Nodes are numbered in the order of the ids, of which the form is that of records; one id may have several, of points
//! that were replaced or deleted. A print tells which vector of a point the links are about. What the file says is
//! checked and none of it has to be true: rows it does not know, or knows otherwise, become nodes as if they were new.
//! Nodes it knows whose rows are gone are led around as it is read: the file has where they led.

use std::collections::{HashMap, HashSet};

use crate::graph::Graph;
use crate::record::{Reader, put_id};
use crate::state::{Rows, State};
use crate::{Error, PointId};

/// A node that lost more than one in so many of its links is linked anew; what leads around fewer is as good.
const LOST: usize = 2;

/// The content of a file.
#[derive(Debug)]
pub(crate) struct Saved<'a> {
    degree: usize,
    entry: u32,
    ids: Vec<PointId>,
    prints: &'a [[u8; 4]],
    /// Empty where the node has the vector of another, which is found again by the distance: there is none.
    lists: Vec<&'a [[u8; 4]]>,
}

/// Writes down the nodes whose chunks a state has, of the vector of that name and column.
pub(crate) fn encode(graph: &Graph, (name, column): (&str, usize), state: &State) -> Vec<u8> {
    let nodes: Vec<u32> = nodes(graph, (state, column)).collect();
    let numbers: HashMap<u32, u32> = nodes.iter().copied().zip(0..).collect();
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&(graph.tuning.degree as u16).to_le_bytes());
    let entry = graph.entry.and_then(|entry| numbers.get(&entry)).copied();
    bytes.extend_from_slice(&entry.unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&(nodes.len() as u32).to_le_bytes());
    let located = || nodes.iter().filter_map(|&node| graph.locate(node));
    for &node in &nodes {
        if let Some((chunk, position)) = state.locate(node) {
            put_id(&mut bytes, chunk.id(position));
        }
    }
    for (block, position) in located() {
        bytes.extend_from_slice(&print(block.rows(), position).to_le_bytes());
    }
    let copies: HashSet<u32> = located()
        .filter_map(|(block, position)| block.copy(position))
        .collect();
    for &node in &nodes {
        let Some((block, position)) = graph.locate(node) else {
            continue;
        };
        let links = block.links(position).filter(|_| !copies.contains(&node));
        let links: Vec<_> = links.filter_map(|node| numbers.get(&node)).collect();
        bytes.extend_from_slice(&(links.len() as u16).to_le_bytes());
        links
            .into_iter()
            .for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    }
    bytes
}

fn nodes(graph: &Graph, (state, column): (&State, usize)) -> impl Iterator<Item = u32> {
    let covered = state
        .chunks()
        .filter(move |(number, chunk)| graph.covers(chunk.shared_column(column), *number));
    covered.flat_map(move |(number, chunk)| {
        let rows = chunk.column(column).present;
        rows.iter().map(move |position| graph.node(number, position))
    })
}

impl<'a> Saved<'a> {
    /// Reads a content.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when it does not have this shape, or is of another vector.
    pub(crate) fn decode(content: &'a [u8], name: &str) -> Result<Self, Error> {
        let mut reader = Reader::new(content);
        let length = u16::from_le_bytes(reader.array()?);
        if reader.take(usize::from(length))? != name.as_bytes() {
            return Err(Error::corrupt(format!(
                "graph that is not of the vector {name:?}"
            )));
        }
        let degree = usize::from(u16::from_le_bytes(reader.array()?));
        let entry = u32::from_le_bytes(reader.array()?);
        let count = u32::from_le_bytes(reader.array()?);
        let ids = reader.ids(count as usize)?;
        let prints = reader.pieces(count as usize)?;
        let mut lists = Vec::with_capacity(ids.len());
        for _ in 0..count {
            let links = usize::from(u16::from_le_bytes(reader.array()?));
            let list = reader.pieces(links)?;
            let is_sound = |link: &[u8; 4]| u32::from_le_bytes(*link) < count;
            if links > degree || !list.iter().all(is_sound) {
                return Err(Error::corrupt("graph with a link that leads nowhere"));
            }
            lists.push(list);
        }
        if !reader.is_at_end() {
            return Err(Error::corrupt("graph with something after its last node"));
        }
        Ok(Self {
            degree,
            entry,
            ids,
            prints,
            lists,
        })
    }

    /// Whether it was built with lists of this length.
    pub(crate) fn has_degree(&self, degree: usize) -> bool {
        self.degree == degree
    }

    /// Where each node's row is in a state, of a point that exists or not, if it is still there.
    pub(super) fn slots(&self, state: &State, column: usize) -> Vec<Option<u32>> {
        let known = self.ids.iter().zip(self.prints);
        let numbers: HashMap<(PointId, u32), usize> = known
            .map(|(id, print)| (*id, u32::from_le_bytes(*print)))
            .zip(0..)
            .collect();
        let mut slots = vec![None; self.ids.len()];
        for (chunk_number, chunk) in state.chunks() {
            let rows = chunk.column(column);
            for position in rows.present.iter() {
                if let Some(&number) = numbers.get(&(chunk.id(position), print(rows, position))) {
                    slots[number] = Some(state.layout.slot(chunk_number, position));
                }
            }
        }
        slots
    }

    /// Sets the links of the nodes that a graph has blocks for; returns those that are to be linked anew.
    pub(super) fn link(&self, graph: &mut Graph, slots: &[Option<u32>]) -> Vec<u32> {
        let nodes: Vec<Option<u32>> = slots
            .iter()
            .map(|slot| slot.filter(|&slot| graph.locate(slot).is_some()))
            .collect();
        let mut anew = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let Some((node, (block, position))) = node.and_then(|node| Some((node, graph.locate(node)?)))
            else {
                continue;
            };
            let (links, lost) = self.links(number, &nodes);
            if links.is_empty() || lost * LOST > self.lists[number].len() {
                anew.push(node);
            }
            block.set_links(position, links.into_iter());
        }
        graph.entry = nodes.get(self.entry as usize).copied().flatten();
        anew
    }

    /// Where a node leads among those that are there, and how many of its links lead elsewhere. In place of one that is
    /// gone stands the nearest that it led to.
    fn links(&self, number: usize, nodes: &[Option<u32>]) -> (Vec<u32>, usize) {
        let list = |number: usize| {
            self.lists[number]
                .iter()
                .map(|link| u32::from_le_bytes(*link) as usize)
        };
        let mut links: Vec<u32> = Vec::with_capacity(self.degree);
        let mut lost = 0;
        for link in list(number) {
            let next = match nodes[link] {
                Some(node) => Some(node),
                None => {
                    lost += 1;
                    let around = list(link).filter_map(|link| nodes[link]);
                    around
                        .filter(|node| nodes[number] != Some(*node))
                        .find(|node| !links.contains(node))
                }
            };
            links.extend(next.filter(|node| !links.contains(node)));
        }
        (links, lost)
    }
}

/// What tells one vector from another: of its codes where it has them, since these are all that links are about.
fn print(rows: &Rows, position: usize) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |print: u64, word: u64| (print ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let print = match rows.codes() {
        Some(codes) => {
            let (codes, certificate) = codes.row(position);
            let (words, rest) = codes.as_chunks::<8>();
            let words = words
                .iter()
                .map(|word| u64::from_le_bytes(word.map(|code| code as u8)));
            let rest = rest.iter().map(|&code| u64::from(code as u8));
            words
                .chain(rest)
                .fold(u64::from(certificate.scale.to_bits()), mix)
        }
        None => {
            let elements = rows
                .slot(position)
                .iter()
                .map(|element| u64::from(element.to_bits()));
            elements.fold(0, mix)
        }
    };
    (print >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixtures::{Ground, TUNING, reached};

    /// Eight rows fill a chunk.
    const DIMENSION: usize = 8_192;
    const POINTS: u64 = 48;

    fn links(graph: &Graph) -> Vec<Vec<u32>> {
        let nodes = (0..graph.slots() as u32).filter_map(|node| graph.locate(node));
        nodes
            .map(|(block, position)| block.links(position).collect())
            .collect()
    }

    fn written() -> (Ground, Graph, Vec<u8>) {
        let ground = Ground::with_points(DIMENSION, 0..POINTS);
        let graph = ground.built(ground.empty());
        let content = encode(&graph, ("image", 0), ground.state());
        (ground, graph, content)
    }

    #[test]
    fn what_was_written_is_read_again() {
        let (ground, graph, content) = written();
        let saved = Saved::decode(&content, "image").unwrap();
        assert!(saved.has_degree(TUNING.degree) && !saved.has_degree(TUNING.degree + 1));
        let (resumed, anew) = ground.resumed(&saved);
        assert_eq!(anew, 0);
        assert_eq!(links(&resumed), links(&graph));
        assert_eq!(resumed.nodes(), POINTS);
        assert!(
            Saved::decode(&content, "text").is_err(),
            "it is of another vector"
        );
    }

    #[test]
    fn no_part_of_a_content_is_one() {
        let (_, _, mut content) = written();
        for length in 0..content.len() {
            assert!(
                Saved::decode(&content[..length], "image").is_err(),
                "cut to {length}"
            );
        }
        content.push(0);
        assert!(Saved::decode(&content, "image").is_err(), "a byte too many");
    }

    /// The checksum around a content finds every flipped byte. Should one come through all the same, it costs time: what
    /// is read has all rows in reach.
    #[test]
    fn no_content_makes_a_graph_that_hides_points() {
        let (ground, _, content) = written();
        let mut read = 0;
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1 << (at % 8);
            if let Ok(saved) = Saved::decode(&damaged, "image") {
                let graph = ground.built(ground.resumed(&saved).0);
                assert_eq!(
                    reached(&graph),
                    (0..POINTS as u32).collect::<Vec<_>>(),
                    "flipped {at}"
                );
                read += 1;
            }
        }
        assert!(read > 0 && read < content.len(), "{read} of {}", content.len());
    }

    #[test]
    fn nodes_that_are_gone_are_led_around() {
        let (_, _, content) = written();
        let saved = Saved::decode(&content, "image").unwrap();
        let fifth = |number: &u64| number % 5 == 2;
        let later = Ground::with_points(DIMENSION, (0..POINTS).filter(|number| !fifth(number)));
        let (resumed, anew) = later.resumed(&saved);
        // Full chunks only.
        let (nodes, slots) = (resumed.nodes() as u32, later.state().layout.chunk_slots as u32);
        assert_eq!(nodes, 38 / slots * slots);
        assert!(anew < POINTS / 4, "{anew} were linked anew");
        assert_eq!(
            reached(&later.built(resumed)),
            (0..nodes).collect::<Vec<_>>(),
            "all are in reach"
        );

        let fresh = Ground::with_points(DIMENSION, POINTS..2 * POINTS);
        let (unknown, anew) = fresh.resumed(&saved);
        assert_eq!((unknown.nodes(), anew), (0, 0), "the file is about none of these");
    }
}
