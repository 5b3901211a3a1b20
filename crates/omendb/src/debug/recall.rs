//! `GET /debug/recall`: the recall of every collection by the way queries were answered, and the worst of them.

use std::sync::Arc;

use omendb_engine::{AccuracyReport, ClassAccuracy, Collection, QueryClass, WorstQuery};
use omendb_metrics::redacted;
use serde::Serialize;

use crate::http::app::App;
use crate::http::call::Call;
use crate::http::error::ApiError;
use crate::http::reply::Reply;
use crate::timestamp::UnixTime;

/// `GET /debug/recall`: of all collections, or of those named by `db_id`. Administrators see every one.
///
/// # Errors
/// 400 for an unknown query parameter, 404 for a `db_id` that is no collection.
pub async fn recall(app: &Arc<App>, call: &mut Call) -> Result<Reply, ApiError> {
    let mut collections = Vec::new();
    for (name, value) in call.query_pairs()? {
        if name != "db_id" {
            let message = format!("query parameter {name}={value} is unknown here, known is db_id");
            return Err(ApiError::bad_request(message));
        }
        collections.push(app.engine.collection(&value)?);
    }
    if collections.is_empty() {
        collections = app.engine.collections();
    }
    Reply::json(&Recall::of(&collections))
}

/// The recall of several collections.
#[derive(Serialize)]
pub(super) struct Recall {
    collections: Vec<CollectionRecall>,
}

impl Recall {
    pub(super) fn of(collections: &[Arc<Collection>]) -> Self {
        let collections = collections.iter().map(|collection| of_collection(collection));
        Self {
            collections: collections.collect(),
        }
    }
}

#[derive(Serialize)]
struct CollectionRecall {
    db_id: String,
    /// Of the last 15 minutes, as is what follows.
    samples: u64,
    recall: Option<f64>,
    lower_bound: Option<f64>,
    classes: Vec<ClassRecall>,
    worst: Vec<Worst>,
}

#[derive(Serialize)]
struct ClassRecall {
    plan: &'static str,
    selectivity: &'static str,
    samples: u64,
    recall: Option<f64>,
    lower_bound: Option<f64>,
}

#[derive(Serialize)]
struct Worst {
    time: UnixTime,
    request: Option<String>,
    sequence: u64,
    plan: &'static str,
    selectivity: &'static str,
    ef: Option<u64>,
    k: usize,
    expected: usize,
    missed: usize,
    recall: f64,
}

fn of_collection(collection: &Collection) -> CollectionRecall {
    let AccuracyReport {
        samples,
        mean,
        lower_bound,
        classes,
        worst,
    } = collection.accuracy();
    CollectionRecall {
        // As in the figures that lead here.
        db_id: redacted(collection.name()).into_owned(),
        samples,
        recall: mean,
        lower_bound,
        classes: classes.into_iter().map(ClassRecall::from).collect(),
        worst: worst.into_iter().map(Worst::from).collect(),
    }
}

impl From<ClassAccuracy> for ClassRecall {
    fn from(accuracy: ClassAccuracy) -> Self {
        let ClassAccuracy {
            class: QueryClass { plan, selectivity },
            samples,
            mean,
            lower_bound,
        } = accuracy;
        Self {
            plan: plan.name(),
            selectivity: selectivity.as_str(),
            samples,
            recall: mean,
            lower_bound,
        }
    }
}

impl From<WorstQuery> for Worst {
    fn from(query: WorstQuery) -> Self {
        let WorstQuery {
            recall,
            wall_nanos,
            sequence,
            class: QueryClass { plan, selectivity },
            ef,
            limit,
            expected,
            missed,
            origin,
        } = query;
        Self {
            time: UnixTime::from_nanoseconds(wall_nanos),
            request: origin.map(|origin| origin.id().to_owned()),
            sequence,
            plan: plan.name(),
            selectivity: selectivity.as_str(),
            ef: (ef > 0).then_some(ef),
            k: limit,
            expected,
            missed,
            recall,
        }
    }
}
