//! Which figures have a history: one list, of families of the catalogue.

/// What is kept of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Of a counter: its mean increase a second since the value before.
    Rate,
    /// Of a gauge: what it was at the end of the slot.
    Gauge,
    /// Of a histogram: the median, the 95th and the 99th percentile of what was recorded since the value before.
    Quantiles,
}

/// Which of its series are told apart; the others are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Nothing,
    Label(&'static str),
    /// The first digit of `status`: `2xx`.
    StatusClass,
}

/// What several values come to where a step is longer than a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    Mean,
    Greatest,
    Least,
}

/// One family with a history.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) family: &'static str,
    pub(super) how: How,
    pub(super) by: By,
    pub(super) merge: Merge,
}

const fn kept(family: &'static str, how: How, by: By, merge: Merge) -> Kept {
    Kept {
        family,
        how,
        by,
        merge,
    }
}

/// The label of collections.
pub(super) const COLLECTION: &str = "db_id";
const BY_COLLECTION: By = By::Label(COLLECTION);

/// The list. The first has a series for every collection there is, whatever has happened to it.
pub(super) const KEPT: &[Kept] = &[
    kept(
        "omendb_engine_queries_total",
        How::Rate,
        BY_COLLECTION,
        Merge::Mean,
    ),
    kept(
        "omendb_engine_query_errors_total",
        How::Rate,
        BY_COLLECTION,
        Merge::Mean,
    ),
    kept(
        "omendb_engine_query_latency_p50_seconds",
        How::Gauge,
        BY_COLLECTION,
        Merge::Greatest,
    ),
    kept(
        "omendb_engine_query_latency_p95_seconds",
        How::Gauge,
        BY_COLLECTION,
        Merge::Greatest,
    ),
    kept(
        "omendb_engine_query_latency_p99_seconds",
        How::Gauge,
        BY_COLLECTION,
        Merge::Greatest,
    ),
    kept(
        "omendb_engine_search_accuracy_ratio",
        How::Gauge,
        BY_COLLECTION,
        Merge::Least,
    ),
    kept(
        "omendb_engine_memory_allocated_bytes",
        How::Gauge,
        BY_COLLECTION,
        Merge::Mean,
    ),
    kept("omendb_engine_vectors", How::Gauge, BY_COLLECTION, Merge::Mean),
    kept(
        "omendb_engine_retired_bytes",
        How::Gauge,
        By::Nothing,
        Merge::Greatest,
    ),
    kept(
        "omendb_http_requests_total",
        How::Rate,
        By::StatusClass,
        Merge::Mean,
    ),
    kept(
        "omendb_http_request_latency_seconds",
        How::Quantiles,
        By::Nothing,
        Merge::Greatest,
    ),
    kept(
        "omendb_connection_pool_active",
        How::Gauge,
        By::Label("pool"),
        Merge::Mean,
    ),
    kept(
        "omendb_connection_queue_depth",
        How::Gauge,
        By::Label("pool"),
        Merge::Greatest,
    ),
    kept(
        "omendb_connection_pool_rejected_total",
        How::Rate,
        By::Label("pool"),
        Merge::Mean,
    ),
    kept(
        "omendb_auth_token_validations_total",
        How::Rate,
        By::Label("status"),
        Merge::Mean,
    ),
    kept(
        "omendb_log_fsync_seconds",
        How::Quantiles,
        By::Nothing,
        Merge::Greatest,
    ),
    kept(
        "omendb_log_written_bytes_total",
        How::Rate,
        By::Nothing,
        Merge::Mean,
    ),
    kept(
        "omendb_health_component_state",
        How::Gauge,
        By::Label("component"),
        Merge::Greatest,
    ),
    kept(
        "process_resident_memory_bytes",
        How::Gauge,
        By::Nothing,
        Merge::Mean,
    ),
    kept("process_cpu_seconds_total", How::Rate, By::Nothing, Merge::Mean),
    kept("process_open_fds", How::Gauge, By::Nothing, Merge::Greatest),
];

impl How {
    /// As the answer says it.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Rate => "rate: mean increase a second",
            Self::Gauge => "gauge: as it was",
            Self::Quantiles => "quantiles: of what was recorded in between",
        }
    }
}

impl Merge {
    /// One value for several, of which some may be missing.
    pub(super) fn of(self, values: impl Iterator<Item = f32>) -> Option<f32> {
        let there: Vec<f64> = values.filter(|value| value.is_finite()).map(f64::from).collect();
        let merged = match self {
            Self::Mean => there.iter().sum::<f64>() / there.len() as f64,
            Self::Greatest => there.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Least => there.iter().copied().fold(f64::INFINITY, f64::min),
        };
        (!there.is_empty()).then_some(merged as f32)
    }
}

#[cfg(test)]
mod tests {
    use omendb_metrics::Kind;

    use super::*;

    #[test]
    fn everything_kept_is_in_the_catalogue_and_of_its_kind() {
        let declared = crate::telemetry::declared().unwrap();
        let families = declared.catalogue().families();
        for Kept {
            family,
            how,
            by,
            merge: _,
        } in KEPT
        {
            let found = families.iter().find(|known| known.name == *family);
            let found = found.unwrap_or_else(|| panic!("{family} is not declared"));
            let kind = match how {
                How::Rate => Kind::Counter,
                How::Gauge => Kind::Gauge,
                How::Quantiles => Kind::Histogram,
            };
            assert_eq!(found.kind, kind, "{family}");
            let label = match by {
                By::Nothing => continue,
                By::Label(label) => label,
                By::StatusClass => "status",
            };
            assert!(found.labels.contains(&label), "{family} has no {label}");
        }
    }

    #[test]
    fn several_values_come_to_one() {
        let check = |merge: Merge, values: &[f32], expected: Option<f32>| {
            assert_eq!(merge.of(values.iter().copied()), expected, "{merge:?} {values:?}");
        };
        check(Merge::Mean, &[1.0, f32::NAN, 3.0], Some(2.0));
        check(Merge::Greatest, &[1.0, 3.0, 2.0], Some(3.0));
        check(Merge::Least, &[0.9, 1.0], Some(0.9));
        check(Merge::Mean, &[f32::NAN], None);
        check(Merge::Least, &[], None);
    }
}
