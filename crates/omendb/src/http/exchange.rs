//! A request for data that is answered, until the last byte of the answer is written: only then is it known what the
//! request took.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use omendb_metrics::Timestamp;

use crate::http::app::App;
use crate::telemetry::query_record::QueryRecord;
use crate::telemetry::requests::RequestStats;
use crate::telemetry::stages::Stage;
use crate::telemetry::timeline::Timeline;
use crate::traces::RequestSpan;
use crate::traces::spans::{self, RequestNames};

/// A request whose answer is on its way. Recorded when dropped, so also when the connection ends before.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) app: Arc<App>,
    /// Complete but for the stages that are not over.
    pub(crate) record: QueryRecord,
    /// What was asked; empty if nobody would want to read it.
    pub(crate) body: Bytes,
    /// When the answer was ready to be sent.
    pub(crate) ready: Timestamp,
    /// When its last byte was written.
    pub(crate) written: Option<Timestamp>,
    /// What its spans are made of, if it is sampled.
    pub(crate) traced: Option<Box<Traced>>,
}

/// What is known of a sampled request's spans before its answer is written.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) span: RequestSpan,
    pub(crate) stats: RequestStats,
    pub(crate) timeline: Timeline,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let end = self.written.unwrap_or_else(|| self.app.clock.now());
        let record = &mut self.record;
        record.whole_nanos = end.nanos_since(record.began);
        record.stages.add(Stage::Send, end.nanos_since(self.ready));
        let other = record.whole_nanos.saturating_sub(record.stages.total());
        record.stages.add(Stage::Other, other);
        self.app.telemetry.record_query(&self.record, &self.body);
        if let Some(traced) = self.traced.take() {
            self.export(*traced, end);
        }
    }
}

impl Exchange {
    /// Hands out the spans of the request, whose last byte was written at `end`.
    fn export(&self, traced: Traced, end: Timestamp) {
        let Traced {
            span,
            mut stats,
            mut timeline,
        } = traced;
        let (app, record) = (&self.app, &self.record);
        stats.duration_nanos = record.whole_nanos;
        timeline.add(Stage::Send, self.ready, end.nanos_since(self.ready));
        let stays = timeline.without_gaps(record.began, end);
        let names = RequestNames {
            request_id: record.identity.request_id(),
            collection: record.db_id.as_deref(),
        };
        let began = app
            .clock
            .wall()
            .saturating_sub(app.clock.now().nanos_since(record.began));
        let root = spans::of_request(span, &stats, names, began);
        let stages = stays.iter().map(|stay| {
            let id = app.telemetry.request_ids.next_number();
            let since = stay.began.nanos_since(record.began);
            spans::of_stage(&root, id, stay, began.saturating_add(since))
        });
        let mut spans: Vec<_> = stages.collect();
        spans.insert(0, root);
        app.traces.record(spans);
    }
}

/// The place of a connection's answer that is on its way; one at a time, as HTTP/1.1 has it.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Looked at with every flush, of which there are many.
    is_taken: AtomicBool,
    exchange: Mutex<Option<Exchange>>,
}

impl Outgoing {
    /// The next bytes to be flushed are those of this answer.
    pub(crate) fn put(&self, exchange: Option<Exchange>) {
        self.is_taken.store(exchange.is_some(), Relaxed);
        // One that is still there is recorded as it is dropped.
        *self.exchange.lock().unwrap_or_else(PoisonError::into_inner) = exchange;
    }

    /// All bytes of the answer are written, the last of them at `at`.
    #[inline]
    pub(crate) fn flushed(&self, at: Timestamp) {
        if self.is_taken.load(Relaxed) {
            self.finish(at);
        }
    }

    fn finish(&self, at: Timestamp) {
        self.is_taken.store(false, Relaxed);
        let exchange = self
            .exchange
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut exchange) = exchange {
            exchange.written = Some(at);
        }
    }
}
