//! The points that prefetches found, with the scores that a formula gives them.

use std::collections::{BTreeMap, HashMap};

use omendb_metrics::Timestamp;

use crate::filter::Subject as Tested;
use crate::search::Searcher;
use crate::search::expression::{FormulaQuery, Scored, as_score};
use crate::search::find::{Found, Level};
use crate::state::State;
use crate::{Error, SearchStats};

impl Searcher {
    /// The best points of `lists` by `formula`, best first.
    pub(crate) fn rescore(
        &self,
        state: &State,
        (level, formula): (&Level<'_>, &FormulaQuery),
        lists: &[Vec<Found>],
        (begun, stats): (&mut Timestamp, &mut SearchStats),
    ) -> Result<Vec<Found>, Error> {
        // In order of slots, so that of several points without a value it is always the same that is complained of.
        let points: BTreeMap<u32, Found> = lists.iter().flatten().map(|found| (found.slot, *found)).collect();
        let scores: Vec<HashMap<u32, f32>> = lists.iter().map(|list| scores(list)).collect();
        let mut rescored = Vec::with_capacity(points.len());
        let mut own = Vec::with_capacity(scores.len());
        for (slot, found) in points {
            let Some((chunk, position)) = state.locate(slot) else {
                continue;
            };
            own.clear();
            own.extend(scores.iter().map(|scores| scores.get(&slot).copied()));
            let scored = Scored {
                point: Tested::point(&state.layout, chunk, position),
                payload: chunk.payload(position).fields(),
                defaults: formula.defaults.fields(),
                scores: &own,
            };
            let score = as_score(formula.formula.evaluate(&scored)?)?;
            if level.score_threshold.is_none_or(|worst| score >= worst) {
                rescored.push(Found { score, ..found });
            }
        }
        rescored.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        rescored.truncate(level.depth);
        let now = self.clock.now();
        stats.rescore_ns += now.nanos_since(*begun);
        *begun = now;
        Ok(rescored)
    }
}

/// The scores of a list; of a point that is in it more than once, the last.
fn scores(list: &[Found]) -> HashMap<u32, f32> {
    list.iter().map(|found| (found.slot, found.score)).collect()
}
