//! Scrolling in order of a payload key instead of ids.

use crate::collection::{ScrollPage, check_page};
use crate::count;
use crate::projection::Projection;
use crate::search::{Place, Places, Subject, for_each_passing};
use crate::{Collection, Error, Filter, OrderBy, OrderValue, Record, SearchStats};

impl Collection {
    /// The first `limit` points in an order, each beside the value that puts it there. Later pages begin at the last
    /// value of the one before, and leave out by filter what that had already.
    ///
    /// # Errors
    /// As for [`scroll_page`](Self::scroll_page), and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a key without
    /// an index that orders its values, and for an offset.
    pub fn scroll_ordered(
        &self,
        order_by: &OrderBy,
        page: &ScrollPage<'_>,
        stats: &mut SearchStats,
    ) -> Result<Vec<(Record, OrderValue)>, Error> {
        if let Some(offset) = page.offset {
            return Err(Error::invalid(format!(
                "offset {offset}: with order_by, later pages begin at start_from"
            )));
        }
        check_page("limit", page.limit)?;
        page.filter.map_or(Ok(()), Filter::check)?;
        let (state, indexes, graphs) = (self.snapshot()?, self.shared.indexes(), self.shared.graphs());
        let sparse = self.shared.sparse_indexes();
        let projection = Projection::new(&state.layout, page.with_payload, page.with_vector)?;
        let mut places = Places::new(order_by, &state.schema, page.limit)?;
        let subject = Subject {
            state: &state,
            indexes: &indexes,
            graphs: &graphs,
            sparse: &sparse,
        };
        let clock = &self.shared.services.clock;
        stats.sequence = state.sequence;
        let begun = clock.now();
        for_each_passing(subject, page.filter, (clock, stats), |chunk, position, slot| {
            places.offer(chunk, position, slot);
        });
        let ranked = clock.now();
        stats.scan_ns += ranked
            .nanos_since(begun)
            .saturating_sub(count::value(stats.filter_ns));
        let record = |Place { value, slot, id: _ }: Place| {
            let record = projection.record(&state, slot).transpose()?;
            Some(record.map(|record| (record, value)))
        };
        let records: Vec<_> = places
            .into_sorted()
            .into_iter()
            .filter_map(record)
            .collect::<Result<_, _>>()?;
        stats.hits = count::of(records.len() as u64);
        stats.gather_ns += clock.now().nanos_since(ranked);
        Ok(records)
    }
}
