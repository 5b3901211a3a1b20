//! Changing part of a payload: what the payload operations do to one point.
//!
//! A change works on a tree, since what is rare need not be fast, and what the log keeps is its outcome.

use crate::Error;
use crate::payload::path::PathKey;
use crate::payload::{Payload, PayloadEncoder, PayloadPath, Value};

/// What to do to the payloads of some points.
#[derive(Clone, Debug, PartialEq)]
pub enum PayloadChange {
    /// Sets the fields of `fields`, in the payload or in the object that `at` leads to; a null removes its field. What
    /// stands in the way of `at` is replaced, lists keep their elements.
    Set {
        /// Where; the payload itself without.
        at: Option<PayloadPath>,
        /// The fields to set.
        fields: Payload,
    },
    /// Replaces the payload, or what `at` leads to, which is found as for a `Set`.
    Overwrite {
        /// Where; the payload itself without.
        at: Option<PayloadPath>,
        /// What stands there then.
        payload: Payload,
    },
    /// Removes what these paths lead to; `[]` at the end of one empties a list, an index there does nothing.
    Delete(Vec<PayloadPath>),
    /// Removes all fields.
    Clear,
}

type Fields = Vec<(String, Value)>;

impl PayloadChange {
    /// The payload after the change.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it would become too large or too deep.
    pub(crate) fn apply(&self, payload: &Payload) -> Result<Payload, Error> {
        match self {
            Self::Overwrite { at: None, payload } => Ok(payload.clone()),
            Self::Overwrite {
                at: Some(at),
                payload: replacement,
            } => {
                let mut tree = Value::Object(tree(payload));
                let replacement = Value::Object(self::tree(replacement));
                change_at(&mut tree, &at.keys, &|value| *value = replacement.clone());
                encode(&tree)
            }
            Self::Clear => Ok(Payload::default()),
            Self::Set { at, fields } => {
                let mut tree = Value::Object(tree(payload));
                let keys = at.as_ref().map_or(&[][..], |at| &at.keys);
                let fields = self::tree(fields);
                change_at(&mut tree, keys, &|value| merge(object(value), &fields));
                encode(&tree)
            }
            Self::Delete(paths) => {
                let mut tree = Value::Object(tree(payload));
                for path in paths {
                    remove(&mut tree, &path.keys);
                }
                encode(&tree)
            }
        }
    }
}

fn tree(payload: &Payload) -> Fields {
    let field = |(key, value): (&str, super::ValueRef<'_>)| (key.to_owned(), value.to_value());
    payload.fields().map(field).collect()
}

fn encode(tree: &Value) -> Result<Payload, Error> {
    let mut encoder = PayloadEncoder::new();
    if let Value::Object(fields) = tree {
        for (key, value) in fields {
            encoder.key(key)?;
            encoder.value(value)?;
        }
    }
    encoder.finish()
}

/// Changes what `keys` lead to, which is made where only fields are missing.
fn change_at(value: &mut Value, keys: &[PathKey], change: &dyn Fn(&mut Value)) {
    match keys.split_first() {
        None => change(value),
        Some((PathKey::Field(name), rest)) => change_at(field(object(value), name), rest, change),
        Some((PathKey::Element(index), rest)) => {
            if let Some(element) = list(value).get_mut(*index) {
                change_at(element, rest, change);
            }
        }
        Some((PathKey::EveryElement, rest)) => {
            list(value)
                .iter_mut()
                .for_each(|element| change_at(element, rest, change));
        }
    }
}

fn merge(fields: &mut Fields, source: &Fields) {
    for (name, value) in source {
        match value {
            Value::Null => fields.retain(|(known, _)| known != name),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Uint(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Object(_) => *field(fields, name) = value.clone(),
        }
    }
}

fn remove(value: &mut Value, keys: &[PathKey]) {
    let Some((key, rest)) = keys.split_first() else {
        return;
    };
    match (key, value) {
        (PathKey::Field(name), Value::Object(fields)) if rest.is_empty() => {
            fields.retain(|(known, _)| known != name);
        }
        (PathKey::Field(name), Value::Object(fields)) => {
            if let Some((_, value)) = fields.iter_mut().find(|(known, _)| known == name) {
                remove(value, rest);
            }
        }
        (PathKey::EveryElement, Value::List(values)) if rest.is_empty() => values.clear(),
        (PathKey::EveryElement, Value::List(values)) => {
            values.iter_mut().for_each(|value| remove(value, rest));
        }
        (PathKey::Element(index), Value::List(values)) => {
            if let Some(value) = values.get_mut(*index) {
                remove(value, rest);
            }
        }
        (PathKey::Field(_) | PathKey::EveryElement | PathKey::Element(_), _) => {}
    }
}

/// The fields of `value`, which becomes an object if it is none.
fn object(value: &mut Value) -> &mut Fields {
    if !matches!(value, Value::Object(_)) {
        *value = Value::Object(Vec::new());
    }
    let Value::Object(fields) = value else {
        unreachable!("made an object above")
    };
    fields
}

/// The elements of `value`, which becomes an empty list if it is none.
fn list(value: &mut Value) -> &mut Vec<Value> {
    if !matches!(value, Value::List(_)) {
        *value = Value::List(Vec::new());
    }
    let Value::List(values) = value else {
        unreachable!("made a list above")
    };
    values
}

/// The value of a field, which is null if it is new.
fn field<'f>(fields: &'f mut Fields, name: &str) -> &'f mut Value {
    let position = fields.iter().position(|(known, _)| known == name);
    let position = position.unwrap_or_else(|| {
        fields.push((name.to_owned(), Value::Null));
        fields.len() - 1
    });
    &mut fields[position].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i64) -> Value {
        Value::Int(value)
    }

    fn object(fields: &[(&str, Value)]) -> Value {
        Value::Object(
            fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn path(text: &str) -> PayloadPath {
        text.parse().unwrap()
    }

    fn payload(fields: &[(&str, Value)]) -> Payload {
        Payload::from_fields(fields).unwrap()
    }

    /// `{"a":{"x":1},"list":[{"x":1},2],"s":3}`
    fn example() -> Payload {
        payload(&[
            ("a", object(&[("x", int(1))])),
            ("list", Value::List(vec![object(&[("x", int(1))]), int(2)])),
            ("s", int(3)),
        ])
    }

    fn check(change: &PayloadChange, expected: &[(&str, Value)]) {
        assert_eq!(change.apply(&example()).unwrap(), payload(expected), "{change:?}");
    }

    fn check_set(at: Option<&str>, fields: &[(&str, Value)], expected: &[(&str, Value)]) {
        let change = PayloadChange::Set {
            at: at.map(path),
            fields: payload(fields),
        };
        check(&change, expected);
    }

    #[test]
    fn fields_are_set_where_the_path_leads() {
        let (a, list) = (
            ("a", object(&[("x", int(1))])),
            ("list", Value::List(vec![object(&[("x", int(1))]), int(2)])),
        );
        let s = ("s", int(3));
        check_set(
            None,
            &[("s", Value::Null), ("n", int(4))],
            &[a.clone(), list.clone(), ("n", int(4))],
        );
        let both = object(&[("x", int(1)), ("y", int(2))]);
        check_set(
            Some("a"),
            &[("y", int(2))],
            &[("a", both.clone()), list.clone(), s.clone()],
        );
        check_set(
            Some("list[]"),
            &[("y", int(2))],
            &[
                a.clone(),
                ("list", Value::List(vec![both.clone(), object(&[("y", int(2))])])),
                s.clone(),
            ],
        );
        check_set(
            Some("list[0]"),
            &[("y", int(2))],
            &[a.clone(), ("list", Value::List(vec![both, int(2)])), s.clone()],
        );
        check_set(
            Some("list[9]"),
            &[("y", int(2))],
            &[a.clone(), list.clone(), s.clone()],
        );
        check_set(
            Some("s.t"),
            &[("y", int(2))],
            &[
                a.clone(),
                list.clone(),
                ("s", object(&[("t", object(&[("y", int(2))]))])),
            ],
        );
        check_set(
            Some("new[]"),
            &[("y", int(2))],
            &[a.clone(), list.clone(), s, ("new", Value::List(Vec::new()))],
        );
        check_set(Some("s[0].t"), &[], &[a, list, ("s", Value::List(Vec::new()))]);
    }

    #[test]
    fn what_paths_lead_to_is_deleted() {
        let delete = |paths: &[&str]| PayloadChange::Delete(paths.iter().map(|text| path(text)).collect());
        let (a, s) = (("a", object(&[("x", int(1))])), ("s", int(3)));
        let list = |values: &[Value]| ("list", Value::List(values.to_vec()));
        let first = object(&[("x", int(1))]);
        check(
            &delete(&["a", "nothing", "s.t"]),
            &[list(&[first.clone(), int(2)]), s.clone()],
        );
        check(
            &delete(&["a.x", "list[].x"]),
            &[("a", object(&[])), list(&[object(&[]), int(2)]), s.clone()],
        );
        check(
            &delete(&["list[0].x", "list[1]"]),
            &[a.clone(), list(&[object(&[]), int(2)]), s.clone()],
        );
        check(&delete(&["list[]"]), &[a, list(&[]), s]);
    }

    #[test]
    fn all_of_it_is_replaced_or_removed() {
        let overwrite = |at: Option<&str>, fields: &[(&str, Value)]| PayloadChange::Overwrite {
            at: at.map(path),
            payload: payload(fields),
        };
        check(&overwrite(None, &[("n", Value::Null)]), &[("n", Value::Null)]);
        let (a, s) = (("a", object(&[("x", int(1))])), ("s", int(3)));
        let list = |values: &[Value]| ("list", Value::List(values.to_vec()));
        let (old, new) = (object(&[("x", int(1))]), object(&[("y", int(2))]));
        let fields = [("y", int(2))];
        check(
            &overwrite(Some("a"), &fields),
            &[("a", new.clone()), list(&[old.clone(), int(2)]), s.clone()],
        );
        check(
            &overwrite(Some("list[]"), &fields),
            &[a.clone(), list(&[new.clone(), new.clone()]), s.clone()],
        );
        check(
            &overwrite(Some("list[2]"), &fields),
            &[a.clone(), list(&[old.clone(), int(2)]), s.clone()],
        );
        check(
            &overwrite(Some("n.m"), &fields),
            &[a, list(&[old, int(2)]), s, ("n", object(&[("m", new)]))],
        );
        check(&PayloadChange::Clear, &[]);
    }
}
