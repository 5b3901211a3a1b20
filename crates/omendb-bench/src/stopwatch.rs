//! Seconds on the clocks that benchmarks read: wall time and the CPU time of a thread or of the process.

use rustix::time::{ClockId, clock_gettime};

/// Wall-clock seconds since some fixed moment.
pub fn wall_s() -> f64 {
    seconds(ClockId::Monotonic)
}

/// CPU seconds this thread has used.
pub fn thread_cpu_s() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU seconds all threads of this process have used, ended ones included.
pub fn process_cpu_s() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
