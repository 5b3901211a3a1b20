//! `/collections/{collection}/vectors/{vector}`: gives the points of a collection another vector, or takes one from them.

use std::sync::Arc;

use omendb_engine::{CollectionConfig, Distance, Modifier, SparseConfig, SparseIndexOptions, VectorConfig};
use serde::Deserialize;

use super::collections::outside_slots;
use super::create::DistanceName;
use super::options::{KeptOptions, VectorOptions, forget_vector};
use super::params::write_params;
use super::points::UpdateResult;
use super::refused::{Raw, refusal, refuse};
use super::sparse_config::ModifierName;
use super::{envelope, parse};
use crate::http::{ApiError, App, Call, Reply};

/// The body of a creation: what the vector is, and cannot stop being.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum NameBody<'a> {
    #[serde(borrow)]
    Dense(DenseBody<'a>),
    Sparse(SparseBody),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenseBody<'a> {
    size: u64,
    distance: DistanceName,
    #[serde(borrow, default)]
    multivector_config: Raw<'a>,
    datatype: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SparseBody {
    modifier: Option<ModifierName>,
    datatype: Option<String>,
}

/// `PUT /collections/{collection}/vectors/{vector}`: adds a vector, which no point has yet. Durable and visible when
/// answered; one that is there already, the very same, is left as it is.
///
/// # Errors
/// 404 without the collection, 400 where another vector has the name, 400 and 422 for a wrong body.
pub async fn create(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let name = vector_name(call)?;
    change(app, call, move |body, config| add(&name, body, config)).await
}

/// `DELETE /collections/{collection}/vectors/{vector}`: deletes a vector of all points. Durable and visible when answered.
///
/// # Errors
/// 404 without the collection, 400 without the vector.
pub async fn delete(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let name = vector_name(call)?;
    let remove = move |_: &[u8], config: &mut CollectionConfig| {
        config.remove_vector(&name)?;
        forget_vector(config, &name)
    };
    change(app, call, remove).await
}

async fn change(
    app: &Arc<App>,
    call: &mut Call,
    change: impl FnOnce(&[u8], &mut CollectionConfig) -> Result<(), ApiError> + Send + 'static,
) -> Result<Reply, ApiError> {
    let started = app.clock.now();
    let params = write_params(call)?;
    let collection = call.collection()?.to_owned();
    let body = call.read_body().await?;
    let engine = Arc::clone(&app.engine);
    let changed = move || engine.change_vectors(&collection, |config| change(&body, config));
    let sequence = outside_slots(changed).await?;
    envelope::ok(
        &UpdateResult::of(sequence, params),
        app.clock.now().since(started),
    )
}

fn vector_name(call: &Call) -> Result<String, ApiError> {
    let name = call.params.get("vector");
    Ok(name
        .ok_or_else(|| ApiError::internal("route has no {vector}"))?
        .to_owned())
}

fn add(name: &str, body: &[u8], config: &mut CollectionConfig) -> Result<(), ApiError> {
    match parse::body(body)? {
        NameBody::Dense(body) => {
            let (vector, datatype) = dense_config(body)?;
            if config.add_vector(name, vector)? {
                let options = VectorOptions {
                    datatype,
                    ..VectorOptions::default()
                };
                let kept = KeptOptions {
                    vectors: [(name.to_owned(), options)].into(),
                    ..KeptOptions::default()
                };
                kept.add_to(config)?;
            }
        }
        NameBody::Sparse(body) => {
            config.add_sparse_vector(name, sparse_config(body)?)?;
        }
    }
    config
        .validate()
        .map_err(|error| ApiError::unprocessable(error.message()))
}

fn dense_config(body: DenseBody<'_>) -> Result<(VectorConfig, Option<String>), ApiError> {
    let DenseBody {
        size,
        distance,
        multivector_config,
        datatype,
    } = body;
    refuse(&[("dense.multivector_config", multivector_config)])?;
    check_datatype("dense.datatype", datatype.as_deref())?;
    // What does not fit is far beyond the engine's own bound, whose message names it.
    let dimension = usize::try_from(size).unwrap_or(usize::MAX);
    Ok((VectorConfig::new(dimension, Distance::from(distance)), datatype))
}

fn sparse_config(body: SparseBody) -> Result<SparseConfig, ApiError> {
    let SparseBody { modifier, datatype } = body;
    check_datatype("sparse.datatype", datatype.as_deref())?;
    Ok(SparseConfig {
        modifier: modifier.map_or_else(Modifier::default, Modifier::from),
        index: SparseIndexOptions {
            is_float32: datatype.is_some(),
            ..SparseIndexOptions::default()
        },
    })
}

fn check_datatype(field: &str, datatype: Option<&str>) -> Result<(), ApiError> {
    match datatype {
        None | Some("float32") => Ok(()),
        Some(other) => Err(refusal(field, other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<(), (u16, &str)>) {
        let mut config = CollectionConfig::unnamed(2, Distance::Dot);
        match (add("new", body.as_bytes(), &mut config), expected) {
            (Ok(()), Ok(())) => config.check_vector("new").expect("it is there"),
            (Err(error), Err((status, part))) => {
                assert_eq!(error.status(), status, "{body}: {}", error.message());
                assert!(error.message().contains(part), "{body}: {}", error.message());
            }
            (outcome, expected) => panic!("{body}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn vectors_of_both_kinds_are_added() {
        check(
            r#"{"dense":{"size":4,"distance":"Cosine","datatype":"float32","multivector_config":null}}"#,
            Ok(()),
        );
        check(r#"{"sparse":{}}"#, Ok(()));
        let mut config = CollectionConfig::default();
        add("s", br#"{"sparse":{"modifier":"idf"}}"#, &mut config).expect("a vector");
        assert_eq!(config.sparse_vectors["s"].modifier, Modifier::Idf);
    }

    #[test]
    fn wrong_ones_are_refused_with_field_and_value() {
        check(
            r#"{"dense":{"size":4,"distance":"Dot","multivector_config":{"comparator":"max_sim"}}}"#,
            Err((422, "dense.multivector_config")),
        );
        check(
            r#"{"dense":{"size":4,"distance":"Dot","datatype":"uint8"}}"#,
            Err((422, "dense.datatype: `uint8`")),
        );
        check(
            r#"{"sparse":{"datatype":"float16"}}"#,
            Err((422, "sparse.datatype: `float16`")),
        );
        check(
            r#"{"dense":{"size":65537,"distance":"Dot"}}"#,
            Err((422, "size 65537, not 1 to 65536")),
        );
        check(
            r#"{"dense":{"size":0,"distance":"Dot"}}"#,
            Err((422, "size 0, not 1 to 65536")),
        );
        check(
            r#"{"dense":{"size":4,"distance":"Hamming"}}"#,
            Err((400, "unknown variant `Hamming`")),
        );
        check(r#"{"dense":{"size":4}}"#, Err((400, "missing field `distance`")));
        check(
            r#"{"dense":{"size":4,"distance":"Dot","m":1}}"#,
            Err((400, "unknown field `m`")),
        );
        check(
            r#"{"size":4,"distance":"Dot"}"#,
            Err((400, "unknown variant `size`")),
        );
        check("{}", Err((400, "")));
    }
}
