//! Which part of a payload an answer carries.

use crate::Error;
use crate::payload::path::PathKey;
use crate::payload::{Fields, Payload, PayloadEncoder, PayloadPath, ValueRef};

/// Which part of each payload to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PayloadSelector {
    /// No payload at all.
    #[default]
    None,
    /// All of it.
    All,
    /// Only what these paths lead to, and what leads there.
    Include(Vec<PayloadPath>),
    /// All but what these paths lead to.
    Exclude(Vec<PayloadPath>),
}

impl PayloadSelector {
    /// The selected part; `None` for [`PayloadSelector::None`].
    ///
    /// As in Qdrant, `Include` keeps the containers on the way even when nothing in them is selected, and a scalar
    /// where a path wanted to go on.
    pub(crate) fn select(&self, payload: &Payload) -> Result<Option<Payload>, Error> {
        let (paths, keeps) = match self {
            Self::None => return Ok(None),
            Self::All => return Ok(Some(payload.clone())),
            Self::Include(paths) => (paths, true),
            Self::Exclude(paths) => (paths, false),
        };
        let paths: Vec<&[PathKey]> = paths.iter().map(|path| path.keys.as_slice()).collect();
        let mut selection = Selection {
            keeps,
            out: PayloadEncoder::new(),
        };
        selection.fields(payload.fields(), &paths)?;
        selection.out.finish().map(Some)
    }
}

struct Selection {
    /// Whether paths say what to keep, or what to leave out.
    keeps: bool,
    out: PayloadEncoder,
}

impl Selection {
    fn fields(&mut self, fields: Fields<'_>, paths: &[&[PathKey]]) -> Result<(), Error> {
        for (key, value) in fields {
            let onward = onward(
                paths,
                |step| matches!(step, PathKey::Field(field) if field == key),
            );
            if self.wants(&onward) {
                self.out.key(key)?;
                self.value(value, &onward)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: ValueRef<'_>, paths: &[&[PathKey]]) -> Result<(), Error> {
        if paths.is_empty() || paths.iter().any(|path| path.is_empty()) {
            return self.out.copy(value);
        }
        match value {
            ValueRef::Object(fields) => {
                self.out.begin_object()?;
                self.fields(fields, paths)?;
                self.out.end()
            }
            ValueRef::List(list) => {
                self.out.begin_list()?;
                for (position, element) in list.enumerate() {
                    let onward = onward(paths, |step| match step {
                        PathKey::EveryElement => true,
                        PathKey::Element(index) => *index == position,
                        PathKey::Field(_) => false,
                    });
                    if self.wants(&onward) {
                        self.value(element, &onward)?;
                    }
                }
                self.out.end()
            }
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Int(_)
            | ValueRef::Uint(_)
            | ValueRef::Float(_)
            | ValueRef::String(_) => self.out.copy(value),
        }
    }

    /// Whether a value stays, at least in part, when these remainders of paths lead into it.
    fn wants(&self, onward: &[&[PathKey]]) -> bool {
        if self.keeps {
            !onward.is_empty()
        } else {
            onward.iter().all(|path| !path.is_empty())
        }
    }
}

/// What remains of the paths whose next step `is_taken`.
fn onward<'p>(paths: &[&'p [PathKey]], is_taken: impl Fn(&PathKey) -> bool) -> Vec<&'p [PathKey]> {
    let step = |path: &&'p [PathKey]| {
        path.split_first()
            .filter(|(next, _)| is_taken(next))
            .map(|(_, rest)| rest)
    };
    paths.iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Value;

    fn paths(texts: &[&str]) -> Vec<PayloadPath> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn object(fields: &[(&str, Value)]) -> Value {
        Value::Object(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    /// `{"a":{"b":1,"c":2},"list":[{"x":1,"y":2},{"x":3}],"s":"t"}`
    fn example() -> Payload {
        Payload::from_fields(&[
            ("a", object(&[("b", Value::Int(1)), ("c", Value::Int(2))])),
            (
                "list",
                Value::List(vec![
                    object(&[("x", Value::Int(1)), ("y", Value::Int(2))]),
                    object(&[("x", Value::Int(3))]),
                ]),
            ),
            ("s", Value::String("t".to_owned())),
        ])
        .unwrap()
    }

    fn check(selector: PayloadSelector, expected: &[(&str, Value)]) {
        let selected = selector.select(&example()).unwrap();
        assert_eq!(
            selected,
            Some(Payload::from_fields(expected).unwrap()),
            "{selector:?}"
        );
    }

    #[test]
    fn include_keeps_what_paths_lead_to() {
        let include = |texts: &[&str]| PayloadSelector::Include(paths(texts));
        check(include(&["a.b"]), &[("a", object(&[("b", Value::Int(1))]))]);
        check(
            include(&["a.b", "a"]),
            &[("a", object(&[("b", Value::Int(1)), ("c", Value::Int(2))]))],
        );
        let only_x = |x| object(&[("x", Value::Int(x))]);
        check(
            include(&["list[].x"]),
            &[("list", Value::List(vec![only_x(1), only_x(3)]))],
        );
        check(include(&["list[1]"]), &[("list", Value::List(vec![only_x(3)]))]);
        check(include(&["list.x"]), &[("list", Value::List(vec![]))]);
        check(
            include(&["s.deeper", "absent"]),
            &[("s", Value::String("t".to_owned()))],
        );
        check(include(&[]), &[]);
    }

    #[test]
    fn exclude_drops_what_paths_lead_to() {
        let exclude = |texts: &[&str]| PayloadSelector::Exclude(paths(texts));
        let a = |fields: &[(&str, Value)]| ("a", object(fields));
        let s = ("s", Value::String("t".to_owned()));
        check(
            exclude(&["list", "a.c"]),
            &[a(&[("b", Value::Int(1))]), s.clone()],
        );
        let only_y = object(&[("y", Value::Int(2))]);
        check(
            exclude(&["list[].x", "a", "s"]),
            &[("list", Value::List(vec![only_y, object(&[])]))],
        );
        check(
            exclude(&["list", "s.deeper"]),
            &[a(&[("b", Value::Int(1)), ("c", Value::Int(2))]), s],
        );
        assert_eq!(exclude(&[]).select(&example()).unwrap(), Some(example()));
    }

    #[test]
    fn all_and_none() {
        assert_eq!(PayloadSelector::None.select(&example()).unwrap(), None);
        assert_eq!(PayloadSelector::All.select(&example()).unwrap(), Some(example()));
    }
}
