//! Throughput over HTTP with everything that observes switched on, beside a server with all of it switched off: the
//! recall probe, the spans of one request in a hundred on their way to a collector, the log of slow queries, the history.

mod collector;

use omendb::client::Client;

use crate::http::load::{Load, Round};
use crate::http::loaded;
use crate::http::target::Target;
use crate::metrics::median;
use crate::server::send;
use crate::{Options, Report};
use collector::Collector;

/// Rounds of each server, in turns; the medians over pairs of rounds that follow each other count.
const ROUNDS: usize = 25;
/// One round.
const LOAD: Load = Load {
    clients: 8,
    queries: 2_000,
};

/// Flags of a server on which nothing observes that can be switched off.
const OFF: [&str; 6] = [
    "--recall-probe-share",
    "0",
    "--slow-query-capacity",
    "0",
    "--metrics-history",
    "false",
];

/// `cargo x bench observability`
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let collector = Collector::start()?;
    let endpoint = collector.url();
    let on = Target::own("on", &["--traces-endpoint", &endpoint, "--traces-ratio", "0.01"])?;
    let off = Target::own("off", &OFF)?;
    let (_observed, on_requests) = loaded(&on, options)?;
    let (_unobserved, off_requests) = loaded(&off, options)?;
    let run_on = || LOAD.run(&on, &on_requests);
    let run_off = || LOAD.run(&off, &off_requests);
    // Not counted: caches fill, connections and threads come up to speed.
    run_on()?;
    run_off()?;
    let mut pairs = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        // Neither of them is always the first.
        let pair = if round % 2 == 0 {
            let on = run_on()?;
            (on, run_off()?)
        } else {
            let off = run_off()?;
            (run_on()?, off)
        };
        pairs.push(pair);
    }
    let mut report = Report::default();
    report.push("rounds", ROUNDS);
    report.push("queries", LOAD.queries);
    report.push("clients", LOAD.clients);
    report_ratios(&pairs, &mut report);
    report_proof(&mut Client::new(on.address()), &collector, &mut report)?;
    Ok(report)
}

fn report_ratios(pairs: &[(Round, Round)], report: &mut Report) {
    let of_all = |figure: &dyn Fn(&(Round, Round)) -> f64| median(pairs.iter().map(figure).collect());
    let ratios = |(on, off): &(Round, Round)| on.qps() / off.qps();
    report.push("throughput_ratio", of_all(&ratios));
    let mut sorted: Vec<f64> = pairs.iter().map(ratios).collect();
    sorted.sort_by(f64::total_cmp);
    report.push("throughput_ratio_lower_quartile", sorted[pairs.len() / 4]);
    report.push("throughput_ratio_upper_quartile", sorted[pairs.len() * 3 / 4]);
    report.push("qps_on", of_all(&|(on, _)| on.qps()));
    report.push("qps_off", of_all(&|(_, off)| off.qps()));
    report.push("p99_us_on", of_all(&|(on, _)| on.latency_us(0.99)));
    report.push("p99_us_off", of_all(&|(_, off)| off.latency_us(0.99)));
    // Over all rounds: the clock of a process moves in steps of 10 ms.
    let cpu_on: Option<f64> = pairs.iter().map(|(on, _)| on.server_cpu_s()).sum();
    let cpu_off: Option<f64> = pairs.iter().map(|(_, off)| off.server_cpu_s()).sum();
    report.push("server_cpu_ratio", cpu_on.zip(cpu_off).map(|(on, off)| on / off));
}

/// What shows that everything was on: samples of the probe, spans at the collector, requests kept, bytes of the history.
fn report_proof(client: &mut Client, collector: &Collector, report: &mut Report) -> Result<(), String> {
    let samples = figure(client, "omendb_engine_accuracy_samples_total", "measured")?;
    let spans = figure(client, "omendb_trace_spans_total", "exported")?;
    let history = send(
        client,
        "GET",
        "/metrics/json?name[]=omendb_metrics_history_bytes",
        "",
    )?;
    let history_bytes = history["families"][0]["samples"][0]["value"].as_f64();
    let kept = send(client, "GET", "/debug/slow-queries", "")?;
    let kept = kept["queries"].as_array().map_or(0, Vec::len);
    report.push("recall_samples", samples);
    report.push("spans_exported", spans);
    report.push("span_messages", collector.messages());
    report.push("requests_kept", kept);
    report.push("history_bytes", history_bytes);
    if samples == 0.0 || spans == 0.0 || kept == 0 || history_bytes.is_none_or(|bytes| bytes == 0.0) {
        return Err(format!(
            "something that was to observe has seen nothing: {}",
            report.json()
        ));
    }
    Ok(())
}

/// The sum of the series of a family with this outcome.
fn figure(client: &mut Client, family: &str, outcome: &str) -> Result<f64, String> {
    let page = send(client, "GET", &format!("/metrics/json?name[]={family}"), "")?;
    let samples = page["families"][0]["samples"].as_array();
    let samples = samples.ok_or_else(|| format!("no {family} in {page}"))?;
    let chosen = samples
        .iter()
        .filter(|sample| sample["labels"]["outcome"] == outcome);
    Ok(chosen.filter_map(|sample| sample["value"].as_f64()).sum())
}
