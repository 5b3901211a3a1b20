//! What a search did: one plain record, filled by the work itself and read by metrics, explain, slow log and probe.

/// How a search was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Every point compared: the answer is exact.
    #[default]
    Exact,
    /// Every chunk scanned, its points tested against the filter before or after they are compared: exact.
    FilteredScan,
    /// Only points compared that payload indexes said may pass, or that they have not read yet: exact.
    IndexedScan,
    /// Points found through the graph, those it does not cover compared one by one: approximate.
    Graph,
    /// The same among the points that pass the filter: approximate.
    FilteredGraph,
    /// Scores of sparse vectors added up from the postings of the query's terms, points that the index has not read yet
    /// compared one by one: exact.
    SparseIndex,
}

impl Plan {
    /// Every plan, in order.
    pub(crate) const ALL: [Self; 6] = [
        Self::Exact,
        Self::FilteredScan,
        Self::IndexedScan,
        Self::Graph,
        Self::FilteredGraph,
        Self::SparseIndex,
    ];

    /// The plan's name in an explanation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::FilteredScan => "filtered_scan",
            Self::IndexedScan => "indexed_scan",
            Self::Graph => "graph",
            Self::FilteredGraph => "filtered_graph",
            Self::SparseIndex => "sparse_index",
        }
    }
}

/// What one search did and what it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// How it was answered.
    pub plan: Plan,
    /// The sequence number of the snapshot it read.
    pub sequence: u64,
    /// Points compared with the query, deleted ones in a scanned chunk included. Of sparse vectors with an index, those
    /// that have a term in common with the query.
    pub distance_computations: u64,
    /// Rows compared by their codes first and then, since the bound did not rule them out, as they are.
    pub rescored: u64,
    /// Entries of inverted indexes read: slots that have a term of the query.
    pub postings: u64,
    /// Bytes of vectors, codes and postings read to compute them.
    pub bytes_touched: u64,
    /// Elements of dense vectors processed, coded or not, and those of them in full vector registers.
    pub elements: u64,
    /// See `elements`.
    pub elements_in_full_vectors: u64,
    /// Candidates that a walk through the graph kept, zero without one.
    pub ef: u64,
    /// Nodes of the graph whose links were followed, and those that a walk compared with the query: the other
    /// distances are those of scans.
    pub hops: u64,
    /// See `hops`.
    pub visited: u64,
    /// Chunks scanned.
    pub chunks: u64,
    /// Candidates that entered the top-k heap.
    pub heap_pushes: u64,
    /// Points that payload indexes said may pass, estimated before the search, and those it then found in the snapshot,
    /// points not indexed yet included. Zero without an index that helps.
    pub filter_estimated: u64,
    /// See `filter_estimated`.
    pub filter_candidates: u64,
    /// Points tested against the filter, and those of them that did not pass. A point whose score keeps it out of the
    /// answer anyway is not tested.
    pub filter_checked: u64,
    /// See `filter_checked`.
    pub filter_rejected: u64,
    /// Hits returned.
    pub hits: u64,
    /// Nanoseconds to check the request, take the snapshot and prepare the query.
    pub prepare_ns: u64,
    /// Nanoseconds to test points against the filter.
    pub filter_ns: u64,
    /// Nanoseconds to find the best candidates, the time of the filter not included.
    pub scan_ns: u64,
    /// Nanoseconds to gather ids, payloads and vectors of the hits.
    pub gather_ns: u64,
}

impl SearchStats {
    /// Nanoseconds from the granted start to hits ready: the sum of the stages.
    pub fn total_ns(&self) -> u64 {
        self.prepare_ns + self.filter_ns + self.scan_ns + self.gather_ns
    }
}
