//! Time: the one place that reads the processor's counter, `Instant` or `SystemTime`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in the monotonic time of one [`Clock`], in nanoseconds since that clock's origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The timestamp `nanos` nanoseconds after the origin of its clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; zero if `earlier` is later, which two cores may disagree about by a few
    /// cycles.
    #[inline]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// [`Timestamp::nanos_since`] as a `Duration`.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

/// A source of monotonic and of wall time; clones are cheap and read the same time.
///
/// ```
/// use omendb_metrics::Clock;
/// let (clock, time) = Clock::manual();
/// let start = clock.now();
/// time.advance_nanos(1_500);
/// assert_eq!(clock.now().nanos_since(start), 1_500);
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    Tsc(Tsc),
    Instant(Instant),
    Manual(Arc<ManualTime>),
}

impl Clock {
    /// The machine's clock: the time-stamp counter where it is invariant, `Instant` elsewhere.
    ///
    /// The first call in a process measures the counter's rate for about 10 ms.
    pub fn system() -> Self {
        static TSC: OnceLock<Option<Tsc>> = OnceLock::new();
        match TSC.get_or_init(Tsc::calibrated) {
            Some(tsc) => Self(Source::Tsc(*tsc)),
            None => Self::instant(),
        }
    }

    /// `Instant` without the time-stamp counter: works on any machine, at the price of a call for each reading.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else takes"
    )]
    pub fn instant() -> Self {
        Self(Source::Instant(Instant::now()))
    }

    /// A clock that moves only when told to, and the handle that moves it: for tests and simulations.
    pub fn manual() -> (Self, Arc<ManualTime>) {
        let time = Arc::new(ManualTime::default());
        (Self(Source::Manual(Arc::clone(&time))), time)
    }

    /// The monotonic time.
    #[inline]
    pub fn now(&self) -> Timestamp {
        if cfg!(feature = "unmeasured") {
            return Timestamp(0);
        }
        match &self.0 {
            Source::Tsc(tsc) => Timestamp(tsc.nanos()),
            Source::Instant(origin) => Timestamp(saturating_nanos(origin.elapsed())),
            Source::Manual(time) => Timestamp(time.monotonic.load(Ordering::Acquire)),
        }
    }

    /// Nanoseconds since 1970-01-01 UTC, as far as the machine knows; may jump when the machine is told better.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else takes"
    )]
    pub fn wall(&self) -> u64 {
        match &self.0 {
            Source::Manual(time) => time.wall.load(Ordering::Acquire),
            Source::Tsc(_) | Source::Instant(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, saturating_nanos),
        }
    }

    /// What the clock reads: `tsc`, `instant` or `manual`.
    pub fn source(&self) -> &'static str {
        match self.0 {
            Source::Tsc(_) => "tsc",
            Source::Instant(_) => "instant",
            Source::Manual(_) => "manual",
        }
    }
}

/// The hand that moves a [`Clock::manual`]; monotonic and wall time advance together.
#[derive(Debug, Default)]
pub struct ManualTime {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

impl ManualTime {
    /// Moves both times `nanos` nanoseconds forward.
    pub fn advance_nanos(&self, nanos: u64) {
        self.monotonic.fetch_add(nanos, Ordering::AcqRel);
        self.wall.fetch_add(nanos, Ordering::AcqRel);
    }

    /// Moves both times forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.advance_nanos(saturating_nanos(duration));
    }

    /// Sets the wall time to `unix_nanos` and leaves the monotonic time alone, as a corrected machine clock does.
    pub fn set_wall(&self, unix_nanos: u64) {
        self.wall.store(unix_nanos, Ordering::Release);
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time-stamp counter with its origin and its rate as nanoseconds per tick in 32.32 fixed point. The origin lies a
/// good deal before the calibration, so that a core whose counter is a little behind cannot read a time before it.
#[derive(Debug, Clone, Copy)]
struct Tsc {
    origin: u64,
    nanos_per_tick: u64,
}

impl Tsc {
    #[inline]
    fn nanos(self) -> u64 {
        let ticks = rdtsc().wrapping_sub(self.origin);
        ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> 32) as u64
    }

    /// Measures the counter against `Instant`; `None` where it is not invariant or its rate is implausible.
    fn calibrated() -> Option<Self> {
        const INTERVAL: Duration = Duration::from_millis(10);
        if !has_invariant_tsc() {
            return None;
        }
        let (first_ticks, first_instant) = simultaneous_reading();
        std::thread::sleep(INTERVAL);
        let (last_ticks, last_instant) = simultaneous_reading();
        let nanos = last_instant.duration_since(first_instant).as_nanos();
        let ticks = u128::from(last_ticks.checked_sub(first_ticks)?);
        let nanos_per_tick = u64::try_from((nanos << 32).checked_div(ticks)?).ok()?;
        // 100 MHz to 100 GHz; anything else is a machine that lies about its counter.
        let plausible = (1 << 32) / 100..=(1 << 32) * 10;
        plausible.contains(&nanos_per_tick).then_some(Self {
            origin: first_ticks.saturating_sub(ticks as u64),
            nanos_per_tick,
        })
    }
}

/// A counter value and the `Instant` it belongs to: the tightest of a few tries, so that being descheduled between
/// the two readings does not end up in the rate.
#[expect(
    clippy::disallowed_methods,
    reason = "calibrates the clock that everything else takes"
)]
fn simultaneous_reading() -> (u64, Instant) {
    let mut best = (u64::MAX, rdtsc(), Instant::now());
    for _ in 0..16 {
        let before = rdtsc();
        let instant = Instant::now();
        let width = rdtsc().saturating_sub(before);
        if width < best.0 {
            best = (width, before + width / 2, instant);
        }
    }
    (best.1, best.2)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the counter is an intrinsic")]
fn rdtsc() -> u64 {
    // SAFETY: every x86-64 processor has RDTSC; the kernels this runs on leave it usable in user mode, and would stop
    // the process at start (calibration) rather than corrupt anything if they did not.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn rdtsc() -> u64 {
    0
}

/// Whether the counter ticks at one rate in every power state (CPUID 8000_0007h, EDX bit 8).
#[cfg(target_arch = "x86_64")]
fn has_invariant_tsc() -> bool {
    use std::arch::x86_64::__cpuid;
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT && __cpuid(POWER_MANAGEMENT).edx & (1 << 8) != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_invariant_tsc() -> bool {
    false
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "compares the clock with the machine's")]
    use super::*;

    #[test]
    fn the_counter_keeps_the_time_of_instant() {
        let clock = Clock::system();
        let (start, reference) = (clock.now(), Instant::now());
        std::thread::sleep(Duration::from_millis(50));
        let measured = clock.now().nanos_since(start) as f64;
        let expected = reference.elapsed().as_nanos() as f64;
        // One part in a thousand plus what a busy machine may put between two readings.
        assert!(
            (measured - expected).abs() < expected * 1e-3 + 5e6,
            "{measured} against {expected}"
        );
    }

    #[test]
    fn time_never_runs_backwards() {
        for clock in [Clock::system(), Clock::instant()] {
            let mut last = clock.now();
            for _ in 0..100_000 {
                let now = clock.now();
                assert!(now >= last, "{} went back", clock.source());
                last = now;
            }
        }
    }

    #[test]
    fn a_manual_clock_moves_when_told() {
        let (clock, time) = Clock::manual();
        time.set_wall(1_000);
        time.advance(Duration::from_micros(2));
        assert_eq!((clock.now().as_nanos(), clock.wall()), (2_000, 3_000));
        assert_eq!(Timestamp::from_nanos(1).nanos_since(Timestamp::from_nanos(5)), 0);
    }
}
