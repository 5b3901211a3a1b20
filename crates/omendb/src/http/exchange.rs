//! A request for data that is answered, until the last byte of the answer is written: only then is it known what the
//! request took.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Bytes;
use omendb_metrics::Timestamp;

use crate::http::app::App;
use crate::telemetry::query_record::QueryRecord;
use crate::telemetry::stages::Stage;

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
