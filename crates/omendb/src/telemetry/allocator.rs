//! The allocator's figures: the C library's own account of its heap, and a count of the allocations asked of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use omendb_metrics::{Catalogue, Collect, CounterValue, DeclarationError, GaugeValue, Snapshot, metrics};

use crate::telemetry::process::resident_bytes;

metrics! {
    /// The heap at one moment.
    pub(crate) struct AllocatorMetrics {
        /// Bytes in live allocations, with the allocator's own overhead.
        ///
        /// When memory grows: growth here that the collections do not show is in the server itself.
        allocated: GaugeValue = "omendb_allocator_allocated_bytes",
        /// Bytes the allocator has obtained from the system for its heaps and large blocks.
        ///
        /// Beside the allocated bytes: the difference is what the allocator keeps.
        active: GaugeValue = "omendb_allocator_active_bytes",
        /// Physical memory of the process, code and stacks included.
        ///
        /// Against the memory limit of the container: this is what the kernel counts.
        resident: GaugeValue = "omendb_allocator_resident_bytes",
        /// Bytes obtained from the system that no live allocation uses.
        ///
        /// After large deletions: memory that is free inside the process and not yet given back.
        retained: GaugeValue = "omendb_allocator_retained_bytes",
        /// Part of the obtained bytes that no live allocation uses.
        ///
        /// When resident memory stays high after collections shrank.
        fragmentation: GaugeValue = "omendb_allocator_fragmentation_ratio",
        /// Allocations made; a reallocation counts as one.
        ///
        /// Per query, when the processor is busier than the work explains.
        allocations: CounterValue = "omendb_allocator_allocations_total",
    }
}

/// Asks the allocator at every scrape.
#[derive(Debug)]
pub(crate) struct AllocatorFigures;

impl Collect for AllocatorFigures {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<AllocatorMetrics>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let heap = Heap::read();
        let active = heap.map(|heap| heap.allocated + heap.free);
        let fragmentation = heap.map(|heap| heap.free as f64 / (heap.allocated + heap.free).max(1) as f64);
        let figures = AllocatorMetrics {
            allocated: heap.map(|heap| heap.allocated).into(),
            active: active.into(),
            resident: resident_bytes().into(),
            retained: heap.map(|heap| heap.free).into(),
            fragmentation: fragmentation.into(),
            allocations: ALLOCATOR.allocations().into(),
        };
        out.plain().reading(&figures);
    }
}

/// What the C library says about its heap, bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heap {
    /// In live allocations.
    pub(crate) allocated: usize,
    /// Obtained from the system and in no live allocation; some of it may have been given back or never used.
    pub(crate) free: usize,
}

impl Heap {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the allocator is reached through the C ABI only")]
    pub(crate) fn read() -> Option<Self> {
        // SAFETY: mallinfo2 has no arguments and no preconditions, may be called from any thread (it takes the
        // allocator's own locks), and returns its figures by value.
        let info = unsafe { libc::mallinfo2() };
        Some(Self {
            allocated: info.uordblks + info.hblkhd,
            free: info.fordblks,
        })
    }

    /// Other C libraries keep no account.
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    pub(crate) fn read() -> Option<Self> {
        None
    }
}

/// Rows of the counter below; more threads than this share rows.
const ROWS: usize = 16;

/// The system's allocator, counting what is asked of it. The library declares it, so that the server's figures and
/// those of its tests come from the same place.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator {
    rows: [const { Row(AtomicU64::new(0)) }; ROWS],
};

/// Counts by thread: an allocation costs one uncontended addition in a cache line of its own. It cannot use the
/// sharded counters of omendb-metrics, which allocate.
struct CountingAllocator {
    rows: [Row; ROWS],
}

#[repr(align(64))]
struct Row(AtomicU64);

impl CountingAllocator {
    fn count(&self) {
        static NEXT_ROW: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            // Constant and without a destructor, so that reading it neither allocates nor fails at a thread's end.
            static ROW: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let row = ROW.get();
        let row = if row == usize::MAX {
            let row = NEXT_ROW.fetch_add(1, Relaxed) % ROWS;
            ROW.set(row);
            row
        } else {
            row
        };
        self.rows[row].0.fetch_add(1, Relaxed);
    }

    fn allocations(&self) -> u64 {
        self.rows.iter().map(|row| row.0.load(Relaxed)).sum()
    }
}

// SAFETY: every call is passed on to `System` with its arguments unchanged; counting touches no memory that is handed
// out and does not allocate.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from `System`, through one of the other methods.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_counted_and_accounted_for() {
        let (count, before) = (ALLOCATOR.allocations(), Heap::read().unwrap());
        let block = std::hint::black_box(vec![1_u8; 8 << 20]);
        assert!(ALLOCATOR.allocations() > count);
        // Other tests run beside this one and free a little of their own.
        assert!(Heap::read().unwrap().allocated >= before.allocated + block.len() / 2);
    }
}
