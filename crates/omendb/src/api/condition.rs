//! One condition of a filter in JSON: which of its many forms it has, and the test of a payload's values.

use std::collections::HashSet;
use std::fmt;

use omendb_engine::filter::{Datetime, GeoArea, GeoPoint, GeoPolygon, MinShould, Range, Test};
use omendb_engine::{Condition, Filter};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::filter::{Conditions, FilterJson, MinShouldJson, PathJson};
use super::ids::{Id, point_ids};
use super::matching::MatchJson;

/// A condition as a filter carries it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "ConditionBody")]
pub(super) struct ConditionJson(pub(super) Condition);

/// The fields of every form; those of exactly one are there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionBody {
    key: Option<PathJson>,
    r#match: Option<MatchJson>,
    range: Option<RangeJson>,
    geo_bounding_box: Option<GeoBox>,
    geo_radius: Option<GeoRadius>,
    geo_polygon: Option<GeoPolygonJson>,
    values_count: Option<ValuesCount>,
    is_empty: Option<Presence>,
    is_null: Option<Presence>,
    has_id: Option<Vec<Id>>,
    has_vector: Option<String>,
    nested: Option<NestedBody>,
    #[serde(default)]
    must: Option<Conditions>,
    #[serde(default)]
    should: Option<Conditions>,
    #[serde(default)]
    must_not: Option<Conditions>,
    min_should: Option<MinShouldJson>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NestedBody {
    key: PathJson,
    filter: FilterJson,
}

impl TryFrom<ConditionBody> for ConditionJson {
    type Error = String;

    fn try_from(mut body: ConditionBody) -> Result<Self, String> {
        if let Some(PathJson(key)) = body.key.take() {
            let test = body.test()?;
            return Ok(Self(Condition::Field(key, test)));
        }
        let mut forms = Vec::new();
        let (is_empty, is_null) = (body.is_empty.take(), body.is_null.take());
        let presences = [
            ("is_empty", is_empty, Test::IsEmpty(true)),
            ("is_null", is_null, Test::IsNull(true)),
        ];
        for (name, presence, test) in presences {
            match presence {
                None => {}
                Some(Presence::Key(PathJson(key))) => forms.push((name, Condition::Field(key, test))),
                Some(Presence::Flag(_)) => return Err(format!("`{name}`: missing field `key`")),
            }
        }
        if let Some(ids) = body.has_id.take() {
            let ids: HashSet<_> = point_ids(ids).into_iter().collect();
            forms.push(("has_id", Condition::HasId(ids)));
        }
        if let Some(name) = body.has_vector.take() {
            forms.push(("has_vector", Condition::HasVector(name)));
        }
        if let Some(NestedBody { key, filter }) = body.nested.take() {
            forms.push(("nested", Condition::Nested(key.0, filter.0)));
        }
        if let Some(filter) = body.clauses() {
            forms.push(("a filter", Condition::Filter(filter)));
        }
        if body.test().is_ok() {
            return Err("missing field `key`".to_owned());
        }
        let mut forms = forms.into_iter();
        match (forms.next(), forms.next()) {
            // An empty object is a filter without clauses.
            (None, _) => Ok(Self(Condition::Filter(Filter::default()))),
            (Some((_, only)), None) => Ok(Self(only)),
            (Some((one, _)), Some((other, _))) => {
                Err(format!("`{one}` beside `{other}`: one condition each"))
            }
        }
    }
}

impl ConditionBody {
    /// The clauses of a filter in place of a condition.
    fn clauses(&mut self) -> Option<Filter> {
        let (must, should, must_not) = (self.must.take(), self.should.take(), self.must_not.take());
        let min_should = self.min_should.take();
        if must.is_none() && should.is_none() && must_not.is_none() && min_should.is_none() {
            return None;
        }
        let conditions = |clause: Option<Conditions>| clause.map_or_else(Vec::new, |clause| clause.0);
        Some(Filter {
            must: conditions(must),
            should: conditions(should),
            must_not: conditions(must_not),
            min_should: min_should.map(MinShould::from),
        })
    }

    /// The one test of a key's values; nothing else may stand beside it.
    fn test(&mut self) -> Result<Test, String> {
        let others = [
            ("has_id", self.has_id.is_some()),
            ("has_vector", self.has_vector.is_some()),
            ("nested", self.nested.is_some()),
            ("a filter", self.clauses().is_some()),
        ];
        if let Some((name, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
            return Err(format!("`key` beside `{name}`: one condition each"));
        }
        let mut tests = Vec::new();
        let mut add = |name, test: Option<Test>| tests.extend(test.map(|test| (name, test)));
        add(
            "match",
            self.r#match.take().map(|MatchJson(wanted)| Test::Match(wanted)),
        );
        add("range", self.range.take().map(|RangeJson(test)| test));
        add(
            "geo_bounding_box",
            self.geo_bounding_box.take().map(|body| Test::Geo(body.into())),
        );
        add(
            "geo_radius",
            self.geo_radius.take().map(|body| Test::Geo(body.into())),
        );
        add(
            "geo_polygon",
            self.geo_polygon
                .take()
                .map(|GeoPolygonJson(polygon)| Test::Geo(GeoArea::Polygon(polygon))),
        );
        add(
            "values_count",
            self.values_count
                .take()
                .map(|body| Test::ValuesCount(body.into())),
        );
        let is_empty = flag("is_empty", self.is_empty.take())?;
        add("is_empty", is_empty.map(Test::IsEmpty));
        let is_null = flag("is_null", self.is_null.take())?;
        add("is_null", is_null.map(Test::IsNull));
        let mut tests = tests.into_iter();
        match (tests.next(), tests.next()) {
            (Some((_, only)), None) => Ok(only),
            (Some((one, _)), Some((other, _))) => Err(format!("`{one}` beside `{other}`: one test each")),
            (None, _) => Err(
                "a key without a test: `match`, `range`, `geo_..`, `values_count`, `is_empty` or `is_null`"
                    .to_owned(),
            ),
        }
    }
}

fn flag(name: &str, presence: Option<Presence>) -> Result<Option<bool>, String> {
    match presence {
        None => Ok(None),
        Some(Presence::Flag(flag)) => Ok(Some(flag)),
        Some(Presence::Key(_)) => Err(format!("`key` beside `{name}` with a key of its own")),
    }
}

/// `is_empty` and `is_null`: a flag beside a key, or an object with the key.
#[derive(Debug)]
enum Presence {
    Flag(bool),
    Key(PathJson),
}

impl<'de> Deserialize<'de> for Presence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PresenceVisitor;
        impl<'de> Visitor<'de> for PresenceVisitor {
            type Value = Presence;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a boolean, or an object with a `key`")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Presence, E> {
                Ok(Presence::Flag(flag))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Presence, A::Error> {
                let mut path = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name != "key" {
                        return Err(Error::unknown_field(&name, &["key"]));
                    }
                    path = Some(map.next_value()?);
                }
                path.map(Presence::Key).ok_or_else(|| Error::missing_field("key"))
            }
        }
        deserializer.deserialize_any(PresenceVisitor)
    }
}

/// Bounds that are all numbers or all dates and times.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RangeBody")]
struct RangeJson(Test);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeBody {
    lt: Option<Bound>,
    lte: Option<Bound>,
    gt: Option<Bound>,
    gte: Option<Bound>,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    Number(f64),
    Moment(Datetime),
}

impl TryFrom<RangeBody> for RangeJson {
    type Error = &'static str;

    fn try_from(body: RangeBody) -> Result<Self, &'static str> {
        let RangeBody { lt, lte, gt, gte } = body;
        let bounds = [lt, lte, gt, gte];
        let numbers = bounds.map(|bound| match bound {
            Some(Bound::Number(number)) => Some(number),
            Some(Bound::Moment(_)) | None => None,
        });
        let moments = bounds.map(|bound| match bound {
            Some(Bound::Moment(moment)) => Some(moment),
            Some(Bound::Number(_)) | None => None,
        });
        let has_numbers = numbers.iter().any(Option::is_some);
        if moments.iter().all(Option::is_none) {
            return Ok(Self(Test::Range(range(numbers))));
        }
        if has_numbers {
            return Err("a number and a date and time as bounds of one range");
        }
        Ok(Self(Test::Datetime(range(moments))))
    }
}

fn range<T>([lt, lte, gt, gte]: [Option<T>; 4]) -> Range<T> {
    Range { lt, lte, gt, gte }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoundVisitor;
        impl Visitor<'_> for BoundVisitor {
            type Value = Bound;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, or a date and time in a string")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Bound, E> {
                Ok(Bound::Number(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Bound, E> {
                Ok(Bound::Number(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Bound, E> {
                Ok(Bound::Number(value as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bound, E> {
                text.parse().map(Bound::Moment).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(BoundVisitor)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValuesCount {
    lt: Option<u64>,
    lte: Option<u64>,
    gt: Option<u64>,
    gte: Option<u64>,
}

impl From<ValuesCount> for Range<u64> {
    fn from(body: ValuesCount) -> Self {
        let ValuesCount { lt, lte, gt, gte } = body;
        Self { lt, lte, gt, gte }
    }
}

/// A place on the globe, in degrees.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "GeoPointBody")]
pub(super) struct GeoPointJson(pub(super) GeoPoint);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeoPointBody {
    lon: f64,
    lat: f64,
}

impl TryFrom<GeoPointBody> for GeoPointJson {
    type Error = omendb_engine::Error;

    fn try_from(body: GeoPointBody) -> Result<Self, omendb_engine::Error> {
        GeoPoint::new(body.lon, body.lat).map(Self)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeoBox {
    top_left: GeoPointJson,
    bottom_right: GeoPointJson,
}

impl From<GeoBox> for GeoArea {
    fn from(body: GeoBox) -> Self {
        let GeoBox {
            top_left: GeoPointJson(top_left),
            bottom_right: GeoPointJson(bottom_right),
        } = body;
        Self::Box {
            top_left,
            bottom_right,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GeoRadius {
    center: GeoPointJson,
    /// In metres.
    radius: f64,
}

impl From<GeoRadius> for GeoArea {
    fn from(body: GeoRadius) -> Self {
        let GeoRadius {
            center: GeoPointJson(center),
            radius,
        } = body;
        Self::Radius { center, radius }
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "GeoPolygonBody")]
struct GeoPolygonJson(GeoPolygon);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GeoPolygonBody {
    exterior: Ring,
    interiors: Option<Vec<Ring>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    points: Vec<GeoPointJson>,
}

impl TryFrom<GeoPolygonBody> for GeoPolygonJson {
    type Error = omendb_engine::Error;

    fn try_from(body: GeoPolygonBody) -> Result<Self, omendb_engine::Error> {
        let points = |ring: Ring| ring.points.into_iter().map(|GeoPointJson(point)| point).collect();
        let interiors = body.interiors.unwrap_or_default();
        GeoPolygon::new(points(body.exterior), interiors.into_iter().map(points).collect()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use omendb_engine::filter::Match;

    use super::*;
    use crate::api::parse;

    #[track_caller]
    fn check(json: &str, expected: Result<Condition, &str>) {
        match (parse::body::<ConditionJson>(json.as_bytes()), expected) {
            (Ok(ConditionJson(condition)), Ok(expected)) => assert_eq!(condition, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.message().contains(part), "{json}: {}", error.message()),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    fn field(test: Test) -> Result<Condition, &'static str> {
        Ok(Condition::Field("a".parse().expect("a path"), test))
    }

    #[test]
    fn every_form_is_read() {
        check(
            r#"{"key":"a","match":{"value":1},"range":null}"#,
            field(Test::Match(Match::Integer(1))),
        );
        let range = Range {
            lt: Some(5.0),
            gte: Some(-0.5),
            ..Range::default()
        };
        check(
            r#"{"key":"a","range":{"lt":5,"gte":-0.5,"gt":null}}"#,
            field(Test::Range(range)),
        );
        check(r#"{"key":"a","range":{}}"#, field(Test::Range(Range::default())));
        let since = Range {
            gt: Datetime::parse("2024-01-01"),
            ..Range::default()
        };
        check(
            r#"{"key":"a","range":{"gt":"2024-01-01T00:00:00Z"}}"#,
            field(Test::Datetime(since)),
        );
        let count = Range {
            gte: Some(2),
            ..Range::default()
        };
        check(
            r#"{"key":"a","values_count":{"gte":2}}"#,
            field(Test::ValuesCount(count)),
        );
        check(r#"{"key":"a","is_empty":false}"#, field(Test::IsEmpty(false)));
        check(r#"{"key":"a","is_null":true}"#, field(Test::IsNull(true)));
        check(r#"{"is_empty":{"key":"a"}}"#, field(Test::IsEmpty(true)));
        check(r#"{"is_null":{"key":"a"}}"#, field(Test::IsNull(true)));
        check(
            r#"{"has_id":[7,7]}"#,
            Ok(Condition::HasId(HashSet::from([7.into()]))),
        );
        check(r#"{"has_vector":""}"#, Ok(Condition::HasVector(String::new())));
        check("{}", Ok(Condition::Filter(Filter::default())));
        let inner = Filter::of(Condition::HasVector("v".to_owned()));
        check(
            r#"{"nested":{"key":"a","filter":{"must":{"has_vector":"v"}}}}"#,
            Ok(Condition::Nested("a".parse().expect("a path"), inner.clone())),
        );
        check(
            r#"{"must":[{"has_vector":"v"}],"should":null}"#,
            Ok(Condition::Filter(inner)),
        );
    }

    #[test]
    fn areas_are_read() {
        let place = |lon, lat| GeoPoint::new(lon, lat).expect("a place");
        let area = |area| field(Test::Geo(area));
        check(
            r#"{"key":"a","geo_bounding_box":{"top_left":{"lon":1,"lat":4},"bottom_right":{"lon":3,"lat":2}}}"#,
            area(GeoArea::Box {
                top_left: place(1.0, 4.0),
                bottom_right: place(3.0, 2.0),
            }),
        );
        check(
            r#"{"key":"a","geo_radius":{"center":{"lon":1,"lat":4},"radius":10}}"#,
            area(GeoArea::Radius {
                center: place(1.0, 4.0),
                radius: 10.0,
            }),
        );
        let ring = vec![place(0.0, 0.0), place(1.0, 0.0), place(1.0, 1.0), place(0.0, 0.0)];
        let points =
            r#"{"points":[{"lon":0,"lat":0},{"lon":1,"lat":0},{"lon":1,"lat":1},{"lon":0,"lat":0}]}"#;
        check(
            &format!(r#"{{"key":"a","geo_polygon":{{"exterior":{points},"interiors":[{points}]}}}}"#),
            area(GeoArea::Polygon(
                GeoPolygon::new(ring.clone(), vec![ring]).expect("a polygon"),
            )),
        );
        check(
            r#"{"key":"a","geo_radius":{"center":{"lon":181,"lat":0},"radius":1}}"#,
            Err("geo_radius.center: lon 181, lat 0"),
        );
        check(
            r#"{"key":"a","geo_polygon":{"exterior":{"points":[]}}}"#,
            Err("geo_polygon: polygon: a ring of 0 points"),
        );
    }

    #[test]
    fn what_is_not_one_condition_is_refused() {
        check(r#"{"key":"a"}"#, Err("a key without a test"));
        check(r#"{"match":{"value":1}}"#, Err("missing field `key`"));
        check(r#"{"is_empty":true}"#, Err("`is_empty`: missing field `key`"));
        check(
            r#"{"key":"a","match":{"value":1},"range":{}}"#,
            Err("`match` beside `range`"),
        );
        check(
            r#"{"key":"a","match":{"value":1},"has_id":[1]}"#,
            Err("`key` beside `has_id`"),
        );
        check(
            r#"{"has_id":[1],"has_vector":"v"}"#,
            Err("`has_id` beside `has_vector`"),
        );
        check(
            r#"{"has_id":["x"]}"#,
            Err("has_id[0]: invalid value: string \"x\""),
        );
        check(r#"{"slice":{"total":2,"index":0}}"#, Err("unknown field `slice`"));
        check(
            r#"{"key":"a","range":{"gt":"soon"}}"#,
            Err("range.gt: \"soon\" is not a date and time"),
        );
        check(
            r#"{"key":"a","range":{"gt":1,"lt":"2024-01-01"}}"#,
            Err("range: a number and a date"),
        );
        check(
            r#"{"key":"a","range":{"gt":true}}"#,
            Err("range.gt: invalid type: boolean `true`"),
        );
        check(
            r#"{"key":"a","values_count":{"gt":-1}}"#,
            Err("values_count.gt: invalid value: integer `-1`"),
        );
        check(r#"{"is_null":{"path":"a"}}"#, Err("unknown field `path`"));
    }
}
