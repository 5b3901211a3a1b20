//! What a search did: one plain record, filled by the work itself and read by metrics, explain, slow log and probe.

use crate::Count;

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

/// Why a search was answered the way it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// This kind of query is answered by no graph.
    #[default]
    Kind,
    /// It was asked to be exact.
    AskedExact,
    /// The vector has no graph: too few points, none wanted, or not built yet.
    NoGraph,
    /// The graph compares codes, and what they say of this query or of so many hits would rule out too little.
    NoCodes,
    /// A walk through the graph was expected to cost less than a scan.
    WalkCheaper,
    /// A scan of the points, or of those that may pass, was expected to cost less than a walk through the graph.
    ScanCheaper,
    /// A walk through the graph was begun and given up: it met too few points that pass, or found fewer than were asked
    /// for.
    WalkGivenUp,
}

impl Reason {
    /// The reason's name in an explanation.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind_of_query",
            Self::AskedExact => "asked_exact",
            Self::NoGraph => "no_graph",
            Self::NoCodes => "no_codes",
            Self::WalkCheaper => "walk_cheaper",
            Self::ScanCheaper => "scan_cheaper",
            Self::WalkGivenUp => "walk_given_up",
        }
    }
}

/// What one search did and what it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// How it was answered.
    pub plan: Plan,
    /// Why that way.
    pub reason: Reason,
    /// The sequence number of the snapshot it read.
    pub sequence: u64,
    /// Points compared with the query, deleted ones in a scanned chunk included. Of sparse vectors with an index, those
    /// that have a term in common with the query.
    pub distance_computations: Count,
    /// Rows compared by their codes first and then, since the bound did not rule them out, as they are.
    pub rescored: Count,
    /// Entries of inverted indexes read: slots that have a term of the query.
    pub postings: Count,
    /// Bytes of vectors, codes and postings read to compute them.
    pub bytes_touched: Count,
    /// Elements of dense vectors processed, coded or not, and those of them in full vector registers.
    pub elements: Count,
    /// See `elements`.
    pub elements_in_full_vectors: Count,
    /// Candidates that a walk through the graph kept, zero without one.
    pub ef: Count,
    /// Nodes of the graph whose links were followed, and those that a walk compared with the query: the other
    /// distances are those of scans.
    pub hops: Count,
    /// See `hops`.
    pub visited: Count,
    /// Chunks scanned.
    pub chunks: Count,
    /// Candidates that entered the top-k heap.
    pub heap_pushes: Count,
    /// Points that payload indexes said may pass, estimated before the search, and those it then found in the snapshot,
    /// points not indexed yet included. Zero without an index that helps.
    pub filter_estimated: Count,
    /// See `filter_estimated`.
    pub filter_candidates: Count,
    /// Points tested against the filter, and those of them that did not pass. A point whose score keeps it out of the
    /// answer anyway is not tested.
    pub filter_checked: Count,
    /// See `filter_checked`.
    pub filter_rejected: Count,
    /// Hits returned.
    pub hits: Count,
    /// Nanoseconds to check the request, take the snapshot and prepare the query.
    pub prepare_ns: Count,
    /// Nanoseconds to test points against the filter.
    pub filter_ns: Count,
    /// Nanoseconds to find the best candidates, the time of the filter and of rescoring not included.
    pub scan_ns: Count,
    /// Nanoseconds to score rows in full that their codes did not rule out, and by a formula what prefetches found. In a
    /// scan, told from the first rows of it: reading the clock for each would take as long as the row.
    pub rescore_ns: Count,
    /// Nanoseconds to gather ids, payloads and vectors of the hits.
    pub gather_ns: Count,
    /// Whether it was drawn to have its recall measured.
    pub is_sampled: bool,
    /// Whether its duration is shown as an exemplar, so that somebody may look for the record of its request.
    pub is_exemplar: bool,
}

impl SearchStats {
    /// Nanoseconds from the granted start to hits ready: the sum of the stages.
    pub fn total_ns(&self) -> Count {
        self.prepare_ns + self.filter_ns + self.scan_ns + self.rescore_ns + self.gather_ns
    }

    /// Adds what another search for the same request did and took. How that was answered is not of both.
    pub fn add(&mut self, other: &Self) {
        let Self {
            plan: _,
            reason: _,
            sequence,
            distance_computations,
            rescored,
            postings,
            bytes_touched,
            elements,
            elements_in_full_vectors,
            ef,
            hops,
            visited,
            chunks,
            heap_pushes,
            filter_estimated,
            filter_candidates,
            filter_checked,
            filter_rejected,
            hits,
            prepare_ns,
            filter_ns,
            scan_ns,
            rescore_ns,
            gather_ns,
            is_sampled,
            is_exemplar,
        } = other;
        self.sequence = self.sequence.max(*sequence);
        self.distance_computations += distance_computations;
        self.rescored += rescored;
        self.postings += postings;
        self.bytes_touched += bytes_touched;
        self.elements += elements;
        self.elements_in_full_vectors += elements_in_full_vectors;
        self.ef = self.ef.max(*ef);
        self.hops += hops;
        self.visited += visited;
        self.chunks += chunks;
        self.heap_pushes += heap_pushes;
        self.filter_estimated += filter_estimated;
        self.filter_candidates += filter_candidates;
        self.filter_checked += filter_checked;
        self.filter_rejected += filter_rejected;
        self.hits += hits;
        self.prepare_ns += prepare_ns;
        self.filter_ns += filter_ns;
        self.scan_ns += scan_ns;
        self.rescore_ns += rescore_ns;
        self.gather_ns += gather_ns;
        self.is_sampled |= is_sampled;
        self.is_exemplar |= is_exemplar;
    }
}
