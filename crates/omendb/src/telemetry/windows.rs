//! The mean duration of each route's requests over the last minute, and how many of them are being served.

use std::sync::{Arc, OnceLock};

use omendb_metrics::{
    Catalogue, Clock, Collect, DeclarationError, Distribution, Family, Gauge, GaugeValue, Instrument as _,
    Label as _, Latency, MeanWindow, Snapshot, metrics,
};

use crate::telemetry::requests::Endpoint;
use crate::telemetry::web::WebMetrics;

metrics! {
    /// Figures of now and of the last minute.
    pub(crate) struct RequestWindow {
        /// Mean duration of the requests of the last 60 s, the present five included; absent without requests.
        ///
        /// At a glance, without a query language; for anything else ask the histogram
        /// omendb_http_request_latency_seconds.
        mean: Family<Endpoint, GaugeValue> = "omendb_http_request_duration_seconds",
        /// HTTP requests being served.
        ///
        /// While a server seems to hang: requests that pile up wait for something, and the route says for what; an idle
        /// server has none.
        in_flight: Family<Endpoint, GaugeValue> = "omendb_http_requests_in_flight",
    }
}

/// One window for each method and endpoint that was ever used.
#[derive(Debug)]
pub(crate) struct RequestWindows {
    clock: Clock,
    web: Arc<WebMetrics>,
    windows: Box<[OnceLock<Box<MeanWindow>>]>,
    in_flight: Box<[Gauge]>,
}

impl RequestWindows {
    /// Windows over the latencies in `web`.
    pub(crate) fn new(clock: Clock, web: Arc<WebMetrics>) -> Self {
        Self {
            clock,
            web,
            windows: (0..Endpoint::count()).map(|_| OnceLock::new()).collect(),
            in_flight: (0..Endpoint::count()).map(|_| Gauge::default()).collect(),
        }
    }

    /// The requests of this method and endpoint that are being served.
    pub(crate) fn in_flight(&self, endpoint: Endpoint) -> &Gauge {
        &self.in_flight[endpoint.index()]
    }

    /// Turns the windows; called every second.
    pub(crate) fn turn(&self) {
        let now = self.clock.now();
        for (endpoint, distribution) in self.used() {
            self.window(endpoint).turn(now, &distribution);
        }
    }

    /// What was recorded for each method and endpoint that was ever used.
    fn used(&self) -> impl Iterator<Item = (Endpoint, Distribution)> + '_ {
        let latency = |endpoint| self.web.request_latency.of(endpoint);
        let is_used = move |endpoint: &Endpoint| !latency(*endpoint).is_untouched();
        Endpoint::all()
            .filter(is_used)
            .map(move |endpoint| (endpoint, latency(endpoint).distribution()))
    }

    /// The window of `endpoint`, begun empty a moment before its first request is looked at.
    fn window(&self, endpoint: Endpoint) -> &MeanWindow {
        self.windows[endpoint.index()].get_or_init(|| {
            let window = Box::new(MeanWindow::default());
            window.turn(self.clock.now(), &Distribution::empty::<Latency>());
            window
        })
    }
}

impl Collect for RequestWindows {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<RequestWindow>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let now = self.clock.now();
        let mut figures = RequestWindow::default();
        for (endpoint, distribution) in self.used() {
            *figures.mean.of_mut(endpoint) = self.window(endpoint).mean(now, &distribution).into();
            *figures.in_flight.of_mut(endpoint) = 0_u64.into();
        }
        for (endpoint, gauge) in Endpoint::all().zip(&self.in_flight) {
            let count = gauge.get();
            if count != 0 {
                *figures.in_flight.of_mut(endpoint) = (count as f64).into();
            }
        }
        let mut writer = out.plain();
        writer.reading(&figures);
        let windows = self.windows.iter().filter_map(OnceLock::get);
        let places = size_of_val(&*self.windows) + size_of_val(&*self.in_flight);
        writer.memory(places + windows.map(|window| window.heap_bytes()).sum::<usize>());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use omendb_metrics::{Registry, Selection};

    use super::*;
    use crate::telemetry::requests::{EndpointLabel, Verb};

    #[test]
    fn the_mean_is_of_the_last_minute_and_then_absent() {
        let (clock, time) = Clock::manual();
        time.advance(Duration::from_secs(1_000));
        let web = Arc::new(WebMetrics::default());
        let windows = Arc::new(RequestWindows::new(clock.clone(), Arc::clone(&web)));
        let registry = Registry::new(clock, vec![windows.clone()]).unwrap();
        let mean = || {
            let labels = [("method", "GET"), ("endpoint", "unmatched")];
            registry
                .snapshot(Selection::default())
                .value("omendb_http_request_duration_seconds", &labels)
        };
        assert_eq!(mean(), None);
        let latency = web
            .request_latency
            .of(Endpoint(Verb::Get, EndpointLabel::UNMATCHED));
        latency.record(10_000_000);
        latency.record(30_000_000);
        assert_eq!(mean(), Some(0.02));
        for _ in 0..61 {
            time.advance(Duration::from_secs(1));
            windows.turn();
        }
        assert_eq!(mean(), None);
        latency.record(50_000_000);
        assert!(
            mean().is_some_and(|mean| (mean - 0.05).abs() < 1e-9),
            "{:?}",
            mean()
        );
    }
}
