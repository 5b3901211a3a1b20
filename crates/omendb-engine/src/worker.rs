//! One execution slot's hands: the buffers and metric cells of the thread that runs searches.

use crate::{Collection, Error, SearchRequest, SearchResponse};

/// Runs searches. One per execution slot, used by one thread at a time: its metric cells have a single writer.
#[derive(Debug)]
pub struct Worker {}

impl Worker {
    /// Searches `collection` on its newest snapshot and records what it took.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a wrong vector name, dimension, element or limit;
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an unknown point to search near, or when the
    /// collection is gone; [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while it is loading.
    pub fn search(
        &mut self,
        _collection: &Collection,
        _request: &SearchRequest,
    ) -> Result<SearchResponse, Error> {
        Err(Error::unavailable("search is not built yet"))
    }
}
