//! The real consumers read what we export: promtool, Prometheus itself, VictoriaMetrics, and the strict OpenMetrics parser
//! of Prometheus' client.
//!
//! `cargo x test` fetches them and names them in the environment; without it these tests say that they did not run.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::server::{Directory, Server, create_collection, upsert};
use crate::shipped::{files, root};

/// Says on stdout, past the test runner's capture, that a test could not run; `cargo x test` counts these lines.
pub(crate) fn skipped(what: &str) {
    let line = format!("skipped: {what}\n");
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("stdout takes a line");
}

/// The program that `cargo x test` put into the environment.
pub(crate) fn provided(variable: &str) -> Option<PathBuf> {
    let program = std::env::var_os(variable).map(PathBuf::from);
    if program.is_none() {
        skipped(&format!(
            "{variable} is not set; `cargo x test` fetches what it names"
        ));
    }
    program
}

/// A server with credentials, data and traffic of every sort; the second value is a token that may only read metrics.
fn busy_server() -> (Server, String) {
    let directory = Directory::new();
    let admin = directory.token("admin", &["--permission", "admin"]);
    let scraper = directory.token("prometheus", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    let mut client = server.client_with(&admin);
    create_collection(&mut client, "c", "Cosine");
    // Characters that need escaping in a label, if the name is allowed at all.
    let strange = r#"/collections/a%22b%5Cc"#;
    client.put(strange, &json!({"vectors": {"size": 4, "distance": "Dot"}}));
    upsert(&mut client, "c", 0..50);
    queries(&mut client, 20);
    client.get("/no/such/route");
    (server, scraper)
}

fn queries(client: &mut Client, count: u64) {
    for number in 0..count {
        let body = json!({"query": [number, 1, 2, 3], "limit": 5});
        assert_eq!(client.post("/collections/c/points/query", &body).status, 200);
    }
}

/// Gives `input` to a program's stdin and returns what it printed; it must succeed.
fn filter(mut command: Command, input: &[u8]) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| unreachable!("{command:?}: {error}"));
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(input)
        .expect("the program reads its input");
    let output = child.wait_with_output().expect("the program can be waited for");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(
        output.status.success(),
        "{command:?} refuses the page ({}):\n{printed}",
        output.status
    );
    printed
}

#[test]
fn promtool_accepts_the_page_without_a_remark() {
    let Some(promtool) = provided("OMENDB_TEST_PROMTOOL") else {
        return;
    };
    let (server, token) = busy_server();
    let page = server.client_with(&token).get("/metrics");
    assert_eq!(page.status, 200, "{}", page.text());
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]);
    let remarks = filter(command, &page.body);
    assert_eq!(remarks.trim(), "", "promtool has remarks");
}

/// Parses stdin strictly and prints the number of families and of samples.
const PARSE_OPENMETRICS: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
assert len({family.name for family in families}) == len(families), 'a family appears twice'
print(len(families), sum(len(family.samples) for family in families))
";

#[test]
fn the_strict_openmetrics_parser_reads_every_family() {
    let Some(python) = provided("OMENDB_TEST_PYTHON") else {
        return;
    };
    let (server, token) = busy_server();
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let page = server.client_with(&token).send("GET", "/metrics", &accept, b"");
    assert!(page.text().ends_with("# EOF\n"));
    let mut command = Command::new(python);
    command.args(["-c", PARSE_OPENMETRICS]);
    let counts = filter(command, &page.body);
    let counts: Vec<usize> = counts
        .split_whitespace()
        .map(|count| count.parse().expect("a number"))
        .collect();
    let lines = page.text().lines();
    let samples = lines.clone().filter(|line| !line.starts_with('#')).count();
    let families = lines.filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(
        counts,
        [families, samples],
        "families and samples read, against those on the page"
    );
}

/// A monitoring system on loopback that scrapes one server every second as deploy/prometheus says; stopped with the test.
pub(crate) struct Monitor {
    child: Child,
    client: Client,
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Monitor {
    pub(crate) fn prometheus(program: PathBuf, server: &Server, token: &str, flags: &[&str]) -> Self {
        let configuration = configure(server, token);
        Self::prometheus_with(program, &configuration, server.directory.path(), flags)
    }

    /// With a configuration of its own.
    pub(crate) fn prometheus_with(
        program: PathBuf,
        configuration: &Path,
        directory: &Path,
        flags: &[&str],
    ) -> Self {
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("series").display()
            ))
            .args(flags);
        Self::start(command, "--web.listen-address", directory)
    }

    fn victoria_metrics(program: PathBuf, server: &Server, token: &str) -> Self {
        let directory = server.directory.path();
        let configuration = configure(server, token);
        let mut command = Command::new(program);
        command
            .arg(format!("-promscrape.config={}", configuration.display()))
            // Rules are evaluated by a program of their own; elsewhere `rule_files` is a mistake.
            .arg("-promscrape.config.strictParse=false")
            .arg(format!("-storageDataPath={}", directory.join("series").display()))
            // It would hide the last half minute.
            .arg("-search.latencyOffset=0s");
        Self::start(command, "-httpListenAddr", directory)
    }

    /// Starts it on a free port with its log in `directory`.
    fn start(mut command: Command, listen: &str, directory: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("loopback has a free port");
        let log = std::fs::File::create(directory.join("monitor.log")).expect("the log can be made");
        let child = command
            .arg(format!("{listen}={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the monitoring system starts");
        Self {
            child,
            client: Client::new(address),
        }
    }

    /// The answer to a query at this moment: null while it cannot be had.
    pub(crate) fn ask(&mut self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/api/v1/query?query={encoded}");
        let answer = self.client.try_send("GET", &path, &[], b"");
        answer.map_or(Value::Null, |answer| {
            serde_json::from_slice(&answer.body).unwrap_or_default()
        })
    }

    /// Asks until the answer is one number, for half a minute.
    pub(crate) fn value(&mut self, query: &str) -> f64 {
        let begin = Instant::now();
        loop {
            let body = self.ask(query);
            let value = body["data"]["result"][0]["value"][1]
                .as_str()
                .and_then(|value| value.parse().ok());
            if let Some(value) = value.filter(|value: &f64| value.is_finite()) {
                return value;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "no answer to {query}: {body}"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Writes the shipped scrape job and rules beside the server's data, with its address and once a second.
pub(crate) fn configure(server: &Server, token: &str) -> PathBuf {
    let directory = server.directory.path();
    let shipped = root().join("deploy/prometheus");
    let job = std::fs::read_to_string(shipped.join("prometheus.yml")).expect("the job is shipped");
    let address = server.address().to_string();
    let mut changed = job.clone();
    for (from, to) in [("localhost:8080", address.as_str()), ("15s", "1s")] {
        assert!(changed.contains(from), "no {from} in the shipped job:\n{job}");
        changed = changed.replace(from, to);
    }
    std::fs::create_dir_all(directory.join("rules")).expect("a directory for the rules");
    for file in files("deploy/prometheus/rules", ".yml") {
        let name = file.file_name().expect("a file has a name");
        std::fs::copy(&file, directory.join("rules").join(name)).expect("a rule file can be copied");
    }
    std::fs::write(directory.join("omendb-token"), token).expect("the token can be written");
    let configuration = directory.join("prometheus.yml");
    std::fs::write(&configuration, changed).expect("the job can be written");
    configuration
}

#[test]
fn prometheus_scrapes_and_answers_for_the_95th_percentile() {
    let Some(program) = provided("OMENDB_TEST_PROMETHEUS") else {
        return;
    };
    let (server, token) = busy_server();
    let monitor = Monitor::prometheus(program, &server, &token, &[]);
    scrapes_and_answers(monitor, &server);
}

#[test]
fn victoria_metrics_scrapes_and_answers_for_the_95th_percentile() {
    let Some(program) = provided("OMENDB_TEST_VICTORIA") else {
        return;
    };
    let (server, token) = busy_server();
    let monitor = Monitor::victoria_metrics(program, &server, &token);
    scrapes_and_answers(monitor, &server);
}

#[track_caller]
fn scrapes_and_answers(mut monitor: Monitor, server: &Server) {
    let traffic = server.directory.token("traffic", &["--permission", "data:read"]);
    assert_eq!(monitor.value(r#"up{job="omendb"}"#), 1.0);
    let counted = monitor.value(r#"omendb_engine_queries_total{db_id="c"}"#);
    assert_eq!(counted, 20.0);
    // Traffic between two scrapes, so that the rate has something to say.
    let mut client = server.client_with(&traffic);
    wait_until_accepted(&mut client);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        queries(&mut client, 5);
        std::thread::sleep(Duration::from_millis(20));
    }
    let p95 = monitor.value(
        "histogram_quantile(0.95, sum by (le) (rate(omendb_query_duration_seconds_bucket{db_id=\"c\"}[10s])))",
    );
    assert!(p95 > 1e-7 && p95 < 1.0, "p95 = {p95} s");
    let kinds = monitor.value(r#"count({job="omendb",__name__=~"omendb_.*"})"#);
    assert!(kinds > 50.0, "{kinds} series");
}

/// With this flag Prometheus asks for protocol buffers; of a histogram that has native buckets, 2.42 keeps those alone.
const NATIVE: [&str; 1] = ["--enable-feature=native-histograms"];

#[test]
fn prometheus_finds_in_native_histograms_what_the_server_recorded() {
    let Some(program) = provided("OMENDB_TEST_PROMETHEUS") else {
        return;
    };
    let (server, token) = busy_server();
    let traffic = server.directory.token("traffic", &["--permission", "data:read"]);
    let mut client = server.client_with(&traffic);
    wait_until_accepted(&mut client);
    queries(&mut client, 480);
    let mut prometheus = Monitor::prometheus(program, &server, &token, &NATIVE);
    let series = r#"omendb_query_duration_seconds{db_id="c"}"#;
    assert_eq!(prometheus.value(&format!("histogram_count({series})")), 500.0);
    let json = server
        .client_with(&token)
        .get("/metrics/json?name[]=omendb_query_duration_seconds&db_id=c");
    let json = json.json();
    let recorded = &json["families"][0]["samples"][0];
    assert_eq!(recorded["labels"]["db_id"], "c", "{recorded}");
    let sum = prometheus.value(&format!("histogram_sum({series})"));
    assert_eq!(Some(sum), recorded["sum"].as_f64());
    for (q, name) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")] {
        let native = prometheus.value(&format!("histogram_quantile({q}, {series})"));
        let middle = recorded[name].as_f64().expect("a histogram in use has quantiles");
        // Prometheus interpolates within the bucket of which the server names the middle: half a bucket at most.
        let error = (native / middle - 1.0).abs();
        assert!(
            error < 0.045,
            "{name}: Prometheus says {native}, the server {middle}"
        );
    }
    // Nothing else is lost: gauges, counters, and histograms without labels.
    assert_eq!(
        prometheus.value(r#"omendb_engine_queries_total{db_id="c"}"#),
        500.0
    );
    assert_eq!(prometheus.value(r#"omendb_engine_vectors{db_id="c"}"#), 50.0);
    assert!(prometheus.value("histogram_count(omendb_log_fsync_seconds)") > 0.0);
}

/// A token created while the server runs is taken up within seconds.
fn wait_until_accepted(client: &mut Client) {
    let begin = Instant::now();
    while client.get("/collections").status == 401 {
        assert!(
            begin.elapsed() < Duration::from_secs(15),
            "the new token is still refused"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
