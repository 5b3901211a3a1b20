//! Figures of the process, under the names every Prometheus client uses where there are such, read from /proc when asked.

use std::fs;

use omendb_metrics::{
    Catalogue, Clock, Collect, CounterValue, DeclarationError, Family, GaugeValue, Label, Snapshot,
    Timestamp, labels, metrics,
};

/// Clock ticks per second in /proc: USER_HZ, part of the kernel's interface and 100 on every architecture we run on
/// (proc_pid_stat(5), time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

labels! {
    /// What a page fault took.
    pub(crate) enum Fault("kind") {
        /// The page was in memory.
        Minor = "minor",
        /// The page was read from disk.
        Major = "major",
    }
}

/// What this program was built from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build;

impl Label for Build {
    const KEYS: &'static [&'static str] = &["version", "profile", "target"];

    fn count() -> usize {
        1
    }

    fn index(self) -> usize {
        0
    }

    fn values(_: usize) -> impl IntoIterator<Item = &'static str> {
        let profile = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        [env!("CARGO_PKG_VERSION"), profile, std::env::consts::ARCH]
    }
}

metrics! {
    /// The process at one moment.
    pub(crate) struct ProcessMetrics {
        /// Processor time used, user and system.
        ///
        /// First, when everything is slow: is the processor the limit?
        cpu_seconds: CounterValue = "process_cpu_seconds_total",
        /// Open file descriptors.
        ///
        /// Before connections are refused: against the maximum below.
        open_fds: GaugeValue = "process_open_fds",
        /// Most file descriptors that may be open.
        ///
        /// When sizing `http.max_connections`: every connection takes one.
        max_fds: GaugeValue = "process_max_fds",
        /// Virtual memory.
        ///
        /// Seldom: addresses are not memory. Only against a limit of the address space.
        virtual_memory: GaugeValue = "process_virtual_memory_bytes",
        /// Most virtual memory there may be; 2^64 - 1 for no limit.
        ///
        /// Only when allocations fail although memory is free.
        virtual_memory_max: GaugeValue = "process_virtual_memory_max_bytes",
        /// Physical memory.
        ///
        /// Against the machine's memory, and before and after a restart that memory ended.
        resident_memory: GaugeValue = "process_resident_memory_bytes",
        /// When the process started, since 1970-01-01 UTC.
        ///
        /// When figures jump to zero: whether the process is a new one.
        start_time: GaugeValue = "process_start_time_seconds",
        /// Threads.
        ///
        /// When it grows without end: something starts threads that never end.
        threads: GaugeValue = "process_threads",
        /// Page faults: `major` ones waited for the disk.
        ///
        /// When queries are slow at times: major faults while memory is short are code or data that the system had to read
        /// again.
        faults: Family<Fault, CounterValue> = "omendb_page_faults_total",
        /// Time since the server started.
        ///
        /// When figures jump to zero: whether it was restarted, and when.
        uptime: GaugeValue = "omendb_uptime_seconds",
        /// What this server was built from; always 1. A `debug` build is many times slower than a `release` build.
        ///
        /// During an upgrade: which servers have which version.
        build: Family<Build, GaugeValue> = "omendb_build_info",
    }
}

/// Reads the figures at every scrape; what cannot be read (another system, a locked-down /proc) is absent.
#[derive(Debug)]
pub(crate) struct ProcessFigures {
    clock: Clock,
    started: Timestamp,
}

impl ProcessFigures {
    /// Of a server that starts now.
    pub(crate) fn new(clock: Clock) -> Self {
        let started = clock.now();
        Self { clock, started }
    }
}

impl Collect for ProcessFigures {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<ProcessMetrics>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let stat = read("/proc/self/stat");
        let status = read("/proc/self/status");
        let limits = read("/proc/self/limits");
        let mut figures = ProcessMetrics {
            cpu_seconds: cpu_seconds(&stat).into(),
            open_fds: open_fds().into(),
            max_fds: limit(&limits, "Max open files").into(),
            virtual_memory: status_bytes(&status, "VmSize:").into(),
            // As other Prometheus clients show a limit that is not there.
            virtual_memory_max: limit(&limits, "Max address space").unwrap_or(u64::MAX).into(),
            resident_memory: status_bytes(&status, "VmRSS:").into(),
            start_time: start_time(&stat, &read("/proc/stat")).into(),
            threads: status_number(&status, "Threads:").into(),
            uptime: self.clock.now().since(self.started).as_secs_f64().into(),
            ..ProcessMetrics::default()
        };
        *figures.faults.of_mut(Fault::Minor) = stat_field(&stat, 10).into();
        *figures.faults.of_mut(Fault::Major) = stat_field(&stat, 12).into();
        *figures.build.of_mut(Build) = 1_u64.into();
        out.plain().reading(&figures);
    }
}

/// Physical memory of the process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResidentMemory {
    /// Heaps, stacks and what the program writes.
    pub(crate) anonymous: u64,
    /// Pages of files, the program's own among them.
    pub(crate) file: u64,
    /// The most of both that there was at once.
    pub(crate) peak: u64,
}

impl ResidentMemory {
    /// `None` where /proc does not tell them apart.
    pub(crate) fn read() -> Option<Self> {
        let status = read("/proc/self/status");
        let bytes = |key| status_bytes(&status, key);
        Some(Self {
            anonymous: bytes("RssAnon:")?,
            file: bytes("RssFile:")? + bytes("RssShmem:")?,
            peak: bytes("VmHWM:")?,
        })
    }
}

/// Physical memory of the process, bytes.
pub(crate) fn resident_bytes() -> Option<u64> {
    status_bytes(&read("/proc/self/status"), "VmRSS:")
}

/// Most file descriptors the process may have open.
pub(crate) fn max_open_files() -> Option<u64> {
    limit(&read("/proc/self/limits"), "Max open files")
}

/// The text of a /proc file; empty when there is none.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Field `number` of /proc/self/stat, counted from 1 as in its manual page. The second is the program's name in
/// parentheses, which may contain anything, so counting begins behind the last of them.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_time(stat: &str, system: &str) -> Option<f64> {
    let boot: f64 = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    Some(boot + stat_field(stat, 22)? / TICKS_PER_SECOND)
}

fn status_number(status: &str, key: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

fn status_bytes(status: &str, key: &str) -> Option<u64> {
    status_number(status, key).map(|kilobytes| kilobytes * 1024)
}

/// The soft limit; absent when unlimited.
fn limit(limits: &str, name: &str) -> Option<u64> {
    let value = limits.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

/// Open descriptors, without the one that listing them takes.
fn open_fds() -> Option<u64> {
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_program_name() {
        let fields: Vec<String> = (4..=24).map(|number| number.to_string()).collect();
        let stat = format!("42 (evil) 1 2 (name)) S {}", fields.join(" "));
        assert_eq!(cpu_seconds(&stat), Some(0.29));
        assert_eq!(start_time(&stat, "cpu 1\nbtime 1000\n"), Some(1000.22));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn sizes_and_limits_are_read_and_unlimited_is_absent() {
        assert_eq!(
            status_bytes("VmSize:\t  12 kB\nVmRSS:\t    8 kB\n", "VmRSS:"),
            Some(8192)
        );
        let limits = "Limit  Soft  Hard  Units\nMax open files   1024   4096   files\nMax address space  unlimited  unlimited  bytes\n";
        assert_eq!(limit(limits, "Max open files"), Some(1024));
        assert_eq!(limit(limits, "Max address space"), None);
    }

    #[test]
    fn this_process_has_figures() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        let before = open_fds().unwrap();
        let file = fs::File::open("/proc/self/stat").unwrap();
        assert!(open_fds().unwrap() > before.saturating_sub(5), "{file:?}");
        assert!(start_time(&read("/proc/self/stat"), &read("/proc/stat")).unwrap() > 1e9);
    }
}
