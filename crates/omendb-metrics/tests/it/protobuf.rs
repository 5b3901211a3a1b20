//! The page as protocol buffers, read by a library that is not ours.

use omendb_metrics::{Blocks, Clock, Format, Origin, Selection, Snapshot};

use crate::chance::Chance;
use crate::client_model::{self, MetricFamily, families, labels};
use crate::exposition::{Fixture, Login, Route, Status, fixture};
use crate::page::Page;

fn scraped(fixture: &Fixture) -> Vec<MetricFamily> {
    families(&fixture.registry.scrape(Selection::default(), |snapshot| {
        snapshot.to_page(Format::Protobuf)
    }))
}

fn family<'f>(families: &'f [MetricFamily], name: &str) -> &'f MetricFamily {
    families.iter().find(|family| family.name() == name).unwrap()
}

#[test]
fn families_carry_name_help_type_and_unit() {
    let fixture = fixture();
    let families = scraped(&fixture);
    let catalogue = fixture.registry.catalogue().families();
    assert_eq!(families.len(), catalogue.len());
    for (family, declared) in families.iter().zip(catalogue) {
        let kind = ["counter", "gauge", "", "", "histogram"][family.kind() as usize];
        let said = [family.name(), family.help(), kind, family.unit()];
        assert_eq!(
            said,
            [
                declared.name,
                &declared.help,
                declared.kind.as_str(),
                declared.unit
            ]
        );
    }
    assert!(family(&families, "t_requests_total").metric.is_empty());
}

#[test]
fn counters_and_histograms_say_when_they_began() {
    let (fixture, time) = crate::exposition::fixture_and_time();
    let began = 1_700_000_000_123_456_789;
    time.advance_nanos(5_000_000_000);
    let series = fixture.engine.0.open("main");
    time.advance_nanos(60_000_000_000);
    Blocks::register(&series).latency.record(1_000);
    let families = scraped(&fixture);
    let start_of = |name: &str| {
        let metric = &family(&families, name).metric[0];
        let counter = metric
            .counter
            .as_ref()
            .and_then(|counter| counter.created_timestamp.clone());
        let histogram = metric
            .histogram
            .as_ref()
            .and_then(|histogram| histogram.created_timestamp.clone());
        counter.or(histogram).map(|start| start.unix_nanos())
    };
    for (name, expected) in [
        ("t_logins_total", Some(began)),
        ("t_wait_seconds", Some(began)),
        ("t_in_flight", None),
        ("t_queries_total", Some(began + 5_000_000_000)),
        ("t_query_seconds", Some(began + 5_000_000_000)),
    ] {
        assert_eq!(start_of(name), expected, "{name}");
    }
}

#[test]
fn native_buckets_are_those_of_the_schema() {
    let fixture = fixture();
    let check = |nanos: &[u64], expected: &[(f64, u64)]| {
        let before = fixture.web.wait.distribution();
        assert_eq!(before.count(), 0);
        nanos
            .iter()
            .for_each(|nanos| fixture.web.latency.of(Route(0)).record(*nanos));
        let families = scraped(&fixture);
        let histogram = family(&families, "t_latency_seconds").metric[0]
            .histogram
            .clone()
            .unwrap();
        assert_eq!(
            (histogram.schema(), histogram.zero_threshold()),
            (3, 2.0_f64.powi(-20))
        );
        assert_eq!(histogram.native(), expected);
        histogram.check_native("t_latency_seconds");
    };
    let eighth = |k: i32| (f64::from(k) / 8.0).exp2();
    check(&[0, 953], &[(eighth(-160), 2)]);
    check(
        &[1_000_000_000, 1_000_000_001],
        &[(eighth(-160), 2), (1.0, 1), (eighth(1), 1)],
    );
    // Above the grid, in the bucket after its last.
    check(
        &[64_000_000_000, 64_000_000_001, u64::MAX / 4],
        &[
            (eighth(-160), 2),
            (1.0, 1),
            (eighth(1), 1),
            (64.0, 1),
            (eighth(49), 2),
        ],
    );

    [1, 1, 2, 3, 500, 1 << 20, 1 << 30]
        .iter()
        .for_each(|size| fixture.web.batch.record(*size));
    let families = scraped(&fixture);
    let batch = family(&families, "t_batch_points").metric[0]
        .histogram
        .clone()
        .unwrap();
    assert_eq!((batch.schema(), batch.zero_threshold()), (0, 1.0));
    let power = |k: i32| f64::from(k).exp2();
    assert_eq!(
        batch.native(),
        [
            (1.0, 2),
            (2.0, 1),
            (4.0, 1),
            (512.0, 1),
            (power(20), 1),
            (power(21), 1)
        ]
    );
    batch.check_native("t_batch_points");
    // Nothing recorded, and native all the same: by its zero bucket.
    let wait = family(&families, "t_wait_seconds").metric[0]
        .histogram
        .clone()
        .unwrap();
    assert!(wait.zero_threshold() > 0.0 && wait.zero_count == Some(0) && wait.native().is_empty());
}

#[test]
fn a_selection_is_the_same_in_every_format() {
    let fixture = fixture();
    let _both = ["main", "other"].map(|name| fixture.engine.0.open(name));
    for query in [
        "",
        "name[]=t_query_seconds&name[]=t_in_flight",
        "db_id=main",
        "db_id=nothing",
    ] {
        let snapshot = fixture.registry.snapshot(Selection::from_query(query));
        let families = families(&snapshot.to_protobuf());
        let text = Page::parse(&snapshot.to_text());
        assert_eq!(families.len(), text.kinds.len(), "{query}");
        assert_eq!(client_model::samples(&families), text.samples, "{query}");
    }
}

/// Names that are hard to write somewhere.
const NAMES: [&str; 8] = [
    "main",
    "a \"b\"\\c\nd",
    "Grüße 你好 \u{1f980}",
    "tab\tbell\u{7}",
    "\\n",
    "le=\"1.0\"",
    "# EOF",
    "{} 1",
];

/// Series, counts and observations by chance.
fn anything(chance: &mut Chance) -> Fixture {
    let fixture = fixture();
    let web = &fixture.web;
    // Of any length: how many digits or bytes it takes is chance too.
    let number = |chance: &mut Chance| (chance.next() * 2.0_f64.powi(chance.below(53) as i32)) as u64;
    for _ in 0..chance.below(12) {
        let status = [Status::Ok, Status::NotFound][chance.below(2)];
        web.requests.add((Route(chance.below(3)), status), number(chance));
        web.logins
            .add([Login::Success, Login::Failure][chance.below(2)], number(chance));
    }
    web.in_flight.set(number(chance) as i64 - number(chance) as i64);
    if chance.below(3) > 0 {
        web.share
            .set([chance.normal(), f64::INFINITY, f64::NEG_INFINITY, 1e-300][chance.below(4)]);
    }
    let latency = |chance: &mut Chance| (2_000.0 * (4.0 * chance.normal()).exp()).min(1e12) as u64;
    for _ in 0..chance.below(400) {
        web.latency.of(Route(chance.below(3))).record(latency(chance));
        web.wait.record(latency(chance));
        web.batch.record(number(chance));
    }
    let first = chance.below(NAMES.len());
    for offset in 0..chance.below(6) {
        let block = Blocks::register(&fixture.engine.0.open(NAMES[(first + offset) % NAMES.len()]));
        block.queries.add(number(chance));
        block.failures.of(Login::Failure).add(number(chance));
        (0..chance.below(300)).for_each(|_| block.latency.record(latency(chance)));
    }
    fixture
}

/// The samples of the JSON page, as a text page would have them.
fn json_samples(snapshot: &Snapshot) -> client_model::Samples {
    let json: serde_json::Value = serde_json::from_str(&snapshot.to_json()).unwrap();
    let mut samples = client_model::Samples::new();
    for family in json["families"].as_array().unwrap() {
        let name = family["name"].as_str().unwrap();
        for sample in family["samples"].as_array().unwrap() {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let labels = sample["labels"].as_object().unwrap().iter();
            let labels: std::collections::BTreeMap<_, _> =
                labels.map(|(key, value)| (key.clone(), text(value))).collect();
            let Some(buckets) = sample["buckets"].as_array() else {
                samples.insert(
                    (name.into(), labels),
                    sample["value"].as_f64().unwrap_or(f64::NAN),
                );
                continue;
            };
            for end in ["count", "sum"] {
                let value = sample[end].as_f64().unwrap();
                samples.insert((format!("{name}_{end}"), labels.clone()), value);
            }
            for bucket in buckets {
                let mut labels = labels.clone();
                let bound: f64 = text(&bucket["le"]).replace("+Inf", "inf").parse().unwrap();
                labels.insert("le".into(), bound.to_string());
                samples.insert(
                    (format!("{name}_bucket"), labels),
                    bucket["count"].as_f64().unwrap(),
                );
            }
        }
    }
    samples
}

#[test]
fn one_snapshot_says_the_same_in_every_format_whatever_is_in_it() {
    for seed in 0..150 {
        let mut chance = Chance::new(seed);
        let fixture = anything(&mut chance);
        let snapshot = fixture.registry.snapshot(Selection::default());
        let text = Page::parse(&snapshot.to_text()).samples;
        assert_eq!(
            Page::parse(&snapshot.to_openmetrics()).samples,
            text,
            "seed {seed}"
        );
        let families = families(&snapshot.to_protobuf());
        assert_eq!(client_model::samples(&families), text, "seed {seed}");
        // JSON has no infinity, and its reader rounds the last digit of a long number as it likes.
        let finite = |samples: client_model::Samples| {
            let finite = samples.into_iter().filter(|(_, value)| value.is_finite());
            finite
                .map(|(series, value)| (series, format!("{value:.14e}")))
                .collect::<Vec<_>>()
        };
        assert_eq!(finite(json_samples(&snapshot)), finite(text), "seed {seed}");
        for family in &families {
            for metric in &family.metric {
                let name = format!("seed {seed}: {} {:?}", family.name(), labels(&metric.label));
                metric
                    .histogram
                    .iter()
                    .for_each(|histogram| histogram.check_native(&name));
            }
        }
    }
}

#[test]
fn exemplars_are_with_their_buckets_and_with_the_native_histogram() {
    let (clock, time) = Clock::manual();
    time.set_wall(1_700_000_000_250_000_000);
    let fixture = fixture();
    let trace = Origin::trace("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    let observe = |nanos: u64, origin: &Origin| {
        fixture.web.wait.record(nanos);
        fixture
            .web
            .wait
            .exemplars()
            .offer(&clock, clock.now(), nanos, origin);
    };
    observe(3_000_000, &trace);
    observe(90_000_000_000, &Origin::request("a-1").unwrap());
    let snapshot = fixture
        .registry
        .snapshot(Selection::from_query("name[]=t_wait_seconds"));
    let openmetrics = snapshot.to_openmetrics();
    for line in [
        "t_wait_seconds_bucket{le=\"0.00390625\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.003 1700000000.25\n",
        "t_wait_seconds_bucket{le=\"+Inf\"} 2 # {request_id=\"a-1\"} 90.0 1700000000.25\n",
    ] {
        assert!(openmetrics.contains(line), "{openmetrics}");
    }
    assert_eq!(openmetrics.matches(" # {").count(), 2);
    // Text 0.0.4 has no place for them.
    assert!(!snapshot.to_text().contains(" # {"));
    let families = families(&snapshot.to_protobuf());
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    histogram.check_native("t_wait_seconds");
    let of_buckets: Vec<_> = histogram
        .bucket
        .iter()
        .filter_map(|bucket| {
            let exemplar = bucket.exemplar.clone()?;
            assert!(exemplar.value() <= bucket.upper_bound());
            Some(exemplar)
        })
        .collect();
    assert_eq!(of_buckets, histogram.exemplars);
    let said: Vec<_> = of_buckets
        .iter()
        .map(|exemplar| {
            let label = &exemplar.label[0];
            let at = exemplar.timestamp.as_ref().unwrap().unix_nanos();
            (label.name(), label.value(), exemplar.value(), at)
        })
        .collect();
    let at = 1_700_000_000_250_000_000;
    assert_eq!(
        said,
        [
            ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736", 0.003, at),
            ("request_id", "a-1", 90.0, at)
        ]
    );
}
