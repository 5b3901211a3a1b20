//! Declarations that must be refused, and the catalogue of those that are not.

use omendb_metrics::{Catalogue, Cell, Counter, Counters, Gauge, Group, Histogram, labels, metrics};

labels! {
    /// A label that histograms need for themselves.
    pub(crate) enum Bound("le") { One = "1" }
}
labels! {
    /// The open label's name.
    pub(crate) enum Collection("db_id") { Main = "main" }
}

macro_rules! refused {
    ($test:ident, $type:ty = $name:literal $(by $open:literal)?, $reason:literal) => {
        #[test]
        fn $test() {
            metrics! {
                /// One family.
                pub(crate) struct Declared $(by $open)? {
                    /// Help.
                    pub(crate) field: $type = $name,
                }
            }
            let error = Catalogue::default().group::<Declared>().unwrap_err();
            assert_eq!((error.name, error.reason), ($name, $reason));
        }
    };
}

refused!(
    a_counter_without_total,
    Counter = "t_things",
    "counters end in _total, and nothing else does"
);
refused!(
    a_gauge_with_total,
    Gauge = "t_things_total",
    "counters end in _total, and nothing else does"
);
refused!(
    a_name_like_a_part_of_a_histogram,
    Gauge = "t_things_count",
    "name ends like a part of a histogram"
);
refused!(
    an_upper_case_name,
    Gauge = "t_Things",
    "name is not lower-case words joined by underscores"
);
refused!(
    a_name_with_a_blank,
    Gauge = "t things",
    "name is not lower-case words joined by underscores"
);
refused!(a_reserved_label, Counters<Bound> = "t_things_total", "label name is malformed or reserved");
refused!(a_label_twice, Counters<Collection> = "t_things_total" by "db_id", "label name occurs twice");

#[test]
fn names_are_unique_also_with_what_histograms_and_counters_occupy() {
    metrics! {
        /// First.
        pub(crate) struct First {
            /// Help.
            pub(crate) latency: Histogram = "t_latency_seconds",
            /// Help.
            pub(crate) things: Counter = "t_things_total",
        }
    }
    metrics! {
        /// Clashes with the family name of the counter in OpenMetrics.
        pub(crate) struct Stem {
            /// Help.
            pub(crate) things: Gauge = "t_things",
        }
    }
    metrics! {
        /// Clashes plainly.
        pub(crate) struct Same {
            /// Help.
            pub(crate) latency: Gauge = "t_latency_seconds",
        }
    }
    let mut catalogue = Catalogue::default();
    catalogue.group::<First>().unwrap();
    assert_eq!(
        catalogue.group::<First>().unwrap_err().reason,
        "name is already taken"
    );
    assert_eq!(
        catalogue.group::<Stem>().unwrap_err().to_string(),
        "metric t_things: name is already taken"
    );
    assert_eq!(
        catalogue.group::<Same>().unwrap_err().reason,
        "name is already taken"
    );
}

metrics! {
    /// A group by an open label.
    pub(crate) struct PerCollection by "db_id" {
        /// First line,
        /// second line.
        ///
        /// Second paragraph with a "quote".
        pub(crate) errors: Counters<Kind> = "t_errors_total",
        /// Help.
        pub(crate) size: Gauge = "t_size_bytes" experimental,
    }
}
labels! {
    /// Kinds.
    pub(crate) enum Kind("kind") { A = "a", B = "b", C = "c" }
}

#[test]
fn the_catalogue_tells_what_was_declared() {
    let mut catalogue = Catalogue::default();
    catalogue.open_group::<PerCollection>(10).unwrap();
    let json: serde_json::Value = serde_json::from_str(&catalogue.to_json()).unwrap();
    let expected = serde_json::json!({"families": [
        {
            "name": "t_errors_total", "type": "counter", "unit": "", "stability": "stable", "labels": ["db_id", "kind"],
            "cardinality": 30, "help": "First line, second line.",
            "when_to_look": "Second paragraph with a \"quote\".",
        },
        {
            "name": "t_size_bytes", "type": "gauge", "unit": "bytes", "stability": "experimental", "labels": ["db_id"],
            "cardinality": 10, "help": "Help.", "when_to_look": "",
        },
    ]});
    assert_eq!(json, expected);
}

#[test]
fn units_are_the_ends_of_names() {
    metrics! {
        /// Names.
        pub(crate) struct Units {
            /// Help.
            pub(crate) a: Cell = "t_a_seconds_total",
            /// Help.
            pub(crate) b: Gauge = "t_b_ratio",
            /// Help.
            pub(crate) c: Gauge = "t_milliseconds",
            /// Help.
            pub(crate) d: Gauge = "t_things",
        }
    }
    let units: Vec<_> = Units::descriptors().iter().map(|family| family.unit()).collect();
    assert_eq!(units, ["seconds", "ratio", "", ""]);
}
