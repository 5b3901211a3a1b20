//! What an administrator looks into when a figure looks wrong: records of single operations, without their data.

pub mod bundle;
pub mod recall;
pub mod slow_queries;
