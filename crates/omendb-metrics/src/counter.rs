//! Counters for threads that are not engine workers: sharded by thread, padded, allocated on first use.

use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::descriptor::Kind;
use crate::label::LabelSet;
use crate::reading::{Metric, Reading};
use crate::shard::{self, SHARDS};
use crate::snapshot::Samples;

/// Counters of one row: one cache line.
const ROW: usize = 8;

/// A family of counters by closed labels, written by any thread.
///
/// A family of a type that is not [`LabelSet::SPARSE`] starts at zero on the page; a sparse one shows what has
/// happened. Storage comes in pages of eight series, 64 bytes a series, when the first of them moves; places for pages
/// come in chapters, so that a family of thousands of combinations of which few happen is small.
///
/// ```
/// # use omendb_metrics::{Counters, labels};
/// labels! {
///     /// How a login ended.
///     pub enum Outcome("status") { Success = "success", Failure = "failure" }
/// }
/// let logins = Counters::<Outcome>::default();
/// logins.increment(Outcome::Failure);
/// assert_eq!((logins.get(Outcome::Success), logins.get(Outcome::Failure)), (0, 1));
/// ```
pub struct Counters<L> {
    chapters: Box<[Chapter]>,
    labels: PhantomData<fn(L)>,
}

/// Pages of one chapter; a family with fewer has one chapter of as many as it needs.
const CHAPTER: usize = 32;

/// Places for pages, there when the first of them is.
type Chapter = OnceLock<Box<[OnceLock<Box<Page>>]>>;

/// One row per shard, so that two threads never write one cache line.
type Page = [Row; SHARDS];

#[derive(Debug, Default)]
#[repr(align(64))]
struct Row([AtomicU64; ROW]);

impl<L: LabelSet> fmt::Debug for Counters<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries((0..L::cardinality()).map(|index| self.sum(index)))
            .finish()
    }
}

impl<L: LabelSet> Default for Counters<L> {
    fn default() -> Self {
        let chapters = pages::<L>().div_ceil(CHAPTER);
        Self {
            chapters: (0..chapters).map(|_| OnceLock::new()).collect(),
            labels: PhantomData,
        }
    }
}

impl<L: LabelSet> Counters<L> {
    /// Adds `n` to the series with these labels.
    #[inline]
    pub fn add(&self, labels: L, n: u64) {
        self.add_at(labels.index(), n);
    }

    /// Adds one to the series with these labels.
    #[inline]
    pub fn increment(&self, labels: L) {
        self.add_at(labels.index(), 1);
    }

    /// What the series with these labels has counted; never less than an earlier answer.
    pub fn get(&self, labels: L) -> u64 {
        self.sum(labels.index())
    }

    #[inline]
    fn add_at(&self, index: usize, n: u64) {
        if cfg!(feature = "unmeasured") {
            return;
        }
        let number = index / ROW;
        let chapter = self.chapters[number / CHAPTER].get_or_init(empty_chapter::<L>);
        let page = chapter[number % CHAPTER].get_or_init(Box::default);
        let (shard, alone) = shard::current();
        let cell = &page[shard].0[index % ROW];
        if alone {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
        } else {
            cell.fetch_add(n, Ordering::Relaxed);
        }
    }

    fn sum(&self, index: usize) -> u64 {
        let cell = |row: &Row| row.0[index % ROW].load(Ordering::Relaxed);
        self.page(index / ROW)
            .map_or(0, |page| page.iter().map(cell).fold(0, u64::wrapping_add))
    }

    /// The page of this number, once one of its series has moved.
    fn page(&self, number: usize) -> Option<&Page> {
        let chapter = self.chapters[number / CHAPTER].get()?;
        chapter[number % CHAPTER].get().map(|page| &**page)
    }
}

/// Pages that a family by `L` may have.
fn pages<L: LabelSet>() -> usize {
    L::cardinality().div_ceil(ROW)
}

#[cold]
fn empty_chapter<L: LabelSet>() -> Box<[OnceLock<Box<Page>>]> {
    (0..pages::<L>().min(CHAPTER)).map(|_| OnceLock::new()).collect()
}

/// What the series of a page have counted.
fn sums(page: &Page) -> [u64; ROW] {
    let mut sums = [0_u64; ROW];
    for row in page {
        for (sum, cell) in sums.iter_mut().zip(&row.0) {
            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }
    sums
}

impl<L: LabelSet> Metric for Counters<L> {
    const KIND: Kind = Kind::Counter;

    fn labels() -> Vec<&'static str> {
        L::keys()
    }

    fn cardinality() -> usize {
        L::cardinality()
    }

    fn collect(&self, out: &mut Samples<'_>) {
        let pieces = out.pieces::<L>();
        let mut labels = pieces.iter();
        if !L::SPARSE {
            out.reserve(L::cardinality());
        }
        for page in 0..pages::<L>() {
            let counts = self.page(page).map_or([0; ROW], sums);
            // In this order: a zip takes from its first part even when its second has ended.
            for (count, labels) in counts.into_iter().zip(labels.by_ref()) {
                if count > 0 || !L::SPARSE {
                    out.push(labels, Reading::Unsigned(count));
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        let chapters = self.chapters.iter().filter_map(OnceLock::get);
        let used = chapters.map(|chapter| {
            let pages = chapter.iter().filter(|page| page.get().is_some()).count();
            size_of_val(&**chapter) + pages * size_of::<Page>()
        });
        size_of_val(&*self.chapters) + used.sum::<usize>()
    }
}

/// A counter without labels, written by any thread.
#[derive(Debug, Default)]
pub struct Counter(Counters<()>);

impl Counter {
    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.add_at(0, n);
    }

    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.0.add_at(0, 1);
    }

    /// What has been counted; never less than an earlier answer.
    pub fn get(&self) -> u64 {
        self.0.sum(0)
    }
}

impl Metric for Counter {
    const KIND: Kind = Kind::Counter;

    fn collect(&self, out: &mut Samples<'_>) {
        self.0.collect(out);
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_more_threads_than_shards() {
        let counter = Counter::default();
        for _ in 0..4 {
            std::thread::scope(|scope| {
                for _ in 0..2 * SHARDS {
                    scope.spawn(|| (0..1_000).for_each(|_| counter.increment()));
                }
            });
        }
        assert_eq!(counter.get(), 4 * 2 * SHARDS as u64 * 1_000);
    }

    #[test]
    fn a_counter_nobody_moved_owns_no_page() {
        let counter = Counter::default();
        let idle = counter.heap_bytes();
        counter.increment();
        let page_and_its_place = SHARDS * 64 + size_of::<OnceLock<Box<Page>>>();
        assert_eq!(counter.heap_bytes() - idle, page_and_its_place);
        assert!(idle < 32, "{idle}");
    }

    #[test]
    fn a_large_family_of_which_little_happens_is_small() {
        /// Ten thousand values.
        #[derive(Clone, Copy)]
        struct Many(usize);
        impl crate::Label for Many {
            const KEYS: &'static [&'static str] = &["many"];
            const SPARSE: bool = true;

            fn count() -> usize {
                10_000
            }

            fn index(self) -> usize {
                self.0
            }

            fn values(_: usize) -> impl IntoIterator<Item = &'static str> {
                ["x"]
            }
        }
        let counters = Counters::<Many>::default();
        for value in [0, 7, 255, 256, 9_999] {
            counters.add(Many(value), value as u64 + 1);
        }
        for value in [0, 7, 255, 256, 9_999] {
            assert_eq!(counters.get(Many(value)), value as u64 + 1);
        }
        assert_eq!(counters.get(Many(8)), 0);
        let pages = counters.heap_bytes() - 4 * SHARDS * 64;
        assert!(pages < 3_000, "{pages} bytes beside the pages");
    }
}
