//! The writer's side of a state: applies records and compacts, one writer at a time.
//!
//! Applying is total and deterministic: what a record does depends only on the points that exist, so a replay of the
//! log answers as the original did. Which slot a point gets may differ, and nothing that leaves the engine shows it.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::sync::Arc;

use crate::ledger::Ledger;
use crate::payload::PayloadSegment;
use crate::record::{Effect, Payloads, RowBytes, Upsert, decode};
use crate::state::{Chunk, Layout, SparseRow, SparseSegment, State};
use crate::{Error, ErrorKind, Payload, PointId, limits};

/// A closed chunk is compacted when at most this share of its slots is alive: one in two bounds the waste to as much
/// again as the points take, and every slot freed costs at most one moved.
const SPARSE: usize = 2;

/// Chunks are far too small when they could have so many times their slots: a scan of them takes a few times as long,
/// which costs less than graphs that have to be built again.
const FAR_TOO_SMALL: usize = 8;

/// A state under construction and where its room is.
#[derive(Debug)]
pub(crate) struct Store {
    state: State,
    ledger: Arc<Ledger>,
    /// The chunk that takes the next point.
    open: Option<usize>,
    /// Chunks without points.
    vacant: Vec<usize>,
    /// Closed chunks with few enough points left to be worth compacting.
    sparse: BTreeSet<usize>,
}

/// What a record did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) points_upserted: u64,
    pub(crate) points_replaced: u64,
    pub(crate) points_deleted: u64,
    pub(crate) payloads_changed: u64,
    pub(crate) vectors_written: u64,
}

impl AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        let Self {
            points_upserted,
            points_replaced,
            points_deleted,
            payloads_changed,
            vectors_written,
        } = other;
        self.points_upserted += points_upserted;
        self.points_replaced += points_replaced;
        self.points_deleted += points_deleted;
        self.payloads_changed += payloads_changed;
        self.vectors_written += vectors_written;
    }
}

impl Store {
    pub(crate) fn new(layout: Arc<Layout>, ledger: &Arc<Ledger>) -> Self {
        Self::resume(State::new(layout, ledger), ledger)
    }

    /// Goes on from a published state; what was applied since is forgotten.
    pub(crate) fn resume(state: State, ledger: &Arc<Ledger>) -> Self {
        let mut store = Self {
            state,
            ledger: Arc::clone(ledger),
            open: None,
            vacant: Vec::new(),
            sparse: BTreeSet::new(),
        };
        for number in 0..store.state.chunks.len() {
            match store.chunk(number) {
                None => store.vacant.push(number),
                Some(chunk) if !chunk.is_full() => store.open = Some(number),
                Some(_) => store.note_density(number),
            }
        }
        store
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Goes back to a state that this store had; what was applied since is forgotten.
    pub(crate) fn go_back_to(&mut self, state: State) {
        *self = Self::resume(state, &self.ledger);
    }

    /// Sets the sequence number of the newest write applied.
    pub(crate) fn set_sequence(&mut self, sequence: u64) {
        self.state.sequence = sequence;
    }

    /// Whether there is a chunk worth compacting.
    pub(crate) fn has_sparse_chunks(&self) -> bool {
        !self.sparse.is_empty()
    }

    /// Applies a record that this process encoded.
    ///
    /// # Errors
    /// [`ErrorKind::ResourceExhausted`] when there are no slots left; nothing is applied then.
    pub(crate) fn apply(&mut self, record: &[u8]) -> Result<Applied, Error> {
        let layout = Arc::clone(&self.state.layout);
        let effects = decode(&layout, record)?;
        self.check_room(&effects)?;
        Ok(self.apply_effects(&effects))
    }

    /// Applies a record that comes from disk, every byte of which is checked first.
    ///
    /// # Errors
    /// As for [`apply`](Self::apply), and [`ErrorKind::Corrupt`].
    pub(crate) fn replay(&mut self, record: &[u8]) -> Result<Applied, Error> {
        let layout = Arc::clone(&self.state.layout);
        let effects = decode(&layout, record)?;
        for effect in &effects {
            match effect {
                Effect::Upsert(upsert) => upsert.check()?,
                Effect::Payloads(_, payloads) => payloads.check()?,
                Effect::Delete(_) | Effect::Index(..) => {}
            }
        }
        self.check_room(&effects)?;
        Ok(self.apply_effects(&effects))
    }

    /// Moves the points of sparse chunks to the open one until `most_points` were moved; returns how many were.
    pub(crate) fn compact(&mut self, most_points: usize) -> usize {
        let mut moved = 0;
        while moved < most_points
            && let Some(number) = self.sparse.pop_first()
            && let Some(chunk) = self.chunk(number).cloned()
        {
            moved += self.take_in(&chunk);
            self.state.tombstones -= (chunk.filled() - chunk.alive.count()) as u64;
            self.vacate(number);
        }
        moved
    }

    /// Gives the points the vectors of another layout: of those that they have they keep what both layouts know by the
    /// same number. Slots stay what they were, and with them graphs and indexes, unless chunks are far too small for the
    /// vectors that are left: then all points move.
    pub(crate) fn reshape(&mut self, layout: Layout) {
        let from = Arc::clone(&self.state.layout);
        let wanted = layout.new_chunk_slots;
        let is_empty = self.state.chunks().next().is_none();
        let is_renumbered = is_empty || wanted >= from.chunk_slots * FAR_TOO_SMALL;
        let mut layout = if is_renumbered {
            layout
        } else {
            layout.numbered_like(&from)
        };
        layout.follow(&self.state.schema);
        let layout = Arc::new(layout);
        let chunks: Vec<_> = self
            .state
            .chunks()
            .map(|(number, chunk)| (number, Arc::clone(chunk)))
            .collect();
        let reshaped = |chunk: &Chunk| chunk.reshaped((&from, &layout), &self.ledger);
        let mut newer = if is_renumbered {
            let mut moved = Self::new(Arc::clone(&layout), &self.ledger);
            for (_, chunk) in &chunks {
                moved.take_in(&reshaped(chunk));
                chunk.retire();
            }
            moved.state.sequence = self.state.sequence;
            moved.state.schema = Arc::clone(&self.state.schema);
            moved
        } else {
            let mut state = State {
                layout: Arc::clone(&layout),
                shape: Arc::default(),
                ..self.state.clone()
            };
            for (number, chunk) in &chunks {
                if let Some(place) = state.chunks.get_mut(*number) {
                    *place = Some(Arc::new(reshaped(chunk)));
                }
            }
            Self::resume(state, &self.ledger)
        };
        newer.state.vectors = newer
            .state
            .chunks()
            .map(|(_, chunk)| chunk.living_vectors())
            .sum();
        *self = newer;
    }

    /// Appends the points of a chunk that has this store's columns, and remembers their new slots; returns how many.
    fn take_in(&mut self, chunk: &Chunk) -> usize {
        // Copied, so that the survivors do not keep the payloads and terms of the dead.
        let payloads = PayloadSegment::gather(chunk.alive.iter().map(|at| chunk.payload(at)), &self.ledger);
        let sparse_rows = |column| {
            let rows = chunk.alive.iter().map(|at| chunk.sparse(column).row(at));
            SparseSegment::gather(rows, &self.ledger).into_iter()
        };
        let mut sparse: Vec<_> = (0..self.state.layout.sparse.len()).map(sparse_rows).collect();
        for (position, payload) in chunk.alive.iter().zip(payloads) {
            let slot = self.push(chunk.id(position), payload);
            for column in 0..self.state.layout.columns.len() {
                let row = chunk.column(column).row(position);
                self.push_row(slot, column, row.map(|row| row.iter().copied()));
            }
            for (column, rows) in sparse.iter_mut().enumerate() {
                self.push_sparse(slot, column, rows.next().flatten());
            }
            self.state.ids.insert(chunk.id(position), slot);
        }
        chunk.alive.count()
    }

    fn chunk(&self, number: usize) -> Option<&Arc<Chunk>> {
        self.state.chunks.get(number)?.as_ref()
    }

    /// Refuses effects for which there might not be slots enough, before anything is changed.
    fn check_room(&self, effects: &[Effect<'_>]) -> Result<(), Error> {
        let points = |effect: &Effect<'_>| match effect {
            Effect::Upsert(upsert) => upsert.ids.len(),
            Effect::Delete(_) | Effect::Payloads(..) | Effect::Index(..) => 0,
        };
        let wanted: usize = effects.iter().map(points).sum();
        let Layout {
            chunk_slots,
            new_chunk_slots,
            ..
        } = *self.state.layout;
        let room = limits::MAX_SLOTS.saturating_sub(self.state.chunks.len() * chunk_slots);
        // A chunk may be begun for the last few points.
        if (wanted / new_chunk_slots + 1) * chunk_slots > room {
            let most = limits::MAX_SLOTS;
            let message = format!("{wanted} more points: the collection has used its {most} slots");
            return Err(Error::new(ErrorKind::ResourceExhausted, message));
        }
        Ok(())
    }

    fn apply_effects(&mut self, effects: &[Effect<'_>]) -> Applied {
        let mut applied = Applied::default();
        for effect in effects {
            match effect {
                Effect::Upsert(upsert) => self.upsert(upsert, &mut applied),
                Effect::Index(key, kind) => {
                    let schema = Arc::make_mut(&mut self.state.schema);
                    match kind {
                        Some(kind) => schema.insert((*key).to_owned(), *kind),
                        None => schema.remove(*key),
                    };
                    Arc::make_mut(&mut self.state.layout).follow(schema);
                }
                Effect::Payloads(ids, payloads) => self.replace_payloads(ids, payloads, &mut applied),
                Effect::Delete(ids) => {
                    for &id in ids {
                        if let Some(slot) = self.state.ids.remove(id) {
                            self.bury(slot);
                            applied.points_deleted += 1;
                        }
                    }
                }
            }
        }
        applied
    }

    fn upsert(&mut self, upsert: &Upsert<'_>, applied: &mut Applied) {
        let mut columns: Vec<_> = (0..self.state.layout.columns.len())
            .map(|column| upsert.rows(column))
            .collect();
        let ledger = Arc::clone(&self.ledger);
        let mut sparse: Vec<_> = (0..self.state.layout.sparse.len())
            .map(|column| upsert.sparse_rows(column, &ledger))
            .collect();
        for (&id, payload) in upsert.ids.iter().zip(upsert.payloads.decode(&ledger)) {
            let slot = self.push(id, payload);
            for (column, rows) in columns.iter_mut().enumerate() {
                self.push_row(slot, column, rows.next().flatten().map(elements));
            }
            for (column, rows) in sparse.iter_mut().enumerate() {
                self.push_sparse(slot, column, rows.next().flatten());
            }
            let vectors = self.vectors_at(slot);
            applied.vectors_written += vectors;
            self.state.vectors += vectors;
            applied.points_upserted += 1;
            if let Some(previous) = self.state.ids.insert(id, slot) {
                self.bury(previous);
                applied.points_replaced += 1;
            }
        }
    }

    fn replace_payloads(&mut self, ids: &[PointId], payloads: &Payloads<'_>, applied: &mut Applied) {
        let ledger = Arc::clone(&self.ledger);
        for (&id, payload) in ids.iter().zip(payloads.decode(&ledger)) {
            let Some(slot) = self.state.ids.get(id) else {
                continue;
            };
            let (number, position) = self.state.layout.locate(slot);
            if let Some(Some(chunk)) = self.state.chunks.get_mut(number) {
                Arc::make_mut(chunk).set_payload(position, payload);
                applied.payloads_changed += 1;
            }
        }
    }

    /// Writes a point into the open chunk; its rows follow. Returns its slot.
    fn push(&mut self, id: PointId, payload: Payload) -> u32 {
        let number = self.open_chunk();
        let layout = &self.state.layout;
        let ledger = &self.ledger;
        let Some(place) = self.state.chunks.get_mut(number) else {
            unreachable!("the open chunk exists")
        };
        let chunk = place.get_or_insert_with(|| Arc::new(Chunk::new(layout, ledger)));
        let chunk = Arc::make_mut(chunk);
        let position = chunk.push_entry(id, payload);
        if position == 0 || chunk.is_full() {
            self.state.shape = Arc::default();
        }
        layout.slot(number, position)
    }

    fn push_row(&mut self, slot: u32, column: usize, row: Option<impl Iterator<Item = f32>>) {
        let (number, position) = self.state.layout.locate(slot);
        if let (Some(row), Some(Some(chunk))) = (row, self.state.chunks.get_mut(number)) {
            Arc::make_mut(chunk).push_row((position, column), row);
        }
    }

    fn push_sparse(&mut self, slot: u32, column: usize, row: Option<SparseRow>) {
        let (number, position) = self.state.layout.locate(slot);
        if let (Some(row), Some(Some(chunk))) = (row, self.state.chunks.get_mut(number)) {
            Arc::make_mut(chunk).push_sparse((position, column), row);
        }
    }

    /// How many vectors the point at `slot` has.
    fn vectors_at(&self, slot: u32) -> u64 {
        let place = self.state.locate(slot);
        place.map_or(0, |(chunk, position)| chunk.vectors(position) as u64)
    }

    /// The number of a chunk with room for a point.
    fn open_chunk(&mut self) -> usize {
        if let Some(number) = self.open {
            if self.chunk(number).is_none_or(|chunk| !chunk.is_full()) {
                return number;
            }
            self.open = None;
            self.note_density(number);
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.state.chunks.push(None);
            self.state.chunks.len() - 1
        });
        self.open = Some(number);
        number
    }

    /// Marks the point at `slot` as gone.
    fn bury(&mut self, slot: u32) {
        let (number, position) = self.state.layout.locate(slot);
        let vectors = self.vectors_at(slot);
        let Some(Some(chunk)) = self.state.chunks.get_mut(number) else {
            return;
        };
        let chunk = Arc::make_mut(chunk);
        chunk.alive.remove(position);
        let is_empty = chunk.alive.is_empty();
        self.state.vectors -= vectors;
        self.state.tombstones += 1;
        if is_empty {
            self.clear(number);
        } else if self.open != Some(number) {
            self.note_density(number);
        }
    }

    /// Frees a chunk that has only tombstones.
    fn clear(&mut self, number: usize) {
        self.state.tombstones -= self.chunk(number).map_or(0, |chunk| chunk.filled()) as u64;
        self.sparse.remove(&number);
        if self.open == Some(number) {
            self.open = None;
        }
        self.vacate(number);
    }

    fn vacate(&mut self, number: usize) {
        if let Some(place) = self.state.chunks.get_mut(number)
            && let Some(chunk) = place.take()
        {
            chunk.retire();
            self.state.shape = Arc::default();
            self.vacant.push(number);
        }
    }

    fn note_density(&mut self, number: usize) {
        if let Some(chunk) = self.chunk(number)
            && chunk.alive.count() * SPARSE <= chunk.slots()
        {
            self.sparse.insert(number);
        }
    }
}

fn elements(row: RowBytes<'_>) -> impl Iterator<Item = f32> {
    row.iter().map(|bytes| f32::from_le_bytes(*bytes))
}
