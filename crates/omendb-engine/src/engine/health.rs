//! Looking after the engine's parts: what is measured for it by the clock, and the judgement when asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use omendb_metrics::{Latency, LatencyWindow, Timestamp};
use omendb_storage::Space;

use crate::activity::Activity;
use crate::health::{EngineHealth, Finding, HealthComponent, HealthLimits, HealthState};
use crate::{Collection, CollectionStatus, Engine, Error, ErrorKind};

/// Reasons of one component that are given in full; of further ones only how many there are.
const FULL_REASONS: usize = 3;

/// What is measured by the clock.
#[derive(Debug)]
pub(super) struct Vitals {
    /// The syncs of the last minute.
    fsync: LatencyWindow,
    /// As it was last looked at; `None` before that, and where the system does not say.
    space: Mutex<Option<Space>>,
    /// A look at the disk, which may be a while in coming back.
    look: Activity,
}

impl Default for Vitals {
    fn default() -> Self {
        Self {
            fsync: LatencyWindow::empty::<Latency>(),
            space: Mutex::default(),
            look: Activity::default(),
        }
    }
}

impl Vitals {
    pub(super) fn heap_bytes(&self) -> usize {
        self.fsync.heap_bytes()
    }

    fn space(&self) -> Option<Space> {
        *self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// How well the engine does, as far as is known now. What can recover does so by itself: loading ends, a disk gets
    /// room, a write succeeds again.
    pub fn health(&self) -> EngineHealth {
        let mut checkup = Checkup::new(self);
        checkup.recovery();
        checkup.log();
        checkup.disk();
        checkup.fsync();
        checkup.recall();
        checkup.background();
        checkup.finish()
    }

    pub(super) fn turn_fsync_window(&self, now: Timestamp) {
        let syncs = self.services.metrics.fsync_seconds.distribution();
        self.vitals.fsync.turn(now, syncs);
    }

    /// Looks how much room there is and, where a write was refused, whether one would be accepted now: nobody may write
    /// to a server that says it cannot.
    pub(super) fn look_at_disk(&self) {
        let clock = &self.services.clock;
        self.vitals.look.advance(clock.now());
        let space = self.services.fs.space(&self.options.dir).ok();
        *self.vitals.space.lock().unwrap_or_else(PoisonError::into_inner) = space;
        let refused: Vec<_> = self
            .collections()
            .into_iter()
            .filter(|collection| collection.shared().is_refusing())
            .collect();
        if !refused.is_empty() && self.directory.try_writing().is_ok() {
            for collection in refused {
                collection.shared().note_refusal(None);
            }
        }
        self.vitals.look.end();
    }
}

fn is_full(error: &Error) -> bool {
    error.kind() == ErrorKind::ResourceExhausted
}

/// One look at everything.
struct Checkup<'a> {
    engine: &'a Engine,
    limits: &'a HealthLimits,
    now: Timestamp,
    collections: Arc<[Arc<Collection>]>,
    health: EngineHealth,
    /// In order of looking.
    reasons: Vec<(HealthComponent, String)>,
}

impl<'a> Checkup<'a> {
    fn new(engine: &'a Engine) -> Self {
        let collections = engine.collections();
        let finding = |component| Finding {
            component,
            state: HealthState::Healthy,
            reason: None,
            value: None,
            limit: None,
            is_measured: true,
        };
        Self {
            limits: &engine.options.health,
            now: engine.services.clock.now(),
            health: EngineHealth {
                is_healthy: true,
                degraded: Vec::new(),
                is_loaded: engine.is_loaded.load(Ordering::Acquire),
                collections: collections.len(),
                poisoned: 0,
                failed: 0,
                findings: HealthComponent::ALL.map(finding).to_vec(),
            },
            collections: collections.into(),
            engine,
            reasons: Vec::new(),
        }
    }

    fn recovery(&mut self) {
        const COMPONENT: HealthComponent = HealthComponent::Recovery;
        let percent = self.engine.progress().percent();
        self.measure(COMPONENT, f64::from(percent) / 100.0, 1.0);
        if self.engine.is_closed.load(Ordering::Acquire) {
            self.fact(
                COMPONENT,
                HealthState::Unhealthy,
                "the engine is closed".to_owned(),
            );
        } else if !self.health.is_loaded {
            let reason = format!("collections are being loaded: {percent} %");
            self.fact(COMPONENT, HealthState::Unhealthy, reason);
        }
        for collection in &*Arc::clone(&self.collections) {
            if collection.shared().status() == CollectionStatus::Failed {
                self.health.failed += 1;
                let reason = collection.shared().failure().to_string();
                self.fact(COMPONENT, HealthState::Unhealthy, reason);
            }
        }
    }

    fn log(&mut self) {
        const COMPONENT: HealthComponent = HealthComponent::Log;
        if self.engine.is_catalog_poisoned.load(Ordering::Acquire) {
            let reason = "no collection can be created or deleted until a restart: a sync failed";
            self.fact(COMPONENT, HealthState::Unhealthy, reason.to_owned());
        }
        let mut slowest = self.engine.vitals.look.age(self.now);
        for collection in &*Arc::clone(&self.collections) {
            let shared = collection.shared();
            if shared.status() == CollectionStatus::Poisoned {
                self.health.poisoned += 1;
                let reason = collection.is_poisoned().to_string();
                self.fact(COMPONENT, HealthState::Unhealthy, reason);
            } else if let Some(error) = shared.refusal().filter(|error| !is_full(error)) {
                let name = collection.name();
                let reason = format!("the newest write to collection {name:?} was refused: {error}");
                self.fact(COMPONENT, HealthState::Unhealthy, reason);
            }
            slowest = slowest.max(shared.append.age(self.now));
        }
        self.stall(
            COMPONENT,
            HealthState::Unhealthy,
            "the disk has not answered",
            slowest,
        );
    }

    fn disk(&mut self) {
        const COMPONENT: HealthComponent = HealthComponent::Disk;
        for collection in &*Arc::clone(&self.collections) {
            let refusal = collection.shared().refusal();
            if refusal.is_some_and(|error| is_full(&error)) {
                let name = collection.name();
                let reason = format!("the disk is full: the newest write to collection {name:?} was refused");
                self.fact(COMPONENT, HealthState::Degraded, reason);
            }
        }
        if let Some(Space {
            available_bytes,
            total_bytes,
        }) = self.engine.vitals.space()
        {
            let least = self.limits.min_disk_free;
            self.measure(COMPONENT, available_bytes as f64, least as f64);
            if available_bytes < least {
                let reason = format!(
                    "{available_bytes} of {total_bytes} bytes of the disk are free, fewer than {least}"
                );
                self.suspect(COMPONENT, reason);
            }
        }
    }

    fn fsync(&mut self) {
        const COMPONENT: HealthComponent = HealthComponent::Fsync;
        let most = self.limits.max_fsync.as_secs_f64();
        let syncs = self.engine.services.metrics.fsync_seconds.distribution();
        let figures = self.engine.vitals.fsync.figures(self.now, &syncs);
        // One that is not back yet counts with the time it has taken so far.
        let appends = self
            .collections
            .iter()
            .map(|collection| &collection.shared().append);
        let under_way = appends.filter_map(|append| append.age(self.now)).max();
        let under_way = under_way
            .map(|nanos| nanos as f64 / 1e9)
            .filter(|seconds| *seconds > most);
        let p99 = figures.map(|figures| figures.p99);
        if let Some(seconds) = p99.into_iter().chain(under_way).reduce(f64::max) {
            self.measure(COMPONENT, seconds, most);
            if seconds > most {
                let reason =
                    format!("syncs take {seconds:.3} s (p99 of the last minute), more than {most} s");
                self.suspect(COMPONENT, reason);
            }
        }
    }

    fn recall(&mut self) {
        const COMPONENT: HealthComponent = HealthComponent::Recall;
        let (least, enough) = (self.limits.min_recall, self.limits.recall_samples);
        let mut lowest: Option<f64> = None;
        for collection in &*Arc::clone(&self.collections) {
            let report = collection.shared().accuracy.report(self.now);
            let samples = report.samples;
            let Some(mean) = report.mean.filter(|_| samples >= enough) else {
                continue;
            };
            lowest = Some(lowest.map_or(mean, |lowest| lowest.min(mean)));
            if mean < least {
                let name = collection.name();
                let reason = format!(
                    "the recall of collection {name:?} is {mean:.3} over {samples} samples, less than {least}"
                );
                self.suspect(COMPONENT, reason);
            }
        }
        if let Some(lowest) = lowest {
            self.measure(COMPONENT, lowest, least);
        }
    }

    /// What goes on beside requests.
    fn background(&mut self) {
        let services = &self.engine.services;
        let (sample, snapshot) = (services.probe.in_hand(self.now), services.snapshot.age(self.now));
        let probe = HealthComponent::Probe;
        self.stall(probe, HealthState::Degraded, "a sample has been in hand", sample);
        for collection in &*Arc::clone(&self.collections) {
            if let Some(error) = collection.shared().snapshot_failure() {
                let name = collection.name();
                let reason =
                    format!("the newest snapshot of collection {name:?} failed, its log grows: {error}");
                self.fact(HealthComponent::Snapshot, HealthState::Degraded, reason);
            }
        }
        let component = HealthComponent::Snapshot;
        self.stall(
            component,
            HealthState::Degraded,
            "a snapshot has made no progress",
            snapshot,
        );
    }

    fn finding(&mut self, component: HealthComponent) -> &mut Finding {
        // In the order of the declaration.
        &mut self.health.findings[component as usize]
    }

    fn measure(&mut self, component: HealthComponent, value: f64, limit: f64) {
        let finding = self.finding(component);
        finding.value = Some(value);
        finding.limit = Some(limit);
    }

    /// Judges what has been under way for `age` nanoseconds without a step forward.
    fn stall(&mut self, component: HealthComponent, state: HealthState, what: &str, age: Option<u64>) {
        let most = self.limits.stall_after.as_secs_f64();
        let seconds = age.unwrap_or(0) as f64 / 1e9;
        self.measure(component, seconds, most);
        if seconds > most {
            self.fact(component, state, format!("{what} for {seconds:.0} s"));
        }
    }

    /// Notes what is certain.
    fn fact(&mut self, component: HealthComponent, state: HealthState, reason: String) {
        self.finding(component).is_measured = false;
        self.note(component, state, reason);
    }

    /// Notes what a measurement says.
    fn suspect(&mut self, component: HealthComponent, reason: String) {
        self.note(component, HealthState::Degraded, reason);
    }

    fn note(&mut self, component: HealthComponent, state: HealthState, reason: String) {
        let finding = self.finding(component);
        finding.state = finding.state.max(state);
        self.reasons.push((component, reason.clone()));
        if state == HealthState::Unhealthy {
            self.health.is_healthy = false;
            self.health.degraded.insert(0, reason);
        } else {
            self.health.degraded.push(reason);
        }
    }
    /// Gives each component its reasons.
    fn finish(mut self) -> EngineHealth {
        for finding in &mut self.health.findings {
            let of_component = self
                .reasons
                .iter()
                .filter(|(component, _)| *component == finding.component);
            let mut reasons: Vec<String> = of_component.map(|(_, reason)| reason.clone()).collect();
            let further = reasons.len().saturating_sub(FULL_REASONS);
            reasons.truncate(FULL_REASONS);
            if further > 0 {
                reasons.push(format!("and {further} more"));
            }
            finding.reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        }
        self.health
    }
}
