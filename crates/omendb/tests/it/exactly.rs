//! What one operation moves, and that it moves nothing else.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::page::{Page, sorted};

/// Families whose movement an operation determines alone. Of histograms, the count and, where it is no time, the sum.
const DETERMINED: &[&str] = &[
    "omendb_auth_authorization_failures_total",
    "omendb_auth_login_failures_total",
    "omendb_auth_requests_total",
    "omendb_auth_token_validations_total",
    "omendb_connection_pool_rejected_total",
    "omendb_engine_batch_points",
    "omendb_engine_batch_queries",
    "omendb_engine_bytes_touched_total",
    "omendb_engine_distance_computations_total",
    "omendb_engine_filter_rejected_total",
    "omendb_engine_hops_total",
    "omendb_engine_queries_total",
    "omendb_engine_query_errors_total",
    "omendb_engine_rescored_total",
    "omendb_engine_tombstones",
    "omendb_engine_vectors",
    "omendb_engine_visited_total",
    "omendb_engine_vectors_indexed_total",
    "omendb_http_request_latency_seconds",
    "omendb_http_requests_total",
    "omendb_log_commits_joined",
    "omendb_log_fsync_seconds",
    "omendb_query_duration_seconds",
];

/// What moved between two scrapes by `client` around `operation`, the scrapes themselves left out.
fn movement(scraper: &mut Client, operation: impl FnOnce()) -> BTreeMap<String, f64> {
    let before = Page::scrape(scraper);
    operation();
    let after = Page::scrape(scraper);
    let mut moved = after.since(&before);
    moved.retain(|series, _| {
        let time = series.contains("_seconds_sum") || series.contains("_bucket");
        let scrape = series.contains(r#"endpoint="/metrics""#);
        DETERMINED.contains(&after.family(series)) && !time && !scrape
    });
    moved
}

/// Checks that `operation`, one request answered as `request` says (method, endpoint and status), moves the two series
/// of every request, those of `expected` by as much, and nothing else.
#[track_caller]
pub(crate) fn check(
    scraper: &mut Client,
    request: [&str; 3],
    operation: impl FnOnce(),
    expected: &[&[(&str, f64)]],
) {
    let [method, endpoint, status] = request;
    let route = format!("endpoint=\"{endpoint}\",method=\"{method}\"");
    let counted = format!("omendb_http_requests_total{{{route},status=\"{status}\"}}");
    let timed = format!("omendb_http_request_latency_seconds_count{{{route}}}");
    let expected = expected.concat();
    let expected = expected.iter().map(|(series, delta)| (sorted(series), *delta));
    let expected: BTreeMap<String, f64> = expected.chain([(counted, 1.0), (timed, 1.0)]).collect();
    assert_eq!(movement(scraper, operation), expected);
}
