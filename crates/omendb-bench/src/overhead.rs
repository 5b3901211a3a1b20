//! What it costs to count, time and record a query: instructions of the same queries in two builds of the engine, one of
//! which does none of it; and what a request over HTTP costs beside.

pub(crate) mod requests;
mod twin;

use crate::ann::DataSet;
use crate::{Options, Report, callgrind, recording};
pub(crate) use twin::{Found, Prepared, Twin};

/// Queries that callgrind counts, after some that it does not.
const QUERIES: usize = 200;

/// `cargo x bench overhead`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    if !callgrind::is_installed() {
        return Err("valgrind is not installed; on Debian: apt-get install valgrind".to_owned());
    }
    let data = DataSet::read(options.data.as_deref())?;
    let prepared = Prepared::new(&data.points, &data.queries)?;
    let (measured, found) = Twin::Measured.query_instructions(&prepared, QUERIES)?;
    let (unmeasured, found_unmeasured) = Twin::Unmeasured.query_instructions(&prepared, QUERIES)?;
    if found.hits != found_unmeasured.hits {
        return Err(format!(
            "the builds do not find the same: {found:?}, unmeasured {found_unmeasured:?}"
        ));
    }
    let extra = measured - unmeasured;
    let mut report = Report::default();
    report.push("n", data.points.rows());
    report.push("dim", data.points.columns());
    report.push("graph_vectors", found.indexed_vectors);
    report.push("queries", QUERIES);
    report.push("hits", found.hits);
    report.push("query_instructions", measured);
    report.push("unmeasured_query_instructions", unmeasured);
    report.push("extra_instructions_per_query", extra);
    report.push("extra_fraction", extra / unmeasured);
    report.push("record_instructions", recording::per_call("record_in_block")?);
    report.push("http_request_instructions", requests::instructions()?);
    report.push("http_request_us", requests::microseconds()?);
    Ok(report)
}
