//! Writes that depend on the state: in their turn they become concrete effects, so that the log never holds a filter.

use std::borrow::Cow;

use crate::collection::rewrite::{delete_vectors, update_vectors, upsert_by_rule};
use crate::filter::{Filter, select};
use crate::payload::PayloadChange;
use crate::payload_index::Indexes;
use crate::record::{put_delete, put_index, put_payloads};
use crate::search::no_point;
use crate::state::{Applied, Layout, State, Store};
use crate::validation::check_size;
use crate::{
    Error, ErrorKind, IndexKind, Payload, Point, PointId, PointSelector, PointVectors, UpsertRule, limits,
};

/// A part of a write.
#[derive(Debug)]
pub(crate) enum Step {
    /// Effects that were concrete when they were submitted, encoded.
    Record(Vec<u8>),
    /// Upsert those of the points that the rule lets through.
    Upsert(Vec<Point>, UpsertRule),
    /// Replace vectors of points, of all or those that pass.
    UpdateVectors(Vec<PointVectors>, Option<Filter>),
    /// Take vectors of these names from some points.
    DeleteVectors(Vec<String>, PointSelector),
    /// Delete the points that pass.
    Delete(Filter),
    /// Keep an index of a payload key.
    CreateIndex(String, IndexKind),
    /// Change the payloads of some points.
    Payload(PayloadChange, PointSelector),
}

/// A write that was applied to a store and waits for the log.
#[derive(Debug)]
pub(crate) struct Settled<'a> {
    pub(crate) record: Cow<'a, [u8]>,
    pub(crate) applied: Applied,
    /// Points that its steps were resolved to.
    pub(crate) resolved: u64,
}

/// Applies a write, which was checked against a layout, all of it or, when it is refused, nothing.
///
/// # Errors
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for an id whose payload or vectors cannot be changed because it
/// does not exist; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when a payload or what the write comes to becomes
/// too large; as for [`Store::apply`].
pub(crate) fn settle<'a>(
    store: &mut Store,
    ground: (&Indexes, &Layout),
    steps: &'a [Step],
) -> Result<Settled<'a>, Error> {
    match steps {
        [Step::Record(record)] => Ok(Settled {
            applied: store.apply(record)?,
            record: Cow::Borrowed(record),
            resolved: 0,
        }),
        [only] => settle_steps(store, ground, std::slice::from_ref(only)),
        several => {
            let before = store.state().clone();
            settle_steps(store, ground, several).inspect_err(|_| store.go_back_to(before))
        }
    }
}

fn settle_steps<'a>(
    store: &mut Store,
    (indexes, checked): (&Indexes, &Layout),
    steps: &'a [Step],
) -> Result<Settled<'a>, Error> {
    let (mut record, mut applied, mut resolved) = (Vec::new(), Applied::default(), 0);
    for step in steps {
        let start = record.len();
        resolved += resolve((step, checked), (store.state(), indexes), &mut record)?;
        check_size(record.len())?;
        applied += store.apply(&record[start..])?;
    }
    Ok(Settled {
        record: Cow::Owned(record),
        applied,
        resolved,
    })
}

/// Appends the effects of `step` on `state` to `record`; returns how many points a filter or ids led to. Of vectors that
/// have gone since the step was `checked` nothing is written.
fn resolve(
    (step, checked): (&Step, &Layout),
    (state, indexes): (&State, &Indexes),
    record: &mut Vec<u8>,
) -> Result<u64, Error> {
    match step {
        Step::Record(effects) => {
            record.extend_from_slice(effects);
            Ok(0)
        }
        Step::Upsert(points, rule) => Ok(upsert_by_rule((state, checked), points, rule, record)),
        Step::UpdateVectors(changes, filter) => {
            update_vectors((state, checked), changes, filter.as_ref(), record)
        }
        Step::DeleteVectors(names, selector) => {
            let ids = selected(selector, (state, indexes));
            delete_vectors(state, &ids, names, record)
        }
        Step::Delete(filter) => {
            let ids = select::matching(state, indexes, filter);
            put_delete(record, &ids);
            Ok(ids.len() as u64)
        }
        Step::CreateIndex(key, kind) => {
            let is_new = !state.schema.contains_key(key);
            if is_new && state.schema.len() >= limits::MAX_INDEXES {
                let most = limits::MAX_INDEXES;
                let message =
                    format!("index of {key:?}: the collection has {most} indexes, and no more than that");
                return Err(Error::new(ErrorKind::ResourceExhausted, message));
            }
            put_index(record, key, Some(*kind));
            Ok(0)
        }
        Step::Payload(change, selector) => {
            let ids = selected(selector, (state, indexes));
            let mut bytes = record.len();
            let mut payloads = Vec::with_capacity(ids.len());
            for id in &*ids {
                let payload = change.apply(payload_of(state, *id)?)?;
                bytes += payload.as_bytes().len();
                // Before all are made, so that a change of many is refused before it takes their memory.
                check_size(bytes)?;
                payloads.push(payload);
            }
            put_payloads(record, &ids, &payloads);
            Ok(ids.len() as u64)
        }
    }
}

fn selected<'a>(selector: &'a PointSelector, (state, indexes): (&State, &Indexes)) -> Cow<'a, [PointId]> {
    match selector {
        PointSelector::Ids(ids) => Cow::Borrowed(ids),
        PointSelector::Filter(filter) => Cow::Owned(select::matching(state, indexes, filter)),
    }
}

fn payload_of(state: &State, id: PointId) -> Result<&Payload, Error> {
    let place = state.ids.get(id).and_then(|slot| state.locate(slot));
    let (chunk, position) = place.ok_or_else(|| no_point(id))?;
    Ok(chunk.payload(position))
}
