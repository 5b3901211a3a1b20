//! Whether a point passes a filter, decided on its encoded payload without an allocation.

use std::ops::ControlFlow;

use crate::filter::matching::TextMatching;
use crate::filter::{Condition, Datetime, Filter, GeoPoint, MinShould, Test};
use crate::payload::{Fields, PayloadPath, ValueRef};
use crate::state::{Chunk, Layout};

/// What a filter looks at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    payload: Fields<'a>,
    /// Not there for an object inside a payload.
    point: Option<Place<'a>>,
}

/// Where a point is.
#[derive(Clone, Copy)]
struct Place<'a> {
    layout: &'a Layout,
    chunk: &'a Chunk,
    position: usize,
}

impl<'a> Subject<'a> {
    /// The point at `position` of `chunk`.
    pub(crate) fn point(layout: &'a Layout, chunk: &'a Chunk, position: usize) -> Self {
        Self {
            payload: chunk.payload(position).fields(),
            point: Some(Place {
                layout,
                chunk,
                position,
            }),
        }
    }

    /// An object on its own.
    pub(crate) fn object(payload: Fields<'a>) -> Self {
        Self { payload, point: None }
    }

    /// Whether it passes `filter`.
    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        let Filter {
            must,
            should,
            must_not,
            min_should,
        } = filter;
        must.iter().all(|condition| self.meets(condition))
            && !must_not.iter().any(|condition| self.meets(condition))
            && (should.is_empty() || should.iter().any(|condition| self.meets(condition)))
            && min_should.as_ref().is_none_or(|some| self.meets_some(some))
    }

    fn meets_some(
        &self,
        MinShould {
            conditions,
            min_count,
        }: &MinShould,
    ) -> bool {
        let met = conditions.iter().filter(|condition| self.meets(condition));
        met.take(*min_count).count() == *min_count
    }

    fn meets(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Field(key, test) => self.meets_test(key, test),
            Condition::HasId(ids) => self
                .point
                .is_some_and(|Place { chunk, position, .. }| ids.contains(&chunk.id(position))),
            Condition::HasVector(name) => self.point.is_some_and(|place| place.has_vector(name)),
            // `a` and `a[]` say the same: each element of the list.
            Condition::Nested(key, filter) if key.ends_with_every_element() => {
                any(key, self.payload, |value| passes_alone(value, filter))
            }
            Condition::Nested(key, filter) => any(key, self.payload, |value| match value {
                ValueRef::List(mut list) => list.any(|element| passes_alone(element, filter)),
                ValueRef::Object(_)
                | ValueRef::Null
                | ValueRef::Bool(_)
                | ValueRef::Int(_)
                | ValueRef::Uint(_)
                | ValueRef::Float(_)
                | ValueRef::String(_) => false,
            }),
            Condition::Filter(filter) => self.passes(filter),
        }
    }

    fn meets_test(&self, key: &PayloadPath, test: &Test) -> bool {
        let payload = self.payload;
        match test {
            Test::Match(wanted) => {
                let matching = self.text_matching(key);
                any_element(key, payload, |value| wanted.accepts(value, matching))
            }
            Test::Range(range) => any_element(key, payload, |value| {
                number(value).is_some_and(|number| range.contains(number))
            }),
            Test::Datetime(range) => any_element(key, payload, |value| {
                datetime(value).is_some_and(|moment| range.contains(moment))
            }),
            Test::Geo(area) => any_element(key, payload, |value| {
                geo_point(value).is_some_and(|point| area.contains(point))
            }),
            Test::ValuesCount(range) => any(key, payload, |value| range.contains(count(value))),
            Test::IsEmpty(expected) => {
                let has_content = any(key, payload, |value| match value {
                    ValueRef::Null => false,
                    ValueRef::List(mut list) => list.next().is_some(),
                    ValueRef::Bool(_)
                    | ValueRef::Int(_)
                    | ValueRef::Uint(_)
                    | ValueRef::Float(_)
                    | ValueRef::String(_)
                    | ValueRef::Object(_) => true,
                });
                has_content != *expected
            }
            Test::IsNull(expected) => {
                let has_null = any(key, payload, |value| value == ValueRef::Null);
                has_null == *expected
            }
        }
    }
}

impl Subject<'_> {
    /// How the strings at `key` are compared with texts; those of an object inside a payload are in no index.
    fn text_matching(&self, key: &PayloadPath) -> TextMatching {
        let is_worded = |place: Place<'_>| place.layout.is_worded(key);
        if self.point.is_some_and(is_worded) {
            TextMatching::Words
        } else {
            TextMatching::Parts
        }
    }
}

impl Place<'_> {
    fn has_vector(&self, name: &str) -> bool {
        let columns = &self.layout.columns;
        if let Some(column) = columns.iter().position(|column| column.name == name) {
            return self.chunk.column(column).present.contains(self.position);
        }
        let sparse = &self.layout.sparse;
        let column = sparse.iter().position(|column| column.name == name);
        column.is_some_and(|column| self.chunk.sparse(column).present.contains(self.position))
    }
}

/// Whether `value` is an object that passes `filter` by itself.
fn passes_alone(value: ValueRef<'_>, filter: &Filter) -> bool {
    match value {
        ValueRef::Object(fields) => Subject::object(fields).passes(filter),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::String(_)
        | ValueRef::List(_) => false,
    }
}

/// Whether any of the values that `key` leads to is `wanted`, a list being one value.
fn any(key: &PayloadPath, payload: Fields<'_>, mut is_wanted: impl FnMut(ValueRef<'_>) -> bool) -> bool {
    let mut visit = |value: ValueRef<'_>| {
        if is_wanted(value) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    key.visit(payload, &mut visit).is_break()
}

/// Whether any of the values that `key` leads to is `wanted`, the elements of a list being the values.
fn any_element(key: &PayloadPath, payload: Fields<'_>, is_wanted: impl Fn(ValueRef<'_>) -> bool) -> bool {
    any(key, payload, |value| any_of(value, &is_wanted))
}

fn any_of(value: ValueRef<'_>, is_wanted: &impl Fn(ValueRef<'_>) -> bool) -> bool {
    match value {
        ValueRef::List(mut list) => list.any(is_wanted),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::String(_)
        | ValueRef::Object(_) => is_wanted(value),
    }
}

fn count(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => 0,
        ValueRef::List(list) => list.count() as u64,
        ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::String(_)
        | ValueRef::Object(_) => 1,
    }
}

/// A number as ranges compare it: integers beyond 2^53 are rounded, as in the dialect.
pub(crate) fn number(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Int(value) => Some(value as f64),
        ValueRef::Uint(value) => Some(value as f64),
        ValueRef::Float(value) => Some(value),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::String(_)
        | ValueRef::List(_)
        | ValueRef::Object(_) => None,
    }
}

pub(crate) fn datetime(value: ValueRef<'_>) -> Option<Datetime> {
    match value {
        ValueRef::String(text) => Datetime::parse(text),
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::List(_)
        | ValueRef::Object(_) => None,
    }
}

/// `{"lon": .., "lat": ..}`.
pub(crate) fn geo_point(value: ValueRef<'_>) -> Option<GeoPoint> {
    match value {
        ValueRef::Object(fields) => {
            let coordinate = |key| number(fields.get(key)?);
            Some(GeoPoint {
                lon: coordinate("lon")?,
                lat: coordinate("lat")?,
            })
        }
        ValueRef::Null
        | ValueRef::Bool(_)
        | ValueRef::Int(_)
        | ValueRef::Uint(_)
        | ValueRef::Float(_)
        | ValueRef::String(_)
        | ValueRef::List(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::filter::{GeoArea, Match, Range};
    use crate::state::{SparseSegment, Terms};
    use crate::{
        CollectionConfig, Distance, Payload, PointId, SparseConfig, SparseVector, Value, VectorConfig,
    };

    fn object(fields: &[(&str, Value)]) -> Value {
        Value::Object(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn list(values: &[Value]) -> Value {
        Value::List(values.to_vec())
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn int(value: i64) -> Value {
        Value::Int(value)
    }

    fn field(key: &str, test: Test) -> Condition {
        Condition::Field(key.parse().unwrap(), test)
    }

    fn is(key: &str, value: i64) -> Condition {
        field(key, Test::Match(Match::Integer(value)))
    }

    fn passes(fields: &[(&str, Value)], filter: &Filter) -> bool {
        let payload = Payload::from_fields(fields).unwrap();
        Subject::object(payload.fields()).passes(filter)
    }

    /// Checks one condition against `{"a": value}` for every value, and against `{}` for `None`.
    fn check(condition: &Condition, met: &[Option<Value>], unmet: &[Option<Value>]) {
        let filter = Filter::of(condition.clone());
        for (values, expected) in [(met, true), (unmet, false)] {
            for value in values {
                let fields = value.iter().map(|value| ("a", value.clone())).collect::<Vec<_>>();
                assert_eq!(passes(&fields, &filter), expected, "{condition:?} {value:?}");
            }
        }
    }

    #[test]
    fn any_element_of_a_list_may_match() {
        let nested = list(&[list(&[int(1)])]);
        check(
            &is("a", 1),
            &[Some(int(1)), Some(list(&[int(0), int(1)]))],
            &[
                None,
                Some(Value::Null),
                Some(list(&[])),
                Some(int(0)),
                Some(nested.clone()),
            ],
        );
        check(
            &is("a[]", 1),
            &[Some(list(&[int(1)])), Some(nested)],
            &[Some(int(1)), None],
        );
        check(
            &is("a[1]", 1),
            &[Some(list(&[int(0), int(1)]))],
            &[Some(list(&[int(1)]))],
        );
        let objects = list(&[object(&[("b", int(0))]), object(&[("b", int(1))])]);
        check(
            &is("a[].b", 1),
            &[Some(objects.clone())],
            &[Some(object(&[("b", int(1))]))],
        );
        check(&is("a.b", 1), &[Some(object(&[("b", int(1))]))], &[Some(objects)]);
        check(&is("\"a\"", 1), &[Some(int(1))], &[]);
    }

    #[test]
    fn ranges_are_over_numbers_or_moments() {
        let range = |range| field("a", Test::Range(range));
        let above = Range {
            gt: Some(1.5),
            ..Range::default()
        };
        check(
            &range(above),
            &[
                Some(int(2)),
                Some(Value::Uint(u64::MAX)),
                Some(Value::Float(1.6)),
                Some(list(&[int(0), int(2)])),
            ],
            &[
                None,
                Some(int(1)),
                Some(text("2")),
                Some(Value::Bool(true)),
                Some(list(&[])),
            ],
        );
        check(
            &range(Range::default()),
            &[Some(int(0))],
            &[None, Some(text("0"))],
        );
        let since = Range {
            gte: Datetime::parse("2024-01-01T01:00:00+01:00"),
            ..Range::default()
        };
        check(
            &field("a", Test::Datetime(since)),
            &[
                Some(text("2024-01-01")),
                Some(list(&[text("x"), text("2025-01-01 00:00")])),
            ],
            &[
                None,
                Some(text("2023-12-31T23:59:59.999Z")),
                Some(text("later")),
                Some(int(2_000_000_000)),
            ],
        );
    }

    #[test]
    fn places_are_objects_of_numbers() {
        let place = |lon: Value, lat: Value| object(&[("lon", lon), ("lat", lat)]);
        let area = GeoArea::Radius {
            center: GeoPoint { lon: 0.0, lat: 0.0 },
            radius: 200_000.0,
        };
        check(
            &field("a", Test::Geo(area)),
            &[
                Some(place(int(1), Value::Float(0.5))),
                Some(list(&[place(int(9), int(9)), place(int(1), int(1))])),
            ],
            &[
                None,
                Some(place(int(9), int(0))),
                Some(place(text("1"), int(0))),
                Some(object(&[("lon", int(0))])),
            ],
        );
    }

    #[test]
    fn absence_null_and_emptiness_are_told_apart() {
        let (null, empty) = (Some(Value::Null), Some(list(&[])));
        let one = Some(int(1));
        let with_null = Some(list(&[int(1), Value::Null]));
        let all = [None, null.clone(), empty.clone(), one.clone(), with_null.clone()];
        let check_both = |test: fn(bool) -> Test, met: &[Option<Value>]| {
            let unmet: Vec<_> = all.iter().filter(|value| !met.contains(value)).cloned().collect();
            check(&field("a", test(true)), met, &unmet);
            check(&field("a", test(false)), &unmet, met);
        };
        check_both(Test::IsEmpty, &[None, null.clone(), empty.clone()]);
        check_both(Test::IsNull, std::slice::from_ref(&null));
        check(
            &field("a[]", Test::IsNull(true)),
            std::slice::from_ref(&with_null),
            &[None, null.clone(), one.clone()],
        );
        let count = |lt| {
            field(
                "a",
                Test::ValuesCount(Range {
                    lt: Some(lt),
                    ..Range::default()
                }),
            )
        };
        check(&count(1), &[null, empty], &[None, one.clone(), with_null.clone()]);
        check(&count(2), &[one], &[None, with_null]);
    }

    #[test]
    fn an_object_in_a_list_passes_alone_or_not_at_all() {
        let both = Filter {
            must: vec![is("x", 1), is("y", 2)],
            ..Filter::default()
        };
        let pair = |x, y| object(&[("x", int(x)), ("y", int(y))]);
        let together = list(&[pair(0, 0), pair(1, 2)]);
        let apart = list(&[pair(1, 0), pair(0, 2)]);
        for key in ["a", "a[]"] {
            check(
                &Condition::Nested(key.parse().unwrap(), both.clone()),
                &[Some(together.clone())],
                &[
                    None,
                    Some(apart.clone()),
                    Some(pair(1, 2)),
                    Some(list(&[])),
                    Some(list(std::slice::from_ref(&together))),
                ],
            );
        }
        let without = Filter {
            must_not: vec![is("x", 1)],
            ..Filter::default()
        };
        let key: PayloadPath = "a".parse().unwrap();
        check(
            &Condition::Nested(key.clone(), without),
            &[Some(apart.clone())],
            &[Some(list(&[int(1)]))],
        );
        let has_id = Filter::of(Condition::HasId(HashSet::from([PointId::Number(1)])));
        check(&Condition::Nested(key, has_id), &[], &[Some(apart)]);
    }

    /// A condition that the payload `{"a":1}` meets, and one that it does not.
    fn yes() -> Condition {
        field("a", Test::IsEmpty(false))
    }

    fn no() -> Condition {
        field("a", Test::IsEmpty(true))
    }

    fn check_filter(must: &[Condition], should: &[Condition], must_not: &[Condition], expected: bool) {
        let filter = Filter {
            must: must.to_vec(),
            should: should.to_vec(),
            must_not: must_not.to_vec(),
            min_should: None,
        };
        assert_eq!(passes(&[("a", int(1))], &filter), expected, "{filter:?}");
        let within = Filter::of(Condition::Filter(filter));
        assert_eq!(passes(&[("a", int(1))], &within), expected, "{within:?}");
    }

    #[test]
    fn clauses_combine() {
        check_filter(&[], &[], &[], true);
        check_filter(&[yes(), yes()], &[], &[], true);
        check_filter(&[yes(), no()], &[], &[], false);
        check_filter(&[], &[no(), yes()], &[], true);
        check_filter(&[], &[no(), no()], &[], false);
        check_filter(&[], &[], &[no(), no()], true);
        check_filter(&[], &[], &[no(), yes()], false);
        check_filter(&[yes()], &[no()], &[], false);
        check_filter(&[yes()], &[yes()], &[no()], true);
    }

    #[test]
    fn some_of_several_conditions_may_be_asked_for() {
        for (conditions, min_count, expected) in [
            (vec![yes(), no(), yes()], 2, true),
            (vec![yes(), no(), no()], 2, false),
            (vec![yes()], 2, false),
            (vec![yes()], 1, true),
            (vec![], 1, false),
        ] {
            let filter = Filter {
                min_should: Some(MinShould {
                    conditions,
                    min_count,
                }),
                ..Filter::default()
            };
            assert_eq!(passes(&[("a", int(1))], &filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn ids_and_vectors_are_those_of_the_point() {
        let vector = VectorConfig::new(1, Distance::Dot);
        let vectors = ["image", "text"].map(|name| (name.to_owned(), vector));
        let layout = Layout::new(&CollectionConfig {
            sparse_vectors: [("words".to_owned(), SparseConfig::default())].into(),
            ..CollectionConfig::new(vectors.into())
        });
        let mut chunk = Chunk::new(&layout, &std::sync::Arc::default());
        let position = chunk.push_entry(PointId::Number(7), Payload::default());
        chunk.push_row((position, 0), [1.0].into_iter());
        let words = SparseVector::default();
        let words = SparseSegment::gather(
            [Some(Terms::from(&words))].into_iter(),
            &std::sync::Arc::default(),
        );
        let words = words.into_iter().flatten();
        words.for_each(|row| chunk.push_sparse((position, 0), row));
        let subject = Subject::point(&layout, &chunk, position);
        let has_vector = |name: &str| Condition::HasVector(name.to_owned());
        let has_id = |id: u64| Condition::HasId(HashSet::from([PointId::Number(id)]));
        for (condition, expected) in [
            (has_vector("image"), true),
            (has_vector("text"), false),
            (has_vector("sound"), false),
            (has_vector("words"), true),
            (has_id(7), true),
            (has_id(8), false),
        ] {
            assert_eq!(
                subject.passes(&Filter::of(condition.clone())),
                expected,
                "{condition:?}"
            );
        }
    }
}
