//! What the vectors that clients send are like: those with a defect, and whether their lengths drift.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use omendb_distance::Kernels;
use omendb_metrics::{Timestamp, labels};

use crate::config::UNNAMED;
use crate::counted::Counted;
use crate::state::Layout;
use crate::{Operation, Vector, Vectors, WriteBatch};

/// Lengths are compared by periods of this length.
const PERIOD_NANOS: u64 = 900_000_000_000;

labels! {
    /// What is wrong with a vector.
    pub(crate) enum Defect("kind") {
        /// An element is NaN or infinite, or beyond 32 bits: refused.
        NotFinite = "not_finite",
        /// It has more or fewer elements than the collection's: refused.
        WrongDimension = "wrong_dimension",
        /// All elements are zero: stored, although by angle it is as far from every query.
        ZeroLength = "zero_length",
    }
}

/// Of the dense vectors sent to a collection.
#[derive(Debug, Default)]
pub(crate) struct Quality {
    counted: Arc<Counted>,
    /// By the names of the vectors.
    lengths: Mutex<BTreeMap<String, Lengths>>,
    period: AtomicU64,
}

/// The lengths of one vector as they came, before those compared by angle are brought to unit length: of the present
/// period, of the one before it, and of all earlier ones since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    present: Lot,
    last: Lot,
    earlier: Lot,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lot {
    count: u64,
    sum: f64,
}

impl Quality {
    /// Of a collection whose defects are counted in `counted`.
    pub(crate) fn new(counted: Arc<Counted>) -> Self {
        Self {
            counted,
            ..Self::default()
        }
    }

    /// Takes note of the vectors of a batch, before it is checked.
    pub(crate) fn look_at(&self, layout: &Layout, batch: &WriteBatch) {
        let mut lengths = self.lengths();
        for operation in &batch.operations {
            match operation {
                Operation::Upsert(points) | Operation::UpsertByRule(points, _) => {
                    for point in points {
                        self.look_at_vectors(layout, &point.vectors, &mut lengths);
                    }
                }
                Operation::UpdateVectors(changes, _) => {
                    for change in changes {
                        self.look_at_vectors(layout, &change.vectors, &mut lengths);
                    }
                }
                Operation::DeleteVectors(..)
                | Operation::Delete(_)
                | Operation::DeleteMatching(_)
                | Operation::CreateIndex(..)
                | Operation::DropIndex(_)
                | Operation::Payload(..) => {}
            }
        }
    }

    pub(crate) fn note(&self, defect: Defect) {
        self.counted.defect(defect);
    }

    /// Begins another period if its time has come.
    pub(crate) fn turn(&self, now: Timestamp) {
        let period = now.as_nanos() / PERIOD_NANOS;
        if self.period.swap(period, Relaxed) != period {
            self.lengths().values_mut().for_each(Lengths::turn);
        }
    }

    /// By which part vectors of the present and the last period are longer (shorter, below zero) than earlier ones, of
    /// the vector that has changed most; `None` until there are both.
    pub(crate) fn drift(&self) -> Option<f64> {
        let lengths = self.lengths();
        let drifts = lengths.values().filter_map(Lengths::drift);
        drifts.max_by(|a, b| a.abs().total_cmp(&b.abs()))
    }

    fn look_at_vectors(&self, layout: &Layout, vectors: &Vectors, lengths: &mut BTreeMap<String, Lengths>) {
        match vectors {
            Vectors::Unnamed(row) => self.look_at_row(layout, (UNNAMED, row), lengths),
            Vectors::Named(vectors) => {
                for (name, vector) in vectors {
                    match vector {
                        Vector::Dense(row) => self.look_at_row(layout, (name, row), lengths),
                        Vector::Sparse(_) => {}
                    }
                }
            }
        }
    }

    fn look_at_row(
        &self,
        layout: &Layout,
        (name, row): (&str, &[f32]),
        lengths: &mut BTreeMap<String, Lengths>,
    ) {
        let Some(column) = layout.columns.iter().find(|column| column.name == name) else {
            // No vector of this collection's.
            return;
        };
        if row.len() != column.dimension {
            return self.note(Defect::WrongDimension);
        }
        let length = Kernels::detected().norm(row);
        if !length.is_finite() && row.iter().any(|element| !element.is_finite()) {
            return self.note(Defect::NotFinite);
        }
        if length == 0.0 {
            self.note(Defect::ZeroLength);
        }
        match lengths.get_mut(name) {
            Some(lengths) => lengths.note(length),
            None => lengths.entry(name.to_owned()).or_default().note(length),
        }
    }

    fn lengths(&self) -> MutexGuard<'_, BTreeMap<String, Lengths>> {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lengths {
    fn note(&mut self, length: f32) {
        self.present.add(Lot {
            count: 1,
            sum: f64::from(length),
        });
    }

    fn turn(&mut self) {
        self.earlier.add(self.last);
        self.last = std::mem::take(&mut self.present);
    }

    fn drift(&self) -> Option<f64> {
        let mut recent = self.present;
        recent.add(self.last);
        let earlier = self.earlier.mean().filter(|mean| *mean > 0.0)?;
        Some(recent.mean()? / earlier - 1.0)
    }
}

impl Lot {
    fn add(&mut self, other: Self) {
        let Self { count, sum } = other;
        self.count += count;
        self.sum += sum;
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CollectionConfig, Distance, Payload, Point};

    fn send(quality: &Quality, row: &[f32]) {
        let layout = Layout::new(&CollectionConfig::unnamed(2, Distance::Cosine));
        let point = Point {
            id: 1.into(),
            vectors: Vectors::Unnamed(row.to_vec()),
            payload: Payload::default(),
        };
        quality.look_at(&layout, &WriteBatch::upsert(vec![point]));
    }

    #[test]
    fn drift_is_that_of_the_last_half_hour() {
        let quality = Quality::default();
        let turn = |period: u64| quality.turn(Timestamp::from_nanos(period * PERIOD_NANOS));
        send(&quality, &[0.0, 2.0]);
        assert_eq!(quality.drift(), None, "nothing came earlier");
        turn(1);
        assert_eq!(quality.drift(), None, "still recent");
        turn(2);
        assert_eq!(quality.drift(), None, "nothing came lately");
        send(&quality, &[3.0, 0.0]);
        assert_eq!(quality.drift(), Some(0.5));
        turn(3);
        send(&quality, &[0.0, -1.0]);
        assert_eq!(quality.drift(), Some(0.0));
        turn(4);
        assert_eq!(quality.drift(), Some(1.0 / 2.5 - 1.0));
    }

    #[test]
    fn defects_are_told_apart() {
        let check = |row: &[f32], expected: [f64; 3]| {
            let quality = Quality::default();
            send(&quality, row);
            let defects = quality.counted.counts().defects;
            let noted: Vec<_> = Defect::ALL
                .iter()
                .map(|&defect| defects.of(defect).get())
                .collect();
            assert_eq!(noted, expected.map(Some), "{row:?}");
        };
        check(&[3.0, 4.0], [0.0, 0.0, 0.0]);
        check(&[f32::MAX, f32::MAX], [0.0, 0.0, 0.0]);
        check(&[f32::NAN, 0.0], [1.0, 0.0, 0.0]);
        check(&[1.0, f32::INFINITY], [1.0, 0.0, 0.0]);
        check(&[1.0], [0.0, 1.0, 0.0]);
        check(&[0.0, -0.0], [0.0, 0.0, 1.0]);
    }
}
