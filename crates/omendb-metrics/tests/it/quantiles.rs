//! Quantiles and means against exact ones, for distributions of different shapes.

use omendb_metrics::{Clock, Histogram, HistogramCells, Latency, LatencyWindow, Selection};

use crate::chance::Chance;
use crate::client_model::families;
use crate::exposition::fixture;

/// Half a bucket of the grid: 2^(1/16) - 1 is 4.43 %.
const TOLERANCE: f64 = 0.045;

/// Records what `draw` gives and compares every figure of the window with the exact one.
fn check(shape: &str, mut draw: impl FnMut(&mut Chance) -> f64) {
    let (clock, _) = Clock::manual();
    let mut chance = Chance::new(1);
    let (shared, cells) = (Histogram::<Latency>::default(), HistogramCells::default());
    let mut nanos: Vec<u64> = (0..50_000).map(|_| draw(&mut chance) as u64).collect();
    for &value in &nanos {
        shared.record(value);
        cells.record(value);
    }
    assert_eq!(shared.distribution(), cells.distribution());
    let window = LatencyWindow::empty::<Latency>();
    let figures = window.figures(clock.now(), &cells.distribution()).unwrap();
    nanos.sort_unstable();
    let exact = |q: f64| nanos[(q * nanos.len() as f64).ceil() as usize - 1] as f64 * 1e-9;
    for (q, figure) in [(0.50, figures.p50), (0.95, figures.p95), (0.99, figures.p99)] {
        let error = (figure / exact(q) - 1.0).abs();
        assert!(
            error <= TOLERANCE,
            "{shape}: p{:.0} is {figure}, exactly {}, off by {error:.4}",
            q * 100.0,
            exact(q)
        );
    }
    let mean = nanos.iter().sum::<u64>() as f64 * 1e-9 / nanos.len() as f64;
    assert!(
        (figures.mean / mean - 1.0).abs() < 1e-9,
        "{shape}: mean {} against {mean}",
        figures.mean
    );
    assert_eq!(figures.count, nanos.len() as u64);
    check_native(shape, &nanos);
}

/// What a reader of the native buckets finds: the geometric middle of the bucket is as good as the gauges. Prometheus
/// interpolates within the bucket, up to version 2 in equal steps, since 3 in equal factors: where values are spread over
/// several buckets that is better still; where all are the same it may name either end of their bucket, 9.05 % apart.
fn check_native(shape: &str, nanos: &[u64]) {
    let fixture = fixture();
    nanos.iter().for_each(|nanos| fixture.web.wait.record(*nanos));
    let selection = Selection::from_query("name[]=t_wait_seconds");
    let page = families(&fixture.registry.snapshot(selection).to_protobuf());
    let histogram = page[0].metric[0].histogram.as_ref().unwrap();
    assert_eq!(histogram.sample_count(), nanos.len() as u64, "{shape}");
    let (buckets, width) = (histogram.native(), 0.125_f64.exp2());
    assert_eq!(
        buckets.iter().map(|(_, count)| count).sum::<u64>(),
        nanos.len() as u64,
        "{shape}"
    );
    let is_spread = nanos.first() != nanos.last();
    let interpolated_within = if is_spread { 0.05 } else { width - 1.0 + 1e-9 };
    for q in [0.50, 0.95, 0.99] {
        let rank = q * nanos.len() as f64;
        let exact = nanos[rank.ceil() as usize - 1] as f64 * 1e-9;
        let mut below = 0;
        let (upper, count) = buckets
            .iter()
            .copied()
            .find(|(_, count)| {
                below += count;
                below as f64 >= rank
            })
            .unwrap();
        let lower = upper / width;
        assert!(
            (lower * (1.0 - 1e-12)..=upper * (1.0 + 1e-12)).contains(&exact),
            "{shape}: p{q} is {exact}, not in the bucket up to {upper}"
        );
        let check = |how: &str, found: f64, tolerance: f64| {
            let error = (found / exact - 1.0).abs();
            assert!(
                error <= tolerance,
                "{shape}: p{q} {how} {found}, exactly {exact}, off by {error:.4}"
            );
        };
        check("in the middle", (lower * upper).sqrt(), TOLERANCE);
        let fraction = (rank - (below - count) as f64) / count as f64;
        check(
            "in equal steps",
            lower + (upper - lower) * fraction,
            interpolated_within,
        );
        check(
            "in equal factors",
            lower * width.powf(fraction),
            interpolated_within,
        );
    }
}

#[test]
fn within_half_a_bucket_for_every_shape() {
    check("log-normal around 1 ms", |chance| {
        1e6 * (0.7 * chance.normal()).exp()
    });
    check("log-normal with a heavy tail", |chance| {
        (1e5 * (1.8 * chance.normal()).exp()).clamp(1e3, 6e10)
    });
    check("bimodal, cache hit or disk", |chance| {
        let mode = if chance.next() < 0.94 { 8e4 } else { 9e6 };
        mode * (1.0 + 0.1 * chance.normal())
    });
    check("uniform", |chance| 2e3 + 1e9 * chance.next());
    // Every load again at other times: all decades from 2 us to 10 s.
    for middle in [4e3, 5e4, 6e5, 7e6, 8e7, 9e8] {
        check(&format!("log-normal around {middle} ns"), |chance| {
            (middle * (0.5 * chance.normal()).exp()).clamp(2e3, 1e10)
        });
        check(&format!("bimodal at {middle} ns and ten times that"), |chance| {
            let mode = if chance.next() < 0.9 {
                middle
            } else {
                10.0 * middle
            };
            (mode * (1.0 + 0.08 * chance.normal())).clamp(2e3, 1e10)
        });
    }
    let mut constant = 2e3;
    while constant <= 1e10 {
        check(&format!("constant {constant} ns"), |_| constant);
        constant *= 1.37;
    }
    for constant in [
        1_000.0,
        1_049.0,
        2_000.0,
        123_456.0,
        1e6,
        2.0_f64.powi(-10) * 1e9,
        3e9,
        1e10,
        6.3e10,
    ] {
        check(&format!("constant {constant} ns"), |_| constant);
    }
}

#[test]
fn the_ends_of_the_grid_are_named_by_their_bound() {
    let figures = |nanos| {
        let latency = Histogram::<Latency>::default();
        latency.record(nanos);
        latency.distribution().quantile(0.5).unwrap()
    };
    assert!(figures(0) < 1e-6 && figures(0) > 0.9e-6);
    assert_eq!(figures(100_000_000_000), 64.0);
}
