//! The open label: limits, shared series, removal.

use std::sync::Arc;

use omendb_metrics::{
    Catalogue, Clock, Collect, Counter, DeclarationError, GaugeValue, OVERFLOW, OpenGroup, REDACTED,
    Registry, Selection, Series, Snapshot, metrics,
};

metrics! {
    /// Counted as it happens.
    pub(crate) struct Counted by "db_id" {
        /// Writes.
        pub(crate) writes: Counter = "t_writes_total",
    }
}
metrics! {
    /// Computed for a scrape.
    pub(crate) struct Computed by "db_id" {
        /// Size.
        pub(crate) size: GaugeValue = "t_size_bytes",
        /// Accuracy.
        pub(crate) accuracy: GaugeValue = "t_accuracy_ratio",
    }
}

/// Collections whose sizes are computed one by one, as an engine does.
struct Engine {
    group: OpenGroup<Counted>,
    collections: std::sync::Mutex<Vec<(Arc<Series<Counted>>, u64)>>,
}

impl Collect for Engine {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.open_group::<Counted>(self.group.cardinality())?;
        catalogue.open_group::<Computed>(self.group.cardinality())
    }

    fn collect(&self, out: &mut Snapshot) {
        self.group
            .collect(out, |series, out| out.group::<Counted>(series));
        for (series, size) in &*self.collections.lock().unwrap() {
            out.by(series.value()).reading(&Computed {
                size: (*size).into(),
                accuracy: 0.5.into(),
            });
        }
    }
}

struct Fixture {
    engine: Arc<Engine>,
    registry: Registry,
}

impl Fixture {
    fn new(limit: usize) -> Self {
        let clock = Clock::manual().0;
        let engine = Arc::new(Engine {
            group: OpenGroup::new("db_id", limit, clock.clone()),
            collections: Default::default(),
        });
        let registry = Registry::new(clock, vec![engine.clone()]).unwrap();
        Self { engine, registry }
    }

    fn create(&self, name: &str, size: u64) {
        let series = self.engine.group.open(name);
        series.writes.increment();
        self.engine.collections.lock().unwrap().push((series, size));
    }

    fn remove(&self, index: usize) {
        drop(self.engine.collections.lock().unwrap().remove(index));
    }

    fn check(&self, expected: &[(&str, &str, Option<f64>)]) {
        let snapshot = self.registry.snapshot(Selection::default());
        for (name, db_id, value) in expected {
            assert_eq!(
                snapshot.value(name, &[("db_id", db_id)]),
                *value,
                "{name}{{db_id={db_id:?}}}"
            );
        }
    }

    fn dropped(&self, reason: &str) -> Option<f64> {
        self.registry
            .snapshot(Selection::default())
            .value("omendb_metrics_dropped_total", &[("reason", reason)])
    }
}

#[test]
fn those_after_the_limit_share_one_series_that_never_goes_back() {
    let fixture = Fixture::new(2);
    for (name, size) in [("a", 1), ("b", 2), ("c", 10), ("d", 20)] {
        fixture.create(name, size);
    }
    fixture.check(&[
        ("t_writes_total", "a", Some(1.0)),
        ("t_writes_total", "b", Some(1.0)),
        ("t_writes_total", "c", None),
        ("t_writes_total", OVERFLOW, Some(2.0)),
        // Sizes add up; the accuracies of two collections do not.
        ("t_size_bytes", OVERFLOW, Some(30.0)),
        ("t_accuracy_ratio", "a", Some(0.5)),
        ("t_accuracy_ratio", OVERFLOW, None),
    ]);
    assert_eq!(fixture.dropped("limit"), Some(2.0));
    fixture.remove(3);
    fixture.check(&[
        ("t_writes_total", OVERFLOW, Some(2.0)),
        ("t_size_bytes", OVERFLOW, Some(10.0)),
    ]);
}

#[test]
fn a_removed_collection_leaves_the_page_and_its_place() {
    let fixture = Fixture::new(1);
    fixture.create("a", 1);
    fixture.create("late", 2);
    fixture.remove(0);
    fixture.check(&[("t_writes_total", "a", None), ("t_size_bytes", "a", None)]);
    assert_eq!(fixture.dropped("removed"), Some(1.0));
    fixture.create("b", 3);
    // Sticky: who came late stays where it is, also when a place becomes free.
    fixture.check(&[
        ("t_writes_total", "b", Some(1.0)),
        ("t_writes_total", "late", None),
        ("t_writes_total", OVERFLOW, Some(1.0)),
    ]);
}

#[test]
fn a_name_that_comes_again_counts_from_zero_while_a_query_holds_the_old_one() {
    let fixture = Fixture::new(5);
    let old = fixture.engine.group.open("a");
    old.writes.add(5);
    old.close();
    fixture.check(&[("t_writes_total", "a", None)]);
    let new = fixture.engine.group.open("a");
    new.writes.add(1);
    old.writes.add(1);
    fixture.check(&[("t_writes_total", "a", Some(1.0))]);
    drop(old);
    fixture.check(&[("t_writes_total", "a", Some(1.0))]);
    assert_eq!(fixture.engine.group.members(), 1);
}

#[test]
fn names_of_shared_series_and_credentials_get_no_series_of_their_own() {
    let fixture = Fixture::new(5);
    let secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
    for name in [OVERFLOW, REDACTED, secret] {
        fixture.create(name, 1);
    }
    fixture.check(&[
        ("t_writes_total", OVERFLOW, Some(2.0)),
        ("t_writes_total", REDACTED, Some(1.0)),
        ("t_writes_total", secret, None),
    ]);
    assert_eq!(
        (fixture.dropped("limit"), fixture.dropped("redacted")),
        (Some(2.0), Some(1.0))
    );
    assert!(
        !fixture
            .registry
            .scrape(Selection::default(), Snapshot::to_json)
            .contains("ghp_")
    );
}
