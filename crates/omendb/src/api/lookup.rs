//! `lookup_from`: the collection whose points the ids of a query's examples are.

use std::sync::Arc;

use omendb_engine::{Engine, Filter, Query};
use serde::Deserialize;

use super::refused::{Raw, refuse};
use crate::auth::Caller;
use crate::http::ApiError;

/// Where ids are looked up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupFrom<'a> {
    collection: String,
    /// The vector's name there, that of the search unless given.
    vector: Option<String>,
    #[serde(borrow, default)]
    shard_key: Raw<'a>,
}

/// Who looks up, and for a search of which collection.
#[derive(Clone, Copy)]
pub(super) struct Lookups<'a> {
    pub(super) engine: &'a Engine,
    pub(super) caller: &'a Caller,
    pub(super) collection: &'a str,
}

/// What a search of one vector asks for, and what its hits pass.
pub(super) type Asked = (Query, Option<Arc<Filter>>);

/// Looks up the examples of a query on the vector of a name.
pub(super) type LookUp<'a> = dyn Fn(LookupFrom<'_>, &str, Asked) -> Result<Asked, ApiError> + 'a;

impl Lookups<'_> {
    /// The query with vectors in place of ids. Points of the collection that is searched are no hits, as they are not
    /// when a query has their ids.
    ///
    /// # Errors
    /// 403 when the credential does not reach the other collection, 404 without it, a point or its vector.
    pub(super) fn look_up(&self, from: LookupFrom<'_>, using: &str, asked: Asked) -> Result<Asked, ApiError> {
        let LookupFrom {
            collection,
            vector,
            shard_key,
        } = from;
        refuse(&[("lookup_from.shard_key", shard_key)])?;
        self.caller.check_collection(&collection)?;
        let place = self.engine.collection(&collection)?;
        let (query, filter) = asked;
        let (query, ids) = query.looked_up(&place, vector.as_deref().unwrap_or(using))?;
        let is_searched = collection == self.collection;
        let filter = if is_searched {
            Filter::without(filter, ids)
        } else {
            filter
        };
        Ok((query, filter))
    }
}
