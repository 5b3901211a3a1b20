//! The registry: everything that has metrics, scraped into one snapshot, and what scraping itself costs.

use std::fmt;
use std::sync::Arc;

use crate::catalogue::{Catalogue, DeclarationError};
use crate::clock::Clock;
use crate::histogram::Histogram;
use crate::open::Drops;
use crate::reading::{CounterValue, GaugeValue};
use crate::selection::Selection;
use crate::snapshot::{Collect, Snapshot};
use crate::{Family, labels, metrics};

labels! {
    /// Why series did not get what they asked for.
    pub enum DropReason("reason") {
        /// Came after the limit and share `_overflow`.
        Limit = "limit",
        /// Looked like a credential and share `_redacted`.
        Redacted = "redacted",
        /// Left the page with what they belonged to.
        Removed = "removed",
        /// Handed over without having been declared: a programming error.
        Undeclared = "undeclared",
    }
}

metrics! {
    /// What the metrics record about themselves as it happens.
    struct ScrapeMetrics {
        /// Time to collect and render a page. Grows with the number of series.
        ///
        /// When scrapes are slow or time out: it grows with the number of series.
        scrape_seconds: Histogram = "omendb_metrics_scrape_seconds",
    }
}

metrics! {
    /// What a scrape finds out about itself.
    struct ScrapeFigures {
        /// Series on the whole page, this one included; a histogram counts as one.
        ///
        /// When Prometheus complains of too many series, and before collections are created by the thousand.
        series: GaugeValue = "omendb_metrics_series",
        /// Memory held by metrics: cells, histograms and windows.
        ///
        /// When many collections are served: what their figures cost.
        memory_bytes: GaugeValue = "omendb_metrics_memory_bytes",
        /// Series that did not get what they asked for: those beyond the limit or with a name like a credential share
        /// one, those of a removed collection leave the page.
        ///
        /// When a collection is missing from the boards: `limit` and `redacted` name the reason, `removed` is the
        /// normal end.
        dropped: Family<DropReason, CounterValue> = "omendb_metrics_dropped_total",
    }
}

/// Everything that has metrics, in the order of the page. `main` builds it and passes it down; there is no other.
pub struct Registry {
    clock: Clock,
    catalogue: Arc<Catalogue>,
    collectors: Vec<Arc<dyn Collect>>,
    own: ScrapeMetrics,
    /// When it was built, before there was anything to count; in nanoseconds since 1970-01-01 UTC.
    started: u64,
}

impl Registry {
    /// Of these collectors.
    ///
    /// # Errors
    /// When a declaration is refused: a name that is taken or malformed, see [`Catalogue::group`].
    pub fn new(clock: Clock, collectors: Vec<Arc<dyn Collect>>) -> Result<Self, DeclarationError> {
        let mut catalogue = Catalogue::default();
        for collector in &collectors {
            collector.describe(&mut catalogue)?;
        }
        catalogue.group::<ScrapeMetrics>()?;
        catalogue.group::<ScrapeFigures>()?;
        Ok(Self {
            started: clock.wall(),
            clock,
            catalogue: Arc::new(catalogue),
            collectors,
            own: ScrapeMetrics::default(),
        })
    }

    /// Every family there is.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Collects what `selection` chooses and renders it; the time of both is counted as a scrape.
    ///
    /// ```
    /// # use omendb_metrics::{Clock, Registry, Selection, Snapshot};
    /// let registry = Registry::new(Clock::system(), vec![]).unwrap();
    /// let page = registry.scrape(Selection::default(), Snapshot::to_text);
    /// assert!(page.contains("omendb_metrics_series "));
    /// ```
    pub fn scrape<T>(&self, selection: Selection, render: impl FnOnce(&Snapshot) -> T) -> T {
        let start = self.clock.now();
        let rendered = render(&self.snapshot(selection));
        self.own
            .scrape_seconds
            .record(self.clock.now().nanos_since(start));
        rendered
    }

    /// Collects what `selection` chooses, for readers inside the process; not counted as a scrape.
    pub fn snapshot(&self, selection: Selection) -> Snapshot {
        let times = [self.clock.wall(), self.started];
        let mut snapshot = Snapshot::new(Arc::clone(&self.catalogue), selection, times);
        for collector in &self.collectors {
            collector.collect(&mut snapshot);
        }
        snapshot.plain().group(&self.own);
        let figures = ScrapeFigures::of(&snapshot);
        snapshot.plain().reading(&figures);
        snapshot
    }
}

impl ScrapeFigures {
    fn of(snapshot: &Snapshot) -> Self {
        let Drops {
            limit,
            redacted,
            removed,
            undeclared,
        } = snapshot.drops;
        let mut dropped = Family::default();
        *dropped.of_mut(DropReason::Limit) = limit.into();
        *dropped.of_mut(DropReason::Redacted) = redacted.into();
        *dropped.of_mut(DropReason::Removed) = removed.into();
        *dropped.of_mut(DropReason::Undeclared) = undeclared.into();
        // The two gauges and the counters of this group, which are not there yet.
        let own_series = 2 + DropReason::ALL.len();
        Self {
            series: (snapshot.series() + own_series).into(),
            memory_bytes: snapshot.memory_bytes.into(),
            dropped,
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("families", &self.catalogue.families().len())
            .finish_non_exhaustive()
    }
}
