//! A graph as it is kept on disk, so that a restart need not build it again.
//!
//! ```text
//! content = u16 length, UTF-8 name of the vector, u16 degree, u32 entry, u32 count,
//!           ids, { u32 print }, { u16 count, { u32 node } }
//! ```
//! Nodes are numbered in the order of the ids, of which the form is that of records. A print tells whether a point
//! still has the vector that the links are about. What the file says is checked and none of it has to be true: points
//! it does not know, or knows otherwise, become nodes as if they were new.

use std::collections::{HashMap, HashSet};

use crate::graph::Graph;
use crate::record::{Reader, put_id};
use crate::state::{Rows, State};
use crate::{Error, PointId};

/// A node that lost more than one in so many of its links is linked anew.
const LOST: usize = 4;

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

/// Writes down the nodes whose points exist.
pub(crate) fn encode(graph: &Graph, name: &str, state: &State) -> Vec<u8> {
    let nodes: Vec<u32> = living_nodes(graph, state).collect();
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

fn living_nodes(graph: &Graph, state: &State) -> impl Iterator<Item = u32> {
    let covered = state
        .chunks()
        .filter(|(number, chunk)| graph.covers(*number, chunk));
    covered.flat_map(move |(number, chunk)| {
        let points = chunk.alive.and(&chunk.column(graph.column).present);
        points.iter().map(move |position| graph.node(number, position))
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

    /// Where each node's point is in a state, if it still has the vector.
    pub(super) fn slots(&self, state: &State, column: usize) -> Vec<Option<u32>> {
        let slot = |(id, known): (&PointId, &[u8; 4])| {
            let slot = state.ids.get(*id)?;
            let (chunk, position) = state.locate(slot)?;
            let rows = chunk.column(column);
            let is_same =
                rows.present.contains(position) && print(rows, position) == u32::from_le_bytes(*known);
            is_same.then_some(slot)
        };
        self.ids.iter().zip(self.prints).map(slot).collect()
    }

    /// Sets the links of the nodes that a graph has blocks for; returns those that are to be linked anew.
    pub(super) fn link(&self, graph: &mut Graph, slots: &[Option<u32>]) -> Vec<u32> {
        let to_slot = |link: &[u8; 4]| {
            let slot = slots[u32::from_le_bytes(*link) as usize]?;
            graph.locate(slot).map(|_| slot)
        };
        let mut lost = Vec::new();
        for (slot, list) in slots.iter().zip(&self.lists) {
            let Some(slot) = *slot else {
                continue;
            };
            let Some((block, position)) = graph.locate(slot) else {
                continue;
            };
            let links: Vec<u32> = list.iter().filter_map(to_slot).collect();
            if links.is_empty() || (list.len() - links.len()) * LOST > list.len() {
                lost.push(slot);
            }
            block.set_links(position, links.into_iter());
        }
        let entry = slots.get(self.entry as usize).copied().flatten();
        graph.entry = entry.filter(|&slot| graph.locate(slot).is_some());
        lost
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
