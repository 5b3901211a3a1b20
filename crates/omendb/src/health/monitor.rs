//! The judge of what was found: facts count at once, measurements only when they last, so that nothing flaps.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use omendb_engine::HealthState;
use omendb_metrics::{
    Catalogue, Clock, Collect, DeclarationError, Family, GaugeValue, Label as _, Snapshot, Timestamp, metrics,
};

use crate::health::component::{Component, Observation, Verdict, status};
use crate::timestamp::UnixTime;

/// How long a look serves whoever asks: more would cost work that anybody can ask for, without a credential.
const FRESH: Duration = Duration::from_millis(100);

/// How long bad and good measurements have to last.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Before a component does worse.
    pub worsen_after: Duration,
    /// Before it does better.
    pub recover_after: Duration,
}

/// What is said of every component.
#[derive(Debug)]
pub struct Monitor {
    clock: Clock,
    patience: Patience,
    judgement: Mutex<Judgement>,
}

#[derive(Debug, Default)]
struct Judgement {
    looked: Option<Timestamp>,
    /// One for each component, in order; empty before the first look.
    kept: Vec<Kept>,
}

/// What is said of one component.
#[derive(Debug)]
struct Kept {
    said: Observation,
    since: UnixTime,
    /// Since when what is found has been another state.
    differs_since: Option<Timestamp>,
}

impl Monitor {
    /// Knows nothing before the first look.
    pub fn new(clock: Clock, patience: Patience) -> Self {
        Self {
            clock,
            patience,
            judgement: Mutex::default(),
        }
    }

    /// Judges by a new look, taken by `observe` for each component, unless there has just been one.
    pub fn look(&self, observe: impl FnOnce() -> Vec<Observation>) {
        let now = self.clock.now();
        let is_fresh = |looked: Timestamp| now.since(looked) < FRESH;
        // Without the lock: looking may take a while, and whoever only asks does not wait for it.
        if self.lock().looked.is_some_and(is_fresh) {
            return;
        }
        let found = observe();
        let since = UnixTime::from_nanoseconds(self.clock.wall());
        let mut judgement = self.lock();
        judgement.looked = Some(now);
        if judgement.kept.is_empty() {
            let first = |said| Kept {
                said,
                since,
                differs_since: None,
            };
            judgement.kept = found.into_iter().map(first).collect();
            return;
        }
        for (kept, found) in judgement.kept.iter_mut().zip(found) {
            kept.judge(found, (now, since), self.patience);
        }
    }

    /// What is said, in the order of [`Component::ALL`].
    pub fn verdicts(&self) -> Vec<Verdict> {
        let judgement = self.lock();
        let said = Component::ALL.iter().zip(&judgement.kept);
        said.map(|(component, kept)| {
            let Observation {
                state,
                reason,
                value,
                limit,
                is_measured: _,
            } = kept.said.clone();
            Verdict {
                name: component.as_str(),
                status: status(state),
                reason,
                since: kept.since,
                value,
                limit,
            }
        })
        .collect()
    }

    /// The states, in the order of [`Component::ALL`].
    pub fn states(&self) -> Vec<(Component, HealthState)> {
        let judgement = self.lock();
        let said = Component::ALL.iter().zip(&judgement.kept);
        said.map(|(component, kept)| (*component, kept.said.state))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Judgement> {
        self.judgement.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn judge(&mut self, found: Observation, (now, wall): (Timestamp, UnixTime), patience: Patience) {
        if found.state == self.said.state {
            self.differs_since = None;
            self.said = found;
            return;
        }
        let since = *self.differs_since.get_or_insert(now);
        // Going up, what counts is how certain the bad news is; coming down, how certain it was.
        let (is_measured, wait) = if found.state > self.said.state {
            (found.is_measured, patience.worsen_after)
        } else {
            (self.said.is_measured, patience.recover_after)
        };
        if !is_measured || now.since(since) >= wait {
            *self = Self {
                said: found,
                since: wall,
                differs_since: None,
            };
        } else {
            self.said.value = found.value;
            self.said.limit = found.limit;
        }
    }
}

metrics! {
    /// What is said of the components at one moment.
    pub(crate) struct HealthFigures {
        /// How each part of the server does: 0 healthy, 1 degraded, 2 unhealthy. `/health` says why, and since when.
        ///
        /// First of all, whatever is wrong: it names the part to look at.
        states: Family<Component, GaugeValue> = "omendb_health_component_state",
    }
}

impl Collect for Monitor {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        catalogue.group::<HealthFigures>()
    }

    fn collect(&self, out: &mut Snapshot) {
        let mut figures = HealthFigures::default();
        for (component, state) in self.states() {
            *figures.states.of_mut(component) = (state as u64).into();
        }
        let mut writer = out.plain();
        writer.reading(&figures);
        writer.memory(Component::count() * size_of::<Kept>());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use omendb_metrics::{ManualTime, Registry, Selection};

    use super::*;

    const PATIENCE: Patience = Patience {
        worsen_after: Duration::from_secs(5),
        recover_after: Duration::from_secs(30),
    };

    fn monitor() -> (Arc<Monitor>, Arc<ManualTime>) {
        let (clock, time) = Clock::manual();
        (Arc::new(Monitor::new(clock, PATIENCE)), time)
    }

    /// Every second the next of the `looks` at the disk, its state and whether it is measured; the states that are said.
    fn said(looks: &[(HealthState, bool)]) -> Vec<HealthState> {
        let (monitor, time) = monitor();
        let mut states = Vec::new();
        for &(state, is_measured) in looks {
            time.advance(Duration::from_secs(1));
            monitor.look(|| {
                let mut found = vec![Observation::healthy(); Component::count()];
                found[Component::Disk as usize] = Observation {
                    state,
                    is_measured,
                    reason: (state != Healthy).then(|| "small".to_owned()),
                    ..Observation::healthy()
                };
                found
            });
            states.push(monitor.states()[Component::Disk as usize].1);
        }
        states
    }

    use HealthState::{Degraded, Healthy, Unhealthy};

    #[test]
    fn a_measurement_counts_when_it_lasts() {
        let looks = [vec![(Healthy, true); 2], vec![(Degraded, true); 7]].concat();
        let expected = [vec![Healthy; 7], vec![Degraded; 2]].concat();
        assert_eq!(said(&looks), expected);
        let looks = [looks, vec![(Healthy, true); 32]].concat();
        let expected = [expected, vec![Degraded; 30], vec![Healthy; 2]].concat();
        assert_eq!(said(&looks), expected);
    }

    #[test]
    fn what_comes_and_goes_does_not_flap() {
        let looks: Vec<_> = (0..40)
            .map(|second| (if second % 4 == 3 { Healthy } else { Degraded }, true))
            .collect();
        assert!(
            said(&looks).iter().all(|state| *state == Degraded),
            "from the first look on"
        );
        let looks: Vec<_> = (0..40)
            .map(|second| (if second % 4 == 3 { Degraded } else { Healthy }, true))
            .collect();
        assert!(said(&looks).iter().all(|state| *state == Healthy));
    }

    #[test]
    fn facts_count_at_once_in_both_directions() {
        let looks = [
            (Healthy, true),
            (Unhealthy, false),
            (Healthy, true),
            (Degraded, false),
            (Healthy, true),
        ];
        assert_eq!(said(&looks), [Healthy, Unhealthy, Healthy, Degraded, Healthy]);
    }

    #[test]
    fn a_look_serves_all_who_ask_for_a_moment_and_the_metric_shows_it() {
        let (monitor, time) = monitor();
        let looks = std::cell::Cell::new(0);
        let look = || {
            monitor.look(|| {
                looks.set(looks.get() + 1);
                let mut found = vec![Observation::healthy(); Component::count()];
                found[Component::Log as usize] = Observation::fact(Unhealthy, "poisoned".to_owned());
                found
            });
        };
        (0..10).for_each(|_| look());
        assert_eq!(looks.get(), 1);
        time.advance(FRESH);
        look();
        assert_eq!(looks.get(), 2);
        let registry = Registry::new(Clock::manual().0, vec![monitor.clone()]).unwrap();
        let snapshot = registry.snapshot(Selection::default());
        let state = |component| snapshot.value("omendb_health_component_state", &[("component", component)]);
        assert_eq!((state("log"), state("disk")), (Some(2.0), Some(0.0)));
        let log = &monitor.verdicts()[Component::Log as usize];
        assert_eq!(
            (log.name, log.status, log.reason.as_deref()),
            ("log", "unhealthy", Some("poisoned"))
        );
    }
}
