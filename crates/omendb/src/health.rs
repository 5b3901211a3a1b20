//! Health: is the process alive, may it be sent requests, and what is wrong with it.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::auth::Permission;
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
        "loaded_bytes": progress.loaded_bytes,
        "total_bytes": progress.total_bytes,
        "loaded_collections": progress.loaded_collections,
        "total_collections": progress.total_collections,
    }))?;
    Ok(reply.with_status(StatusCode::SERVICE_UNAVAILABLE))
}

/// `GET /health`: 200 when healthy or merely degraded, 503 when not. Anybody learns the status; why, and in which part,
/// takes `metrics:read` on all collections: the reasons name them.
///
/// # Errors
/// None; 503 is an answer here.
pub async fn health(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let engine = app.engine.health();
    let web = web_health(app);
    let is_healthy = engine.is_healthy && web.is_healthy;
    let mut body = json!({
        "status": if is_healthy { "healthy" } else { "unhealthy" },
        "timestamp": UnixTime::from_nanoseconds(app.clock.wall()),
    });
    let grant = &call.caller.grant;
    if grant.permits(Permission::MetricsRead)
        && grant.collections().is_none()
        && let Value::Object(fields) = &mut body
    {
        let degraded: Vec<&String> = engine.degraded.iter().chain(&web.degraded).collect();
        fields.insert("degraded".to_owned(), json!(degraded));
        let (active, waiting) = app.slots.occupancy();
        let (connections, connections_waiting) = app.connections.occupancy();
        fields.insert(
            "engine".to_owned(),
            json!({
                "is_healthy": engine.is_healthy,
                "is_loaded": engine.is_loaded,
                "collections": engine.collections,
                "poisoned": engine.poisoned,
                "failed": engine.failed,
            }),
        );
        fields.insert(
            "web_server".to_owned(),
            json!({
                "is_healthy": web.is_healthy,
                "is_open": app.auth.is_open(),
                "slots": {"active": active, "max": app.slots.count(), "waiting": waiting},
                "connections": {"active": connections, "max": app.connections.count(), "waiting": connections_waiting},
            }),
        );
    }
    let status = if is_healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(Reply::json(&body)?.with_status(status))
}

/// The web layer's state.
struct WebHealth {
    is_healthy: bool,
    degraded: Vec<String>,
}

/// Answering at all shows that connections are served; what can be wrong is that the server is on its way out, and
/// what can be worse than it should be is said.
fn web_health(app: &App) -> WebHealth {
    let mut degraded = Vec::new();
    if app.auth.is_open() {
        degraded.push("no credentials exist: everybody on this machine may do everything".to_owned());
    }
    if let Some(problem) = app.auth.problem() {
        degraded.push(format!("the newest credentials are not in force: {problem}"));
    }
    if let Some(problem) = app.audit.problem() {
        degraded.push(format!("the audit log cannot be written: {problem}"));
    }
    let (_, waiting) = app.slots.occupancy();
    if waiting > app.config.slots_queue / 2 {
        degraded.push(format!("{waiting} operations wait for an execution slot"));
    }
    let is_healthy = app.lifecycle.phase() == Phase::Serving;
    if !is_healthy {
        degraded.push("the server is stopping".to_owned());
    }
    WebHealth { is_healthy, degraded }
}
