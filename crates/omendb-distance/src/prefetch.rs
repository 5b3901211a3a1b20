//! Asking for memory before it is read.

/// Bytes of a cache line.
const LINE: usize = 64;
/// Lines asked for; the processor follows a run it has seen begin.
const MOST_LINES: usize = 16;

/// Asks the processor to bring a vector into its nearest cache, and returns at once. A search that knows the next few
/// vectors it will compare waits for all of them together instead of for each.
#[inline]
pub fn prefetch<T>(vector: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        let start = vector.as_ptr().cast::<i8>();
        for line in 0..size_of_val(vector).div_ceil(LINE).min(MOST_LINES) {
            crate::x86::prefetch_line(start.wrapping_add(line * LINE));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (vector, LINE, MOST_LINES);
}
