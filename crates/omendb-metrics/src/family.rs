//! Families of gauges, histograms and worker cells by closed labels.

use std::fmt;
use std::marker::PhantomData;

use crate::blocks::Fold;
use crate::descriptor::Kind;
use crate::label::LabelSet;
use crate::reading::{Instrument, Metric};
use crate::snapshot::Samples;

/// One instrument per combination of labels; for counters of foreign threads see [`crate::Counters`].
///
/// ```
/// # use omendb_metrics::{Family, Histogram, labels};
/// labels! {
///     /// A part of the work of a query.
///     pub enum Stage("stage") { Plan = "plan", Search = "search" }
/// }
/// let stages = Family::<Stage, Histogram>::default();
/// stages.of(Stage::Search).record(80_000);
/// ```
pub struct Family<L, I> {
    instruments: Box<[I]>,
    labels: PhantomData<fn(L)>,
}

impl<L, I: fmt::Debug> fmt::Debug for Family<L, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.instruments).finish()
    }
}

impl<L: LabelSet, I: Default> Default for Family<L, I> {
    fn default() -> Self {
        let instruments = (0..L::cardinality()).map(|_| I::default()).collect();
        Self {
            instruments,
            labels: PhantomData,
        }
    }
}

impl<L: LabelSet, I> Family<L, I> {
    /// The instrument with these labels.
    #[inline]
    pub fn of(&self, labels: L) -> &I {
        &self.instruments[labels.index()]
    }

    /// The instrument with these labels, for computed values that are filled in.
    pub fn of_mut(&mut self, labels: L) -> &mut I {
        &mut self.instruments[labels.index()]
    }
}

impl<L: LabelSet, I: Instrument> Metric for Family<L, I> {
    const KIND: Kind = I::KIND;

    fn labels() -> Vec<&'static str> {
        L::keys()
    }

    fn cardinality() -> usize {
        L::cardinality()
    }

    fn collect(&self, out: &mut Samples<'_>) {
        let pieces = out.pieces::<L>();
        for (labels, instrument) in pieces.iter().zip(&self.instruments) {
            if L::SPARSE && instrument.is_untouched() {
                continue;
            }
            if let Some(reading) = instrument.read() {
                out.push(labels, reading);
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        size_of_val(&*self.instruments) + self.instruments.iter().map(Instrument::heap_bytes).sum::<usize>()
    }
}

impl<L: LabelSet, I: Fold> Fold for Family<L, I> {
    fn fold(&self, from: &Self) {
        for (own, more) in self.instruments.iter().zip(&from.instruments) {
            own.fold(more);
        }
    }
}
