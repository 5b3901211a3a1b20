//! HTTP: accepting connections, routing, and the types a handler sees.

mod activity;
pub mod app;
pub mod body;
pub mod body_budget;
pub mod call;
mod connection;
mod dispatch;
pub mod error;
mod exchange;
pub(crate) mod identity;
pub(crate) mod listener;
mod rehearsal;
pub mod reply;
pub mod router;
mod socket;

pub use app::App;
pub use call::Call;
pub use error::ApiError;
pub use rehearsal::Rehearsal;
pub use reply::Reply;
