//! Handlers under `/debug/log-level`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::level::LogFilter;
use crate::config::Setting as _;
use crate::http::{ApiError, App, Call, Reply};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelRequest {
    level: String,
}

/// `GET /debug/log-level`: the level in force.
///
/// # Errors
/// None.
pub async fn show(app: &Arc<App>, _call: &mut Call) -> Result<Reply, ApiError> {
    Reply::json(&json!({"level": app.log_level.current().to_string()}))
}

/// `PUT /debug/log-level`: another level, until the server ends or is told otherwise.
///
/// # Errors
/// 422 for what is no level, 409 when the server runs in a process whose log is not its own.
pub async fn change(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let LevelRequest { level } = call.read_json().await?;
    call.subject = Some(level.clone());
    let refused = |reason| ApiError::unprocessable(format!("level = \"{level}\": {reason}"));
    let filter = LogFilter::parse(&level).map_err(refused)?;
    let name = filter.to_string();
    let before = app.log_level.current();
    if !app.log_level.change(filter) {
        return Err(ApiError::conflict(
            "the log of this process was not started by this server",
        ));
    }
    // Severe enough for every level but off: whoever reads the log has to know why it is different from here on.
    tracing::error!(%before, after = name, "the log level was changed");
    Reply::json(&json!({"level": name}))
}
