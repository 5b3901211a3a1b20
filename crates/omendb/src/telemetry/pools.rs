//! How full the pools are, asked of the pools themselves.

use std::sync::Arc;

use omendb_engine::Worker;
use omendb_metrics::{Catalogue, Collect, DeclarationError, Family, GaugeValue, Snapshot, metrics};

use crate::pool::{ConnectionPool, Slots};
use crate::telemetry::web::Pool;

metrics! {
    /// Figures of the pools at one moment.
    pub(crate) struct PoolFigures {
        /// Slots in use: operations being executed ("main"), connections being served ("http").
        ///
        /// Beside the maximum: a pool that is always full makes requests wait.
        active: Family<Pool, GaugeValue> = "omendb_connection_pool_active",
        /// Slots there are.
        ///
        /// As what the slots in use are compared with.
        max: Family<Pool, GaugeValue> = "omendb_connection_pool_max",
        /// What waits for a slot.
        ///
        /// When latency grows: anything that stays above zero is time added to every request.
        queue_depth: Family<Pool, GaugeValue> = "omendb_connection_queue_depth",
    }
}

/// The pools.
#[derive(Debug)]
pub(crate) struct PoolOccupancy {
    pub(crate) slots: Arc<Slots<Worker>>,
    pub(crate) connections: Arc<ConnectionPool>,
}

impl Collect for PoolOccupancy {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<PoolFigures>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let mut figures = PoolFigures::default();
        let pools = [
            (Pool::Main, self.slots.occupancy(), self.slots.count()),
            (Pool::Http, self.connections.occupancy(), self.connections.count()),
        ];
        for (pool, (active, waiting), max) in pools {
            *figures.active.of_mut(pool) = active.into();
            *figures.max.of_mut(pool) = max.into();
            *figures.queue_depth.of_mut(pool) = waiting.into();
        }
        out.plain().reading(&figures);
    }
}
