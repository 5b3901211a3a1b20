//! The table of the founding document at its own size, 10,000 vectors: what metrics cost a query, memory and the
//! processor, beside what it claims.

use omendb_bench::stopwatch::{process_cpu_s, thread_cpu_s};
use omendb_metrics::{Format, Selection, gzip};

use crate::ann::DataSet;
use crate::metrics::median;
use crate::overhead::{Found, Prepared, Twin};
use crate::{Options, Report, export, memory};

/// Vectors, and queries of one measurement.
const VECTORS: usize = 10_000;
const QUERIES: usize = 1_000;
/// Runs of each program, in turns; medians count.
const ROUNDS: usize = 9;
/// Renderings of a page, and scrapes over HTTP, that are measured together.
const RENDERINGS: usize = 200;
/// Seconds between scrapes.
const SCRAPE_INTERVAL_S: f64 = 15.0;

/// A dimension, and the names of its figures.
type Size = (usize, [&'static str; 6]);

const SIZES: [Size; 2] = [
    (
        128,
        [
            "query_ms_128",
            "query_ms_128_unmeasured",
            "query_ratio_128",
            "mb_per_1000_vectors_128",
            "mb_per_1000_vectors_128_unmeasured",
            "graph_vectors_128",
        ],
    ),
    (
        384,
        [
            "query_ms_384",
            "query_ms_384_unmeasured",
            "query_ratio_384",
            "mb_per_1000_vectors_384",
            "mb_per_1000_vectors_384_unmeasured",
            "graph_vectors_384",
        ],
    ),
];

/// `cargo x bench seed`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let data = DataSet::read(options.data.as_deref())?;
    let mut report = Report::default();
    report.push("n", VECTORS);
    for size in SIZES {
        queries(&data, size, &mut report)?;
    }
    pages(&mut report)?;
    Ok(report)
}

/// Time and memory with metrics and without: the first components of the first vectors.
fn queries(data: &DataSet, (dimension, names): Size, report: &mut Report) -> Result<(), String> {
    let points = data.points.corner(VECTORS, dimension);
    let vectors = data.queries.corner(data.queries.rows(), dimension);
    let prepared = Prepared::new(&points, &vectors)?;
    let (mut measured, mut unmeasured) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        measured.push(Twin::Measured.run(&prepared, QUERIES)?);
        unmeasured.push(Twin::Unmeasured.run(&prepared, QUERIES)?);
    }
    let is_same = |(one, other): (&Found, &Found)| one.hits == other.hits;
    if !measured.iter().zip(&unmeasured).all(is_same) {
        return Err(format!(
            "the builds do not find the same at {dimension} dimensions"
        ));
    }
    let [query_ms, query_ms_unmeasured, ratio, mb, mb_unmeasured, graph] = names;
    let of_all = |found: &[Found], figure: fn(&Found) -> f64| median(found.iter().map(figure).collect());
    let (with, without) = (
        of_all(&measured, |found| found.query_us),
        of_all(&unmeasured, |found| found.query_us),
    );
    report.push(graph, measured[0].indexed_vectors);
    report.push(query_ms, with / 1e3);
    report.push(query_ms_unmeasured, without / 1e3);
    report.push(ratio, with / without);
    // Bytes of 10,000 vectors as megabytes of 1,000.
    let thousands = VECTORS as f64 / 1e3;
    let megabytes = |found| of_all(found, |found| found.resident_bytes) / 1e6 / thousands;
    report.push(mb, megabytes(&measured));
    report.push(mb_unmeasured, megabytes(&unmeasured));
    Ok(())
}

/// What a page takes: that of a server with one collection and light traffic, and one of 10,000 series.
fn pages(report: &mut Report) -> Result<(), String> {
    let registry = export::ours().map_err(|error| error.to_string())?;
    let render = || registry.scrape(Selection::default(), |page| page.to_page(Format::Text));
    let large = render();
    report.push("large_page_series", export::series_of(&large));
    report.push("large_page_bytes", large.len());
    report.push("large_page_gzip_bytes", gzip(&large).len());
    report.push("large_page_ms", each_ms(render));

    let (server, mut client) = memory::server_of_one_route()?;
    let page = memory::page(&mut client)?;
    report.push("default_page_series", export::series_of(&page));
    report.push("default_page_bytes", page.len());
    report.push("default_page_gzip_bytes", gzip(&page).len());
    let registry = &server.app().ok_or("the server has ended")?.telemetry.registry;
    let render = || registry.scrape(Selection::default(), |page| page.to_page(Format::Text));
    report.push("default_page_ms", each_ms(render));
    let begun = process_cpu_s();
    for _ in 0..RENDERINGS {
        memory::page(&mut client)?;
    }
    let scrape_s = (process_cpu_s() - begun) / RENDERINGS as f64;
    // The client is in the same process: what it takes is counted too.
    report.push("scrape_cpu_ms", scrape_s * 1e3);
    report.push("scrape_cpu_share", scrape_s / SCRAPE_INTERVAL_S);
    Ok(())
}

/// Processor time of one rendering, milliseconds.
fn each_ms(render: impl Fn() -> Vec<u8>) -> f64 {
    let begun = thread_cpu_s();
    for _ in 0..RENDERINGS {
        drop(std::hint::black_box(render()));
    }
    (thread_cpu_s() - begun) / RENDERINGS as f64 * 1e3
}
