//! Which points a search is among: all of a state, or those that pass a filter, as far as indexes can tell beforehand.

use crate::Plan;
use crate::filter::Filter;
use crate::payload_index::Selection;
use crate::search::cost::{Extent, Passing};
use crate::search::coverage::Coverage;
use crate::search::find::Subject;
use crate::state::State;

/// The points of a state, or those of them that pass.
pub(super) struct Among<'a> {
    pub(super) state: &'a State,
    pub(super) filter: Option<&'a Filter>,
    pub(super) selection: Option<Selection<'a>>,
}

impl<'a> Among<'a> {
    pub(super) fn new(
        Subject {
            state,
            indexes,
            graphs: _,
            sparse: _,
        }: Subject<'a>,
        filter: Option<&'a Filter>,
    ) -> Self {
        Self {
            state,
            filter,
            selection: filter.and_then(|filter| Selection::of(indexes, filter, state)),
        }
    }

    /// The plan of a search that compares them all.
    pub(super) fn scan_plan(&self) -> Plan {
        match (&self.selection, self.filter) {
            (Some(_), _) => Plan::IndexedScan,
            (None, Some(_)) => Plan::FilteredScan,
            (None, None) => Plan::Exact,
        }
    }

    /// The plan of a search that walks to them.
    pub(super) fn walk_plan(&self) -> Plan {
        match self.filter {
            Some(_) => Plan::FilteredGraph,
            None => Plan::Graph,
        }
    }

    /// How many points are expected to pass, as `explain` tells it.
    pub(super) fn estimate(&self) -> u64 {
        self.selection.as_ref().map_or(0, |selection| selection.estimate)
    }

    pub(super) fn extent(&self, coverage: &Coverage) -> Extent {
        Extent {
            points: self.state.ids.len() as f64,
            chunks: self.state.chunk_count() as f64,
            uncovered: coverage.other_slots() as f64,
        }
    }

    pub(super) fn passing(&self) -> Passing {
        match (self.filter, &self.selection) {
            (None, _) => Passing::All,
            (Some(_), Some(selection)) => Passing::Indexed(selection.estimate as f64),
            (Some(_), None) => Passing::Unknown,
        }
    }
}
