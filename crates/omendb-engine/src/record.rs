//! The bytes of one write in the log: concrete effects, column by column, so that replay is mostly copying.
//!
//! ```text
//! record   = { effect }
//! effect   = 1, u32 count, ids, columns, payloads      upsert, where the vectors are those of the beginning
//!          | 2, u32 count, ids                         delete
//!          | 3, u32 count, ids, payloads               replace the payloads of points that exist
//!          | 4, u8 kind, u16 length, UTF-8 bytes         index a payload key: kind 1.. in order of the kinds, 0 none
//!          | 5, u32 count, ids, forms, columns, payloads   upsert, where vectors were added or deleted
//! ids      = { 0, u64 | 1, u128 }                      a number or a UUID
//! forms    = u16 count, { u32 number, 0 sparse | 1, u32 dimension }     the vectors that there are columns of
//! columns  = for each dense vector of the collection, in order of names, or of the forms:
//!            0                                         no point has it
//!          | 1, { f32 }                                all have it: count x dimension elements
//!          | 2, bitmap, { f32 }                        one bit per point, then the rows of those that have it
//!            then for each sparse vector, in order of names:
//!            0 | 1, terms | 2, bitmap, terms           as above
//! terms    = { u32 length }, { u32 index }, { f32 }    all lengths, then all indices, ascending in a row, then all values
//! payloads = { u32 length }, bytes                     all lengths, then all payloads
//! ```
//! Everything is little-endian. Dimensions, names and numbers come from the catalogue; columns of numbers that it does
//! not have any more are passed over. Snapshots consist of upserts too.

mod reader;
mod sparse;

use std::sync::Arc;

use crate::ledger::Ledger;
use crate::numbering::Form;
use crate::payload::{PayloadSegment, check_payload};
use crate::state::{Chunk, Layout, SparseRow, Terms};
use crate::{Error, IndexKind, Payload, PointId, limits};

const UPSERT: u8 = 1;
const DELETE: u8 = 2;
const PAYLOADS: u8 = 3;
const INDEX: u8 = 4;
const FORMED_UPSERT: u8 = 5;
const NUMBER: u8 = 0;
const UUID: u8 = 1;
const SPARSE: u8 = 0;
const DENSE: u8 = 1;
const ABSENT: u8 = 0;
const COMPLETE: u8 = 1;
const PARTIAL: u8 = 2;

/// Bytes of an f32.
const ELEMENT: usize = size_of::<f32>();

pub(crate) use reader::Reader;
use sparse::{SparseColumn, put_sparse_column};

/// One row as it is in a record.
pub(crate) type RowBytes<'a> = &'a [[u8; ELEMENT]];

/// A decoded effect, its rows borrowed from the record.
#[derive(Debug)]
pub(crate) enum Effect<'a> {
    Upsert(Upsert<'a>),
    Delete(Vec<PointId>),
    Payloads(Vec<PointId>, Payloads<'a>),
    /// The key, and what its values are; `None` ends the index.
    Index(&'a str, Option<IndexKind>),
}

/// Points to insert or replace.
#[derive(Debug)]
pub(crate) struct Upsert<'a> {
    pub(crate) ids: Vec<PointId>,
    columns: Vec<Column<'a>>,
    sparse: Vec<SparseColumn<'a>>,
    pub(crate) payloads: Payloads<'a>,
}

/// The vectors of several points: for each vector of the collection, and each point, its row if it has one.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) dense: Vec<Vec<Option<&'a [f32]>>>,
    pub(crate) sparse: Vec<Vec<Option<Terms<'a>>>>,
}

/// Payloads side by side, one per point.
#[derive(Debug)]
pub(crate) struct Payloads<'a> {
    lengths: &'a [[u8; 4]],
    bytes: &'a [u8],
}

#[derive(Debug)]
struct Column<'a> {
    presence: Presence<'a>,
    dimension: usize,
    rows: RowBytes<'a>,
}

impl Column<'_> {
    /// Of points none of which has the vector.
    fn absent(dimension: usize) -> Self {
        Self {
            presence: Presence::None,
            dimension,
            rows: &[],
        }
    }
}

#[derive(Debug, Default)]
enum Presence<'a> {
    #[default]
    None,
    All,
    Some(&'a [u8]),
}

impl<'a> Upsert<'a> {
    /// The rows of one column, one per point, `None` where the point has no such vector.
    pub(crate) fn rows(&self, column: usize) -> impl Iterator<Item = Option<RowBytes<'a>>> {
        let Column {
            presence,
            dimension,
            rows,
        } = &self.columns[column];
        let mut rows = rows.chunks_exact(*dimension);
        (0..self.ids.len()).map(move |point| if presence.has(point) { rows.next() } else { None })
    }

    /// The rows of one sparse column, as for [`rows`](Self::rows), charged to `ledger`.
    pub(crate) fn sparse_rows(
        &self,
        column: usize,
        ledger: &Arc<Ledger>,
    ) -> impl Iterator<Item = Option<SparseRow>> {
        self.sparse[column].rows(self.ids.len(), ledger)
    }

    /// Checks what decoding does not: payloads and terms, for records that come from disk.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.sparse.iter().try_for_each(SparseColumn::check)?;
        self.payloads.check()
    }
}

impl Presence<'_> {
    fn has(&self, point: usize) -> bool {
        match self {
            Presence::None => false,
            Presence::All => true,
            Presence::Some(bitmap) => bitmap[point / 8] >> (point % 8) & 1 != 0,
        }
    }
}

impl Payloads<'_> {
    /// The payloads, one per point, in one allocation charged to `ledger`.
    pub(crate) fn decode(&self, ledger: &Arc<Ledger>) -> impl Iterator<Item = Payload> {
        let segment = PayloadSegment::new(self.bytes.to_vec(), ledger);
        let mut start = 0u32;
        self.lengths.iter().map(move |length| {
            let end = start + u32::from_le_bytes(*length);
            let payload = PayloadSegment::payload(&segment, start..end);
            start = end;
            payload
        })
    }

    /// Checks the encoding of every payload, for records that come from disk.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut rest = self.bytes;
        for length in self.lengths {
            let payload;
            // The lengths were checked against the bytes when the record was decoded.
            (payload, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            check_payload(payload)?;
        }
        Ok(())
    }
}

/// Reads the effects of a record, in order.
///
/// # Errors
/// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the bytes do not have this shape.
pub(crate) fn decode<'a>(layout: &Layout, record: &'a [u8]) -> Result<Vec<Effect<'a>>, Error> {
    let mut reader = Reader::new(record);
    let mut effects = Vec::new();
    while !reader.is_at_end() {
        let kind = reader.byte()?;
        if kind == INDEX {
            effects.push(reader.index()?);
            continue;
        }
        let count = u32::from_le_bytes(reader.array()?) as usize;
        let ids = reader.ids(count)?;
        effects.push(match kind {
            UPSERT => {
                let forms: Vec<_> = (0..).zip(layout.first.iter().copied()).collect();
                Effect::Upsert(reader.upsert((layout, &forms), ids)?)
            }
            FORMED_UPSERT => {
                let forms = reader.forms()?;
                Effect::Upsert(reader.upsert((layout, &forms), ids)?)
            }
            DELETE => Effect::Delete(ids),
            PAYLOADS => {
                let payloads = reader.payloads(count)?;
                Effect::Payloads(ids, payloads)
            }
            _ => {
                return Err(Error::corrupt(format!(
                    "record with an effect of unknown kind {kind}"
                )));
            }
        });
    }
    Ok(effects)
}

/// Appends an upsert to `record`, of points with the vectors of `layout`.
pub(crate) fn put_upsert<'a>(
    (layout, record): (&Layout, &mut Vec<u8>),
    ids: &[PointId],
    columns: &Columns<'_>,
    payloads: impl Iterator<Item = &'a Payload> + Clone,
) {
    let Columns { dense, sparse } = columns;
    if layout.is_first {
        put_ids(record, UPSERT, ids);
    } else {
        put_ids(record, FORMED_UPSERT, ids);
        put_forms(record, layout);
    }
    dense.iter().for_each(|rows| put_column(record, rows));
    sparse.iter().for_each(|rows| put_sparse_column(record, rows));
    put_payload_bytes(record, payloads);
}

fn put_forms(record: &mut Vec<u8>, layout: &Layout) {
    // A collection has at most `MAX_VECTORS_PER_COLLECTION`.
    record.extend_from_slice(&(layout.forms().count() as u16).to_le_bytes());
    for (number, form) in layout.forms() {
        record.extend_from_slice(&number.to_le_bytes());
        put_form(record, form);
    }
}

/// Appends what a record holds of one vector.
pub(crate) fn put_form(bytes: &mut Vec<u8>, form: Form) {
    match form {
        Form::Sparse => bytes.push(SPARSE),
        Form::Dense(dimension) => {
            bytes.push(DENSE);
            bytes.extend_from_slice(&(dimension as u32).to_le_bytes());
        }
    }
}

/// Appends new payloads for points that exist to `record`.
pub(crate) fn put_payloads(record: &mut Vec<u8>, ids: &[PointId], payloads: &[Payload]) {
    put_ids(record, PAYLOADS, ids);
    put_payload_bytes(record, payloads.iter());
}

fn put_payload_bytes<'a>(record: &mut Vec<u8>, payloads: impl Iterator<Item = &'a Payload> + Clone) {
    for payload in payloads.clone() {
        // A payload has at most `MAX_PAYLOAD_BYTES`.
        record.extend_from_slice(&(payload.as_bytes().len() as u32).to_le_bytes());
    }
    for payload in payloads {
        record.extend_from_slice(payload.as_bytes());
    }
}

/// Appends a deletion to `record`.
pub(crate) fn put_delete(record: &mut Vec<u8>, ids: &[PointId]) {
    put_ids(record, DELETE, ids);
}

/// Appends an index, or with no kind the end of one, to `record`. The key has at most `MAX_INDEX_KEY_BYTES`.
pub(crate) fn put_index(record: &mut Vec<u8>, key: &str, kind: Option<IndexKind>) {
    let number = IndexKind::ALL.iter().position(|&known| Some(known) == kind);
    record.push(INDEX);
    record.push(number.map_or(0, |number| number as u8 + 1));
    record.extend_from_slice(&(key.len() as u16).to_le_bytes());
    record.extend_from_slice(key.as_bytes());
}

/// Records that upsert the living points of a chunk, in order: one, unless what the points hold makes it too long.
pub(crate) fn chunk_records(layout: &Layout, chunk: &Chunk) -> impl Iterator<Item = Vec<u8>> {
    let positions: Vec<usize> = chunk.alive.iter().collect();
    let mut start = 0;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |&&position: &&usize| {
            let is_room = bytes < limits::SNAPSHOT_RECORD_BYTES;
            bytes += point_bytes(layout, chunk, position);
            is_room
        };
        let count = positions[start..].iter().take_while(fits).count();
        let taken = &positions[start..start + count];
        start += count;
        (count > 0).then(|| points_record(layout, chunk, taken))
    })
}

/// About the bytes that a point takes in a record.
fn point_bytes(layout: &Layout, chunk: &Chunk, position: usize) -> usize {
    let rows = (0..layout.columns.len()).filter_map(|column| chunk.column(column).row(position));
    let terms = (0..layout.sparse.len()).filter_map(|column| chunk.sparse(column).row(position));
    let vectors = rows.map(size_of_val).sum::<usize>() + terms.map(|terms| terms.bytes()).sum::<usize>();
    vectors + chunk.payload(position).as_bytes().len()
}

/// A record that upserts the points of a chunk at these positions.
fn points_record(layout: &Layout, chunk: &Chunk, positions: &[usize]) -> Vec<u8> {
    let ids: Vec<PointId> = positions.iter().map(|&position| chunk.id(position)).collect();
    let rows = |column| {
        positions
            .iter()
            .map(|&position| chunk.column(column).row(position))
            .collect()
    };
    let terms = |column| {
        positions
            .iter()
            .map(|&position| chunk.sparse(column).row(position))
            .collect()
    };
    let columns = Columns {
        dense: (0..layout.columns.len()).map(rows).collect(),
        sparse: (0..layout.sparse.len()).map(terms).collect(),
    };
    let payloads = positions.iter().map(|&position| chunk.payload(position));
    let mut record = Vec::new();
    put_upsert((layout, &mut record), &ids, &columns, payloads);
    record
}

fn put_ids(record: &mut Vec<u8>, kind: u8, ids: &[PointId]) {
    record.push(kind);
    // A batch has at most `MAX_POINTS_PER_BATCH`.
    record.extend_from_slice(&(ids.len() as u32).to_le_bytes());
    ids.iter().for_each(|&id| put_id(record, id));
}

/// Appends one id.
pub(crate) fn put_id(record: &mut Vec<u8>, id: PointId) {
    match id {
        PointId::Number(number) => {
            record.push(NUMBER);
            record.extend_from_slice(&number.to_le_bytes());
        }
        PointId::Uuid(uuid) => {
            record.push(UUID);
            record.extend_from_slice(&uuid.as_u128().to_le_bytes());
        }
    }
}

/// Appends which points have a row, and returns what it says.
fn put_presence<R>(record: &mut Vec<u8>, rows: &[Option<R>]) -> u8 {
    let present = rows.iter().flatten().count();
    let kind = if present == 0 {
        ABSENT
    } else if present == rows.len() {
        COMPLETE
    } else {
        PARTIAL
    };
    record.push(kind);
    if kind == PARTIAL {
        let bitmap_start = record.len();
        record.resize(bitmap_start + rows.len().div_ceil(8), 0);
        for (point, _) in rows.iter().enumerate().filter(|(_, row)| row.is_some()) {
            record[bitmap_start + point / 8] |= 1 << (point % 8);
        }
    }
    kind
}

fn put_column(record: &mut Vec<u8>, rows: &[Option<&[f32]>]) {
    put_presence(record, rows);
    for row in rows.iter().flatten() {
        let start = record.len();
        record.resize(start + row.len() * ELEMENT, 0);
        // One loop over fixed-size pieces, which compiles to a plain copy on little-endian machines.
        for (bytes, element) in record[start..].as_chunks_mut::<ELEMENT>().0.iter_mut().zip(*row) {
            *bytes = element.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Component;
    use crate::numbering::Numbering;
    use crate::state::SparseRows;
    use crate::{CollectionConfig, Distance, SparseConfig, Uuid, Value, VectorConfig};

    fn config() -> CollectionConfig {
        let vector = |dimension| VectorConfig::new(dimension, Distance::Dot);
        let named = [("a", 2), ("b", 3), ("c", 1)];
        let vectors = named.map(|(name, dimension)| (name.to_owned(), vector(dimension)));
        let sparse = ["d", "e", "f"].map(|name| (name.to_owned(), SparseConfig::default()));
        CollectionConfig {
            sparse_vectors: sparse.into(),
            ..CollectionConfig::new(vectors.into())
        }
    }

    fn layout() -> Layout {
        Layout::new(&config())
    }

    /// The same vectors, but for the numbers of those that a collection without vectors was given.
    fn given() -> (CollectionConfig, Numbering) {
        let mut numbering = Numbering::of(&CollectionConfig::default());
        numbering.follow(&config()).unwrap();
        (config(), numbering)
    }

    fn terms<'a>(indices: &'a [u32], values: &'a [f32]) -> Option<Terms<'a>> {
        Some(Terms { indices, values })
    }

    fn example(layout: &Layout) -> Vec<u8> {
        let payload = Payload::from_fields(&[("x", Value::Int(5))]).unwrap();
        let ids = [
            PointId::Number(7),
            PointId::Uuid(Uuid::from_u128(9)),
            PointId::Number(u64::MAX),
        ];
        let columns = Columns {
            dense: vec![
                vec![Some(&[1.0, 2.0][..]), Some(&[3.0, 4.0]), Some(&[5.0, 6.0])],
                vec![None, Some(&[-1.0, f32::MIN_POSITIVE, f32::MAX][..]), None],
                vec![None, None, None],
            ],
            sparse: vec![
                vec![
                    terms(&[1, u32::MAX], &[0.5, -2.0]),
                    terms(&[], &[]),
                    terms(&[0], &[3.0]),
                ],
                vec![None, None, terms(&[4, 5, 6], &[1.0, 2.0, 3.0])],
                vec![None, None, None],
            ],
        };
        let mut record = Vec::new();
        put_upsert(
            (layout, &mut record),
            &ids,
            &columns,
            [&payload, &Payload::default(), &payload].into_iter(),
        );
        put_delete(&mut record, &ids[1..]);
        put_payloads(&mut record, &ids[..2], &[Payload::default(), payload]);
        put_index(&mut record, "a.b", Some(IndexKind::Uuid));
        put_index(&mut record, "c", None);
        record
    }

    fn row(bytes: Option<RowBytes<'_>>) -> Option<Vec<f32>> {
        bytes.map(|bytes| bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    #[test]
    fn effects_are_read_back() {
        let layout = layout();
        let record = example(&layout);
        let effects = decode(&layout, &record).unwrap();
        let [
            Effect::Upsert(upsert),
            Effect::Delete(deleted),
            Effect::Payloads(changed, changes),
            Effect::Index("a.b", Some(IndexKind::Uuid)),
            Effect::Index("c", None),
        ] = &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(
            upsert.ids,
            [
                PointId::Number(7),
                Uuid::from_u128(9).into(),
                PointId::Number(u64::MAX)
            ]
        );
        assert_eq!(deleted, &upsert.ids[1..]);
        let rows = |column| upsert.rows(column).map(row).collect::<Vec<_>>();
        assert_eq!(
            rows(0),
            [Some(vec![1.0, 2.0]), Some(vec![3.0, 4.0]), Some(vec![5.0, 6.0])]
        );
        assert_eq!(
            rows(1),
            [None, Some(vec![-1.0, f32::MIN_POSITIVE, f32::MAX]), None]
        );
        assert_eq!(rows(2), [None, None, None]);
        upsert.check().unwrap();
        let ledger = Arc::default();
        let sparse = |column| {
            let mut rows = SparseRows::new(3, &ledger);
            for (position, row) in upsert.sparse_rows(column, &ledger).enumerate() {
                row.into_iter().for_each(|row| rows.push(position, row));
            }
            let terms = |at| rows.row(at).map(Terms::to_vector);
            [0, 1, 2].map(terms)
        };
        let vector = |terms: Option<Terms<'_>>| terms.map(Terms::to_vector);
        let first = [
            terms(&[1, u32::MAX], &[0.5, -2.0]),
            terms(&[], &[]),
            terms(&[0], &[3.0]),
        ];
        assert_eq!(sparse(0), first.map(vector));
        assert_eq!(
            sparse(1),
            [None, None, vector(terms(&[4, 5, 6], &[1.0, 2.0, 3.0]))]
        );
        assert_eq!(sparse(2), [None, None, None]);
        let payloads: Vec<_> = upsert.payloads.decode(&ledger).collect();
        assert_eq!(
            payloads[0],
            Payload::from_fields(&[("x", Value::Int(5))]).unwrap()
        );
        assert!(payloads[1].is_empty());
        assert_eq!(payloads[2], payloads[0]);
        assert_eq!(changed, &upsert.ids[..2]);
        changes.check().unwrap();
        let changes: Vec<_> = changes.decode(&ledger).collect();
        assert_eq!(changes, [Payload::default(), payloads[0].clone()]);
        assert!(ledger.component(Component::Payload) > 0);
        drop((payloads, changes));
        assert_eq!(ledger.total(), 0);
    }

    #[test]
    fn terms_that_no_write_can_have_are_refused() {
        let layout = layout();
        let check = |indices: &[u32], values: &[f32], expected: &str| {
            let columns = Columns {
                dense: vec![vec![None]; 3],
                sparse: vec![vec![terms(indices, values)], vec![None], vec![None]],
            };
            let mut record = Vec::new();
            put_upsert(
                (&layout, &mut record),
                &[PointId::Number(1)],
                &columns,
                [&Payload::default()].into_iter(),
            );
            let effects = decode(&layout, &record).unwrap();
            let [Effect::Upsert(upsert)] = &effects[..] else {
                panic!("{effects:?}")
            };
            let error = upsert.check().unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check(&[2, 1], &[1.0, 1.0], "out of order");
        check(&[2, 2], &[1.0, 1.0], "out of order");
        check(&[1, 2], &[1.0, f32::NAN], "NaN in it");
        let many: Vec<u32> = (0..=65_536).collect();
        check(&many, &vec![1.0; many.len()], "65537 terms, more than 65536");
    }

    /// What was written before a vector went and another came is read by numbers.
    #[test]
    fn columns_are_found_by_the_numbers_of_their_vectors() {
        let (mut config, mut numbering) = given();
        let record = example(&Layout::numbered(&config, &numbering));
        config.remove_vector("b").unwrap();
        config.remove_vector("d").unwrap();
        let newer =
            [("0", 5), ("b", 9)].map(|(name, dimension)| (name, VectorConfig::new(dimension, Distance::Dot)));
        numbering.follow(&config).unwrap();
        for (name, vector) in newer {
            config.add_vector(name, vector).unwrap();
        }
        numbering.follow(&config).unwrap();
        let layout = Layout::numbered(&config, &numbering);
        let effects = decode(&layout, &record).unwrap();
        let [Effect::Upsert(upsert), ..] = &effects[..] else {
            panic!("{effects:?}")
        };
        upsert.check().unwrap();
        let rows = |column| upsert.rows(column).map(row).collect::<Vec<_>>();
        assert_eq!(
            layout
                .columns
                .iter()
                .map(|column| &*column.name)
                .collect::<Vec<_>>(),
            ["0", "a", "b", "c"]
        );
        assert_eq!(rows(0), [None, None, None]);
        assert_eq!(
            rows(1),
            [Some(vec![1.0, 2.0]), Some(vec![3.0, 4.0]), Some(vec![5.0, 6.0])]
        );
        assert_eq!(rows(2), [None, None, None], "another vector of the name");
        let terms = |column| upsert.sparse_rows(column, &Arc::default()).flatten().count();
        assert_eq!((terms(0), terms(1)), (1, 0));
    }

    #[test]
    fn a_record_by_numbers_that_is_damaged_is_refused_or_reads_as_something_valid() {
        let (config, numbering) = given();
        let layout = Layout::numbered(&config, &numbering);
        let record = example(&layout);
        damage(&layout, &record);
    }

    #[test]
    fn a_record_cut_short_or_damaged_is_refused_or_reads_as_something_valid() {
        let layout = layout();
        let record = example(&layout);
        let payload_bytes = Payload::from_fields(&[("x", Value::Int(5))])
            .unwrap()
            .as_bytes()
            .len();
        let fourth_effect = record.len() - (1 + 1 + 2 + 1);
        let third_effect = fourth_effect - (1 + 1 + 2 + 3);
        let second_effect = third_effect - (1 + 4 + 9 + 17 + 2 * 4 + payload_bytes);
        let first_effect = second_effect - (1 + 4 + 17 + 9);
        for cut in 0..record.len() {
            let is_whole = [0, first_effect, second_effect, third_effect, fourth_effect].contains(&cut);
            assert_eq!(decode(&layout, &record[..cut]).is_ok(), is_whole, "cut at {cut}");
        }
        damage(&layout, &record);
    }

    /// Flips bits of every byte: what is still read has as many rows as points.
    fn damage(layout: &Layout, record: &[u8]) {
        for position in 0..record.len() {
            for flip in [1, 2, 0x80, 0xff] {
                let mut damaged = record.to_vec();
                damaged[position] ^= flip;
                for effect in decode(layout, &damaged).into_iter().flatten() {
                    if let Effect::Upsert(upsert) = effect {
                        let _ = upsert.check();
                        let ledger = Arc::default();
                        let count = |column| upsert.sparse_rows(column, &ledger).count();
                        (0..3).for_each(|column| assert_eq!(count(column), upsert.ids.len()));
                        (0..3).for_each(|column| assert_eq!(upsert.rows(column).count(), upsert.ids.len()));
                    }
                }
            }
        }
    }
}
