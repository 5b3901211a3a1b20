//! How much memory series take, by the allocator's own count.

#![expect(unsafe_code, reason = "counting what is allocated takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as ThreadCell;

use omendb_metrics::{Counters, Family, Histogram, HistogramCells, Label, Metric};

/// The system's allocator, counting the bytes that each thread holds.
struct Counting;

thread_local! {
    static HELD: ThreadCell<isize> = const { ThreadCell::new(0) };
}

fn count(bytes: isize) {
    // Not while the thread's locals are being destroyed.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: hands every request on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and every pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held by what `make` returns.
fn held<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    let made = make();
    ((HELD.get() - before) as usize, made)
}

/// Any of 1,000 values.
#[derive(Clone, Copy)]
struct Thousand(usize);

impl Label for Thousand {
    const KEYS: &'static [&'static str] = &["n"];

    fn count() -> usize {
        1_000
    }

    fn index(self) -> usize {
        self.0
    }

    fn values(_: usize) -> impl IntoIterator<Item = &'static str> {
        ["x"]
    }
}

#[test]
fn a_counter_series_takes_at_most_80_bytes() {
    let (bytes, counters) = held(|| {
        let counters = Counters::<Thousand>::default();
        (0..1_000).for_each(|n| counters.increment(Thousand(n)));
        counters
    });
    assert!(bytes <= 80 * 1_000, "{bytes} bytes for 1,000 series");
    assert_eq!(counters.heap_bytes(), bytes, "what it says against what it holds");
}

#[test]
fn histograms_take_memory_when_they_are_used() {
    let (unused, family) = held(Family::<Thousand, Histogram>::default);
    assert!(unused <= 24 * 1_000, "{unused} bytes for 1,000 unused histograms");
    assert_eq!(Metric::heap_bytes(&family), unused);
    let (used, ()) = held(|| family.of(Thousand(7)).record(1_000_000));
    assert!(used < 600, "{used} bytes for a histogram in one octave");
    assert_eq!(Metric::heap_bytes(&family), unused + used);
    assert!(
        size_of::<HistogramCells>() <= 1_700,
        "a dense histogram is {} bytes",
        size_of::<HistogramCells>()
    );
}
