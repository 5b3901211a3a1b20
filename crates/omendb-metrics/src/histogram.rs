//! Histograms: a dense and a sparse one for worker blocks, and one that any thread may write.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::blocks::Fold;
use crate::cell::Cell;
use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::exemplar::Exemplars;
use crate::grid::{Grid, GridSpec, LATENCY_BUCKETS, Latency};
use crate::reading::{Instrument, Reading};

/// A duration histogram in a worker's block, every bucket in place: 1.7 KB, the fastest to record.
///
/// For the one latency recorded with every query; everything else is better served by [`SparseHistogramCells`].
#[derive(Debug)]
pub struct HistogramCells {
    buckets: [Cell; LATENCY_BUCKETS],
    sum: Cell,
    /// Of the whole, where several blocks were added up.
    exemplars: Option<Arc<Exemplars>>,
}

impl Default for HistogramCells {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Cell::default()),
            sum: Cell::default(),
            exemplars: None,
        }
    }
}

impl HistogramCells {
    /// Records a duration; only ever called by the owner of the block.
    #[inline]
    pub fn record(&self, nanos: u64) {
        if cfg!(feature = "unmeasured") {
            return;
        }
        self.buckets[Latency::bucket(nanos)].increment();
        self.sum.add(nanos);
    }

    /// Shows `exemplars` with what was recorded: for the sum of several blocks, which share them.
    pub fn show(&mut self, exemplars: &Arc<Exemplars>) {
        self.exemplars = Some(Arc::clone(exemplars));
    }

    /// What was recorded so far.
    pub fn distribution(&self) -> Distribution {
        Distribution::new(
            Latency::SPEC,
            self.buckets.iter().map(Cell::get).collect(),
            self.sum.get(),
        )
    }
}

impl Fold for HistogramCells {
    fn fold(&self, from: &Self) {
        for (own, more) in self.buckets.iter().zip(&from.buckets) {
            own.fold(more);
        }
        self.sum.fold(&from.sum);
    }
}

impl Instrument for HistogramCells {
    const KIND: Kind = Kind::Histogram;

    fn read(&self) -> Option<Reading> {
        let distribution = self.distribution();
        Some(Reading::Distribution(Box::new(match &self.exemplars {
            Some(exemplars) => distribution.with(exemplars),
            None => distribution,
        })))
    }

    fn is_untouched(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.get() == 0)
    }
}

/// Buckets to one allocation: a cache line.
const CHUNK: usize = 8;
type Chunk = [AtomicU64; CHUNK];

/// Buckets allocated by the octave, when the first value falls into them.
#[derive(Debug)]
struct Buckets {
    sum: AtomicU64,
    exemplars: Exemplars,
    /// By octave; a coarser grid uses the first few.
    chunks: [OnceLock<Box<Chunk>>; LATENCY_BUCKETS.div_ceil(CHUNK)],
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            sum: AtomicU64::new(0),
            exemplars: Exemplars::default(),
            chunks: [const { OnceLock::new() }; LATENCY_BUCKETS.div_ceil(CHUNK)],
        }
    }
}

impl Buckets {
    #[inline]
    fn bucket(&self, bucket: usize) -> &AtomicU64 {
        &self.chunks[bucket / CHUNK].get_or_init(Box::default)[bucket % CHUNK]
    }

    fn distribution(&self, spec: &'static GridSpec) -> Distribution {
        let mut counts = vec![0; spec.buckets].into_boxed_slice();
        for (chunk, counts) in self.chunks.iter().zip(counts.chunks_mut(CHUNK)) {
            let Some(chunk) = chunk.get() else { continue };
            for (count, bucket) in counts.iter_mut().zip(&**chunk) {
                *count = bucket.load(Ordering::Relaxed);
            }
        }
        Distribution::new(spec, counts, self.sum.load(Ordering::Relaxed))
    }

    fn chunks_in_use(&self) -> usize {
        self.chunks.iter().filter(|chunk| chunk.get().is_some()).count()
    }
}

/// A histogram that any thread may record into: of durations in nanoseconds, or of sizes as `Histogram<Size>`.
///
/// ```
/// # use omendb_metrics::{Histogram, Size};
/// let batch_points = Histogram::<Size>::default();
/// batch_points.record(500);
/// assert_eq!(batch_points.distribution().count(), 1);
/// ```
#[derive(Debug)]
pub struct Histogram<G = Latency> {
    buckets: OnceLock<Box<Buckets>>,
    grid: PhantomData<fn(G)>,
}

impl<G> Default for Histogram<G> {
    fn default() -> Self {
        Self {
            buckets: OnceLock::new(),
            grid: PhantomData,
        }
    }
}

impl<G: Grid> Histogram<G> {
    /// Records a value: nanoseconds, or a size.
    #[inline]
    pub fn record(&self, value: u64) {
        if cfg!(feature = "unmeasured") {
            return;
        }
        let buckets = self.buckets.get_or_init(Box::default);
        buckets.sum.fetch_add(value, Ordering::Relaxed);
        buckets.bucket(G::bucket(value)).fetch_add(1, Ordering::Relaxed);
    }

    /// What was recorded so far.
    pub fn distribution(&self) -> Distribution {
        self.buckets
            .get()
            .map_or_else(Distribution::empty::<G>, |buckets| buckets.distribution(G::SPEC))
    }
}

impl Histogram<Latency> {
    /// The exemplars shown with what was recorded.
    pub fn exemplars(&self) -> &Exemplars {
        &self.buckets.get_or_init(Box::default).exemplars
    }
}

impl<G: Grid> Instrument for Histogram<G> {
    const KIND: Kind = Kind::Histogram;

    fn read(&self) -> Option<Reading> {
        let distribution = self.distribution();
        Some(Reading::Distribution(Box::new(match self.buckets.get() {
            Some(buckets) => distribution.with(&buckets.exemplars),
            None => distribution,
        })))
    }

    fn is_untouched(&self) -> bool {
        self.buckets.get().is_none()
    }

    fn heap_bytes(&self) -> usize {
        let in_use = |buckets: &Buckets| {
            let chunks = buckets.chunks_in_use() * size_of::<Chunk>();
            size_of::<Buckets>() + chunks + buckets.exemplars.heap_bytes()
        };
        self.buckets.get().map_or(0, |buckets| in_use(buckets))
    }
}

/// A histogram in a worker's block whose buckets are allocated by the octave, as values fall into them: 456 bytes in
/// place, and 64 for each octave in use.
#[derive(Debug)]
pub struct SparseHistogramCells<G = Latency> {
    buckets: Buckets,
    grid: PhantomData<fn(G)>,
}

impl<G> Default for SparseHistogramCells<G> {
    fn default() -> Self {
        Self {
            buckets: Buckets::default(),
            grid: PhantomData,
        }
    }
}

impl<G: Grid> SparseHistogramCells<G> {
    /// Records a value; only ever called by the owner of the block.
    #[inline]
    pub fn record(&self, value: u64) {
        if cfg!(feature = "unmeasured") {
            return;
        }
        add_alone(&self.buckets.sum, value);
        add_alone(self.buckets.bucket(G::bucket(value)), 1);
    }

    /// What was recorded so far.
    pub fn distribution(&self) -> Distribution {
        self.buckets.distribution(G::SPEC)
    }
}

/// The single writer's addition, as in [`Cell::add`].
#[inline]
fn add_alone(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl<G: Grid> Fold for SparseHistogramCells<G> {
    fn fold(&self, from: &Self) {
        for (own, more) in self.buckets.chunks.iter().zip(&from.buckets.chunks) {
            let Some(more) = more.get() else { continue };
            for (own, more) in own.get_or_init(Box::default).iter().zip(&**more) {
                add_alone(own, more.load(Ordering::Relaxed));
            }
        }
        add_alone(&self.buckets.sum, from.buckets.sum.load(Ordering::Relaxed));
    }
}

impl<G: Grid> Instrument for SparseHistogramCells<G> {
    const KIND: Kind = Kind::Histogram;

    fn read(&self) -> Option<Reading> {
        Some(Reading::Distribution(Box::new(self.distribution())))
    }

    fn is_untouched(&self) -> bool {
        self.buckets.chunks_in_use() == 0
    }

    fn heap_bytes(&self) -> usize {
        self.buckets.chunks_in_use() * size_of::<Chunk>()
    }
}
