//! The last 24 hours of key series, in memory: for the night when there is no Prometheus. A restart forgets them.
//!
//! A slot lasts 15 seconds; the clock that turns the windows closes it and writes down what the registry says then. No
//! scrape does. Figures of the first collections are kept by collection, those of others are added up.

mod kept;
pub mod page;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use omendb_metrics::{
    Catalogue, Clock, Collect, DeclarationError, Distribution, GaugeValue, Latency, OVERFLOW, Reading,
    Registry, Selection, Snapshot, Timestamp, metrics,
};

use kept::{By, COLLECTION, How, KEPT, Kept, Merge};

/// Length of a slot, seconds.
const SLOT_SECONDS: u64 = 15;
const SLOT_NANOS: u64 = SLOT_SECONDS * 1_000_000_000;
/// Slots kept: 24 hours.
const SLOTS: usize = (86_400 / SLOT_SECONDS) as usize;
/// Collections with a history of their own, first come. With the server's own series, 4 MiB at most.
const MAX_COLLECTIONS: usize = 16;
/// What is kept of a histogram.
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)];

/// What was kept.
#[derive(Debug)]
pub struct History {
    clock: Clock,
    /// Off without.
    past: Option<Mutex<Past>>,
}

#[derive(Debug)]
struct Past {
    /// When it began, by the clock and by the calendar, in nanoseconds.
    started: (Timestamp, u64),
    /// The slot that is open.
    slot: u64,
    turned: Timestamp,
    /// Those with series of their own.
    collections: BTreeSet<String>,
    /// One for each of [`KEPT`].
    families: Vec<FamilyPast>,
}

/// The series of one family.
#[derive(Debug)]
struct FamilyPast {
    /// By the value of the label they are told apart by.
    series: BTreeMap<String, Series>,
    /// What a histogram held at the last turn.
    distribution: Distribution,
}

#[derive(Debug)]
struct Series {
    /// A counter at the last turn. One that was not there was zero.
    previous: f64,
    /// Oldest first, the last one of the slot closed last; NaN where nothing was known.
    values: VecDeque<f32>,
}

impl History {
    /// Beginning now.
    pub(crate) fn new(clock: Clock, is_on: bool) -> Self {
        let now = clock.now();
        let past = || Past {
            started: (now, clock.wall()),
            slot: slot_of(now),
            turned: now,
            collections: BTreeSet::new(),
            families: KEPT.iter().map(|_| FamilyPast::default()).collect(),
        };
        Self {
            past: is_on.then(|| Mutex::new(past())),
            clock,
        }
    }

    /// Closes the slot that has ended, if one has. Call it every second or so.
    pub(crate) fn turn(&self, registry: &Registry) {
        let now = self.clock.now();
        let Some(past) = self.past() else { return };
        if slot_of(now) <= past.slot {
            return;
        }
        drop(past);
        let names = KEPT.iter().map(|kept| kept.family.to_owned()).collect();
        let snapshot = registry.snapshot(Selection {
            names,
            ..Selection::default()
        });
        if let Some(mut past) = self.past() {
            past.close(now, &snapshot);
        }
    }

    /// Bytes that the values take.
    fn bytes(&self) -> usize {
        let series = self.past().map_or(0, |past| {
            let families = past.families.iter().flat_map(|family| family.series.values());
            families
                .map(|series| series.values.capacity() * size_of::<f32>())
                .sum()
        });
        size_of::<Self>() + series
    }

    fn past(&self) -> Option<MutexGuard<'_, Past>> {
        let past = self.past.as_ref()?;
        Some(past.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for FamilyPast {
    fn default() -> Self {
        Self {
            series: BTreeMap::new(),
            distribution: Distribution::empty::<Latency>(),
        }
    }
}

impl Past {
    fn close(&mut self, now: Timestamp, snapshot: &Snapshot) {
        let seconds = now.since(self.turned).as_secs_f64();
        // Slots that nobody closed, because the process or the machine stood still.
        let missed = (slot_of(now) - self.slot - 1).min(SLOTS as u64);
        self.meet(snapshot);
        for (kept, family) in KEPT.iter().zip(&mut self.families) {
            let found = family.read(kept, snapshot, &self.collections);
            let is_gone = |label: &str| {
                kept.by == By::Label(COLLECTION) && label != OVERFLOW && !self.collections.contains(label)
            };
            family.series.retain(|label, _| !is_gone(label));
            for label in found.keys() {
                family.series.entry(label.clone()).or_default();
            }
            for (label, series) in &mut family.series {
                let value = found.get(label).copied();
                let value = match kept.how {
                    How::Rate => value.map(|total| {
                        let rate = (total - series.previous) / seconds;
                        series.previous = total;
                        // Only what was added up goes back, when a part of it is gone.
                        if rate < 0.0 { f64::NAN } else { rate }
                    }),
                    How::Gauge | How::Quantiles => value,
                };
                (0..missed).for_each(|_| series.push(f32::NAN));
                series.push(value.map_or(f32::NAN, |value| value as f32));
            }
        }
        self.slot = slot_of(now);
        self.turned = now;
    }

    /// Lets go of collections that are no more, and takes in new ones as long as there is room.
    fn meet(&mut self, snapshot: &Snapshot) {
        let label = |(labels, _): (Vec<_>, Reading)| KEPT[0].by.of(&labels);
        let there: BTreeSet<String> = snapshot.readings(KEPT[0].family).filter_map(label).collect();
        self.collections.retain(|name| there.contains(name));
        for name in there {
            if self.collections.len() < MAX_COLLECTIONS && name != OVERFLOW {
                self.collections.insert(name);
            }
        }
    }
}

impl FamilyPast {
    /// What the family says now, by label.
    fn read(
        &mut self,
        kept: &Kept,
        snapshot: &Snapshot,
        collections: &BTreeSet<String>,
    ) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        let mut total = Distribution::empty::<Latency>();
        for (labels, reading) in snapshot.readings(kept.family) {
            if let Reading::Distribution(distribution) = &reading {
                total.add(distribution);
                continue;
            }
            let mut label = kept.by.of(&labels).unwrap_or_default();
            if kept.by == By::Label(COLLECTION) && !collections.contains(&label) {
                // Quantiles and recalls of several collections do not add up.
                if kept.merge != Merge::Mean {
                    continue;
                }
                label = OVERFLOW.to_owned();
            }
            *found.entry(label).or_insert(0.0) += reading.as_f64();
        }
        if kept.how == How::Quantiles {
            let recent = total.since(&self.distribution);
            let quantiles = QUANTILES.iter();
            found = quantiles
                .filter_map(|(label, quantile)| Some(((*label).to_owned(), recent.quantile(*quantile)?)))
                .collect();
            self.distribution = total;
        }
        found
    }
}

impl By {
    /// The value by which a series is told apart.
    fn of(self, labels: &[(&'static str, String)]) -> Option<String> {
        let value = |key: &str| {
            labels
                .iter()
                .find(|(known, _)| *known == key)
                .map(|(_, value)| value)
        };
        match self {
            Self::Nothing => None,
            Self::Label(key) => value(key).cloned(),
            Self::StatusClass => Some(format!("{}xx", value("status")?.get(..1)?)),
        }
    }
}

impl Default for Series {
    /// All the room it will ever take.
    fn default() -> Self {
        Self {
            previous: 0.0,
            values: VecDeque::with_capacity(SLOTS),
        }
    }
}

impl Series {
    fn push(&mut self, value: f32) {
        if self.values.len() == SLOTS {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }
}

fn slot_of(now: Timestamp) -> u64 {
    now.as_nanos() / SLOT_NANOS
}

metrics! {
    /// What the history takes.
    pub(crate) struct HistoryFigures {
        /// Memory of the history of key series that `/metrics/history` shows: 4 MiB at most. It is not part of
        /// omendb_metrics_memory_bytes.
        ///
        /// When memory is short: `metrics.history` turns it off.
        bytes: GaugeValue = "omendb_metrics_history_bytes",
    }
}

impl Collect for History {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<HistoryFigures>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let bytes = self.bytes().into();
        out.plain().reading(&HistoryFigures { bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use omendb_metrics::{Gauge, Histogram, ManualTime, OpenGroup};
    use serde_json::{Value, json};

    use super::page::{Request, answer};
    use super::*;

    metrics! {
        struct PerCollection by "db_id" {
            /// Queries.
            queries: omendb_metrics::Counter = "omendb_engine_queries_total",
            /// Bytes.
            memory: Gauge = "omendb_engine_memory_allocated_bytes",
            /// Quantiles.
            p95: omendb_metrics::FloatGauge = "omendb_engine_query_latency_p95_seconds",
        }
    }
    metrics! {
        struct Plain {
            /// Syncs.
            fsync: Histogram = "omendb_log_fsync_seconds",
        }
    }

    struct Figures {
        collections: OpenGroup<PerCollection>,
        plain: Plain,
    }

    impl Collect for Figures {
        fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
            catalogue.open_group::<PerCollection>(100)?;
            catalogue.group::<Plain>()
        }

        fn collect(&self, out: &mut Snapshot) {
            self.collections
                .collect(out, |series, out| out.group::<PerCollection>(series));
            out.plain().group(&self.plain);
        }
    }

    struct Fixture {
        figures: Arc<Figures>,
        history: History,
        registry: Registry,
        time: Arc<ManualTime>,
    }

    fn fixture() -> Fixture {
        let (clock, time) = Clock::manual();
        time.set_wall(1_700_000_000_000_000_000);
        let figures = Arc::new(Figures {
            collections: OpenGroup::new("db_id", 100, clock.clone()),
            plain: Plain::default(),
        });
        let registry = Registry::new(clock.clone(), vec![figures.clone()]).unwrap();
        let history = History::new(clock, true);
        Fixture {
            figures,
            history,
            registry,
            time,
        }
    }

    impl Fixture {
        /// Lets time pass, with the clock looking in every second.
        fn pass(&self, seconds: u64) {
            for _ in 0..seconds {
                self.time.advance(Duration::from_secs(1));
                self.history.turn(&self.registry);
            }
        }

        fn page(&self, name: &str, back: u64, step: u64) -> Value {
            let request = Request::new(name, back, step).unwrap();
            serde_json::to_value(answer(&self.history, &request, |_| true).unwrap()).unwrap()
        }
    }

    #[test]
    fn rates_gauges_and_quantiles_are_kept_by_the_clock() {
        let fixture = fixture();
        let main = fixture.figures.collections.open("main");
        main.queries.add(30);
        main.memory.set(1_000);
        fixture.figures.plain.fsync.record(2_000_000);
        fixture.pass(15);
        main.queries.add(60);
        main.memory.set(3_000);
        fixture.pass(15);
        let page = fixture.page("omendb_engine_queries_total", 3600, 15);
        assert_eq!(
            page["series"],
            json!([{"labels": {"db_id": "main"}, "values": [2.0, 4.0]}])
        );
        assert_eq!(page["times"], json!([1_700_000_015, 1_700_000_030]));
        assert_eq!(page["started"], "2023-11-14T22:13:20Z");
        let page = fixture.page("omendb_engine_queries_total", 3600, 30);
        assert_eq!(page["series"][0]["values"], json!([3.0]));
        let page = fixture.page("omendb_engine_memory_allocated_bytes", 15, 15);
        assert_eq!(page["series"][0]["values"], json!([3_000.0]));
        let page = fixture.page("omendb_log_fsync_seconds", 3600, 15);
        let p99 = &page["series"][2];
        assert_eq!(p99["labels"], json!({"quantile": "0.99"}));
        let first = p99["values"][0].as_f64().unwrap();
        assert!((first / 0.002 - 1.0).abs() < 0.05, "{first}");
        assert_eq!(
            p99["values"][1],
            Value::Null,
            "nothing was synced in the second slot"
        );
    }

    #[test]
    fn a_pause_is_a_gap_and_a_day_is_all() {
        let fixture = fixture();
        let main = fixture.figures.collections.open("main");
        main.memory.set(7);
        fixture.pass(15);
        fixture.time.advance(Duration::from_secs(60));
        fixture.history.turn(&fixture.registry);
        let page = fixture.page("omendb_engine_memory_allocated_bytes", 3600, 15);
        assert_eq!(page["series"][0]["values"], json!([7.0, null, null, null, 7.0]));
        for _ in 0..SLOTS + 10 {
            fixture.time.advance(Duration::from_secs(SLOT_SECONDS));
            fixture.history.turn(&fixture.registry);
        }
        let page = fixture.page("omendb_engine_memory_allocated_bytes", 86_400, 15);
        assert_eq!(page["times"].as_array().unwrap().len(), SLOTS);
        assert_eq!(page["series"][0]["values"].as_array().unwrap().len(), SLOTS);
        assert!(fixture.history.bytes() < 4 << 20);
    }

    #[test]
    fn collections_beyond_the_limit_are_added_up_and_dropped_ones_forgotten() {
        let fixture = fixture();
        let open = |number: usize| fixture.figures.collections.open(&format!("c{number:02}"));
        let series: Vec<_> = (0..MAX_COLLECTIONS + 2).map(open).collect();
        series.iter().for_each(|series| series.memory.set(10));
        fixture.pass(15);
        let labels = |page: &Value| -> Vec<String> {
            let series = page["series"].as_array().unwrap().iter();
            series
                .map(|series| series["labels"]["db_id"].as_str().unwrap().to_owned())
                .collect()
        };
        let page = fixture.page("omendb_engine_memory_allocated_bytes", 15, 15);
        assert_eq!(labels(&page).len(), MAX_COLLECTIONS + 1);
        assert_eq!(
            page["series"][0],
            json!({"labels": {"db_id": OVERFLOW}, "values": [20.0]})
        );
        let quantiles = fixture.page("omendb_engine_query_latency_p95_seconds", 15, 15);
        assert!(
            !labels(&quantiles).contains(&OVERFLOW.to_owned()),
            "quantiles do not add up"
        );
        series[0].close();
        fixture.pass(15);
        let page = fixture.page("omendb_engine_memory_allocated_bytes", 15, 15);
        assert!(!labels(&page).contains(&"c00".to_owned()) && labels(&page).contains(&"c16".to_owned()));
        // A closed history says so.
        let off = History::new(Clock::manual().0, false);
        let request = Request::new("omendb_engine_vectors", 15, 15).unwrap();
        assert!(answer(&off, &request, |_| true).is_none());
    }
}
