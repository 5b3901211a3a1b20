//! The JSON handlers: our own `POST /query` and the dialect under `/collections`.
//!
//! A body is parsed, the engine asked and the answer written inside an execution slot; only waiting for a write to
//! become durable holds none.

pub mod collections;
pub mod native;
pub mod points;
pub mod scroll;
pub mod search;

mod create;
mod envelope;
mod ids;
mod output;
mod params;
mod parse;
mod payload;
mod query_input;
mod refused;
mod selectors;
mod upsert;
mod vectors;
