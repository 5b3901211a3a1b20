//! Everything the server would export, without a server: for `omendb metrics` and docs/metrics.md.

use omendb_metrics::{Catalogue, Clock, Collect, DeclarationError, Registry, Snapshot};

use crate::auth::token_uses::TokenUses;
use crate::health::HealthFigures;
use crate::telemetry::allocator::AllocatorMetrics;
use crate::telemetry::history::HistoryFigures;
use crate::telemetry::memory::MemoryMetrics;
use crate::telemetry::pools::PoolFigures;
use crate::telemetry::process::ProcessMetrics;
use crate::telemetry::web::WebMetrics;
use crate::telemetry::windows::RequestWindow;

/// A registry with the server's catalogue and no values.
///
/// # Errors
/// When two families have one name: a mistake that a test finds.
pub fn declared() -> Result<Registry, DeclarationError> {
    Registry::new(Clock::system(), vec![std::sync::Arc::new(Declarations)])
}

/// The declarations of every collector of [`crate::telemetry::Telemetry`], in its order.
struct Declarations;

impl Collect for Declarations {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        omendb_engine::describe_metrics(catalogue)?;
        catalogue.group::<WebMetrics>()?;
        TokenUses::describe(catalogue)?;
        catalogue.group::<RequestWindow>()?;
        catalogue.group::<HealthFigures>()?;
        catalogue.group::<PoolFigures>()?;
        catalogue.group::<AllocatorMetrics>()?;
        catalogue.group::<ProcessMetrics>()?;
        catalogue.group::<MemoryMetrics>()?;
        catalogue.group::<HistoryFigures>()
    }

    fn collect(&self, _out: &mut Snapshot) {}
}
