//! One scrape's worth of readings: collected once, rendered into any format.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use crate::blocks::{Blocks, Fold};
use crate::catalogue::{Catalogue, FamilyInfo};
use crate::declare::Group;
use crate::escape;
use crate::label::{LabelSet, PiecePair, Pieces};
use crate::open::{Drops, OpenValue};
use crate::reading::{Metric, Reading};
use crate::sample::{Distributions, Sample, Value};
use crate::selection::Selection;

/// Something with metrics: it names its groups once and hands over their values at every scrape.
///
/// A group without an open label collects itself; a component with several groups lists them:
/// see the example in the crate's documentation.
pub trait Collect: Send + Sync {
    /// Adds every group that [`Collect::collect`] will ever hand over.
    ///
    /// # Errors
    /// When a declaration is refused, see [`Catalogue::group`].
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), crate::DeclarationError>;

    /// Hands over the present values.
    fn collect(&self, out: &mut Snapshot);
}

impl<G: Group + Send + Sync> Collect for G {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), crate::DeclarationError> {
        catalogue.group::<G>()
    }

    fn collect(&self, out: &mut Snapshot) {
        out.plain().group(self);
    }
}

/// The readings of one scrape, by family.
#[derive(Debug)]
pub struct Snapshot {
    catalogue: Arc<Catalogue>,
    selection: Selection,
    wall_nanos: u64,
    /// When what has no open label began to count.
    started: u64,
    /// When what carries a value of the open label began to count, in the order of the values' pieces.
    open_started: Vec<(PieceId, u64)>,
    /// By position in the catalogue; `None` for a family that was not asked for.
    samples: Vec<Option<Vec<Sample>>>,
    distributions: Distributions,
    pieces: PieceArena,
    /// Rendered sets of closed labels, by type: many families and members share them.
    label_sets: Vec<(TypeId, Arc<Pieces>)>,
    /// Where series that stand for several things have their sample.
    shared: HashMap<(usize, String), usize>,
    pub(crate) memory_bytes: usize,
    pub(crate) drops: Drops,
}

impl Snapshot {
    /// Without readings, for the families of `catalogue` that `selection` chooses, by the wall time of now and of the
    /// start.
    pub(crate) fn new(
        catalogue: Arc<Catalogue>,
        selection: Selection,
        [wall_nanos, started]: [u64; 2],
    ) -> Self {
        let wanted = |family: &FamilyInfo| selection.wants_family(family.name).then(Vec::new);
        Self {
            samples: catalogue.families().iter().map(wanted).collect(),
            distributions: Distributions::new(),
            catalogue,
            selection,
            wall_nanos,
            started,
            open_started: Vec::new(),
            pieces: PieceArena::default(),
            label_sets: Vec::new(),
            shared: HashMap::new(),
            memory_bytes: 0,
            drops: Drops::default(),
        }
    }

    /// Takes groups without an open label.
    pub fn plain(&mut self) -> Writer<'_> {
        let skip = !self.selection.wants_value(None);
        Writer {
            snapshot: self,
            open: PieceId::NONE,
            is_shared: false,
            skip,
        }
    }

    /// Takes groups by an open label: those of the series that `value` names.
    pub fn by(&mut self, value: &OpenValue) -> Writer<'_> {
        let skip = !self.selection.wants_value(Some((value.key(), value.text())));
        let open = self.pieces.push(&[value.key()], [value.text()]);
        self.open_started.push((open, value.started()));
        Writer {
            snapshot: self,
            open,
            is_shared: value.is_shared(),
            skip,
        }
    }

    /// When it was taken, in nanoseconds since 1970-01-01 UTC.
    pub fn wall_nanos(&self) -> u64 {
        self.wall_nanos
    }

    /// Memory of the metrics handed over so far, by their own account.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Number of series; a histogram counts as one.
    pub fn series(&self) -> usize {
        self.samples.iter().flatten().map(Vec::len).sum()
    }

    /// The reading of the series of family `name` that has exactly these labels, in any order.
    ///
    /// Walks the family: for tests, health checks and the like.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<Reading> {
        let (_, _, samples) = self.families().find(|(_, family, _)| family.name == name)?;
        let has_labels = |sample: &&Sample| {
            let pairs: Vec<_> = self.pairs(sample).collect();
            let has = |(key, value): &(&str, &str)| {
                let mut escaped = String::new();
                escape::label_value(&mut escaped, value);
                pairs.iter().any(|pair| pair.0 == *key && pair.1 == escaped)
            };
            pairs.len() == labels.len() && labels.iter().all(has)
        };
        let sample = samples.iter().find(has_labels)?;
        Some(sample.reading(&self.distributions))
    }

    /// [`Snapshot::find`] as a float; for a histogram the number of observations.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.find(name, labels).map(|reading| reading.as_f64())
    }

    /// Every series of family `name`: its labels and what it reads.
    pub fn readings(&self, name: &str) -> impl Iterator<Item = (Vec<(&'static str, String)>, Reading)> {
        let found = self.families().find(|(_, family, _)| family.name == name);
        let samples = found.map_or(&[][..], |(_, _, samples)| samples);
        samples.iter().map(|sample| {
            let labels = self
                .pairs(sample)
                .map(|(key, value)| (key, escape::unescaped(value)));
            (labels.collect(), sample.reading(&self.distributions))
        })
    }

    /// The chosen families with their position in the catalogue and their samples.
    pub(crate) fn families(&self) -> impl Iterator<Item = (usize, &FamilyInfo, &[Sample])> {
        let families = self.catalogue.families().iter().zip(&self.samples).enumerate();
        families.filter_map(|(index, (family, samples))| Some((index, family, samples.as_deref()?)))
    }

    /// When the series with this piece of the open label began to count, in nanoseconds since 1970-01-01 UTC.
    pub(crate) fn started(&self, open: PieceId) -> u64 {
        let found = self.open_started.binary_search_by_key(&open, |(piece, _)| *piece);
        found.map_or(self.started, |at| self.open_started[at].1)
    }

    /// Every piece there is, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = PieceId> + use<> {
        (0..self.pieces.pieces.len() as u32).map(PieceId)
    }

    /// A piece as names and escaped values.
    pub(crate) fn pairs_of(&self, piece: PieceId) -> impl Iterator<Item = (&'static str, &str)> {
        self.pieces.pairs(piece)
    }

    /// What a sample says.
    #[inline]
    pub(crate) fn value_of(&self, sample: &Sample) -> Value<'_> {
        sample.value(&self.distributions)
    }

    /// A rendered piece of labels.
    #[inline]
    pub(crate) fn piece(&self, piece: PieceId) -> &str {
        self.pieces.text(piece)
    }

    /// The piece as the last of a line's labels, with the brace and the blank after it: a text that begins with it, and
    /// its length.
    #[inline]
    pub(crate) fn last_piece(&self, piece: PieceId) -> (&[u8], usize) {
        let (start, end) = self.pieces.pieces[piece.0 as usize].text;
        (
            &self.pieces.text.as_bytes()[start as usize..],
            (end - start) as usize + PIECE_END.len(),
        )
    }

    /// The rendered labels of a sample, to be joined by commas.
    pub(crate) fn rendered(&self, pieces: [PieceId; 3]) -> impl Iterator<Item = &str> {
        let pieces = pieces.into_iter().filter(|piece| *piece != PieceId::NONE);
        pieces.map(|piece| self.pieces.text(piece))
    }

    /// The labels of a sample as names and escaped values.
    pub(crate) fn pairs<'a>(&'a self, sample: &'a Sample) -> impl Iterator<Item = (&'static str, &'a str)> {
        let pieces = sample
            .pieces()
            .into_iter()
            .filter(|piece| *piece != PieceId::NONE);
        pieces.flat_map(|piece| self.pieces.pairs(piece))
    }
}

/// Takes groups for one value of the open label, or for none.
#[derive(Debug)]
pub struct Writer<'s> {
    snapshot: &'s mut Snapshot,
    open: PieceId,
    is_shared: bool,
    skip: bool,
}

impl Writer<'_> {
    /// A group that lives on: its memory counts as the memory of the metrics.
    pub fn group<G: Group>(&mut self, group: &G) {
        self.snapshot.memory_bytes += size_of::<G>() + group.heap_bytes();
        self.reading(group);
    }

    /// The sum of worker blocks; returns it for figures derived from it, such as windows.
    pub fn blocks<G: Group + Fold>(&mut self, blocks: &Blocks<G>) -> G {
        let total = blocks.read();
        self.snapshot.memory_bytes += (blocks.live() + 1) * (size_of::<G>() + total.heap_bytes());
        self.reading(&total);
        total
    }

    /// A group built for this scrape from figures owned elsewhere.
    pub fn reading<G: Group>(&mut self, group: &G) {
        if self.skip {
            return;
        }
        debug_assert_eq!(
            G::OPEN_LABEL.is_some(),
            self.open != PieceId::NONE,
            "group given with the wrong labels"
        );
        match self.snapshot.catalogue.first_of::<G>() {
            Some(family) => group.collect(&mut GroupWriter { writer: self, family }),
            None => self.snapshot.drops.undeclared += 1,
        }
    }

    /// Counts memory that metrics hold outside of any group, such as windows.
    pub fn memory(&mut self, bytes: usize) {
        self.snapshot.memory_bytes += bytes;
    }
}

/// Takes the fields of one group in order.
#[derive(Debug)]
pub struct GroupWriter<'w, 's> {
    writer: &'w mut Writer<'s>,
    family: usize,
}

impl GroupWriter<'_, '_> {
    /// The next field.
    pub fn metric<M: Metric>(&mut self, metric: &M) {
        let (family, snapshot) = (self.family, &mut *self.writer.snapshot);
        self.family += 1;
        // Taken out, so that adding a sample need not find its family.
        if let Some(samples) = snapshot.samples[family].take() {
            let (open, is_shared) = (self.writer.open, self.writer.is_shared);
            let mut out = Samples {
                snapshot,
                samples,
                family,
                open,
                is_shared,
            };
            metric.collect(&mut out);
            let samples = out.samples;
            snapshot.samples[family] = Some(samples);
        }
    }
}

/// Takes the series of one family.
#[derive(Debug)]
pub struct Samples<'s> {
    snapshot: &'s mut Snapshot,
    samples: Vec<Sample>,
    family: usize,
    open: PieceId,
    is_shared: bool,
}

impl Samples<'_> {
    /// The rendered values of a label set, rendered once for the snapshot.
    pub(crate) fn pieces<L: LabelSet>(&mut self) -> Arc<Pieces> {
        let known = &self.snapshot.label_sets;
        if let Some((_, pieces)) = known.iter().find(|(set, _)| *set == TypeId::of::<L>()) {
            return Arc::clone(pieces);
        }
        let pieces = Arc::new(L::pieces(self));
        self.snapshot
            .label_sets
            .push((TypeId::of::<L>(), Arc::clone(&pieces)));
        pieces
    }

    /// Renders label values that belong together.
    pub(crate) fn piece<'v>(
        &mut self,
        keys: &'static [&'static str],
        values: impl IntoIterator<Item = &'v str>,
    ) -> PieceId {
        self.snapshot.pieces.push(keys, values)
    }

    /// Makes room for `count` series.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.samples.reserve(count);
    }

    /// One series.
    #[inline]
    pub(crate) fn push(&mut self, closed: PiecePair, reading: Reading) {
        if self.is_shared {
            self.push_shared(closed, reading);
        } else {
            let sample = Sample::new(self.open, closed, reading, &mut self.snapshot.distributions);
            self.samples.push(sample);
        }
    }

    /// Adds up what several things report under one label; ratios do not add up and stay absent.
    #[cold]
    fn push_shared(&mut self, closed: PiecePair, reading: Reading) {
        let snapshot = &mut *self.snapshot;
        if snapshot.catalogue.families()[self.family].unit == "ratio" {
            return;
        }
        let [first, second] = closed;
        let labels = snapshot
            .rendered([self.open, first, second])
            .collect::<Vec<_>>()
            .join(",");
        match snapshot.shared.get(&(self.family, labels.clone())) {
            Some(&index) => self.samples[index].merge(&reading, &mut snapshot.distributions),
            None => {
                snapshot.shared.insert((self.family, labels), self.samples.len());
                let sample = Sample::new(self.open, closed, reading, &mut snapshot.distributions);
                self.samples.push(sample);
            }
        }
    }
}

/// A rendered part of a series' labels within one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId(u32);

impl PieceId {
    /// No labels.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// Its position among [`Snapshot::pieces`].
    #[inline]
    pub(crate) fn index(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }
}

/// What follows every piece in the arena, so that the last piece of a line is copied with it.
const PIECE_END: &str = "} ";

/// Rendered labels, each rendered once however many series carry it.
#[derive(Debug, Default)]
struct PieceArena {
    /// `key="escaped value"`, joined by commas within a piece, each piece followed by [`PIECE_END`].
    text: String,
    pieces: Vec<Piece>,
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    text: (u32, u32),
    pairs: (u32, u32),
}

#[derive(Debug)]
struct Pair {
    key: &'static str,
    /// Where the escaped value stands in the arena's text.
    value: (u32, u32),
}

impl PieceArena {
    fn push<'v>(&mut self, keys: &[&'static str], values: impl IntoIterator<Item = &'v str>) -> PieceId {
        let (text_start, first_pair) = (self.text.len() as u32, self.pairs.len() as u32);
        for (key, value) in keys.iter().zip(values) {
            if self.text.len() as u32 > text_start {
                self.text.push(',');
            }
            self.text.push_str(key);
            self.text.push_str("=\"");
            let value_start = self.text.len() as u32;
            escape::label_value(&mut self.text, value);
            self.pairs.push(Pair {
                key,
                value: (value_start, self.text.len() as u32),
            });
            self.text.push('"');
        }
        let text = (text_start, self.text.len() as u32);
        self.text.push_str(PIECE_END);
        self.pieces.push(Piece {
            text,
            pairs: (first_pair, self.pairs.len() as u32),
        });
        PieceId(self.pieces.len() as u32 - 1)
    }

    #[inline]
    fn text(&self, id: PieceId) -> &str {
        let (start, end) = self.pieces[id.0 as usize].text;
        &self.text[start as usize..end as usize]
    }

    fn pairs(&self, id: PieceId) -> impl Iterator<Item = (&'static str, &str)> {
        let (first, end) = self.pieces[id.0 as usize].pairs;
        let pairs = &self.pairs[first as usize..end as usize];
        pairs
            .iter()
            .map(|pair| (pair.key, &self.text[pair.value.0 as usize..pair.value.1 as usize]))
    }
}
