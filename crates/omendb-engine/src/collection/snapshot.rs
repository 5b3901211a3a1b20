//! Writing a snapshot beside the writes that go on, so that the log before it can go.

use std::sync::{Arc, PoisonError};

use omendb_metrics::Timestamp;
use omendb_storage::{SnapshotStats, SnapshotWriter};

use crate::Error;
use crate::collection::commit::{Op, Outcome};
use crate::collection::{Collection, CollectionStatus};
use crate::metrics::SnapshotOutcome;
use crate::record::{chunk_records, put_index};
use crate::state::State;

/// After a snapshot that failed, on a full disk perhaps, the next one waits: what it writes first would be in vain.
const RETRY_NANOS: u64 = 60_000_000_000;

impl Collection {
    /// Whether the log has grown enough past the newest snapshot: to more than `log_bytes`, and than the snapshot's own
    /// size, so that no byte is written more than about twice for it. Not soon after an attempt that failed.
    pub(crate) fn wants_snapshot(&self, log_bytes: u64) -> bool {
        self.shared.status() == CollectionStatus::Ready
            && self.shared.log_bytes() > log_bytes.max(self.shared.snapshot_bytes())
            && self.shared.services.clock.now() >= self.shared.next_snapshot()
    }

    /// Writes a snapshot of the present state and lets the log before it be removed. Writes go on meanwhile.
    pub(crate) fn write_snapshot(&self) -> Result<(), Error> {
        let _turn = self.snapshot_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let services = &self.shared.services;
        let begun = services.clock.now();
        services.snapshot.advance(begun);
        let written = self
            .begin_snapshot()
            .and_then(|(writer, state)| self.fill_snapshot(*writer, &state));
        services.snapshot.end();
        self.shared.note_snapshot(written.as_ref().err().cloned());
        let outcome = if written.is_ok() {
            SnapshotOutcome::Success
        } else {
            SnapshotOutcome::Failure
        };
        services.metrics.snapshots.increment(outcome);
        if written.is_err() {
            let retry = services.clock.now().as_nanos().saturating_add(RETRY_NANOS);
            self.shared.set_next_snapshot(Timestamp::from_nanos(retry));
        }
        if let Some(queue) = self.queue.get() {
            // Refused only when the collection was closed meanwhile.
            let _ = queue.run(Op::MeasureLog, 0);
        }
        let SnapshotStats {
            sequence: _,
            records: _,
            bytes,
            removed_files: _,
            trimmed_log_bytes,
        } = written?;
        services
            .metrics
            .snapshot_seconds
            .record(services.clock.now().nanos_since(begun));
        services.metrics.snapshot_bytes.add(bytes);
        services.metrics.trimmed_bytes.add(trimmed_log_bytes);
        self.shared.set_snapshot_bytes(bytes);
        Ok(())
    }

    fn begin_snapshot(&self) -> Result<(Box<SnapshotWriter>, Arc<State>), Error> {
        let queue = self.writable()?;
        match queue
            .run(Op::BeginSnapshot, 0)
            .map_err(|refusal| self.refused(refusal))??
        {
            Outcome::SnapshotBegun(writer, state) => Ok((writer, state)),
            Outcome::Written(_) | Outcome::Compacted | Outcome::Done => {
                Err(self.refused(omendb_storage::Refusal::Abandoned))
            }
        }
    }

    fn fill_snapshot(&self, mut writer: SnapshotWriter, state: &State) -> Result<SnapshotStats, Error> {
        let mut schema = Vec::new();
        for (key, &kind) in &*state.schema {
            put_index(&mut schema, key, Some(kind));
        }
        if !schema.is_empty() {
            writer.add(&schema)?;
        }
        for (_, chunk) in state.chunks() {
            if self.shared.status() != CollectionStatus::Ready {
                return Err(self.is_gone());
            }
            for record in chunk_records(&state.layout, chunk) {
                let services = &self.shared.services;
                services.snapshot.advance(services.clock.now());
                writer.add(&record)?;
            }
        }
        Ok(writer.finish()?)
    }
}
