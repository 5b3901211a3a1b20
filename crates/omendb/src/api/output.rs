//! Points as answers carry them.

use omendb_engine::{Hit, OrderValue, Record};
use serde::Serialize;

use super::ids::Id;
use super::order_by::OrderValueJson;
use super::payload::PayloadJson;
use super::vectors::VectorsJson;

/// A point that was asked for.
#[derive(Serialize)]
pub(crate) struct RecordJson<'a> {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<VectorsJson<'a>>,
    /// Where it is in the order asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_value: Option<OrderValueJson>,
}

impl<'a> From<&'a Record> for RecordJson<'a> {
    fn from(record: &'a Record) -> Self {
        let Record { id, payload, vectors } = record;
        Self {
            id: Id(*id),
            payload: payload.as_ref().map(PayloadJson),
            vector: vectors.as_ref().map(VectorsJson),
            order_value: None,
        }
    }
}

impl<'a> RecordJson<'a> {
    /// A point in an order.
    pub(crate) fn ordered((record, value): &'a (Record, OrderValue)) -> Self {
        Self {
            order_value: Some(OrderValueJson(*value)),
            ..Self::from(record)
        }
    }
}

/// A point that was found, as the dialect has it.
#[derive(Serialize)]
pub(crate) struct ScoredJson<'a> {
    id: Id,
    /// The dialect has the sequence of the point's last write here. We keep none per point: it is the sequence of the
    /// snapshot that was searched, which no write of the point is later than.
    version: u64,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<PayloadJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<VectorsJson<'a>>,
    /// Where it is in the order asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_value: Option<OrderValueJson>,
}

impl<'a> ScoredJson<'a> {
    /// A hit of a search of the snapshot `version`.
    pub(crate) fn hit(hit: &'a Hit, version: u64) -> Self {
        let Hit {
            id,
            score,
            payload,
            vectors,
            order_value,
        } = hit;
        Self {
            id: Id(*id),
            version,
            score: *score,
            payload: payload.as_ref().map(PayloadJson),
            vector: vectors.as_ref().map(VectorsJson),
            order_value: order_value.map(OrderValueJson),
        }
    }
}
