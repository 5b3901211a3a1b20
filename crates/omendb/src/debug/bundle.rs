//! `GET /debug/bundle`: one document for a ticket, so that whoever answers it need not ask.

use std::sync::Arc;

use omendb_engine::CollectionInfo;
use omendb_metrics::Selection;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::debug::recall::Recall;
use crate::debug::slow_queries;
use crate::health::{self, DIALECT_VERSION};
use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::telemetry::history::page::{self as history, Answer, RETENTION};
use crate::telemetry::page::{Page, render, wants_gzip};
use crate::timestamp::UnixTime;

/// Longest JSON of all series; beyond it those of collections are left out, which is what grows.
const LONGEST_METRICS: usize = 16 << 20;
/// Collections whose counts are in it.
const MOST_COLLECTIONS: usize = 1_000;
/// Records of slow queries in it.
const MOST_SLOW_QUERIES: usize = 256;
/// Steps of the history in it, seconds: 288 values of each series.
const HISTORY_STEP: u64 = 300;

/// The document. Nothing in it is a credential, a vector, an id or a payload.
#[derive(Serialize)]
struct Bundle {
    taken: UnixTime,
    versions: Value,
    /// Every key with its value. Keys name files of credentials and hold none.
    configuration: Map<String, Value>,
    health: Value,
    collections: Vec<Value>,
    recall: Recall,
    /// As `/debug/slow-queries`.
    slow_queries: Value,
    /// Whether the series of collections did not fit.
    metrics_of_collections_left_out: bool,
    /// As `/metrics/json`, of one snapshot.
    metrics: Box<RawValue>,
    /// As `/metrics/catalog`.
    catalogue: Box<RawValue>,
    history: Vec<Answer>,
}

/// `GET /debug/bundle`: rendered beside the queries, like a page of metrics.
///
/// # Errors
/// 500 when something in it is not JSON: a mistake here.
pub async fn bundle(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let is_compressed = wants_gzip(call);
    let page = render(app, move |app| {
        let document = collect(app).and_then(|bundle| serde_json::to_vec(&bundle));
        document.map(|document| Page::new(document, is_compressed))
    })
    .await?;
    let page = page.map_err(|error| ApiError::internal(format!("the bundle: {error}")))?;
    Ok(page.into_reply("application/json"))
}

fn collect(app: &App) -> Result<Bundle, serde_json::Error> {
    let registry = &app.telemetry.registry;
    let mut metrics = registry.snapshot(Selection::default()).to_json();
    let is_left_out = metrics.len() > LONGEST_METRICS;
    if is_left_out {
        let families = registry.catalogue().families().iter();
        let names = families.filter(|family| !family.labels.contains(&"db_id"));
        let selection = Selection {
            names: names.map(|family| family.name.to_owned()).collect(),
            ..Selection::default()
        };
        metrics = registry.snapshot(selection).to_json();
    }
    health::look(app);
    Ok(Bundle {
        taken: UnixTime::from_nanoseconds(app.clock.wall()),
        versions: json!({
            "omendb": env!("CARGO_PKG_VERSION"),
            "dialect": DIALECT_VERSION,
            "system": std::env::consts::OS,
            "processor": std::env::consts::ARCH,
            "processors": std::thread::available_parallelism().map_or(1, usize::from),
        }),
        configuration: app
            .config
            .values()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect(),
        health: health::detail(app),
        collections: app
            .engine
            .collections()
            .iter()
            .take(MOST_COLLECTIONS)
            .map(|collection| counts(collection.name(), &collection.info()))
            .collect(),
        recall: Recall::of(&app.engine.collections()),
        slow_queries: slow_queries::newest(app, MOST_SLOW_QUERIES)?,
        metrics_of_collections_left_out: is_left_out,
        metrics: RawValue::from_string(metrics)?,
        catalogue: RawValue::from_string(registry.catalogue().to_json())?,
        history: history::everything(&app.telemetry.history, RETENTION, HISTORY_STEP),
    })
}

fn counts(name: &str, info: &CollectionInfo) -> Value {
    json!({
        "name": name,
        "status": format!("{:?}", info.status).to_lowercase(),
        "points": info.points,
        "vectors": info.vectors,
        "indexed_vectors": info.indexed_vectors,
        "segments": info.segments,
        "tombstones": info.tombstones,
        "sequence": info.sequence,
        "memory_bytes": info.memory_bytes,
        "log_bytes": info.log_bytes,
    })
}
