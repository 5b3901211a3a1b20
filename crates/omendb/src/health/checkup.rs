//! One look at every component: the engine's findings, and what the web layer knows of itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use omendb_engine::{EngineHealth, HealthState};
use omendb_metrics::Timestamp;

use crate::health::component::{Component, Observation};
use crate::http::app::App;
use crate::lifecycle::Phase;
use crate::telemetry::web::{Pool, RejectReason};

/// How long a pool that turned work away counts as saturated.
const RECENT: Duration = Duration::from_secs(10);

/// What a pool turned away, as far as was seen.
#[derive(Debug, Default)]
pub(super) struct Rejections(Mutex<(u64, Option<Timestamp>)>);

impl Rejections {
    /// Whether the count has grown lately.
    fn are_recent(&self, count: u64, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count > seen.0 {
            *seen = (count, Some(now));
        }
        seen.1.is_some_and(|grown| now.since(grown) < RECENT)
    }
}

/// One observation for each component, in the order of [`Component::ALL`].
pub(super) fn observe(app: &App, engine: EngineHealth) -> Vec<Observation> {
    let mut found = vec![Observation::healthy(); Component::ALL.len()];
    for finding in engine.findings {
        let component = Component::from(finding.component);
        found[component as usize] = finding.into();
    }
    let slots = Occupied {
        pool: Pool::Main,
        waiting: app.slots.occupancy().1,
        queue: app.config.slots_queue,
        what: "operations wait for an execution slot",
    };
    found[Component::Queue as usize] = slots.judge(app, &app.health.slots);
    let connections = Occupied {
        pool: Pool::Http,
        waiting: app.connections.occupancy().1,
        queue: app.config.http_connection_queue,
        what: "connections wait to be served",
    };
    found[Component::Connections as usize] = connections.judge(app, &app.health.connections);
    found[Component::Credentials as usize] = credentials(app);
    if let Some(problem) = app.audit.problem() {
        let reason = format!("the audit log cannot be written: {problem}");
        found[Component::Audit as usize] = Observation::fact(HealthState::Degraded, reason);
    }
    if app.lifecycle.phase() != Phase::Serving {
        let reason = "the server is stopping".to_owned();
        found[Component::Lifecycle as usize] = Observation::fact(HealthState::Unhealthy, reason);
    }
    found
}

/// A pool's queue.
struct Occupied {
    pool: Pool,
    waiting: usize,
    queue: usize,
    what: &'static str,
}

impl Occupied {
    fn judge(&self, app: &App, rejections: &Rejections) -> Observation {
        let Self {
            pool,
            waiting,
            queue,
            what,
        } = *self;
        let limit = (queue as f64 * app.config.health_max_queue.get()).floor();
        let rejected = &app.telemetry.web.pool_rejected;
        let count = [RejectReason::Full, RejectReason::Timeout]
            .map(|reason| rejected.get((pool, reason)))
            .iter()
            .sum();
        let is_rejecting = rejections.are_recent(count, app.clock.now());
        let (state, reason) = if queue > 0 && waiting >= queue {
            (
                HealthState::Unhealthy,
                Some(format!("{waiting} {what}, and no more may")),
            )
        } else if waiting as f64 > limit {
            (
                HealthState::Degraded,
                Some(format!("{waiting} {what}, more than {limit}")),
            )
        } else if is_rejecting {
            (
                HealthState::Degraded,
                Some(format!("some were turned away; {waiting} {what}")),
            )
        } else {
            (HealthState::Healthy, None)
        };
        Observation {
            state,
            reason,
            value: Some(waiting as f64),
            limit: Some(limit),
            is_measured: true,
        }
    }
}

fn credentials(app: &App) -> Observation {
    let mut reasons = Vec::new();
    if app.auth.is_open() {
        reasons.push("no credentials exist: everybody on this machine may do everything".to_owned());
    }
    if let Some(problem) = app.auth.problem() {
        reasons.push(format!("the newest credentials are not in force: {problem}"));
    }
    if reasons.is_empty() {
        return Observation::healthy();
    }
    Observation::fact(HealthState::Degraded, reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_recent_for_ten_seconds_after_the_last() {
        let rejections = Rejections::default();
        let check = |count: u64, second: u64, expected: bool| {
            let now = Timestamp::from_nanos(second * 1_000_000_000);
            assert_eq!(
                rejections.are_recent(count, now),
                expected,
                "{count} at {second} s"
            );
        };
        check(0, 0, false);
        check(3, 5, true);
        check(3, 14, true);
        check(3, 15, false);
        check(4, 20, true);
    }
}
