//! Histograms: a dense and a sparse one for worker blocks, and one that any thread may write.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::blocks::Fold;
use crate::cell::Cell;
use crate::descriptor::Kind;
use crate::distribution::Distribution;
use crate::grid::{Grid, LATENCY_BUCKETS, Latency};
use crate::reading::{Instrument, Reading};

/// A duration histogram in a worker's block, every bucket in place: 1.7 KB, the fastest to record.
///
/// For the one latency recorded with every query; everything else is better served by [`SparseHistogramCells`].
#[derive(Debug)]
pub struct HistogramCells {
    buckets: [Cell; LATENCY_BUCKETS],
    sum: Cell,
}

impl Default for HistogramCells {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Cell::default()),
            sum: Cell::default(),
        }
    }
}

impl HistogramCells {
    /// Records a duration; only ever called by the owner of the block.
    #[inline]
    pub fn record(&self, nanos: u64) {
        self.buckets[Latency::bucket(nanos)].increment();
        self.sum.add(nanos);
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
        Some(Reading::Distribution(Box::new(self.distribution())))
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
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

impl Buckets {
    fn new<G: Grid>() -> Box<Self> {
        let chunks = (0..G::SPEC.buckets.div_ceil(CHUNK))
            .map(|_| OnceLock::new())
            .collect();
        Box::new(Self {
            sum: AtomicU64::new(0),
            chunks,
        })
    }

    #[inline]
    fn bucket(&self, bucket: usize) -> &AtomicU64 {
        &self.chunks[bucket / CHUNK].get_or_init(Box::default)[bucket % CHUNK]
    }

    /// The buckets in use with their counts.
    fn occupied(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.chunks
            .iter()
            .enumerate()
            .filter_map(|(at, chunk)| Some((at, chunk.get()?)))
            .flat_map(|(at, chunk)| {
                chunk
                    .iter()
                    .enumerate()
                    .map(move |(i, count)| (at * CHUNK + i, count.load(Ordering::Relaxed)))
            })
    }

    fn distribution<G: Grid>(&self) -> Distribution {
        let mut counts = vec![0; G::SPEC.buckets].into_boxed_slice();
        for (chunk, counts) in self.chunks.iter().zip(counts.chunks_mut(CHUNK)) {
            let Some(chunk) = chunk.get() else { continue };
            for (count, bucket) in counts.iter_mut().zip(&**chunk) {
                *count = bucket.load(Ordering::Relaxed);
            }
        }
        Distribution::new(G::SPEC, counts, self.sum.load(Ordering::Relaxed))
    }

    fn heap_bytes(&self) -> usize {
        let used = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        size_of::<Self>() + size_of_val(&*self.chunks) + used * size_of::<Chunk>()
    }
}

macro_rules! histogram {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<G = Latency> {
            buckets: OnceLock<Box<Buckets>>,
            grid: PhantomData<fn(G)>,
        }

        impl<G> Default for $name<G> {
            fn default() -> Self {
                Self { buckets: OnceLock::new(), grid: PhantomData }
            }
        }

        impl<G: Grid> $name<G> {
            /// What was recorded so far.
            pub fn distribution(&self) -> Distribution {
                self.buckets.get().map_or_else(Distribution::empty::<G>, |buckets| buckets.distribution::<G>())
            }
        }

        impl<G: Grid> Instrument for $name<G> {
            const KIND: Kind = Kind::Histogram;

            fn read(&self) -> Option<Reading> {
                Some(Reading::Distribution(Box::new(self.distribution())))
            }

            fn is_untouched(&self) -> bool {
                self.buckets.get().is_none()
            }

            fn heap_bytes(&self) -> usize {
                self.buckets.get().map_or(0, |buckets| buckets.heap_bytes())
            }
        }
    };
}

histogram! {
    /// A histogram that any thread may record into: of durations in nanoseconds, or of sizes as `Histogram<Size>`.
    ///
    /// ```
    /// # use omendb_metrics::{Histogram, Size};
    /// let batch_points = Histogram::<Size>::default();
    /// batch_points.record(500);
    /// assert_eq!(batch_points.distribution().count(), 1);
    /// ```
    Histogram
}

histogram! {
    /// A histogram in a worker's block whose buckets are allocated by the octave, as values fall into them.
    SparseHistogramCells
}

impl<G: Grid> Histogram<G> {
    /// Records a value: nanoseconds, or a size.
    #[inline]
    pub fn record(&self, value: u64) {
        let buckets = self.buckets.get_or_init(Buckets::new::<G>);
        buckets.sum.fetch_add(value, Ordering::Relaxed);
        buckets.bucket(G::bucket(value)).fetch_add(1, Ordering::Relaxed);
    }
}

/// The single writer's addition, as in [`Cell::add`].
#[inline]
fn add_alone(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

impl<G: Grid> SparseHistogramCells<G> {
    /// Records a value; only ever called by the owner of the block.
    #[inline]
    pub fn record(&self, value: u64) {
        let buckets = self.buckets.get_or_init(Buckets::new::<G>);
        add_alone(&buckets.sum, value);
        add_alone(buckets.bucket(G::bucket(value)), 1);
    }
}

impl<G: Grid> Fold for SparseHistogramCells<G> {
    fn fold(&self, from: &Self) {
        let Some(more) = from.buckets.get() else { return };
        let own = self.buckets.get_or_init(Buckets::new::<G>);
        for (bucket, count) in more.occupied().filter(|(_, count)| *count > 0) {
            add_alone(own.bucket(bucket), count);
        }
        add_alone(&own.sum, more.sum.load(Ordering::Relaxed));
    }
}
