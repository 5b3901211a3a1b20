//! Searches whose answer is more than one list of hits.

use crate::search::Subject;
use crate::{
    Admission, Collection, Error, FacetRequest, FacetResponse, GroupRequest, GroupResponse, MatrixRequest,
    MatrixResponse, Worker,
};

impl Worker {
    /// Searches `collection` and groups the hits, as a query that was admitted before.
    ///
    /// # Errors
    /// As for [`search`](Self::search), and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for groups that are too many
    /// or too large.
    pub fn search_groups(
        &mut self,
        admission: Admission,
        collection: &Collection,
        request: &GroupRequest,
    ) -> Result<GroupResponse, Error> {
        let grouped = on_snapshot(collection, |subject| {
            self.searcher.search_groups(subject, request)
        });
        self.recorded((admission, collection), grouped, |response| &mut response.stats)
    }
}

impl Worker {
    /// Counts the values of a payload key of `collection`, as a query that was admitted before.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a key without an index that says what its values are, and for
    /// too large a limit; [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the collection is gone;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) while it is loading.
    pub fn facet(
        &mut self,
        admission: Admission,
        collection: &Collection,
        request: &FacetRequest,
    ) -> Result<FacetResponse, Error> {
        let counted = on_snapshot(collection, |subject| self.searcher.facet(subject, request));
        self.recorded((admission, collection), counted, |response| &mut response.stats)
    }

    /// Compares the points of a sample of `collection` with one another, as a query that was admitted before.
    ///
    /// # Errors
    /// As for [`search`](Self::search), and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for too large a sample.
    pub fn search_matrix(
        &mut self,
        admission: Admission,
        collection: &Collection,
        request: &MatrixRequest,
    ) -> Result<MatrixResponse, Error> {
        let compared = on_snapshot(collection, |subject| {
            self.searcher.search_matrix(subject, request)
        });
        self.recorded((admission, collection), compared, |response| &mut response.stats)
    }
}

/// Searches the newest snapshot of a collection.
pub(crate) fn on_snapshot<T>(
    collection: &Collection,
    search: impl FnOnce(Subject<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (state, shared) = (collection.snapshot()?, collection.shared());
    let (indexes, graphs) = (shared.indexes(), shared.graphs());
    let sparse = collection.shared().sparse_indexes();
    search(Subject {
        state: &state,
        indexes: &indexes,
        graphs: &graphs,
        sparse: &sparse,
    })
}
