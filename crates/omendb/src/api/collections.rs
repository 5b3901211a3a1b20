//! Collections: create, list, look at, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{CollectionConfig, CollectionInfo, CollectionStatus, IndexInfo, VectorConfig};
use serde::Serialize;
use serde_json::json;

use super::create::{collection_config, distance_name};
use super::params::check_collection_params;
use super::{envelope, payload_index};
use crate::http::{ApiError, App, Call, Reply};

#[derive(Serialize)]
struct Names<'a> {
    collections: Vec<Name<'a>>,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

/// `GET /collections`: the names of the collections the caller may see.
///
/// # Errors
/// None of its own.
pub async fn list(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let collections = app.engine.collections();
    let names = collections.iter().map(|collection| collection.name());
    let collections = names
        .filter(|name| call.caller.sees(name))
        .map(|name| Name { name })
        .collect();
    envelope::ok(&Names { collections }, app.clock.now().since(started))
}

/// `PUT /collections/{collection}`: creates a collection; durable when answered.
///
/// # Errors
/// 409 when it exists, 400 and 422 for a wrong name or body.
pub async fn create(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    check_collection_params(call)?;
    let name = call.collection()?.to_owned();
    let body = call.read_body().await?;
    let engine = Arc::clone(&app.engine);
    outside_slots(move || {
        engine.create_collection(&name, collection_config(&body)?)?;
        Ok(())
    })
    .await?;
    envelope::ok(&true, app.clock.now().since(started))
}

/// `DELETE /collections/{collection}`: deletes it with everything in it; the result says whether it existed.
///
/// # Errors
/// 503 while loading.
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    check_collection_params(call)?;
    let name = call.collection()?.to_owned();
    let engine = Arc::clone(&app.engine);
    let existed = outside_slots(move || Ok(engine.delete_collection(&name)?)).await?;
    envelope::ok(&existed, app.clock.now().since(started))
}

/// Runs what waits for the disk and for other changes of the catalogue on a thread of its own, so that a slow disk
/// takes no slot from queries.
async fn outside_slots<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| ApiError::internal(format!("changing the list of collections: {error}")))?
}

/// `GET /collections/{collection}/exists`.
///
/// # Errors
/// None of its own.
pub async fn exists(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let name = call.collection()?;
    let exists = app
        .engine
        .collections()
        .iter()
        .any(|collection| collection.name() == name);
    envelope::ok(&json!({ "exists": exists }), app.clock.now().since(started))
}

/// `GET /collections/{collection}`: what it holds and what it was created with.
///
/// # Errors
/// 404 without the collection.
pub async fn get(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let collection = app.engine.collection(call.collection()?)?;
    let indexes = collection.indexes().unwrap_or_default();
    let description = describe(collection.config(), &collection.info(), &indexes);
    envelope::ok(&description, app.clock.now().since(started))
}

/// One vector's options as they are reported.
#[derive(Serialize)]
struct VectorJson {
    size: usize,
    distance: &'static str,
}

impl From<&VectorConfig> for VectorJson {
    fn from(config: &VectorConfig) -> Self {
        let VectorConfig { dimension, distance } = *config;
        Self {
            size: dimension,
            distance: distance_name(distance),
        }
    }
}

/// The dialect's description of a collection.
///
/// Its schema demands sections for structures that do not exist here. They say what is true where the dialect has a
/// value for it: no graph is `m` 0, no index is 0 indexed vectors, flushed with every write is an interval of 0.
fn describe(config: &CollectionConfig, info: &CollectionInfo, indexes: &[IndexInfo]) -> serde_json::Value {
    let status = match info.status {
        CollectionStatus::Ready => "green",
        CollectionStatus::Loading => "yellow",
        CollectionStatus::Poisoned | CollectionStatus::Failed | CollectionStatus::Closed => "red",
    };
    let vectors = if config.is_unnamed() {
        json!(config.vectors.values().next().map(VectorJson::from))
    } else {
        let named: BTreeMap<&String, VectorJson> = config
            .vectors
            .iter()
            .map(|(name, config)| (name, VectorJson::from(config)))
            .collect();
        json!(named)
    };
    json!({
        "status": status,
        "optimizer_status": "ok",
        "points_count": info.points,
        "indexed_vectors_count": info.indexed_vectors,
        "segments_count": info.segments,
        "config": {
            "params": {
                "vectors": vectors,
                "shard_number": 1,
                "replication_factor": 1,
                "write_consistency_factor": 1,
                "on_disk_payload": false,
            },
            "hnsw_config": {"m": 0, "ef_construct": 4, "full_scan_threshold": 0},
            "optimizer_config": {"default_segment_number": 0, "flush_interval_sec": 0},
            "wal_config": null,
            "quantization_config": null,
        },
        "payload_schema": payload_index::describe(indexes),
    })
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Distance, IndexKind};

    use super::*;

    const INFO: CollectionInfo = CollectionInfo {
        points: 5,
        vectors: 10,
        indexed_vectors: 0,
        segments: 2,
        tombstones: 1,
        sequence: 9,
        memory_bytes: 4096,
        log_bytes: 512,
        status: CollectionStatus::Ready,
    };

    #[track_caller]
    fn check(config: &CollectionConfig, info: &CollectionInfo, pointer: &str, expected: serde_json::Value) {
        let index = IndexInfo {
            key: "a.b".to_owned(),
            kind: IndexKind::Keyword,
            points: 3,
        };
        assert_eq!(
            describe(config, info, &[index]).pointer(pointer),
            Some(&expected),
            "{pointer}"
        );
    }

    #[test]
    fn a_description_says_what_the_collection_holds() {
        let unnamed = CollectionConfig::unnamed(4, Distance::Cosine);
        check(
            &unnamed,
            &INFO,
            "/config/params/vectors",
            json!({"size": 4, "distance": "Cosine"}),
        );
        check(
            &unnamed,
            &INFO,
            "/payload_schema",
            json!({"a.b": {"data_type": "keyword", "points": 3}}),
        );
        check(&unnamed, &INFO, "/points_count", json!(5));
        check(&unnamed, &INFO, "/segments_count", json!(2));
        let vector = VectorConfig {
            dimension: 3,
            distance: Distance::Euclid,
        };
        let named = CollectionConfig {
            vectors: BTreeMap::from([("image".to_owned(), vector)]),
            ..CollectionConfig::default()
        };
        check(
            &named,
            &INFO,
            "/config/params/vectors/image",
            json!({"size": 3, "distance": "Euclid"}),
        );
    }

    #[test]
    fn its_colour_says_whether_it_works() {
        let config = CollectionConfig::unnamed(4, Distance::Dot);
        for (status, colour) in [
            (CollectionStatus::Ready, "green"),
            (CollectionStatus::Loading, "yellow"),
            (CollectionStatus::Poisoned, "red"),
            (CollectionStatus::Failed, "red"),
            (CollectionStatus::Closed, "red"),
        ] {
            check(
                &config,
                &CollectionInfo { status, ..INFO },
                "/status",
                json!(colour),
            );
        }
    }
}
