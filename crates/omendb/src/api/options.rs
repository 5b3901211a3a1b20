//! The options of a collection that tune something: the few the engine knows, and the rest, which is kept to be told
//! again.

use std::collections::BTreeMap;

use omendb_engine::{CollectionConfig, GraphOptions, Payload};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::parse;
use super::payload::{PayloadBody, PayloadJson};
use crate::http::ApiError;

/// `hnsw_config` as sent. What is not serialised is known to the engine, or not reported by the dialect.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HnswOptions {
    #[serde(skip_serializing)]
    m: Option<usize>,
    #[serde(skip_serializing)]
    ef_construct: Option<usize>,
    full_scan_threshold: Option<u64>,
    max_indexing_threads: Option<u64>,
    on_disk: Option<bool>,
    #[serde(skip_serializing)]
    memory: Option<String>,
    payload_m: Option<u64>,
    inline_storage: Option<bool>,
}

impl HnswOptions {
    pub(crate) fn graph(&self) -> GraphOptions {
        GraphOptions {
            m: self.m,
            ef_construct: self.ef_construct,
        }
    }

    /// Whether nothing is said, which takes back what a vector has of its own.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `optimizers_config` as sent.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptimizerOptions {
    deleted_threshold: Option<f64>,
    vacuum_min_vector_number: Option<u64>,
    default_segment_number: Option<u64>,
    max_segment_size: Option<u64>,
    memmap_threshold: Option<u64>,
    #[serde(skip_serializing)]
    pub(crate) indexing_threshold: Option<u64>,
    flush_interval_sec: Option<u64>,
    #[serde(default, deserialize_with = "thread_count")]
    max_optimization_threads: Option<u64>,
    prevent_unoptimized: Option<bool>,
}

/// `wal_config` as sent.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WalOptions {
    wal_capacity_mb: Option<u64>,
    wal_segments_ahead: Option<u64>,
    wal_retain_closed: Option<u64>,
}

/// Options of `params`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ParamOptions {
    pub(crate) on_disk_payload: Option<bool>,
    pub(crate) read_fan_out_factor: Option<u64>,
    pub(crate) read_fan_out_delay_ms: Option<u64>,
}

/// What is kept of one vector's options.
#[derive(Debug, Default, Serialize)]
pub(crate) struct VectorOptions {
    pub(crate) hnsw_config: Option<HnswOptions>,
    pub(crate) on_disk: Option<bool>,
    pub(crate) datatype: Option<String>,
}

/// What is kept of a collection's options, by the names they have where they are reported.
#[derive(Debug, Default, Serialize)]
pub(crate) struct KeptOptions {
    pub(crate) hnsw_config: Option<HnswOptions>,
    pub(crate) optimizer_config: Option<OptimizerOptions>,
    pub(crate) wal_config: Option<WalOptions>,
    pub(crate) params: ParamOptions,
    pub(crate) vectors: BTreeMap<String, VectorOptions>,
}

impl KeptOptions {
    /// Adds these to the options that `config` has already; what is not said stays.
    ///
    /// # Errors
    /// 422 for a number that the dialect does not allow, although it tunes nothing here.
    pub(crate) fn add_to(&self, config: &mut CollectionConfig) -> Result<(), ApiError> {
        self.check()?;
        let mut kept = kept(config)?;
        for (name, vector) in &self.vectors {
            if vector.hnsw_config.as_ref().is_some_and(HnswOptions::is_empty)
                && let Some(Value::Object(own)) = kept.pointer_mut(&vector_pointer(name))
            {
                own.remove("hnsw_config");
            }
        }
        let said = serde_json::to_value(self);
        merge(
            &mut kept,
            &said.map_err(|error| ApiError::internal(error.to_string()))?,
        );
        config.options = encode(&kept)?;
        Ok(())
    }
}

impl KeptOptions {
    fn check(&self) -> Result<(), ApiError> {
        check_graph("", self.hnsw_config.as_ref())?;
        for (name, vector) in &self.vectors {
            let separator = if name.is_empty() { "" } else { "." };
            check_graph(&format!("vectors{separator}{name}."), vector.hnsw_config.as_ref())?;
        }
        if let Some(optimizers) = &self.optimizer_config {
            let at = |field| format!("optimizers_config.{field}");
            parse::within(
                at("deleted_threshold"),
                optimizers.deleted_threshold,
                (0.0..=1.0, "from 0 to 1"),
            )?;
            parse::within(
                at("vacuum_min_vector_number"),
                optimizers.vacuum_min_vector_number,
                (100.., "at least 100"),
            )?;
            parse::within(
                at("max_segment_size"),
                optimizers.max_segment_size,
                (1.., "at least 1"),
            )?;
        }
        let capacity = self.wal_config.as_ref().and_then(|wal| wal.wal_capacity_mb);
        parse::within("wal_config.wal_capacity_mb", capacity, (1.., "at least 1"))
    }
}

fn check_graph(path: &str, hnsw: Option<&HnswOptions>) -> Result<(), ApiError> {
    let threshold = hnsw.and_then(|hnsw| hnsw.full_scan_threshold);
    parse::within(
        format_args!("{path}hnsw_config.full_scan_threshold"),
        threshold,
        (10.., "at least 10"),
    )
}

/// The options kept in `config`: an object with those that were ever said.
pub(crate) fn kept(config: &CollectionConfig) -> Result<Value, ApiError> {
    serde_json::to_value(PayloadJson(&config.options))
        .map_err(|error| ApiError::internal(format!("the options of a collection: {error}")))
}

/// Takes what is kept of a vector from the options of `config`: the next one of that name begins without.
pub(crate) fn forget_vector(config: &mut CollectionConfig, name: &str) -> Result<(), ApiError> {
    let mut kept = kept(config)?;
    let vectors = kept.get_mut("vectors").and_then(Value::as_object_mut);
    if vectors.and_then(|vectors| vectors.remove(name)).is_some() {
        config.options = encode(&kept)?;
    }
    Ok(())
}

/// Where the options of a vector are among those kept.
pub(crate) fn vector_pointer(name: &str) -> String {
    format!("/vectors/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Sets in `target` what `said` has, nulls and empty objects excepted.
pub(crate) fn merge(target: &mut Value, said: &Value) {
    let Value::Object(fields) = said else {
        if !said.is_null() {
            *target = said.clone();
        }
        return;
    };
    for (name, value) in fields {
        let known = target.get_mut(name).map(Value::take);
        let mut newer = known.unwrap_or(Value::Null);
        if newer.is_null() && value.is_object() {
            newer = json!({});
        }
        merge(&mut newer, value);
        let says_nothing = newer.is_null() || newer.as_object().is_some_and(Map::is_empty);
        if let Value::Object(target) = &mut *target {
            if says_nothing {
                target.remove(name);
            } else {
                target.insert(name.clone(), newer);
            }
        }
    }
}

fn encode(options: &Value) -> Result<Payload, ApiError> {
    let PayloadBody(payload) = parse::body(options.to_string().as_bytes())?;
    Ok(payload)
}

/// A number of threads, or `auto`, which says as much as leaving it out.
fn thread_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a number of threads or `auto`")]
    enum Threads {
        Count(u64),
        Setting(Setting),
    }
    #[derive(Deserialize)]
    enum Setting {
        #[serde(rename = "auto")]
        Auto,
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Threads::Count(count)) => Some(count),
        Some(Threads::Setting(Setting::Auto)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_merge(target: Value, said: &Value, expected: &Value) {
        let mut merged = target;
        merge(&mut merged, said);
        assert_eq!(&merged, expected, "{said}");
    }

    #[test]
    fn what_is_said_is_added_to_what_was() {
        let before = json!({"hnsw_config": {"on_disk": true}, "vectors": {"a": {"on_disk": false}}});
        check_merge(before.clone(), &json!({}), &before);
        check_merge(
            before.clone(),
            &json!({"hnsw_config": null, "wal_config": {"wal_capacity_mb": null}}),
            &before,
        );
        check_merge(
            before,
            &json!({"hnsw_config": {"on_disk": null, "payload_m": 4}, "vectors": {"b": {"on_disk": true}}}),
            &json!({
                "hnsw_config": {"on_disk": true, "payload_m": 4},
                "vectors": {"a": {"on_disk": false}, "b": {"on_disk": true}},
            }),
        );
    }
}
