//! One query against many rows: bytes of rows per second, beside what merely reading them takes.

use crate::{Options, Report};
use omendb_bench::stopwatch::thread_cpu_s;
use omendb_distance::{Distance, Kernels};
use std::hint::black_box;

/// As many rows as the real data set has, far more than caches hold as f32.
const ROWS: usize = 50_000;
const DIMENSION: usize = 384;

/// Passes over the rows; the fastest counts, since every disturbance only slows.
const PASSES: usize = 20;

/// `cargo x bench distance`
pub(crate) fn measure(_options: &Options) -> Result<Report, String> {
    let kernels = Kernels::detected();
    let rows: Vec<f32> = (0..ROWS * DIMENSION).map(pattern).collect();
    let codes: Vec<i8> = rows.iter().map(|element| (element * 127.0) as i8).collect();
    let (query, query_codes) = (&rows[..DIMENSION], &codes[..DIMENSION]);
    let row_bytes = size_of_val(rows.as_slice()) as f64;
    let mut report = Report::default();
    report.push("isa", kernels.isa());
    report.push("rows", ROWS);
    report.push("dim", DIMENSION);

    let read = row_bytes / fastest(|| xor_of_all(black_box(&rows))) / 1e9;
    report.push("read_gb_per_s", read);
    let mut scores = vec![0.0; ROWS];
    for (name, distance) in [
        ("dot_gb_per_s", Distance::Dot),
        ("l2_squared_gb_per_s", Distance::Euclid),
        ("manhattan_gb_per_s", Distance::Manhattan),
    ] {
        let pass = fastest(|| kernels.raw_rows(distance, query, &rows, black_box(&mut scores)));
        report.push(name, row_bytes / pass / 1e9);
        if distance == Distance::Dot {
            report.push("dot_over_read", row_bytes / pass / 1e9 / read);
        }
    }
    let mut dots = vec![0; ROWS];
    let pass = fastest(|| kernels.dot_i8_rows(query_codes, &codes, black_box(&mut dots)));
    report.push("i8_dot_gb_per_s", codes.len() as f64 / pass / 1e9);
    let mut squares = vec![0; ROWS];
    let pass = fastest(|| kernels.l2_squared_i8_rows(query_codes, &codes, black_box(&mut squares)));
    report.push("i8_l2_squared_gb_per_s", codes.len() as f64 / pass / 1e9);
    Ok(report)
}

/// Seconds of the fastest of several passes.
fn fastest<R>(mut pass: impl FnMut() -> R) -> f64 {
    let seconds = (0..PASSES).map(|_| {
        let start = thread_cpu_s();
        black_box(pass());
        thread_cpu_s() - start
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// Reads everything and keeps next to nothing.
fn xor_of_all(elements: &[f32]) -> u32 {
    elements.iter().fold(0, |all, element| all ^ element.to_bits())
}

/// Elements in -0.5 .. 0.5 without a short period.
fn pattern(at: usize) -> f32 {
    (at.wrapping_mul(2_654_435_761) % 1_000) as f32 / 1_000.0 - 0.5
}
