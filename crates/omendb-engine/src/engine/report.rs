//! The engine's side of a scrape: what the blocks add up to, and figures computed when asked.

use omendb_metrics::{
    Catalogue, Collect, DeclarationError, Family, GaugeValue, Snapshot, Timestamp, WindowFigures, Writer,
};
use omendb_storage::DiskTotals;

use crate::collection::Shared;
use crate::ledger::Component;
use crate::metrics::{
    BatchCells, CollectionCounts, CollectionFigures, CollectionSeries, EngineFigures, Kernel, LogMetrics,
    PlanCounts, PlanFigures, QueryBlock, QueryCells, QueryFigures, WriteCells,
};
use crate::recall::{AccuracyReport, ClassAccuracy, QueryClass};
use crate::{Engine, limits};

/// Adds every family of an engine with the default number of series: for those who want the catalogue without an
/// engine.
///
/// # Errors
/// When a declaration is refused, because a name is taken or malformed.
pub fn describe_metrics(catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
    describe(catalogue, limits::DEFAULT_MAX_SERIES)
}

fn describe(catalogue: &mut Catalogue, max_series: usize) -> Result<(), DeclarationError> {
    // The shared series for those beyond the limit, and for names that look like a credential.
    let collections = max_series + 2;
    catalogue.open_group::<QueryCells>(collections)?;
    catalogue.open_group::<QueryFigures>(collections)?;
    catalogue.open_group::<CollectionFigures>(collections)?;
    catalogue.open_group::<CollectionCounts>(collections)?;
    catalogue.open_group::<PlanFigures>(collections)?;
    catalogue.open_group::<PlanCounts>(collections)?;
    catalogue.open_group::<WriteCells>(collections)?;
    catalogue.group::<BatchCells>()?;
    catalogue.group::<LogMetrics>()?;
    catalogue.group::<EngineFigures>()
}

impl Collect for Engine {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        describe(catalogue, self.options.max_series)
    }

    fn collect(&self, out: &mut Snapshot) {
        let now = self.services.clock.now();
        self.series
            .collect(out, |series, out| collect_series(series, now, out));
        let mut retired = 0;
        for collection in self.collections() {
            let shared = collection.shared();
            retired += shared.ledger.retired();
            let (accuracy, mut out) = (shared.accuracy.report(now), out.by(shared.series.value()));
            out.reading(&figures_of(shared, &accuracy));
            if !accuracy.classes.is_empty() {
                out.reading(&plan_figures(&accuracy.classes));
            }
        }
        out.plain().blocks(&self.batches);
        out.plain().group(&self.services.metrics);
        out.plain().memory(self.vitals.heap_bytes());
        out.plain().reading(&self.figures(retired));
    }
}

fn collect_series(series: &CollectionSeries, now: Timestamp, out: &mut Writer<'_>) {
    let CollectionSeries {
        queries,
        writes,
        exemplars,
        window,
        counted,
    } = series;
    let mut total = queries.read();
    total.cells.duration.show(exemplars);
    out.memory((queries.live() + 1) * size_of::<QueryBlock>() + window.heap_bytes() + exemplars.heap_bytes());
    out.reading(&total.cells);
    out.blocks(writes);
    out.reading(&counted.counts());
    if let Some(counts) = counted.plan_counts() {
        out.reading(&counts);
    }
    let figures = window.figures(now, &total.cells.duration.distribution());
    let figure = |figure: fn(&WindowFigures) -> f64| GaugeValue::from(figures.as_ref().map(figure));
    let elements = total.elements.get();
    let utilization = (elements > 0).then(|| total.elements_in_full_vectors.get() as f64 / elements as f64);
    out.reading(&QueryFigures {
        mean: figure(|figures| figures.mean),
        p50: figure(|figures| figures.p50),
        p95: figure(|figures| figures.p95),
        p99: figure(|figures| figures.p99),
        simd_utilization: utilization.into(),
    });
}

/// What a query reads to find its hits.
const INDEX: [Component; 5] = [
    Component::Vectors,
    Component::Codes,
    Component::Graph,
    Component::SparseIndex,
    Component::Ids,
];

fn figures_of(shared: &Shared, accuracy: &AccuracyReport) -> CollectionFigures {
    let (ledger, state) = (&shared.ledger, shared.published());
    let mut components = Family::<Component, GaugeValue>::default();
    for &component in Component::ALL {
        *components.of_mut(component) = ledger.component(component).into();
    }
    let AccuracyReport {
        samples: _,
        mean,
        lower_bound,
        classes: _,
        worst: _,
    } = accuracy;
    let slots = state.ids.len() + state.tombstones;
    CollectionFigures {
        memory: ledger.total().into(),
        memory_peak: ledger.peak().into(),
        components,
        index_size: INDEX
            .iter()
            .map(|&part| ledger.component(part))
            .sum::<u64>()
            .into(),
        vectors: state.vectors.into(),
        graph_vectors: shared.graph_vectors(&state).into(),
        tombstones: state.tombstones.into(),
        tombstone_ratio: (slots > 0).then(|| state.tombstones as f64 / slots as f64).into(),
        unreachable_nodes: shared.unreachable_nodes().into(),
        norm_drift: shared.quality.drift().into(),
        log_bytes: shared.log_bytes().into(),
        accuracy: (*mean).into(),
        accuracy_lower_bound: (*lower_bound).into(),
    }
}

fn plan_figures(classes: &[ClassAccuracy]) -> PlanFigures {
    let mut figures = PlanFigures::default();
    for class in classes {
        let ClassAccuracy {
            class: QueryClass { plan, selectivity },
            samples: _,
            mean,
            lower_bound,
        } = *class;
        let labels = (plan, selectivity);
        *figures.accuracy.of_mut(labels) = mean.into();
        *figures.lower_bound.of_mut(labels) = lower_bound.into();
    }
    figures
}

impl Engine {
    fn figures(&self, retired: u64) -> EngineFigures {
        let DiskTotals {
            read_operations,
            read_bytes,
            write_operations,
            write_bytes,
            file_syncs: _,
            directory_syncs: _,
        } = self.services.fs.counters().totals();
        let mut kernel = Family::default();
        *kernel.of_mut(Kernel) = 1_u64.into();
        EngineFigures {
            retired: retired.into(),
            probe_seconds: self.services.probe.cpu_seconds().into(),
            kernel,
            read_bytes: read_bytes.into(),
            read_operations: read_operations.into(),
            write_bytes: write_bytes.into(),
            write_operations: write_operations.into(),
        }
    }
}
