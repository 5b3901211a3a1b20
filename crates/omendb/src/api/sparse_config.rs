//! Sparse vectors in the configuration of a collection, as they are created and reported.

use std::collections::BTreeMap;

use omendb_engine::{Modifier, Placement, SparseConfig, SparseIndexOptions};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::parse;
use super::refused::refusal;
use crate::http::ApiError;

/// One sparse vector.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SparseJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<IndexJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modifier: Option<ModifierName>,
}

/// Options of its index, none of which has an effect.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct IndexJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    full_scan_threshold: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_disk: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<PlacementName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datatype: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModifierName {
    None,
    Idf,
}

impl From<ModifierName> for Modifier {
    fn from(name: ModifierName) -> Self {
        match name {
            ModifierName::None => Self::None,
            ModifierName::Idf => Self::Idf,
        }
    }
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum PlacementName {
    Cold,
    Cached,
    Pinned,
}

/// Reads `sparse_vectors` of a creation.
///
/// # Errors
/// 400 for what is malformed, 422 for a datatype that is not supported.
pub(crate) fn sparse_configs(vectors: &RawValue) -> Result<BTreeMap<String, SparseConfig>, ApiError> {
    let fields: BTreeMap<String, &RawValue> = parse::field("sparse_vectors", vectors)?;
    let config = |(name, options): (String, &RawValue)| {
        let config = sparse_config(&format!("sparse_vectors.{name}"), options)?;
        Ok((name, config))
    };
    fields.into_iter().map(config).collect()
}

fn sparse_config(path: &str, options: &RawValue) -> Result<SparseConfig, ApiError> {
    let SparseJson { index, modifier } = parse::field(path, options)?;
    let IndexJson {
        full_scan_threshold,
        on_disk,
        memory,
        datatype,
    } = index.unwrap_or_default();
    if let Some(datatype) = datatype.as_ref().filter(|datatype| *datatype != "float32") {
        return Err(refusal(&format!("{path}.index.datatype"), datatype));
    }
    Ok(SparseConfig {
        modifier: modifier.map_or_else(Modifier::default, Modifier::from),
        index: SparseIndexOptions {
            full_scan_threshold,
            on_disk,
            is_float32: datatype.is_some(),
            memory: memory.map(|name| match name {
                PlacementName::Cold => Placement::Cold,
                PlacementName::Cached => Placement::Cached,
                PlacementName::Pinned => Placement::Pinned,
            }),
        },
    })
}

/// A sparse vector as it is reported: with the options that were given.
impl From<&SparseConfig> for SparseJson {
    fn from(config: &SparseConfig) -> Self {
        let SparseConfig { modifier, index } = *config;
        let SparseIndexOptions {
            full_scan_threshold,
            on_disk,
            is_float32,
            memory,
        } = index;
        let is_given = index != SparseIndexOptions::default();
        Self {
            index: is_given.then(|| IndexJson {
                full_scan_threshold,
                on_disk,
                memory: memory.map(|placement| match placement {
                    Placement::Cold => PlacementName::Cold,
                    Placement::Cached => PlacementName::Cached,
                    Placement::Pinned => PlacementName::Pinned,
                }),
                datatype: is_float32.then(|| "float32".to_owned()),
            }),
            // As clients compare it: they leave out what is the default.
            modifier: match modifier {
                Modifier::None => None,
                Modifier::Idf => Some(ModifierName::Idf),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is reported of the vectors that `json` creates, or the code and a part of the refusal.
    #[track_caller]
    fn check(json: &str, expected: Result<&str, (u16, &str)>) {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        match (sparse_configs(raw), expected) {
            (Ok(configs), Ok(expected)) => {
                let reported: BTreeMap<_, _> = configs
                    .iter()
                    .map(|(name, config)| (name, SparseJson::from(config)))
                    .collect();
                let reported = serde_json::to_string(&reported).expect("JSON");
                assert_eq!(reported, expected, "{json}");
            }
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{json}: {}", error.message());
                assert!(error.message().contains(part), "{json}: {}", error.message());
            }
            (Ok(_), Err(expected)) => panic!("{json} is accepted, expected {expected:?}"),
            (Err(error), Ok(_)) => panic!("{json}: {}", error.message()),
        }
    }

    #[test]
    fn what_was_created_is_reported() {
        check("{}", Ok("{}"));
        check(
            r#"{"a":{},"b":{"index":null,"modifier":"idf"}}"#,
            Ok(r#"{"a":{},"b":{"modifier":"idf"}}"#),
        );
        for index in [
            r#"{"full_scan_threshold":5000,"on_disk":false}"#,
            r#"{"memory":"pinned","datatype":"float32"}"#,
            r#"{"memory":"cold"}"#,
            r#"{"on_disk":true,"memory":"cached"}"#,
        ] {
            let vector = format!(r#"{{"a":{{"index":{index}}}}}"#);
            check(&vector, Ok(&vector));
        }
        check(r#"{"a":{"modifier":"none"}}"#, Ok(r#"{"a":{}}"#));
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        check(
            r#"{"a":{"index":{"datatype":"float16"}}}"#,
            Err((422, "sparse_vectors.a.index.datatype: `float16`")),
        );
        check(
            r#"{"a":{"modifier":"bm25"}}"#,
            Err((400, "sparse_vectors.a.modifier: unknown variant `bm25`")),
        );
        check(
            r#"{"a":{"index":{"memory":"warm"}}}"#,
            Err((400, "sparse_vectors.a.index.memory: unknown variant `warm`")),
        );
        check(
            r#"{"a":{"size":4}}"#,
            Err((400, "sparse_vectors.a.size: unknown field `size`")),
        );
        check(
            r#"{"a":7}"#,
            Err((400, "sparse_vectors.a: invalid type: integer `7`")),
        );
        check(r"[]", Err((400, "sparse_vectors: invalid type: sequence")));
    }
}
