//! `PATCH /collections/{collection}`: changes what may change of a living collection's configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{CollectionConfig, GraphOptions};
use serde::Deserialize;

use super::collections::outside_slots;
use super::create::{check_one, check_strict_mode};
use super::options::{HnswOptions, KeptOptions, OptimizerOptions, ParamOptions, VectorOptions};
use super::params::check_collection_params;
use super::payload::PayloadBody;
use super::refused::{Raw, refuse};
use super::{envelope, parse};
use crate::http::{ApiError, App, Call, Reply};

/// The body as sent: what it does not say stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeBody<'a> {
    #[serde(borrow)]
    vectors: Option<BTreeMap<String, VectorBody<'a>>>,
    optimizers_config: Option<OptimizerOptions>,
    params: Option<ParamsBody>,
    hnsw_config: Option<HnswOptions>,
    #[serde(borrow, default)]
    quantization_config: Raw<'a>,
    #[serde(borrow, default)]
    sparse_vectors: Raw<'a>,
    #[serde(borrow, default)]
    strict_mode_config: Raw<'a>,
    metadata: Option<PayloadBody>,
}

/// One vector's options as sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorBody<'a> {
    hnsw_config: Option<HnswOptions>,
    #[serde(borrow, default)]
    quantization_config: Raw<'a>,
    on_disk: Option<bool>,
    #[serde(rename = "memory")]
    _memory: Option<String>,
}

/// `params` as sent.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParamsBody {
    replication_factor: Option<u32>,
    write_consistency_factor: Option<u32>,
    read_fan_out_factor: Option<u64>,
    read_fan_out_delay_ms: Option<u64>,
    on_disk_payload: Option<bool>,
}

/// `PATCH /collections/{collection}`: durable when answered, and what is refused changes nothing.
///
/// # Errors
/// 404 without the collection, 400 for a malformed body or an unknown vector, 422 for a value that is out of range or
/// not supported.
pub async fn change(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    check_collection_params(call)?;
    let name = call.collection()?.to_owned();
    let body = call.read_body().await?;
    let engine = Arc::clone(&app.engine);
    outside_slots(move || {
        let body = parse::body(&body)?;
        engine.change_collection(&name, |config| apply(body, config))
    })
    .await?;
    envelope::ok(&true, app.clock.now().since(started))
}

/// Makes of `config` what the body asks for.
fn apply(body: ChangeBody<'_>, config: &mut CollectionConfig) -> Result<(), ApiError> {
    let ChangeBody {
        vectors,
        optimizers_config,
        params,
        hnsw_config,
        quantization_config,
        sparse_vectors,
        strict_mode_config,
        metadata,
    } = body;
    refuse_quantization("quantization_config", quantization_config)?;
    refuse(&[("sparse_vectors", sparse_vectors)])?;
    check_strict_mode(strict_mode_config)?;
    if let Some(hnsw) = &hnsw_config {
        config.graph = hnsw.graph().over(config.graph);
    }
    if let Some(threshold) = optimizers_config
        .as_ref()
        .and_then(|options| options.indexing_threshold)
    {
        config.graph_threshold_kb = Some(threshold);
    }
    if let Some(PayloadBody(fields)) = metadata {
        config.merge_metadata(fields)?;
    }
    let kept = KeptOptions {
        hnsw_config,
        optimizer_config: optimizers_config,
        wal_config: None,
        params: param_options(params.unwrap_or_default())?,
        vectors: vector_options(vectors.unwrap_or_default(), config)?,
    };
    kept.add_to(config)?;
    config
        .validate()
        .map_err(|error| ApiError::unprocessable(error.message()))
}

/// Gives the vectors of `config` what is said of their graphs; returns the options that are only kept.
fn vector_options(
    vectors: BTreeMap<String, VectorBody<'_>>,
    config: &mut CollectionConfig,
) -> Result<BTreeMap<String, VectorOptions>, ApiError> {
    let mut options = BTreeMap::new();
    for (name, body) in vectors {
        refuse_quantization(
            &format!("vectors.{name}.quantization_config"),
            body.quantization_config,
        )?;
        config.vector(&name)?;
        if let (Some(hnsw), Some(vector)) = (&body.hnsw_config, config.vectors.get_mut(&name)) {
            let GraphOptions { m, ef_construct } = hnsw.graph();
            vector.graph = if hnsw.is_empty() {
                GraphOptions::default()
            } else {
                GraphOptions {
                    m: m.or(vector.graph.m),
                    ef_construct: ef_construct.or(vector.graph.ef_construct),
                }
            };
        }
        let kept = VectorOptions {
            hnsw_config: body.hnsw_config,
            on_disk: body.on_disk,
            datatype: None,
        };
        options.insert(name, kept);
    }
    Ok(options)
}

fn param_options(params: ParamsBody) -> Result<ParamOptions, ApiError> {
    let ParamsBody {
        replication_factor,
        write_consistency_factor,
        read_fan_out_factor,
        read_fan_out_delay_ms,
        on_disk_payload,
    } = params;
    check_one("params.replication_factor", replication_factor)?;
    check_one("params.write_consistency_factor", write_consistency_factor)?;
    Ok(ParamOptions {
        on_disk_payload,
        read_fan_out_factor,
        read_fan_out_delay_ms,
    })
}

/// Refuses to quantize; to leave off is what is done already.
fn refuse_quantization(field: &str, value: Raw<'_>) -> Result<(), ApiError> {
    refuse(&[(field, value.filter(|raw| raw.get() != "\"Disabled\""))])
}

#[cfg(test)]
mod tests {
    use omendb_engine::{Distance, VectorConfig};
    use serde_json::{Value, json};

    use super::super::options::kept;
    use super::*;

    fn two_vectors() -> CollectionConfig {
        let vector = VectorConfig::new(4, Distance::Dot);
        CollectionConfig::new(["a", "b"].map(|name| (name.to_owned(), vector)).into())
    }

    fn changed(config: &CollectionConfig, body: &Value) -> Result<CollectionConfig, ApiError> {
        let mut newer = config.clone();
        apply(parse::body(body.to_string().as_bytes())?, &mut newer)?;
        Ok(newer)
    }

    #[test]
    fn what_is_not_said_stays() {
        let mut config = two_vectors();
        let mut change = |body: Value| config = changed(&config, &body).expect("a change");
        change(
            json!({"hnsw_config": {"m": 8, "on_disk": true}, "optimizers_config": {"indexing_threshold": 5}}),
        );
        change(json!({"hnsw_config": {"ef_construct": 50}, "params": {"on_disk_payload": true}}));
        change(json!({"vectors": {"a": {"hnsw_config": {"m": 0, "payload_m": 3}}, "b": {"on_disk": true}}}));
        change(json!({"vectors": {"a": {"hnsw_config": {"ef_construct": 9}}}}));
        change(json!({"quantization_config": "Disabled", "hnsw_config": {}, "optimizers_config": null}));
        assert_eq!((config.graph.m, config.graph.ef_construct), (8, 50));
        assert_eq!(config.graph_threshold_kb, Some(5));
        let own = |m, ef_construct| GraphOptions { m, ef_construct };
        assert_eq!(config.vectors["a"].graph, own(Some(0), Some(9)));
        assert_eq!(config.vectors["b"].graph, own(None, None));
        assert_eq!(
            kept(&config).expect("options"),
            json!({
                "hnsw_config": {"on_disk": true},
                "params": {"on_disk_payload": true},
                "vectors": {"a": {"hnsw_config": {"payload_m": 3}}, "b": {"on_disk": true}},
            })
        );
        // An empty object takes back what a vector has of its own.
        let config = changed(&config, &json!({"vectors": {"a": {"hnsw_config": {}}}})).expect("a change");
        assert_eq!(config.vectors["a"].graph, own(None, None));
        assert_eq!(
            kept(&config).expect("options")["vectors"],
            json!({"b": {"on_disk": true}})
        );
    }

    #[test]
    fn metadata_is_merged_and_taken_back() {
        let config = changed(
            &two_vectors(),
            &json!({"metadata": {"a": 1, "b": {"c": [2]}, "d": null}}),
        );
        let config = changed(
            &config.expect("a change"),
            &json!({"metadata": {"a": null, "e": "f"}}),
        )
        .expect("a change");
        let expected: PayloadBody =
            serde_json::from_value(json!({"b": {"c": [2]}, "e": "f"})).expect("an object");
        assert_eq!(config.metadata, expected.0);
        let config = changed(&config, &json!({"metadata": {}})).expect("a change");
        assert!(config.metadata.is_empty());
    }

    #[track_caller]
    fn check_refused(body: Value, status: u16, part: &str) {
        let error = changed(&two_vectors(), &body).expect_err("refused");
        assert_eq!(error.status(), status, "{body}: {}", error.message());
        assert!(error.message().contains(part), "{body}: {}", error.message());
    }

    #[test]
    fn what_cannot_be_changed_is_refused_by_name() {
        check_refused(
            json!({"vectors": {"c": {}}}),
            400,
            "Wrong input: Not existing vector name error: c",
        );
        check_refused(
            json!({"vectors": {"": {}}}),
            400,
            "(none is unnamed: say which of",
        );
        check_refused(
            json!({"vectors": {"a": {"size": 3}}}),
            400,
            "unknown field `size`",
        );
        check_refused(json!({"hnsw_config": {"m": -1}}), 400, "hnsw_config.m");
        check_refused(json!({"hnsw_config": {"m": 1025}}), 422, "m 1025, more than 1024");
        check_refused(
            json!({"vectors": {"b": {"hnsw_config": {"ef_construct": 3}}}}),
            422,
            "vector \"b\": ef_construct 3, not 4 to 10000",
        );
        check_refused(
            json!({"params": {"replication_factor": 2}}),
            422,
            "params.replication_factor: `2`",
        );
        check_refused(
            json!({"quantization_config": {"scalar": {"type": "int8"}}}),
            422,
            "quantization_config",
        );
        check_refused(
            json!({"vectors": {"a": {"quantization_config": {"binary": {}}}}}),
            422,
            "vectors.a.quantization_config",
        );
        check_refused(json!({"sparse_vectors": {"s": {}}}), 422, "sparse_vectors");
        check_refused(
            json!({"strict_mode_config": {"enabled": true}}),
            422,
            "strict_mode_config.enabled",
        );
        check_refused(
            json!({"optimizers_config": {"indexing": 1}}),
            400,
            "unknown field `indexing`",
        );
        check_refused(
            json!({"metadata": {"long": "x".repeat(70_000)}}),
            422,
            "metadata of 70",
        );
    }
}
