//! What a request for data has taken so far, on its way from handler to slot and back.

use std::time::Duration;

use hyper::body::Bytes;
use omendb_engine::{Admission, Collection, Error, Filter, SearchStats, WriteStats};
use omendb_metrics::{Clock, Origin, Timestamp};

use crate::telemetry::excerpt::LONGEST_BODY;
use crate::telemetry::explanation::Explanation;
use crate::telemetry::query_record::Work;
use crate::telemetry::stages::{Stage, StageTimes};
use crate::telemetry::timeline::Timeline;

/// The stages and the work of one request while it is served.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    clock: Clock,
    origin: Option<Origin>,
    first_byte: Timestamp,
    /// When the head was complete.
    began: Timestamp,
    /// When it got a slot.
    granted: Timestamp,
    /// Up to when the time was given to stages.
    mark: Timestamp,
    pub(crate) stages: StageTimes,
    /// When it was in which stage, if it is traced.
    pub(crate) timeline: Option<Timeline>,
    pub(crate) work: Work,
    /// Of the search that `work` has plan and reason of.
    longest_ns: u64,
    /// Each search, if somebody asked for an explanation.
    explained: Option<Vec<SearchStats>>,
    /// Whether anything was asked of the engine.
    pub(crate) is_used: bool,
    /// The collection, where the path does not say.
    pub(crate) db_id: Option<String>,
    /// Whether somebody may want to read what was asked.
    keeps_body: bool,
    /// What was asked; empty if nobody may want to read it.
    pub(crate) body: Bytes,
}

impl Tally {
    /// Of a request whose first byte was read at `first_byte`, and whose head was complete at `began`.
    pub(crate) fn new(
        clock: &Clock,
        (first_byte, began): (Timestamp, Timestamp),
        origin: Option<Origin>,
    ) -> Self {
        let mut stages = StageTimes::default();
        stages.add(Stage::Receive, began.nanos_since(first_byte));
        Self {
            clock: clock.clone(),
            origin,
            first_byte,
            began,
            granted: began,
            mark: began,
            stages,
            timeline: None,
            work: Work::default(),
            longest_ns: 0,
            explained: None,
            is_used: false,
            db_id: None,
            keeps_body: false,
            body: Bytes::new(),
        }
    }

    /// From now on it is kept when the request was in which stage.
    pub(crate) fn trace(&mut self) {
        let mut timeline = Timeline::default();
        timeline.add(Stage::Receive, self.first_byte, self.stages.of(Stage::Receive));
        self.timeline = Some(timeline);
    }

    /// `nanos` were spent in `stage`, from `began` on; returns their end.
    fn spend(&mut self, stage: Stage, began: Timestamp, nanos: u64) -> Timestamp {
        self.stages.add(stage, nanos);
        if let Some(timeline) = &mut self.timeline {
            timeline.add(stage, began, nanos);
        }
        Timestamp::from_nanos(began.as_nanos() + nanos)
    }

    /// The time until now was spent in no stage with a name.
    pub(crate) fn skip(&mut self) {
        self.mark = self.clock.now();
    }

    /// The time since the last stage was spent in this one.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let now = self.clock.now();
        self.spend(stage, self.mark, now.nanos_since(self.mark));
        self.mark = now;
    }

    /// It waits for a slot from now on.
    pub(crate) fn queued(&mut self) {
        self.is_used = true;
        self.skip();
    }

    /// It got its slot.
    pub(crate) fn granted(&mut self) {
        self.lap(Stage::Queue);
        self.granted = self.mark;
    }

    /// What the engine is told of a search for this request.
    pub(crate) fn admission(&self) -> Admission {
        Admission {
            granted: self.granted,
            origin: self.origin,
        }
    }

    /// A search came back.
    pub(crate) fn searched(&mut self, stats: &SearchStats) {
        self.searched_each([stats].into_iter());
    }

    /// The searches of one call to the engine came back. It says how long their stages took, not when, so these are laid
    /// end to end.
    pub(crate) fn searched_each<'s>(&mut self, searches: impl Iterator<Item = &'s SearchStats>) {
        let mut times = StageTimes::default();
        for stats in searches {
            times.add(Stage::Filter, stats.filter_ns);
            times.add(Stage::Search, stats.prepare_ns + stats.scan_ns);
            times.add(Stage::Rescore, stats.rescore_ns);
            times.add(Stage::Fetch, stats.gather_ns);
            self.worked(stats);
        }
        let stays = times.iter();
        stays.fold(self.mark, |began, (stage, nanos)| self.spend(stage, began, nanos));
        self.skip();
    }

    /// Adds what a search did.
    fn worked(&mut self, stats: &SearchStats) {
        let work = &mut self.work;
        if work.searches == 0 || stats.total_ns() > self.longest_ns {
            (work.search.plan, work.search.reason) = (stats.plan, stats.reason);
            self.longest_ns = stats.total_ns();
        }
        work.searches += 1;
        work.search.add(stats);
        if let Some(explained) = &mut self.explained {
            explained.push(*stats);
        }
    }

    /// What it takes is to be explained.
    pub(crate) fn explain(&mut self) {
        self.explained = Some(Vec::new());
    }

    /// Counts the points that pass the filter of an explained search, to be shown beside what was expected. The time is in no
    /// stage with a name.
    ///
    /// # Errors
    /// When the collection is gone meanwhile.
    pub(crate) fn count_matches(
        &mut self,
        collection: &Collection,
        filter: Option<&Filter>,
    ) -> Result<(), Error> {
        if let (Some(filter), Some(_)) = (filter, &self.explained) {
            self.work.matched = Some(collection.count_matching(filter)?);
            self.skip();
        }
        Ok(())
    }

    /// Whether the answer is to have an [`explanation`](Self::explanation). What is read by id is not searched for.
    pub(crate) fn is_explained(&self) -> bool {
        self.explained
            .as_ref()
            .is_some_and(|searches| !searches.is_empty())
    }

    /// What was done up to now, if that was asked for.
    pub(crate) fn explanation(&self) -> Option<Explanation> {
        let searches = self.explained.as_ref()?;
        let mut stages = self.stages;
        let whole = self.clock.now().nanos_since(self.first_byte);
        stages.add(Stage::Other, whole.saturating_sub(stages.total()));
        Some(Explanation::new(&self.work, stages, searches))
    }

    /// A write is durable; its stages are laid end to end as those of a search are.
    pub(crate) fn written(&mut self, stats: WriteStats) {
        let mut end = self.spend(Stage::Queue, self.mark, stats.wait_ns);
        end = self.spend(Stage::Apply, end, stats.apply_ns + stats.append_ns);
        self.spend(Stage::Fsync, end, stats.fsync_ns);
        self.work.write = Some(stats);
        self.skip();
    }

    /// What was asked is to be kept until the answer is written.
    pub(crate) fn keep_bodies(&mut self) {
        self.keeps_body = true;
    }

    /// This was asked.
    pub(crate) fn asked(&mut self, body: &Bytes) {
        if self.keeps_body && body.len() <= LONGEST_BODY {
            self.body = body.clone();
        }
    }

    /// What the request has taken since its head was complete.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().since(self.began)
    }
}
