//! What a filter may not be: deeper, longer or emptier than its limits.

use crate::filter::{Condition, Filter, GeoArea, Match, MinShould, Test};
use crate::{Error, limits};

impl Filter {
    /// Checks the limits of a filter from a client: evaluation recurses as deep as it is nested, and takes as long as it
    /// has conditions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming what is too much: depth, conditions or values, or a
    /// `min_count` of zero.
    pub fn check(&self) -> Result<(), Error> {
        let mut extent = Extent::default();
        extent.add(self, 1)?;
        let Extent { conditions, values } = extent;
        for (what, count, most) in [
            ("conditions", conditions, limits::MAX_FILTER_CONDITIONS),
            ("values", values, limits::MAX_FILTER_VALUES),
        ] {
            if count > most {
                return Err(Error::invalid(format!(
                    "filter: {count} {what}, more than {most}"
                )));
            }
        }
        Ok(())
    }
}

/// How much there is in a filter.
#[derive(Default)]
struct Extent {
    conditions: usize,
    /// Values to match, ids, words and corners.
    values: usize,
}

impl Extent {
    fn add(&mut self, filter: &Filter, depth: usize) -> Result<(), Error> {
        let Filter {
            must,
            should,
            must_not,
            min_should,
        } = filter;
        if depth > limits::MAX_FILTER_DEPTH {
            let most = limits::MAX_FILTER_DEPTH;
            return Err(Error::invalid(format!(
                "filter: nested deeper than {most} levels"
            )));
        }
        let mut some: &[Condition] = &[];
        if let Some(MinShould {
            conditions,
            min_count,
        }) = min_should
        {
            if *min_count == 0 {
                return Err(Error::invalid("filter: min_should.min_count 0 is not at least 1"));
            }
            some = conditions;
        }
        for condition in must.iter().chain(should).chain(must_not).chain(some) {
            self.add_condition(condition, depth)?;
        }
        Ok(())
    }

    fn add_condition(&mut self, condition: &Condition, depth: usize) -> Result<(), Error> {
        self.conditions += 1;
        self.values += match condition {
            Condition::Field(_, test) => values(test),
            Condition::HasId(ids) => ids.len(),
            Condition::HasVector(_) => 1,
            Condition::Nested(_, filter) | Condition::Filter(filter) => {
                self.add(filter, depth + 1)?;
                0
            }
        };
        Ok(())
    }
}

fn values(test: &Test) -> usize {
    match test {
        Test::Match(Match::Any(set) | Match::Except(set)) => set.len(),
        Test::Match(Match::Text(words) | Match::TextAny(words) | Match::Phrase(words)) => words.len(),
        Test::Match(Match::Bool(_) | Match::Integer(_) | Match::Keyword(_) | Match::Prefix(_)) => 1,
        Test::Geo(GeoArea::Polygon(polygon)) => polygon.corners(),
        Test::Geo(GeoArea::Box { .. } | GeoArea::Radius { .. }) => 1,
        Test::Range(_) | Test::Datetime(_) | Test::ValuesCount(_) | Test::IsEmpty(_) | Test::IsNull(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::PointId;

    fn check(filter: &Filter, expected: Result<(), &str>) {
        let outcome = filter.check().map_err(|error| error.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned));
    }

    fn nested(levels: usize) -> Filter {
        (1..levels).fold(Filter::default(), |inner, _| Filter::of(Condition::Filter(inner)))
    }

    #[test]
    fn depth_conditions_and_values_are_bounded() {
        check(&Filter::default(), Ok(()));
        check(&nested(limits::MAX_FILTER_DEPTH), Ok(()));
        check(
            &nested(limits::MAX_FILTER_DEPTH + 1),
            Err("filter: nested deeper than 32 levels"),
        );
        let many = |count| Filter {
            should: vec![Condition::HasVector(String::new()); count],
            ..Filter::default()
        };
        check(&many(limits::MAX_FILTER_CONDITIONS), Ok(()));
        check(
            &many(limits::MAX_FILTER_CONDITIONS + 1),
            Err("filter: 4097 conditions, more than 4096"),
        );
        let ids = (0..=limits::MAX_FILTER_VALUES as u64).map(PointId::Number);
        let ids: HashSet<_> = ids.collect();
        check(
            &Filter::of(Condition::HasId(ids)),
            Err("filter: 100001 values, more than 100000"),
        );
        let none = Filter {
            min_should: Some(MinShould {
                conditions: Vec::new(),
                min_count: 0,
            }),
            ..Filter::default()
        };
        check(
            &Filter::of(Condition::Filter(none)),
            Err("filter: min_should.min_count 0 is not at least 1"),
        );
    }
}
