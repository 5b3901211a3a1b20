//! A search: what is asked, what is answered, what it took.

mod request;

pub use request::{Hit, Query, SearchRequest, SearchResponse};
