//! Everything that is recorded of a query over HTTP, without the query: so that a benchmark can tell what it takes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use omendb_engine::SearchStats;

use crate::http::app::App;
use crate::http::call::PathParams;
use crate::http::dispatch::{Record, exchange};
use crate::http::exchange::Outgoing;
use crate::routes::ROUTES;
use crate::telemetry::requests::EndpointLabel;
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;
use crate::telemetry::web::Pool;

/// Bytes of the request and of the answer that are made believe.
const REQUEST_BYTES: u64 = 4_096;
const RESPONSE_BYTES: u64 = 1_024;

/// Goes through the recording of queries, in the order in which the server does.
#[derive(Debug)]
pub struct Rehearsal {
    app: Arc<App>,
    endpoint: EndpointLabel,
    headers: HeaderMap,
    body: Bytes,
    outgoing: Outgoing,
}

impl Rehearsal {
    /// On a server's own metrics.
    pub fn new(app: &Arc<App>) -> Self {
        let route = ROUTES
            .iter()
            .position(|route| route.path == "/collections/{collection}/points/query");
        Self {
            app: Arc::clone(app),
            endpoint: route.map_or(EndpointLabel::UNMATCHED, EndpointLabel::of_route),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
            outgoing: Outgoing::default(),
        }
    }

    /// One query, from its head to the last byte of its answer, whose search did this.
    pub fn query(&self, search: &SearchStats) {
        let app = &self.app;
        app.telemetry.web.received_bytes.add(REQUEST_BYTES);
        let mut record = Record::begin(app, &Method::POST, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let _entered = record.identify(&self.headers).enter();
        record.is_for(self.endpoint);
        let mut tally = Tally::new(&app.clock, (record.began, record.began), record.stats.origin);
        if app.telemetry.slow_queries.is_on() {
            tally.keep_bodies();
        }
        if record.is_traced() {
            tally.trace();
        }
        tally.skip();
        tally.lap(Stage::Receive);
        tally.asked(&self.body);
        tally.queued();
        let entered = app.clock.now();
        let mut tally = tally.clone();
        let waited = app.clock.now().nanos_since(entered);
        app.telemetry.web.pool_wait.of(Pool::Main).record(waited);
        tally.granted();
        tally.lap(Stage::Parse);
        tally.searched(search);
        tally.lap(Stage::Serialise);
        record.stats.request_bytes = REQUEST_BYTES;
        record.stats.response_bytes = RESPONSE_BYTES;
        record.stats.status = 200;
        app.telemetry.web.transmitted_bytes.add(RESPONSE_BYTES);
        self.outgoing.put(exchange(record, tally, PathParams::default()));
        self.outgoing.flushed(app.clock.now());
    }
}
