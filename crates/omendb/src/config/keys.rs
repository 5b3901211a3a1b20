//! The table of configuration keys. The TOML file, the `OMENDB_*` variables, the flags of `omendb serve` and
//! docs/config.md all come from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::setting::{ByteSize, HttpUrl, KeptCount, LogFormat, Ratio, Setting};
use crate::log::LogFilter;

/// One row of the table.
#[derive(Debug)]
pub struct Key {
    /// The name in the file, dots between tables: `http.max_body`.
    pub name: &'static str,
    /// The default, as it would be written.
    pub default: &'static str,
    /// The kind of value.
    pub kind: &'static str,
    /// What it is for.
    pub help: &'static str,
}

impl Key {
    /// The environment variable: `http.max_body` is `OMENDB_HTTP_MAX_BODY`.
    pub fn variable(&self) -> String {
        format!("OMENDB_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// The flag without its dashes: `http.max_body` is `http-max-body`.
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }
}

macro_rules! keys {
    ($($(#[doc = $help:literal])+ $field:ident, $name:literal: $kind:ty = $default:literal;)+) => {
        /// The validated configuration: every key has a value of its kind.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl Config {
            /// Every key with its value, as it would be written.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                vec![$(($name, Setting::show(&self.$field))),+]
            }
        }

        /// Every key, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            default: $default,
            kind: <$kind as Setting>::KIND,
            help: concat!($($help),+),
        }),+];

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($field: <$kind as Setting>::parse($default).expect("a test parses every default"),)+
                }
            }
        }

        impl Config {
            /// Gives `name` the value written as `text`.
            ///
            /// # Errors
            /// What kind of value was expected.
            pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $($name => self.$field = Setting::parse(text)?,)+
                    _ => return Err("unknown key".to_owned()),
                }
                Ok(())
            }
        }
    };
}

keys! {
    /// Address to serve on. Any other than loopback needs a credential first: `omendb token create`.
    listen, "listen": SocketAddr = "127.0.0.1:8080";
    /// Directory of the collections and credentials; made if it does not exist.
    data_dir, "data_dir": PathBuf = "./omendb-data";
    /// File with one secret that is accepted as an admin token: for the first start of a container.
    bootstrap_token_file, "bootstrap_token_file": Option<PathBuf> = "";
    /// File of further tokens (names, hashes, permissions), never written by the server: a mounted secret.
    auth_tokens_file, "auth.tokens_file": Option<PathBuf> = "";
    /// How long a token from `/auth/login` is valid.
    auth_session_ttl, "auth.session_ttl": Duration = "1h";
    /// Logins verified at the same time; each takes 19 MiB of memory while it lasts.
    auth_login_concurrency, "auth.login_concurrency": usize = "2";
    /// Logins a minute for one user name and for one client address.
    auth_login_rate, "auth.login_rate": usize = "10";
    /// File that administrative and authentication events are appended to; `audit.log` in the data directory when empty.
    audit_path, "audit.path": Option<PathBuf> = "";
    /// Longest file of the audit log; four older ones are kept beside it.
    audit_max_bytes, "audit.max_bytes": ByteSize = "16MiB";
    /// Client connections served at the same time (pool "http").
    http_max_connections, "http.max_connections": usize = "1024";
    /// Accepted connections that may wait for one of them to end; more are refused with 503.
    http_connection_queue, "http.connection_queue": usize = "128";
    /// How long an accepted connection waits before it is refused with 503.
    http_connection_queue_timeout, "http.connection_queue_timeout": Duration = "1s";
    /// Time for the head of a request, from its first byte to its last.
    http_header_timeout, "http.header_timeout": Duration = "10s";
    /// How long a connection may be silent between two requests.
    http_idle_timeout, "http.idle_timeout": Duration = "75s";
    /// Time for the body of a request; every 64 KiB that arrive extend it by a second.
    http_body_timeout, "http.body_timeout": Duration = "30s";
    /// How long a client may stop reading an answer.
    http_write_timeout, "http.write_timeout": Duration = "30s";
    /// Longest request body.
    http_max_body, "http.max_body": ByteSize = "32MiB";
    /// Bodies of requests that are in memory at the same time, together; more are refused with 503.
    http_max_bodies, "http.max_bodies": ByteSize = "1GiB";
    /// Execution slots of the engine (pool "main"); 0 for one per processor.
    slots_count, "slots.count": usize = "0";
    /// Operations that may wait for an execution slot; more are refused with 503.
    slots_queue, "slots.queue": usize = "1024";
    /// How long an operation waits for an execution slot before it is refused with 503.
    slots_queue_timeout, "slots.queue_timeout": Duration = "5s";
    /// Collections with metric series of their own; the series of further ones are added up under one name.
    metrics_max_collections, "metrics.max_collections": usize = "1000";
    /// From which time on, its network included, a request that reads or writes points is slow: kept for
    /// `GET /debug/slow-queries` and logged. 0s for none.
    slow_query_threshold, "slow_query.threshold": Duration = "500ms";
    /// Slow requests kept, at most 10000; beside them a few of those that exemplars name and of those whose recall was
    /// measured. 0 keeps and logs none of them.
    slow_query_capacity, "slow_query.capacity": KeptCount = "128";
    /// Whether key series of the last 24 hours are kept in memory for `/metrics/history`: at most 4 MiB.
    metrics_history, "metrics.history": bool = "true";
    /// Processor time for measuring recall on live queries, in seconds per second; 0 measures none.
    recall_probe_share, "recall.probe_share": Ratio = "0.003";
    /// Free room on the disk below which the server is degraded.
    health_min_disk_free, "health.min_disk_free": ByteSize = "256MiB";
    /// 99th percentile of the last minute's syncs above which the server is degraded.
    health_max_fsync, "health.max_fsync": Duration = "100ms";
    /// Mean recall of a collection's sampled queries below which the server is degraded.
    health_min_recall, "health.min_recall": Ratio = "0.95";
    /// Samples of the last 15 minutes that a collection's recall needs to be judged.
    health_recall_samples, "health.recall_samples": usize = "50";
    /// Share of a pool's queue above which the server is degraded; with a full queue it is unhealthy.
    health_max_queue, "health.max_queue": Ratio = "0.5";
    /// How long a commit, a snapshot or a sample of the recall probe may stand still before it counts as stalled.
    health_stall_after, "health.stall_after": Duration = "60s";
    /// How long a measurement has to be bad before it counts. Facts, such as a full disk, count at once.
    health_worsen_after, "health.worsen_after": Duration = "5s";
    /// How long a measurement has to be good again before it counts.
    health_recover_after, "health.recover_after": Duration = "30s";
    /// Collector that spans of sampled requests are sent to over OTLP/HTTP, such as `http://127.0.0.1:4318`; `/v1/traces` is
    /// added where there is no path.
    traces_endpoint, "traces.endpoint": Option<HttpUrl> = "";
    /// Share of requests that are sampled when their `traceparent` does not decide it.
    traces_ratio, "traces.ratio": Ratio = "0.01";
    /// Sampled requests whose spans may wait to be sent; those of more are dropped and counted.
    traces_queue, "traces.queue": usize = "2048";
    /// How long the collector may take for each step of an answer, and how long the last spans may delay a stop.
    traces_timeout, "traces.timeout": Duration = "5s";
    /// After SIGTERM, how long to keep accepting with `/readyz` at 503, for load balancers to notice.
    drain_delay, "drain.delay": Duration = "0s";
    /// How long requests in flight may take to finish after that.
    drain_timeout, "drain.timeout": Duration = "30s";
    /// Least severe messages that are logged: error, warn, info, debug, trace or off; levels of modules may follow, as in
    /// `info,omendb::http=debug`. Changed while the server runs by `PUT /debug/log-level`.
    log_level, "log.level": LogFilter = "info";
    /// How the log is written, on standard error.
    log_format, "log.format": LogFormat = "text";
}
