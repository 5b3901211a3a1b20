//! The dialect's distance matrices: the points of a random sample, each with the nearest of the others.

use std::sync::Arc;

use omendb_engine::config::UNNAMED;
use omendb_engine::{MatrixRequest, MatrixResponse, Worker};
use serde::{Deserialize, Serialize};

use super::filter::FilterJson;
use super::ids::Id;
use super::in_slot::in_slot;
use super::params::check_read_params;
use super::refused::{Raw, refuse};
use super::{envelope, filter, parse};
use crate::http::{ApiError, App, Call, Reply};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// As in the dialect.
const DEFAULT_SAMPLE: usize = 10;
/// As in the dialect.
const DEFAULT_NEIGHBOURS: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatrixBody<'a> {
    sample: Option<usize>,
    limit: Option<usize>,
    using: Option<String>,
    filter: Option<FilterJson>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

#[derive(Serialize)]
struct PairsResult {
    pairs: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    a: Id,
    b: Id,
    score: f32,
}

/// A sparse matrix by coordinates.
#[derive(Serialize)]
struct OffsetsResult {
    offsets_row: Vec<usize>,
    offsets_col: Vec<usize>,
    scores: Vec<f32>,
    ids: Vec<Id>,
}

/// `POST /collections/{collection}/points/search/matrix/pairs`.
///
/// # Errors
/// 404 without the collection, 400 and 422 for a wrong body.
pub async fn pairs(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    matrix(app, call, |response| PairsResult {
        pairs: response
            .rows
            .iter()
            .zip(&response.ids)
            .flat_map(|(row, &a)| row.iter().map(move |&(place, score)| (a, place, score)))
            .map(|(a, place, score)| Pair {
                a: Id(a),
                b: Id(response.ids[place]),
                score,
            })
            .collect(),
    })
    .await
}

/// `POST /collections/{collection}/points/search/matrix/offsets`.
///
/// # Errors
/// As for [`pairs`].
pub async fn offsets(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    matrix(app, call, |response| {
        let cells = || response.rows.iter().flatten();
        let rows = response.rows.iter().enumerate();
        OffsetsResult {
            offsets_row: rows
                .flat_map(|(row, cells)| cells.iter().map(move |_| row))
                .collect(),
            offsets_col: cells().map(|(place, _)| *place).collect(),
            scores: cells().map(|(_, score)| *score).collect(),
            ids: response.ids.iter().copied().map(Id).collect(),
        }
    })
    .await
}

async fn matrix<T: Serialize + 'static>(
    app: &Arc<App>,
    call: &mut Call,
    result: fn(&MatrixResponse) -> T,
) -> Result<Reply, ApiError> {
    check_read_params(call)?;
    let collection = app.engine.collection(call.collection()?)?;
    let body = call.read_body().await?;
    let work = move |worker: &mut Worker, tally: &mut Tally| {
        let request = question(&body)?;
        tally.lap(Stage::Parse);
        let response = worker.search_matrix(tally.admission(), &collection, &request)?;
        tally.searched(&response.stats);
        tally.count_matches(&collection, request.filter.as_deref())?;
        envelope::answer(&result(&response), tally)
    };
    in_slot(app, call, work).await?
}

fn question(bytes: &[u8]) -> Result<MatrixRequest, ApiError> {
    let body: MatrixBody<'_> = parse::body(bytes)?;
    refuse(&[("shard_key", body.shard_key)])?;
    let sample = body.sample.unwrap_or(DEFAULT_SAMPLE);
    if sample < 2 {
        return Err(ApiError::unprocessable(format!(
            "sample: `{sample}` is not at least 2"
        )));
    }
    Ok(MatrixRequest {
        using: body.using.unwrap_or_else(|| UNNAMED.to_owned()),
        sample,
        limit: parse::at_least_one("limit", body.limit.unwrap_or(DEFAULT_NEIGHBOURS))?,
        filter: filter::filter(body.filter)?,
    })
}
