//! Traces: which requests are sampled, and the spans of those, which a collector is sent over OTLP/HTTP.

pub(crate) mod context;
mod exporter;
pub(crate) mod spans;

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use omendb_metrics::Clock;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::config::{Config, Ratio};
use crate::telemetry::web::{SpanOutcome, WebMetrics};
use context::{SpanId, TraceId, TraceParent};
use exporter::Exporter;

/// The traces of a server. Without a collector no request is sampled, which costs one comparison.
#[derive(Debug)]
pub struct Traces {
    exporter: Option<Exporter>,
    ratio: Ratio,
    metrics: Arc<WebMetrics>,
}

/// The span of a sampled request that is being served.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    /// Ours, as it is told to the caller and to whoever is asked for something in turn.
    pub(crate) context: TraceParent,
    /// The caller's span, if it told us of one.
    pub(crate) parent: Option<SpanId>,
    /// The caller's `tracestate`, as it came.
    pub(crate) state: String,
}

impl Traces {
    /// Starts the thread that sends spans, if the configuration names a collector.
    ///
    /// # Errors
    /// When the operating system has no thread to give.
    pub(crate) fn start(config: &Config, clock: &Clock, metrics: Arc<WebMetrics>) -> std::io::Result<Self> {
        let start = |endpoint| Exporter::start(endpoint, config, clock.clone(), Arc::clone(&metrics));
        Ok(Self {
            exporter: config.traces_endpoint.as_ref().map(start).transpose()?,
            ratio: config.traces_ratio,
            metrics,
        })
    }

    /// The span of a request, if it is sampled: as its caller has decided where it says so, else by chance.
    /// `next_id` makes ids.
    pub(crate) fn sample(
        &self,
        parent: Option<TraceParent>,
        headers: &HeaderMap,
        mut next_id: impl FnMut() -> u64,
    ) -> Option<Box<RequestSpan>> {
        self.exporter.as_ref()?;
        let trace = match parent {
            Some(parent) => parent.is_sampled.then_some(parent.trace)?,
            None => {
                let low = next_id();
                self.ratio.draws(low).then_some(())?;
                TraceId(u128::from(next_id()) << 64 | u128::from(low.max(1)))
            }
        };
        let context = TraceParent {
            trace,
            span: SpanId(next_id().max(1)),
            is_sampled: true,
        };
        Some(Box::new(RequestSpan {
            context,
            parent: parent.map(|parent| parent.span),
            state: parent.map(|_| context::trace_state(headers)).unwrap_or_default(),
        }))
    }

    /// Hands the spans of one request to the exporter, or counts them as dropped when its queue is full.
    pub(crate) fn record(&self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        if self
            .exporter
            .as_ref()
            .is_none_or(|exporter| !exporter.offer(spans))
        {
            self.metrics.trace_spans.add(SpanOutcome::Dropped, count);
        }
    }

    /// Sends what is queued, within `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        if let Some(exporter) = &self.exporter
            && !exporter.close(limit)
        {
            tracing::warn!("the last spans were not sent in time (traces.timeout)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    /// Sampled requests among `requests` with this `traceparent`, ids counting through the range of all.
    fn sampled(traces: &Traces, parent: Option<&str>, requests: u64) -> Vec<RequestSpan> {
        let step = u64::MAX / requests;
        let spans = (0..requests).filter_map(|number| {
            let parent = parent.and_then(TraceParent::parse);
            traces
                .sample(parent, &HeaderMap::new(), || number * step)
                .map(|span| *span)
        });
        spans.collect()
    }

    #[test]
    fn the_caller_decides_else_chance() {
        let traces = |endpoint: &str, ratio: &str| {
            let config = Config {
                traces_endpoint: Setting::parse(endpoint).unwrap(),
                traces_ratio: Setting::parse(ratio).unwrap(),
                ..Config::default()
            };
            Traces::start(&config, &Clock::system(), Arc::default()).unwrap()
        };
        let check = |ratio: &str, parent: Option<&str>, expected: usize| {
            let on = traces("http://127.0.0.1:1", ratio);
            assert_eq!(sampled(&on, parent, 1000).len(), expected, "{ratio} {parent:?}");
            let off = traces("", ratio);
            assert_eq!(
                sampled(&off, parent, 1000).len(),
                0,
                "{ratio} {parent:?}, no collector"
            );
        };
        let wanted = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let unwanted = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        check("0.01", None, 10);
        check("0", None, 0);
        check("1", None, 1000);
        check("0", Some(wanted), 1000);
        check("1", Some(unwanted), 0);
        let span = sampled(&traces("http://127.0.0.1:1", "0"), Some(wanted), 1).remove(0);
        assert_eq!(span.context.trace, TraceParent::parse(wanted).unwrap().trace);
        assert_eq!(span.parent, Some(SpanId(0x00f0_67aa_0ba9_02b7)));
    }
}
