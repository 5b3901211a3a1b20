//! The body of a collection's creation, and which of its many options mean something here.

use std::collections::BTreeMap;

use omendb_engine::config::UNNAMED;
use omendb_engine::{CollectionConfig, Distance, Payload, VectorConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::options::{HnswOptions, KeptOptions, OptimizerOptions, ParamOptions, VectorOptions, WalOptions};
use super::parse;
use super::payload::PayloadBody;
use super::refused::{Raw, refusal, refuse};
use super::sparse_config::sparse_configs;
use crate::http::ApiError;

/// The body as sent. Options that only tune another engine's structures are kept and have no effect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateBody<'a> {
    #[serde(borrow, default)]
    vectors: Raw<'a>,
    #[serde(borrow, default)]
    sparse_vectors: Raw<'a>,
    #[serde(borrow, default)]
    quantization_config: Raw<'a>,
    #[serde(borrow, default)]
    strict_mode_config: Raw<'a>,
    metadata: Option<PayloadBody>,
    hnsw_config: Option<HnswOptions>,
    optimizers_config: Option<OptimizerOptions>,
    wal_config: Option<WalOptions>,
    #[serde(borrow, default)]
    payload: Raw<'a>,
    #[serde(borrow, default)]
    id_tracker: Raw<'a>,
    on_disk_payload: Option<bool>,
    shard_number: Option<u32>,
    replication_factor: Option<u32>,
    write_consistency_factor: Option<u32>,
    sharding_method: Option<String>,
}

/// One vector of a collection as sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorBody<'a> {
    size: u64,
    distance: DistanceName,
    hnsw_config: Option<HnswOptions>,
    #[serde(borrow, default)]
    quantization_config: Raw<'a>,
    #[serde(borrow, default)]
    multivector_config: Raw<'a>,
    datatype: Option<String>,
    on_disk: Option<bool>,
    #[serde(rename = "memory")]
    _memory: Option<String>,
}

/// A distance by its name in the dialect.
#[derive(Clone, Copy, Deserialize)]
pub(super) enum DistanceName {
    Cosine,
    Dot,
    Euclid,
    Manhattan,
}

impl From<DistanceName> for Distance {
    fn from(name: DistanceName) -> Self {
        match name {
            DistanceName::Cosine => Self::Cosine,
            DistanceName::Dot => Self::Dot,
            DistanceName::Euclid => Self::Euclid,
            DistanceName::Manhattan => Self::Manhattan,
        }
    }
}

/// A distance's name in the dialect.
pub(crate) fn distance_name(distance: Distance) -> &'static str {
    match distance {
        Distance::Cosine => "Cosine",
        Distance::Dot => "Dot",
        Distance::Euclid => "Euclid",
        Distance::Manhattan => "Manhattan",
    }
}

/// Reads the body of a creation.
///
/// # Errors
/// 400 for a malformed body, 422 for an option that is not supported or out of range; both name it and its value.
pub(crate) fn collection_config(bytes: &[u8]) -> Result<CollectionConfig, ApiError> {
    let body: CreateBody<'_> = parse::body(bytes)?;
    refuse(&[("quantization_config", body.quantization_config)])?;
    check_inert("payload", body.payload, &["memory"])?;
    check_inert("id_tracker", body.id_tracker, &["memory"])?;
    check_strict_mode(body.strict_mode_config)?;
    check_one("shard_number", body.shard_number)?;
    check_one("replication_factor", body.replication_factor)?;
    check_one("write_consistency_factor", body.write_consistency_factor)?;
    if let Some(method) = body.sharding_method.filter(|method| method != "auto") {
        return Err(refusal("sharding_method", &method));
    }
    let vectors = body.vectors.map_or_else(|| Ok(BTreeMap::new()), vector_configs)?;
    let (vectors, options) = vectors.into_iter().map(by_name).unzip();
    let mut config = CollectionConfig::new(vectors);
    if let Some(sparse) = body.sparse_vectors {
        config.sparse_vectors = sparse_configs(sparse)?;
    }
    if let Some(hnsw) = &body.hnsw_config {
        config.graph = hnsw.graph().over(config.graph);
    }
    config.graph_threshold_kb = body
        .optimizers_config
        .as_ref()
        .and_then(|options| options.indexing_threshold);
    config.metadata = body.metadata.map_or_else(Payload::default, |body| body.0);
    let kept = KeptOptions {
        hnsw_config: body.hnsw_config,
        optimizer_config: body.optimizers_config,
        wal_config: body.wal_config,
        params: ParamOptions {
            on_disk_payload: body.on_disk_payload,
            ..ParamOptions::default()
        },
        vectors: options,
    };
    kept.add_to(&mut config)?;
    config
        .validate()
        .map_err(|error| ApiError::unprocessable(error.message()))?;
    Ok(config)
}

/// One vector's configuration, and what is kept of its options.
type Vector = (VectorConfig, VectorOptions);

fn by_name((name, (config, options)): (String, Vector)) -> ((String, VectorConfig), (String, VectorOptions)) {
    ((name.clone(), config), (name, options))
}

/// `vectors` is either one vector's options or an object of them by name. A vector named `size` would have an object
/// there, where the option has a number.
fn vector_configs(vectors: &RawValue) -> Result<BTreeMap<String, Vector>, ApiError> {
    let fields: BTreeMap<String, &RawValue> = parse::field("vectors", vectors)?;
    let is_option = |name: &str| {
        fields
            .get(name)
            .is_some_and(|value| !value.get().starts_with('{'))
    };
    if is_option("size") || is_option("distance") {
        return Ok(BTreeMap::from([(
            UNNAMED.to_owned(),
            vector_config("vectors", vectors)?,
        )]));
    }
    fields
        .into_iter()
        .map(|(name, options)| {
            let config = vector_config(&format!("vectors.{name}"), options)?;
            Ok((name, config))
        })
        .collect()
}

fn vector_config(path: &str, options: &RawValue) -> Result<Vector, ApiError> {
    let body: VectorBody<'_> = parse::field(path, options)?;
    let at = |field: &str| format!("{path}.{field}");
    refuse(&[
        (&at("quantization_config"), body.quantization_config),
        (&at("multivector_config"), body.multivector_config),
    ])?;
    if let Some(datatype) = body.datatype.as_ref().filter(|datatype| *datatype != "float32") {
        return Err(refusal(&at("datatype"), datatype));
    }
    // What does not fit is far beyond the engine's own bound, whose message names it.
    let dimension = usize::try_from(body.size).unwrap_or(usize::MAX);
    let mut config = VectorConfig::new(dimension, body.distance.into());
    if let Some(hnsw) = &body.hnsw_config {
        config.graph = hnsw.graph();
    }
    let options = VectorOptions {
        hnsw_config: body.hnsw_config,
        on_disk: body.on_disk,
        datatype: body.datatype,
    };
    Ok((config, options))
}

/// Checks the names inside an object that has no effect.
fn check_inert(path: &str, value: Raw<'_>, known: &[&str]) -> Result<(), ApiError> {
    let Some(value) = value else { return Ok(()) };
    let options: BTreeMap<String, IgnoredAny> = parse::field(path, value)?;
    match options.into_keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(ApiError::bad_request(format!(
            "{path}: unknown field `{name}`, known are {}",
            known.join(", ")
        ))),
    }
}

/// Strict mode sets limits on other requests: without them the collection would answer what it should refuse.
pub(crate) fn check_strict_mode(value: Raw<'_>) -> Result<(), ApiError> {
    let Some(raw) = value else { return Ok(()) };
    let options: BTreeMap<String, &RawValue> = parse::field("strict_mode_config", raw)?;
    match options.get("enabled").map(|enabled| enabled.get()) {
        None | Some("false" | "null") => Ok(()),
        Some(enabled) => Err(refusal("strict_mode_config.enabled", enabled)),
    }
}

/// One node holds one copy.
pub(crate) fn check_one(field: &str, value: Option<u32>) -> Result<(), ApiError> {
    match value {
        None | Some(1) => Ok(()),
        Some(other) => Err(refusal(field, &other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors by name, or the code of the refusal and a part of its message.
    type Expected<'a> = Result<&'a [(&'a str, usize, Distance)], (u16, &'a str)>;

    #[track_caller]
    fn check(json: &str, expected: Expected<'_>) {
        match (collection_config(json.as_bytes()), expected) {
            (Ok(config), Ok(expected)) => {
                let vectors: Vec<_> = config
                    .vectors
                    .iter()
                    .map(|(name, v)| (name.as_str(), v.dimension, v.distance))
                    .collect();
                assert_eq!(vectors, expected, "{json}");
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn one_unnamed_or_several_named_vectors() {
        check(
            r#"{"vectors":{"size":4,"distance":"Cosine"}}"#,
            Ok(&[("", 4, Distance::Cosine)]),
        );
        check(
            r#"{"vectors":{"b":{"size":2,"distance":"Dot"},"a":{"size":3,"distance":"Euclid","on_disk":true}}}"#,
            Ok(&[("a", 3, Distance::Euclid), ("b", 2, Distance::Dot)]),
        );
        check(
            r#"{"vectors":{"size":{"size":1,"distance":"Manhattan"}}}"#,
            Ok(&[("size", 1, Distance::Manhattan)]),
        );
    }

    #[test]
    fn a_collection_may_begin_without_vectors() {
        for body in [
            "{}",
            r#"{"vectors":{}}"#,
            r#"{"vectors":null,"sparse_vectors":null}"#,
        ] {
            check(body, Ok(&[]));
        }
    }

    #[test]
    fn graphs_and_metadata_are_taken_as_they_are_said() {
        let body = r#"{"vectors":{"a":{"size":4,"distance":"Dot","hnsw_config":{"m":0}},"b":{"size":4,"distance":"Dot"}},
            "hnsw_config":{"ef_construct":50},"optimizers_config":{"indexing_threshold":0,"max_optimization_threads":"auto"},
            "metadata":{"owner":"me"}}"#;
        let config = collection_config(body.as_bytes()).expect("a configuration");
        let graph = |name: &str| config.graph_of(&config.vectors[name]);
        assert_eq!((graph("a").m, graph("a").ef_construct), (0, 50));
        assert_eq!((graph("b").m, graph("b").ef_construct), (16, 50));
        assert_eq!(config.graph_threshold_kb, Some(0));
        assert_eq!(config.metadata.fields().count(), 1);
    }

    #[test]
    fn what_has_no_effect_is_accepted() {
        let vectors = r#""vectors":{"size":4,"distance":"Dot","hnsw_config":{"m":16},"datatype":"float32"}"#;
        let inert = r#""shard_number":1,"replication_factor":1,"write_consistency_factor":1,"on_disk_payload":true,
            "hnsw_config":{"m":0,"ef_construct":100},"optimizers_config":{"indexing_threshold":0},"wal_config":null,
            "sharding_method":"auto","quantization_config":null,"strict_mode_config":{"enabled":false}"#;
        check(&format!("{{{vectors},{inert}}}"), Ok(&[("", 4, Distance::Dot)]));
    }

    #[test]
    fn what_would_have_an_effect_is_refused_by_name() {
        let with = |field: &str| format!(r#"{{"vectors":{{"size":4,"distance":"Dot"}},{field}}}"#);
        check(&with(r#""shard_number":2"#), Err((422, "shard_number: `2`")));
        check(
            &with(r#""replication_factor":3"#),
            Err((422, "replication_factor: `3`")),
        );
        check(
            &with(r#""sharding_method":"custom""#),
            Err((422, "sharding_method: `custom`")),
        );
        check(
            &with(r#""quantization_config":{"scalar":{"type":"int8"}}"#),
            Err((422, "quantization_config")),
        );
        check(
            &with(r#""strict_mode_config":{"enabled":true}"#),
            Err((422, "strict_mode_config.enabled: `true`")),
        );
        check(&with(r#""metadata":[1]"#), Err((400, "metadata")));
        check(
            &with(r#""hnsw_config":{"m":5000}"#),
            Err((422, "m 5000, more than 1024")),
        );
        check(
            &with(r#""optimizers_config":{"max_optimization_threads":"many"}"#),
            Err((400, "optimizers_config.max_optimization_threads")),
        );
        check(
            &with(r#""hnsw_config":{"mm":1}"#),
            Err((400, "hnsw_config.mm: unknown field `mm`")),
        );
        check(&with(r#""hnsw_config":7"#), Err((400, "hnsw_config")));
        check(&with(r#""colour":"red""#), Err((400, "unknown field `colour`")));
        check(
            r#"{"vectors":{"a":{"size":4,"distance":"Dot","datatype":"uint8"}}}"#,
            Err((422, "vectors.a.datatype: `uint8`")),
        );
        check(
            r#"{"vectors":{"size":4,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}}"#,
            Err((422, "vectors.multivector_config")),
        );
    }

    #[test]
    fn numbers_without_effect_are_those_of_the_dialect() {
        let with = |field: &str| format!(r#"{{"vectors":{{"size":4,"distance":"Dot"}},{field}}}"#);
        check(
            &with(r#""hnsw_config":{"full_scan_threshold":9}"#),
            Err((422, "hnsw_config.full_scan_threshold: `9` is not at least 10")),
        );
        check(
            r#"{"vectors":{"a":{"size":4,"distance":"Dot","hnsw_config":{"full_scan_threshold":9}}}}"#,
            Err((422, "vectors.a.hnsw_config.full_scan_threshold: `9`")),
        );
        check(
            &with(r#""optimizers_config":{"deleted_threshold":1.5}"#),
            Err((
                422,
                "optimizers_config.deleted_threshold: `1.5` is not from 0 to 1",
            )),
        );
        check(
            &with(r#""optimizers_config":{"vacuum_min_vector_number":99}"#),
            Err((
                422,
                "optimizers_config.vacuum_min_vector_number: `99` is not at least 100",
            )),
        );
        check(
            &with(r#""optimizers_config":{"max_segment_size":0}"#),
            Err((422, "optimizers_config.max_segment_size: `0`")),
        );
        check(
            &with(r#""wal_config":{"wal_capacity_mb":0}"#),
            Err((422, "wal_config.wal_capacity_mb: `0` is not at least 1")),
        );
    }

    #[test]
    fn wrong_vectors_are_refused_with_their_value() {
        check(r#"{"vectors":{"size":0,"distance":"Dot"}}"#, Err((422, "size 0")));
        check(
            r#"{"vectors":{"size":70000,"distance":"Dot"}}"#,
            Err((422, "70000")),
        );
        check(
            r#"{"vectors":{"size":-4,"distance":"Dot"}}"#,
            Err((400, "vectors.size: invalid value: integer `-4`")),
        );
        check(
            r#"{"vectors":{"size":4,"distance":"Hamming"}}"#,
            Err((400, "unknown variant `Hamming`")),
        );
        check(
            r#"{"vectors":{"size":4}}"#,
            Err((400, "vectors: missing field `distance`")),
        );
        check(
            r#"{"vectors":{"a":{"size":4,"distance":"Dot","sise":4}}}"#,
            Err((400, "unknown field `sise`")),
        );
        check(r#"{"vectors":7}"#, Err((400, "vectors")));
    }
}
