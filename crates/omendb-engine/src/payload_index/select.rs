//! Which points of a snapshot may pass a filter, as far as indexes can tell.

use crate::filter::{Condition, Filter, Test};
use crate::payload_index::{Field, IndexKind, Indexes, REGION_SLOTS};
use crate::state::{Chunk, Layout, SlotBits, State};

/// A condition that selects more than one in so many points does not pay: its positions are read one by one, while a
/// scan reads codes in long runs.
const LEAST_SELECTIVE: u64 = 3;

/// The conditions of a filter that indexes answer; all of them have to hold.
pub(crate) struct Selection<'a> {
    groups: Vec<Group<'a>>,
    /// The region that the bitmaps are of.
    region: Option<usize>,
    per_region: usize,
    chunk_slots: usize,
    /// Points that may pass, counted before the search: those of the most selective group.
    pub(crate) estimate: u64,
}

/// Alternatives, each answered by an index.
struct Group<'a> {
    tests: Vec<(&'a Field, &'a Test)>,
    /// For each alternative, the positions of the present region that may pass; `None` where the region is not read.
    bitmaps: Vec<Option<Vec<u64>>>,
}

impl<'a> Selection<'a> {
    /// The useful conditions of `filter`; `None` if there are none.
    pub(crate) fn of(indexes: &'a Indexes, filter: &'a Filter, state: &State) -> Option<Self> {
        let mut groups = Vec::new();
        collect((indexes, &state.layout), filter, &mut groups);
        let points = state.ids.len();
        let estimated = groups.into_iter().filter_map(|tests| {
            let estimate = estimate(&tests)?;
            (estimate * LEAST_SELECTIVE <= points).then_some((estimate, tests))
        });
        let mut estimated: Vec<_> = estimated.collect();
        estimated.sort_by_key(|(estimate, _)| *estimate);
        let (estimate, _) = *estimated.first().as_ref()?;
        let group = |(_, tests)| Group {
            tests,
            bitmaps: Vec::new(),
        };
        let Layout { chunk_slots, .. } = *state.layout;
        Some(Self {
            estimate: *estimate,
            groups: estimated.into_iter().map(group).collect(),
            region: None,
            per_region: REGION_SLOTS / chunk_slots,
            chunk_slots,
        })
    }

    /// Those of `candidates`, of chunk `number`, that may pass.
    pub(crate) fn narrow(&mut self, number: usize, chunk: &Chunk, candidates: SlotBits) -> SlotBits {
        let (region, at) = (number / self.per_region, number % self.per_region);
        if self.region != Some(region) {
            self.region = Some(region);
            self.groups.iter_mut().for_each(|group| group.read(region));
        }
        let mut narrowed = candidates;
        for group in &self.groups {
            if let Some(bits) = group.bits(region, at, (chunk, self.chunk_slots)) {
                narrowed = narrowed.and(&bits);
            }
        }
        narrowed
    }
}

impl Group<'_> {
    fn read(&mut self, number: usize) {
        let bitmap = |(field, test): &(&Field, &Test)| {
            let region = field.regions.get(number)?.as_ref()?;
            Some(bitmap(&region.select(test)?))
        };
        self.bitmaps = self.tests.iter().map(bitmap).collect();
    }

    /// The positions of a chunk that may meet one of the alternatives; `None` if one of them is not known.
    fn bits(&self, region: usize, at: usize, (chunk, chunk_slots): (&Chunk, usize)) -> Option<SlotBits> {
        let mut any = SlotBits::default();
        for ((field, _), bitmap) in self.tests.iter().zip(&self.bitmaps) {
            let bitmap = bitmap.as_ref()?;
            let region = field.regions.get(region)?.as_ref()?;
            if !region.covers(at, chunk) {
                return None;
            }
            any = any.or(&slot_bits(bitmap, at * chunk_slots, chunk_slots));
        }
        Some(any)
    }
}

/// The groups of alternatives that have to hold for `filter` to pass and that indexes answer.
fn collect<'a>(
    (indexes, layout): (&'a Indexes, &Layout),
    filter: &'a Filter,
    groups: &mut Vec<Vec<(&'a Field, &'a Test)>>,
) {
    // Words are matched where the state has a text index; this one may be of a time before or after.
    let is_current = |field: &&Field| field.kind != IndexKind::Text || layout.is_worded(&field.path);
    let answered = |condition: &'a Condition| match condition {
        Condition::Field(path, test) => Some((indexes.of(path).filter(is_current)?, test)),
        Condition::HasId(_) | Condition::HasVector(_) | Condition::Nested(..) | Condition::Filter(_) => None,
    };
    for condition in &filter.must {
        match condition {
            Condition::Filter(inner) => collect((indexes, layout), inner, groups),
            Condition::Field(..) => groups.extend(answered(condition).map(|answer| vec![answer])),
            Condition::HasId(_) | Condition::HasVector(_) | Condition::Nested(..) => {}
        }
    }
    let alternatives: Option<Vec<_>> = filter.should.iter().map(answered).collect();
    groups.extend(alternatives.filter(|alternatives| !alternatives.is_empty()));
}

/// Positions in the postings that meet the alternatives; `None` if an index cannot tell, or has read nothing.
fn estimate(tests: &[(&Field, &Test)]) -> Option<u64> {
    let mut positions = 0;
    for (field, test) in tests {
        let mut regions = field.regions.iter().flatten().peekable();
        regions.peek()?;
        for region in regions {
            let slices = region.select(test)?;
            positions += slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
        }
    }
    Some(positions)
}

/// One bit per slot of a region, set at the positions of all slices.
pub(crate) fn bitmap(slices: &[&[u16]]) -> Vec<u64> {
    let mut words = vec![0; REGION_SLOTS / 64];
    for slice in slices {
        for &position in *slice {
            words[usize::from(position) / 64] |= 1u64 << (position % 64);
        }
    }
    words
}

/// The bits of one chunk: `slots` of them, a power of two, from a multiple of it.
pub(crate) fn slot_bits(words: &[u64], start: usize, slots: usize) -> SlotBits {
    if slots >= 64 {
        return SlotBits::from_words(&words[start / 64..(start + slots) / 64]);
    }
    let mask = (1 << slots) - 1;
    SlotBits::from_words(&[words[start / 64] >> (start % 64) & mask])
}
