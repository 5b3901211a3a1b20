//! Collections: create, list, look at, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{
    CollectionConfig, CollectionInfo, CollectionStatus, GraphConfig, GraphOptions, IndexInfo, VectorConfig,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::create::{collection_config, distance_name};
use super::options::{self, merge};
use super::params::check_collection_params;
use super::payload::PayloadJson;
use super::sparse_config::SparseJson;
use super::{envelope, payload_index};
use crate::http::{ApiError, App, Call, Reply};
use crate::log::scope::Scope;

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
pub(crate) async fn outside_slots<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = tokio::task::spawn_blocking(Scope::carry(work)).await;
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

/// `GET /collections/{collection}`: what it holds and how it is configured.
///
/// # Errors
/// 404 without the collection.
pub async fn get(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let collection = app.engine.collection(call.collection()?)?;
    let indexes = collection.indexes().unwrap_or_default();
    let description = describe(&collection.config(), &collection.info(), &indexes)?;
    envelope::ok(&description, app.clock.now().since(started))
}

/// One vector as it is reported, with those of its options that were said.
fn describe_vector(name: &str, config: &VectorConfig, kept: &Value) -> Value {
    let VectorConfig {
        dimension,
        distance,
        graph: GraphOptions { m, ef_construct },
    } = *config;
    let mut vector = json!({"size": dimension, "distance": distance_name(distance)});
    let options = kept.pointer(&options::vector_pointer(name));
    options.inspect(|options| merge(&mut vector, options));
    merge(
        &mut vector,
        &json!({"hnsw_config": {"m": m, "ef_construct": ef_construct}}),
    );
    vector
}

/// The dialect's description of a collection.
///
/// Its schema demands sections for structures that do not exist here. Unless an option was said, which is then told
/// again, they say what is true where the dialect has a value for it: flushed with every write is an interval of 0.
fn describe(
    config: &CollectionConfig,
    info: &CollectionInfo,
    indexes: &[IndexInfo],
) -> Result<Value, ApiError> {
    let status = match info.status {
        CollectionStatus::Ready => "green",
        CollectionStatus::Loading => "yellow",
        CollectionStatus::Poisoned | CollectionStatus::Failed | CollectionStatus::Closed => "red",
    };
    Ok(json!({
        "status": status,
        "optimizer_status": "ok",
        "points_count": info.points,
        "indexed_vectors_count": info.indexed_vectors,
        "segments_count": info.segments,
        "config": describe_config(config)?,
        "payload_schema": payload_index::describe(indexes),
    }))
}

fn describe_config(config: &CollectionConfig) -> Result<Value, ApiError> {
    let mut kept = options::kept(config)?;
    let described = |(name, vector): (&String, &VectorConfig)| describe_vector(name, vector, &kept);
    let vectors = if config.is_unnamed() && config.vectors.len() == 1 {
        json!(config.vectors.iter().next().map(described))
    } else {
        let named = config.vectors.iter();
        json!(
            named
                .map(|vector| (vector.0, described(vector)))
                .collect::<BTreeMap<_, _>>()
        )
    };
    let GraphConfig { m, ef_construct } = config.graph;
    let mut description = json!({
        "params": {
            "vectors": vectors,
            "shard_number": 1,
            "replication_factor": 1,
            "write_consistency_factor": 1,
            "on_disk_payload": false,
        },
        "hnsw_config": {
            "m": m,
            "ef_construct": ef_construct,
            "full_scan_threshold": 10_000,
            "max_indexing_threads": 0,
            "on_disk": false,
        },
        "optimizer_config": {
            "default_segment_number": 0,
            "flush_interval_sec": 0,
            "indexing_threshold": config.graph_threshold_kb,
        },
        "wal_config": null,
        "quantization_config": null,
    });
    if !config.sparse_vectors.is_empty() {
        let sparse = config.sparse_vectors.iter();
        let described = sparse.map(|(name, config)| (name, SparseJson::from(config)));
        description["params"]["sparse_vectors"] = json!(described.collect::<BTreeMap<_, _>>());
    }
    if let Value::Object(kept) = &mut kept {
        kept.remove("vectors");
    }
    merge(&mut description, &kept);
    if !config.metadata.is_empty() {
        description["metadata"] = json!(PayloadJson(&config.metadata));
    }
    Ok(description)
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
    fn check(config: &CollectionConfig, info: &CollectionInfo, pointer: &str, expected: Value) {
        let index = IndexInfo {
            key: "a.b".to_owned(),
            kind: IndexKind::Keyword,
            points: 3,
        };
        assert_eq!(
            describe(config, info, &[index])
                .expect("a description")
                .pointer(pointer),
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
        let vector = VectorConfig::new(3, Distance::Euclid);
        let named = CollectionConfig::new(BTreeMap::from([("image".to_owned(), vector)]));
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
