//! A request for data in an execution slot: what it waits there, and what it does, is put down in its tally.

use omendb_engine::Worker;

use crate::http::{ApiError, App, Call};
use crate::telemetry::stages::Stage;
use crate::telemetry::tally::Tally;

/// Runs `work` in a slot.
///
/// # Errors
/// 503 when there is no slot for it, 500 when it panicked.
pub(super) async fn in_slot<T: Send + 'static>(
    app: &App,
    call: &mut Call,
    work: impl FnOnce(&mut Worker, &mut Tally) -> T + Send + 'static,
) -> Result<T, ApiError> {
    call.tally.queued();
    let mut tally = call.tally.clone();
    let ran = app.slots.run(move |worker| {
        tally.granted();
        let result = work(worker, &mut tally);
        (result, tally)
    });
    match ran.await {
        Ok((result, tally)) => {
            call.tally = tally;
            Ok(result)
        }
        Err(rejected) => {
            call.tally.lap(Stage::Queue);
            Err(rejected.into())
        }
    }
}
