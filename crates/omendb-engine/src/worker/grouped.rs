//! Searches whose answer is more than one list of hits.

use omendb_metrics::Timestamp;

use crate::search::Subject;
use crate::{Collection, Error, GroupRequest, GroupResponse, Worker};

impl Worker {
    /// Searches `collection` and groups the hits, as a query that was admitted at `granted`.
    ///
    /// # Errors
    /// As for [`search`](Self::search), and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for groups that are too many
    /// or too large.
    pub fn search_groups(
        &mut self,
        granted: Timestamp,
        collection: &Collection,
        request: &GroupRequest,
    ) -> Result<GroupResponse, Error> {
        let grouped = on_snapshot(collection, |subject| {
            self.searcher.search_groups(subject, request)
        });
        self.recorded((granted, collection), grouped, |response| &response.stats)
    }
}

/// Searches the newest snapshot of a collection.
fn on_snapshot<T>(
    collection: &Collection,
    search: impl FnOnce(Subject<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (state, shared) = (collection.snapshot()?, collection.shared());
    let (indexes, graphs) = (shared.indexes(), shared.graphs());
    let config = collection.config();
    search(Subject {
        config: &config,
        state: &state,
        indexes: &indexes,
        graphs: &graphs,
    })
}
