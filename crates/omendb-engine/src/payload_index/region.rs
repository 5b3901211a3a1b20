//! What an index knows about one region of slots: the chunks it has read, and their keys.

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use crate::Uuid;
use crate::filter::{Datetime, GeoArea, Match, MatchSet, Range, Test, datetime, geo_point, number};
use crate::ledger::{Charge, Component, Ledger};
use crate::payload::{Fields, PayloadPath, ValueRef};
use crate::payload_index::postings::Postings;
use crate::payload_index::{Field, IndexKind, REGION_SLOTS};
use crate::state::{Chunk, Entries, SlotBits, State};

/// Cells of the geographic grid to a degree.
const CELLS_PER_DEGREE: f64 = 10.0;
/// Cells around the globe, and one more for its last edge.
const CELLS_PER_ROW: u32 = 3_601;

/// The index of one field over one region.
#[derive(Debug)]
pub(crate) struct Region {
    /// The chunks that were read, where one was: compared by identity, which the weak reference keeps from being given
    /// to another.
    chunks: Vec<Option<Weak<Entries>>>,
    keys: Keys,
    _charge: Charge,
}

/// A number in the total order of floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(f64);

#[derive(Debug)]
enum Keys {
    Texts(Postings<Box<str>>),
    Words(Postings<Box<str>>),
    Numbers(Postings<Number>),
    Bools(Postings<bool>),
    Datetimes(Postings<Datetime>),
    Cells(Postings<u32>),
    Uuids(Postings<Uuid>),
}

impl Region {
    /// Reads the full chunks of region `number`.
    pub(crate) fn read(state: &State, number: usize, field: &Field, ledger: &Arc<Ledger>) -> Self {
        let per_region = REGION_SLOTS / state.layout.chunk_slots;
        let mut chunks = Vec::with_capacity(per_region);
        let mut full = Vec::new();
        for at in 0..per_region {
            let chunk = state.full_chunk(number * per_region + at);
            chunks.push(chunk.map(|chunk| chunk.entries()));
            full.extend(chunk.map(|chunk| (at * state.layout.chunk_slots, chunk)));
        }
        let keys = Keys::read(field.kind, &field.path, &full);
        let bytes =
            size_of::<Self>() + chunks.capacity() * size_of::<Option<Weak<Entries>>>() + keys.heap_bytes();
        Self {
            chunks,
            keys,
            _charge: Charge::new(ledger, Component::PayloadIndex, bytes),
        }
    }

    /// Whether it has read the chunk at a place of the region, as it is there.
    pub(crate) fn covers(&self, at: usize, chunk: &Chunk) -> bool {
        matches!(self.chunks.get(at), Some(Some(entries)) if chunk.has_entries(entries))
    }

    /// The positions that may pass, in slices whose union is meant; `None` when the index cannot tell.
    pub(crate) fn select(&self, test: &Test) -> Option<Vec<&[u16]>> {
        self.keys.select(test)
    }
}

impl Keys {
    fn read(kind: IndexKind, path: &PayloadPath, chunks: &[(usize, &Arc<Chunk>)]) -> Self {
        match kind {
            IndexKind::Keyword => Self::Texts(gather(path, chunks, |value, add| {
                text(value).into_iter().for_each(|text| add(text.into()))
            })),
            IndexKind::Text => Self::Words(gather(path, chunks, |value, add| {
                let words = text(value).into_iter().flat_map(crate::filter::words);
                words.for_each(|word| add(crate::filter::lower(word).collect::<String>().into()));
            })),
            // One form for both: whatever is a number may lie in a range.
            IndexKind::Integer | IndexKind::Float => Self::Numbers(gather(path, chunks, |value, add| {
                number(value).into_iter().for_each(|number| add(Number(number)))
            })),
            IndexKind::Bool => Self::Bools(gather(path, chunks, |value, add| {
                if let ValueRef::Bool(value) = value {
                    add(value);
                }
            })),
            IndexKind::Datetime => Self::Datetimes(gather(path, chunks, |value, add| {
                datetime(value).into_iter().for_each(add)
            })),
            IndexKind::Geo => Self::Cells(gather(path, chunks, |value, add| {
                let cell = geo_point(value).map(|point| row(point.lat) * CELLS_PER_ROW + column(point.lon));
                cell.into_iter().for_each(add)
            })),
            IndexKind::Uuid => Self::Uuids(gather(path, chunks, |value, add| {
                let uuid = text(value).and_then(|text| text.parse().ok());
                uuid.into_iter().for_each(add)
            })),
        }
    }

    fn select(&self, test: &Test) -> Option<Vec<&[u16]>> {
        match (self, test) {
            (Self::Texts(texts), Test::Match(wanted)) => select_texts(texts, wanted),
            (Self::Words(words), Test::Match(Match::Text(wanted) | Match::Phrase(wanted))) => {
                // All words are there, so those of the rarest are enough.
                let slices = wanted.iter().map(|word| words.equal(|key| (**key).cmp(word)));
                Some(slices.min_by_key(|slice| slice.len()).into_iter().collect())
            }
            (Self::Words(words), Test::Match(Match::TextAny(wanted))) => Some(
                wanted
                    .iter()
                    .map(|word| words.equal(|key| (**key).cmp(word)))
                    .collect(),
            ),
            (Self::Numbers(numbers), Test::Range(range)) => Some(vec![within(numbers, range, |key| key.0)]),
            (Self::Numbers(numbers), Test::Match(Match::Integer(wanted))) => {
                Some(vec![equal(numbers, *wanted)])
            }
            (Self::Numbers(numbers), Test::Match(Match::Any(MatchSet::Integers(wanted)))) => {
                Some(wanted.iter().map(|wanted| equal(numbers, *wanted)).collect())
            }
            (Self::Bools(bools), Test::Match(Match::Bool(wanted))) => {
                Some(vec![bools.equal(|key| key.cmp(wanted))])
            }
            (Self::Datetimes(moments), Test::Datetime(range)) => {
                Some(vec![within(moments, range, |key| *key)])
            }
            (Self::Cells(cells), Test::Geo(area)) => Some(select_cells(cells, area)),
            (Self::Uuids(uuids), Test::Match(wanted)) => select_uuids(uuids, wanted),
            _ => None,
        }
    }

    fn all(&self) -> &[u16] {
        match self {
            Self::Texts(postings) | Self::Words(postings) => postings.all(),
            Self::Numbers(postings) => postings.all(),
            Self::Bools(postings) => postings.all(),
            Self::Datetimes(postings) => postings.all(),
            Self::Cells(postings) => postings.all(),
            Self::Uuids(postings) => postings.all(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Texts(postings) | Self::Words(postings) => {
                postings.heap_bytes() + postings.keys().iter().map(|key| key.len()).sum::<usize>()
            }
            Self::Numbers(postings) => postings.heap_bytes(),
            Self::Bools(postings) => postings.heap_bytes(),
            Self::Datetimes(postings) => postings.heap_bytes(),
            Self::Cells(postings) => postings.heap_bytes(),
            Self::Uuids(postings) => postings.heap_bytes(),
        }
    }
}

fn select_texts<'p>(texts: &'p Postings<Box<str>>, wanted: &Match) -> Option<Vec<&'p [u16]>> {
    let equal = |wanted: &String| texts.equal(|key| (**key).cmp(wanted));
    match wanted {
        Match::Keyword(wanted) => Some(vec![equal(wanted)]),
        Match::Any(MatchSet::Keywords(wanted)) => Some(wanted.iter().map(equal).collect()),
        Match::Prefix(prefix) => Some(vec![
            texts.between(|key| **key < **prefix, |key| key.starts_with(&**prefix)),
        ]),
        Match::Bool(_)
        | Match::Integer(_)
        | Match::Any(MatchSet::Integers(_))
        | Match::Except(_)
        | Match::Text(_)
        | Match::TextAny(_)
        | Match::Phrase(_) => None,
    }
}

/// Texts that are equal are the same UUID; a text that is none is not in the index.
fn select_uuids<'p>(uuids: &'p Postings<Uuid>, wanted: &Match) -> Option<Vec<&'p [u16]>> {
    let equal = |wanted: &String| {
        let wanted: Uuid = wanted.parse().ok()?;
        Some(uuids.equal(|key| key.cmp(&wanted)))
    };
    match wanted {
        Match::Keyword(wanted) => Some(vec![equal(wanted)?]),
        Match::Any(MatchSet::Keywords(wanted)) => wanted.iter().map(equal).collect(),
        Match::Bool(_)
        | Match::Integer(_)
        | Match::Any(MatchSet::Integers(_))
        | Match::Except(_)
        | Match::Text(_)
        | Match::TextAny(_)
        | Match::Phrase(_)
        | Match::Prefix(_) => None,
    }
}

fn equal(numbers: &Postings<Number>, wanted: i64) -> &[u16] {
    numbers.equal(|key| key.cmp(&Number(wanted as f64)))
}

/// Keys are ascending, so those in a range are neighbours. `-0` is below `0` among keys and equal to it in ranges,
/// which neighbours do not mind.
fn within<'p, K: Ord, V: PartialOrd + Copy>(
    postings: &'p Postings<K>,
    range: &Range<V>,
    value: impl Fn(&K) -> V,
) -> &'p [u16] {
    let Range { lt, lte, gt, gte } = *range;
    let is_below = |key: &K| {
        let value = value(key);
        gt.is_some_and(|bound| value <= bound) || gte.is_some_and(|bound| value < bound)
    };
    let is_within = |key: &K| {
        let value = value(key);
        lt.is_none_or(|bound| value < bound) && lte.is_none_or(|bound| value <= bound)
    };
    postings.between(is_below, is_within)
}

/// The cells of the area's bounding box, row by row.
fn select_cells<'p>(cells: &'p Postings<u32>, area: &GeoArea) -> Vec<&'p [u16]> {
    let mut slices = Vec::new();
    let bounds = area.bounds();
    for row in row(bounds.south)..=row(bounds.north) {
        let cell = |lon| row * CELLS_PER_ROW + column(lon);
        let mut add = |west: f64, east: f64| {
            let (first, last) = (cell(west), cell(east));
            slices.push(cells.between(|key| *key < first, |key| *key <= last));
        };
        if bounds.west <= bounds.east {
            add(bounds.west, bounds.east);
        } else {
            add(bounds.west, 180.0);
            add(-180.0, bounds.east);
        }
    }
    slices.retain(|slice| !slice.is_empty());
    slices
}

/// The row of a latitude; what is beyond the globe belongs to its edge.
fn row(lat: f64) -> u32 {
    ((lat.clamp(-90.0, 90.0) + 90.0) * CELLS_PER_DEGREE) as u32
}

fn column(lon: f64) -> u32 {
    ((lon.clamp(-180.0, 180.0) + 180.0) * CELLS_PER_DEGREE) as u32
}

/// The keys of the points of some chunks, deleted ones too: a search may have an older snapshot, in which they are not.
fn gather<K: Ord>(
    path: &PayloadPath,
    chunks: &[(usize, &Arc<Chunk>)],
    key: impl Fn(ValueRef<'_>, &mut dyn FnMut(K)),
) -> Postings<K> {
    let mut entries = Vec::new();
    for (start, chunk) in chunks {
        for position in 0..chunk.filled() {
            // A region has 2^16 slots.
            let at = (start + position) as u16;
            values(path, chunk.payload(position).fields(), |value| {
                key(value, &mut |key| entries.push((key, at)))
            });
        }
    }
    Postings::new(entries)
}

/// Calls `visit` with every value at `path`, the elements of a list one by one.
fn values<'a>(path: &PayloadPath, fields: Fields<'a>, mut visit: impl FnMut(ValueRef<'a>)) {
    let mut visit_all = |value: ValueRef<'a>| {
        match value {
            ValueRef::List(list) => list.for_each(&mut visit),
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Int(_)
            | ValueRef::Uint(_)
            | ValueRef::Float(_)
            | ValueRef::String(_)
            | ValueRef::Object(_) => visit(value),
        }
        ControlFlow::Continue(())
    };
    // Nothing breaks.
    let _ = path.visit(fields, &mut visit_all);
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    match value {
        ValueRef::String(text) => Some(text),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::List(_)
        | ValueRef::Object(_) => None,
    }
}

/// How many points of a state have a value of `kind` at `path`: from the index where it has read them, else from them.
pub(crate) fn points(state: &State, field: Option<&Field>, (path, kind): (&PayloadPath, IndexKind)) -> u64 {
    let per_region = REGION_SLOTS / state.layout.chunk_slots;
    let mut count = 0;
    let mut bits: Option<(usize, Vec<u64>)> = None;
    for (number, chunk) in state.chunks() {
        let (region_number, at) = (number / per_region, number % per_region);
        let region = field.and_then(|field| field.regions.get(region_number)?.as_ref());
        let indexed = match region.filter(|region| region.covers(at, chunk)) {
            Some(region) => {
                if bits.as_ref().is_none_or(|(known, _)| *known != region_number) {
                    bits = Some((region_number, super::select::bitmap(&[region.keys.all()])));
                }
                let words = bits.as_ref().map_or(&[][..], |(_, words)| words);
                super::select::slot_bits(words, at * state.layout.chunk_slots, state.layout.chunk_slots)
            }
            None => {
                let keys = Keys::read(kind, path, &[(0, chunk)]);
                keys.all()
                    .iter()
                    .fold(SlotBits::default(), |mut bits, &position| {
                        bits.insert(usize::from(position));
                        bits
                    })
            }
        };
        count += chunk.alive.and(&indexed).count() as u64;
    }
    count
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Adding zero makes -0 equal to 0; no number of a payload is NaN.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0 + 0.0).total_cmp(&(other.0 + 0.0))
    }
}
