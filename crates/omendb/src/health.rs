//! Health: is the process alive, may it be sent requests, and what is wrong with it.

mod checkup;
mod component;
mod monitor;

use std::sync::Arc;

use hyper::StatusCode;
use omendb_engine::{EngineHealth, HealthState};
use serde_json::{Value, json};

pub use component::{Component, Observation, Verdict};
pub(crate) use monitor::HealthFigures;
pub use monitor::{Monitor, Patience};

use crate::auth::Permission;
use crate::health::checkup::Rejections;
use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::lifecycle::Phase;
use crate::timestamp::UnixTime;

/// The version of the dialect that existing clients compare themselves with.
pub const DIALECT_VERSION: &str = "1.19.0";

/// `GET /`: who answers.
///
/// # Errors
/// None.
pub async fn version(_app: &Arc<App>, _call: &mut Call) -> Result<Reply, ApiError> {
    Reply::json(&json!({
        "title": "omendb",
        "version": DIALECT_VERSION,
        "omendb_version": env!("CARGO_PKG_VERSION"),
    }))
}

/// `GET /livez` and `/healthz`: the process answers.
///
/// # Errors
/// None.
pub async fn live(_app: &Arc<App>, _call: &mut Call) -> Result<Reply, ApiError> {
    Ok(Reply::text("text/plain; charset=utf-8", "ok\n"))
}

/// `GET /readyz`: 200 when requests may be sent here; 503 while data is loaded, with how far it is, and before the
/// server stops.
///
/// # Errors
/// None; 503 is an answer here.
pub async fn ready(app: &Arc<App>, _call: &mut Call) -> Result<Reply, ApiError> {
    if app.lifecycle.is_ready() {
        return Ok(Reply::text("text/plain; charset=utf-8", "ok\n"));
    }
    let reason = if app.lifecycle.phase() == Phase::Serving {
        "loading"
    } else {
        "stopping"
    };
    let progress = app.engine.progress();
    let reply = Reply::json(&json!({
        "status": reason,
        "percent": progress.percent(),
        "loaded_bytes": progress.loaded_bytes,
        "total_bytes": progress.total_bytes,
        "loaded_collections": progress.loaded_collections,
        "total_collections": progress.total_collections,
    }))?;
    Ok(reply.with_status(StatusCode::SERVICE_UNAVAILABLE))
}

/// What is known of the components, and what is kept for looking at them.
#[derive(Debug)]
pub struct Health {
    /// The judge.
    pub monitor: Arc<Monitor>,
    /// What pool "main" turned away.
    slots: Rejections,
    /// What pool "http" turned away.
    connections: Rejections,
}

impl Health {
    /// With nothing seen yet.
    pub fn new(monitor: Arc<Monitor>) -> Self {
        Self {
            monitor,
            slots: Rejections::default(),
            connections: Rejections::default(),
        }
    }
}

/// Looks at every component, unless somebody just has.
pub fn look(app: &App) {
    app.health
        .monitor
        .look(|| checkup::observe(app, app.engine.health()));
}

/// `GET /health`: 200 when healthy or merely degraded, 503 when not. Anybody learns the status; why, and in which part,
/// takes `metrics:read` on all collections: the reasons name them.
///
/// # Errors
/// None; 503 is an answer here.
pub async fn health(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    look(app);
    let is_healthy = is_healthy(app, |_| true);
    let grant = &call.caller.grant;
    let is_told = grant.permits(Permission::MetricsRead) && grant.collections().is_none();
    let body = if is_told {
        detail(app)
    } else {
        json!({
            "status": status_text(is_healthy),
            "timestamp": UnixTime::from_nanoseconds(app.clock.wall()),
        })
    };
    let status = if is_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(Reply::json(&body)?.with_status(status))
}

/// Everything that is known.
pub fn detail(app: &App) -> Value {
    let verdicts = app.health.monitor.verdicts();
    let states = app.health.monitor.states();
    let said = |wanted: HealthState| {
        let of_state = states
            .iter()
            .zip(&verdicts)
            .filter(move |((_, state), _)| *state == wanted);
        of_state.filter_map(|(_, verdict)| verdict.reason.as_ref())
    };
    let degraded: Vec<&String> = said(HealthState::Unhealthy)
        .chain(said(HealthState::Degraded))
        .collect();
    let EngineHealth {
        is_healthy: _,
        degraded: _,
        is_loaded,
        collections,
        poisoned,
        failed,
        findings: _,
    } = app.engine.health();
    let (active, waiting) = app.slots.occupancy();
    let (connections, connections_waiting) = app.connections.occupancy();
    json!({
        "status": status_text(is_healthy(app, |_| true)),
        "timestamp": UnixTime::from_nanoseconds(app.clock.wall()),
        "degraded": degraded,
        "components": verdicts,
        "engine": {
            "is_healthy": is_healthy(app, Component::is_engines),
            "is_loaded": is_loaded,
            "collections": collections,
            "poisoned": poisoned,
            "failed": failed,
        },
        "web_server": {
            "is_healthy": is_healthy(app, |component| !component.is_engines()),
            "is_open": app.auth.is_open(),
            "slots": {"active": active, "max": app.slots.count(), "waiting": waiting},
            "connections": {"active": connections, "max": app.connections.count(), "waiting": connections_waiting},
        },
    })
}

fn is_healthy(app: &App, which: impl Fn(Component) -> bool) -> bool {
    let states = app.health.monitor.states();
    states
        .into_iter()
        .filter(|(component, _)| which(*component))
        .all(|(_, state)| state != HealthState::Unhealthy)
}

fn status_text(is_healthy: bool) -> &'static str {
    if is_healthy { "healthy" } else { "unhealthy" }
}
