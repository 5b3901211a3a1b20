//! The JSON handlers: our own `POST /query` and the dialect under `/collections`.
//!
//! A body is parsed, the engine asked and the answer written inside an execution slot; only waiting for a write to
//! become durable holds none.

pub mod aliases;
pub mod batch_update;
pub mod change;
pub mod collections;
pub mod facet;
pub mod groups;
pub mod matrix;
pub mod native;
pub mod payload_changes;
pub mod payload_index;
pub mod points;
pub mod scroll;
pub mod search;
pub mod vector_changes;
pub mod vector_names;

mod condition;
mod create;
mod envelope;
mod feedback;
mod filter;
mod formula;
mod ids;
mod in_slot;
mod lookup;
mod matching;
mod one_or_many;
mod options;
mod order_by;
mod output;
mod params;
mod parse;
mod payload;
mod query_input;
mod refused;
mod selectors;
mod sparse_config;
mod upsert;
mod vector;
mod vectors;
