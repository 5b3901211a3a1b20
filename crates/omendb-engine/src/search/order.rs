//! Points in order of the values of a payload key.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::filter::{datetime, number};
use crate::payload::{PayloadPath, ValueRef};
use crate::payload_index::{IndexKind, Schema};
use crate::state::Chunk;
use crate::{Error, PointId};

/// The order that points are asked for in. A point with several values is listed once for each of them, one without is
/// not listed.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// Where the values are. The key needs an index of kind integer, float or datetime, which says what counts as one.
    pub key: PayloadPath,
    /// Whether the least or the greatest value comes first.
    pub direction: Direction,
    /// The value to begin at, itself included; the first without.
    pub start_from: Option<OrderValue>,
}

/// Which values come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    #[default]
    Ascending,
    /// The greatest.
    Descending,
}

/// A value that points are in order of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OrderValue {
    /// An integer, or a date and time in microseconds since 1970.
    Int(i64),
    /// A number.
    Float(f64),
}

impl OrderValue {
    /// In the order of numbers. Integers are compared exactly with one another, and as floats with floats.
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => one.cmp(&other),
            (Self::Float(one), Self::Float(other)) => one.total_cmp(&other),
            (Self::Int(one), Self::Float(other)) => (one as f64).total_cmp(&other),
            (Self::Float(one), Self::Int(other)) => one.total_cmp(&(other as f64)),
        }
    }
}

/// A point beside one of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) value: OrderValue,
    pub(crate) id: PointId,
    pub(crate) slot: u32,
}

/// The first places of an order, out of those that were offered.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    order_by: &'a OrderBy,
    kind: IndexKind,
    limit: usize,
    /// At most twice the limit, or [`LEAST_KEPT`].
    kept: Vec<Place>,
    /// The values of the point in hand.
    values: Vec<OrderValue>,
}

/// Places are not thrown out before there are so many: for small limits, sorting out seldom is cheaper than often.
const LEAST_KEPT: usize = 1_024;

impl<'a> Places<'a> {
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a key without an index that orders its values.
    pub(crate) fn new(order_by: &'a OrderBy, schema: &Schema, limit: usize) -> Result<Self, Error> {
        let is_wanted = |key: &str| key.parse().is_ok_and(|path: PayloadPath| path == order_by.key);
        let kind = schema
            .iter()
            .find_map(|(key, kind)| is_wanted(key).then_some(*kind));
        match kind {
            Some(kind @ (IndexKind::Integer | IndexKind::Float | IndexKind::Datetime)) => Ok(Self {
                order_by,
                kind,
                limit,
                kept: Vec::new(),
                values: Vec::new(),
            }),
            Some(_) | None => Err(Error::invalid(format!(
                "order_by: key \"{}\" has no index of kind integer, float or datetime; create one to order by it",
                order_by.key
            ))),
        }
    }

    /// Offers the point at `position` of `chunk` with each of its values.
    pub(crate) fn offer(&mut self, chunk: &Chunk, position: usize, slot: u32) {
        let (values, kind) = (&mut self.values, self.kind);
        values.clear();
        let mut visit = |value: ValueRef<'_>| {
            if let ValueRef::List(list) = value {
                values.extend(list.filter_map(|element| order_value(kind, element)));
            } else {
                values.extend(order_value(kind, value));
            }
            ControlFlow::Continue(())
        };
        // Nothing breaks off.
        let _ = self
            .order_by
            .key
            .visit(chunk.payload(position).fields(), &mut visit);
        values.sort_unstable_by(|one, other| one.order(*other));
        values.dedup();
        for at in 0..self.values.len() {
            let value = self.values[at];
            if self.is_past_start(value) {
                let id = chunk.id(position);
                self.kept.push(Place { value, id, slot });
            }
        }
        if self.kept.len() >= self.limit.saturating_mul(2).max(LEAST_KEPT) {
            self.sort_out();
        }
    }

    /// The first places, in order; equal values in order of ids.
    pub(crate) fn into_sorted(mut self) -> Vec<Place> {
        let direction = self.order_by.direction;
        self.kept
            .sort_unstable_by(|one, other| order(direction, one, other));
        self.kept.truncate(self.limit);
        self.kept
    }

    fn is_past_start(&self, value: OrderValue) -> bool {
        let direction = self.order_by.direction;
        let start = self.order_by.start_from;
        start.is_none_or(|start| directed(direction, value.order(start)).is_ge())
    }

    /// Throws out what is behind the limit.
    fn sort_out(&mut self) {
        let direction = self.order_by.direction;
        if self.limit < self.kept.len() {
            self.kept
                .select_nth_unstable_by(self.limit, |one, other| order(direction, one, other));
            self.kept.truncate(self.limit);
        }
    }
}

/// The value as an index of `kind` reads it.
fn order_value(kind: IndexKind, value: ValueRef<'_>) -> Option<OrderValue> {
    match (kind, value) {
        (IndexKind::Integer, ValueRef::Int(value)) => Some(OrderValue::Int(value)),
        (IndexKind::Float, value) => number(value).map(OrderValue::Float),
        (IndexKind::Datetime, value) => datetime(value).map(|moment| OrderValue::Int(moment.micros())),
        (_, _) => None,
    }
}

fn order(direction: Direction, one: &Place, other: &Place) -> Ordering {
    let ascending = one.value.order(other.value).then(one.id.cmp(&other.id));
    directed(direction, ascending)
}

fn directed(direction: Direction, ascending: Ordering) -> Ordering {
    match direction {
        Direction::Ascending => ascending,
        Direction::Descending => ascending.reverse(),
    }
}
