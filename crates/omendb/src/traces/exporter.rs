//! The thread that sends spans to the collector, and the bounded queue in front of it.
//!
//! A request only puts its spans into the queue, or finds it full; whether the collector answers is this thread's affair.
//! (OTLP 1.5, "OTLP/HTTP".)

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use omendb_metrics::Clock;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use crate::client::{Answer, Client};
use crate::config::{Config, HttpUrl};
use crate::telemetry::web::{SpanOutcome, WebMetrics};
use crate::traces::spans::text;

/// Most spans in one message.
const LARGEST_BATCH: usize = 512;
/// How long a span waits for others to be sent with.
const LINGER: Duration = Duration::from_secs(1);
/// Where a collector takes traces, unless the endpoint has a path of its own.
const DEFAULT_PATH: &str = "/v1/traces";

/// The sending side of the queue.
#[derive(Debug)]
pub(super) struct Exporter {
    /// Gone once the exporter is closed.
    queue: Mutex<Option<SyncSender<Vec<Span>>>>,
    /// Disconnected when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl Exporter {
    pub(super) fn start(
        endpoint: &HttpUrl,
        config: &Config,
        clock: Clock,
        metrics: Arc<WebMetrics>,
    ) -> io::Result<Self> {
        let (queue, spans) = sync_channel(config.traces_queue);
        let (alive, ended) = sync_channel(0);
        let collector = Collector {
            endpoint: endpoint.clone(),
            timeout: config.traces_timeout,
            client: None,
            metrics,
            is_failing: false,
        };
        std::thread::Builder::new()
            .name("omendb-traces".to_owned())
            .spawn(move || {
                let _alive: SyncSender<()> = alive;
                send_all(&spans, &clock, collector);
            })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            ended: Mutex::new(ended),
        })
    }

    /// Queues the spans of one request; false when there is no room.
    pub(super) fn offer(&self, spans: Vec<Span>) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.try_send(spans).is_ok())
    }

    /// Takes no more spans and waits until those that are queued have been sent; false when that takes longer than
    /// `limit`.
    pub(super) fn close(&self, limit: Duration) -> bool {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }
}

/// The thread's life: until the queue is closed and empty.
fn send_all(queue: &Receiver<Vec<Span>>, clock: &Clock, mut collector: Collector) {
    while let Ok(mut batch) = queue.recv() {
        let first = clock.now();
        // A server that stops closes the queue, which ends the wait.
        while batch.len() < LARGEST_BATCH
            && let Ok(spans) = queue.recv_timeout(LINGER.saturating_sub(clock.now().since(first)))
        {
            batch.extend(spans);
        }
        collector.send(batch);
    }
}

/// The collector as this thread knows it.
struct Collector {
    endpoint: HttpUrl,
    timeout: Duration,
    client: Option<Client>,
    metrics: Arc<WebMetrics>,
    /// Whether the last batch was lost: the log is told when that changes, not with every batch.
    is_failing: bool,
}

impl Collector {
    /// Sends one batch and counts what became of it.
    fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let body = message(batch).encode_to_vec();
        // A kept connection may have been closed meanwhile, so a failure on one is tried again on a new one.
        let was_kept = self.client.is_some();
        let answer = match self.post(&body) {
            Err(_) if was_kept => self.post(&body),
            answer => answer,
        };
        let spans = &self.metrics.trace_spans;
        match answer.and_then(|answer| rejected(&answer)) {
            Ok(rejected) => {
                let rejected = rejected.min(count);
                spans.add(SpanOutcome::Rejected, rejected);
                spans.add(SpanOutcome::Exported, count - rejected);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the trace collector takes spans again");
                }
            }
            Err(error) => {
                spans.add(SpanOutcome::Failed, count);
                if !std::mem::replace(&mut self.is_failing, true) {
                    let endpoint = &self.endpoint;
                    tracing::warn!(%error, %endpoint, "the trace collector takes no spans (traces.endpoint)");
                }
            }
        }
    }

    /// Posts one message.
    fn post(&mut self, body: &[u8]) -> io::Result<Answer> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::new(resolve(&self.endpoint)?)
                .with_host(self.endpoint.authority())
                .with_timeout(self.timeout),
        };
        let path = match self.endpoint.path() {
            "/" => DEFAULT_PATH,
            path => path,
        };
        let answer = client.exchange("POST", path, "application/x-protobuf", body)?;
        self.client = Some(client);
        Ok(answer)
    }
}

/// How many spans of a message the collector has rejected.
fn rejected(answer: &Answer) -> io::Result<u64> {
    let Answer { status, body } = answer;
    if !(200..300).contains(status) {
        return Err(io::Error::other(format!("the collector answered {status}")));
    }
    // A collector that answers in words instead of a message has rejected nothing that we know of.
    let answer = ExportTraceServiceResponse::decode(body.as_slice()).unwrap_or_default();
    let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    Ok(u64::try_from(rejected).unwrap_or(0))
}

fn resolve(endpoint: &HttpUrl) -> io::Result<SocketAddr> {
    let mut addresses = endpoint.authority().to_socket_addrs()?;
    addresses
        .next()
        .ok_or_else(|| io::Error::other(format!("{endpoint} has no address")))
}

fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", "omendb"),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "omendb".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}
