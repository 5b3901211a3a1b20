//! The address of something inside a payload: `a.b`, `a[].b`, `a[0]`, `"a.b".c`.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use crate::payload::{Fields, ValueRef};
use crate::{Error, limits};

/// A parsed path. A quoted key may hold dots and brackets; `[]` means every element of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadPath {
    pub(super) keys: Vec<PathKey>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathKey {
    Field(String),
    Element(usize),
    EveryElement,
}

impl PayloadPath {
    /// Calls `visit` with every value that the path leads to in an object, until it breaks. A list at the end of the
    /// path is one value.
    pub(crate) fn visit<'a>(
        &self,
        fields: Fields<'a>,
        visit: &mut impl FnMut(ValueRef<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        walk(&self.keys, ValueRef::Object(fields), visit)
    }

    /// Whether the path ends with `[]`.
    pub(crate) fn ends_with_every_element(&self) -> bool {
        self.keys.last() == Some(&PathKey::EveryElement)
    }
}

fn walk<'a>(
    keys: &[PathKey],
    value: ValueRef<'a>,
    visit: &mut impl FnMut(ValueRef<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some((key, rest)) = keys.split_first() else {
        return visit(value);
    };
    match (key, value) {
        (PathKey::Field(name), ValueRef::Object(fields)) => match fields.get(name) {
            Some(value) => walk(rest, value, visit),
            None => ControlFlow::Continue(()),
        },
        (PathKey::Element(index), ValueRef::List(mut list)) => match list.nth(*index) {
            Some(value) => walk(rest, value, visit),
            None => ControlFlow::Continue(()),
        },
        (PathKey::EveryElement, ValueRef::List(mut list)) => {
            list.try_for_each(|element| walk(rest, element, visit))
        }
        (PathKey::Field(_) | PathKey::Element(_) | PathKey::EveryElement, _) => ControlFlow::Continue(()),
    }
}

/// As it is written, keys that need it in quotes.
impl fmt::Display for PayloadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, key) in self.keys.iter().enumerate() {
            match key {
                PathKey::Field(name) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    if name.is_empty() || name.contains(['.', '[', ']', '"']) {
                        write!(f, "\"{name}\"")?;
                    } else {
                        f.write_str(name)?;
                    }
                }
                PathKey::Element(index) => write!(f, "[{index}]")?,
                PathKey::EveryElement => f.write_str("[]")?,
            }
        }
        Ok(())
    }
}

impl FromStr for PayloadPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refusal = |what: &str| Error::invalid(format!("payload path {text:?}: {what}"));
        let (first, mut rest) = field(text).ok_or_else(|| refusal("no key at its start"))?;
        let mut keys = vec![PathKey::Field(first)];
        while !rest.is_empty() {
            if keys.len() == limits::MAX_PATH_KEYS {
                return Err(refusal(&format!("more than {} keys", limits::MAX_PATH_KEYS)));
            }
            let key;
            (key, rest) = if let Some(after) = rest.strip_prefix('.') {
                let (name, rest) = field(after).ok_or_else(|| refusal("no key after a dot"))?;
                (PathKey::Field(name), rest)
            } else if let Some(after) = rest.strip_prefix('[') {
                element(after).ok_or_else(|| refusal("brackets hold an index or nothing"))?
            } else {
                return Err(refusal("a dot or a bracket belongs after a key"));
            };
            keys.push(key);
        }
        Ok(Self { keys })
    }
}

/// The key at the start of `text`, and what follows it.
fn field(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, rest) = quoted.split_once('"')?;
        return Some((key.to_owned(), rest));
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    (!key.is_empty()).then(|| (key.to_owned(), rest))
}

/// What stands in brackets, `text` beginning after the opening one.
fn element(text: &str) -> Option<(PathKey, &str)> {
    let (inside, rest) = text.split_once(']')?;
    let key = if inside.is_empty() {
        PathKey::EveryElement
    } else {
        PathKey::Element(inside.parse().ok()?)
    };
    Some((key, rest))
}

#[cfg(test)]
mod tests {
    use super::PathKey::{Element, EveryElement, Field};
    use super::*;

    fn check(text: &str, expected: Option<&[PathKey]>) {
        let parsed = text.parse::<PayloadPath>().ok().map(|path| path.keys);
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn paths_are_written_as_they_are_read() {
        for text in ["a", "a.b c[][0].d", "\"a.b[]\".c", "\"\".a"] {
            let path: PayloadPath = text.parse().expect("a path");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn paths_are_read() {
        let key = |text: &str| Field(text.to_owned());
        check("a", Some(&[key("a")]));
        check("a.b c.d", Some(&[key("a"), key("b c"), key("d")]));
        check("a[].b", Some(&[key("a"), EveryElement, key("b")]));
        check("a[0][12]", Some(&[key("a"), Element(0), Element(12)]));
        check("\"a.b[]\".c", Some(&[key("a.b[]"), key("c")]));
        check("größe-1_x", Some(&[key("größe-1_x")]));
        for wrong in [
            "", ".", "a.", ".a", "a..b", "a[", "a[b]", "a[-1]", "a]", "a[]b", "\"a", "a\"b\"",
        ] {
            check(wrong, None);
        }
        check(&"a.".repeat(limits::MAX_PATH_KEYS), None);
        check(
            &vec!["a"; limits::MAX_PATH_KEYS].join("."),
            Some(&vec![key("a"); limits::MAX_PATH_KEYS]),
        );
        check(&vec!["a"; limits::MAX_PATH_KEYS + 1].join("."), None);
    }
}
