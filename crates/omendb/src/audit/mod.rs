//! The audit log: who did something administrative or was refused, from where, and what came of it; never a secret.
//!
//! One JSON object a line, appended to a file of its own before the answer is sent, so that killing the process loses
//! none of it; it is synced every second. Refusals are limited in number: whoever guesses tokens fills no disk.

mod event;
mod file;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use omendb_metrics::Clock;

pub use event::{Action, Entry};
use event::{Line, Outcome};
use file::AuditFile;

use crate::auth::throttle::Throttle;
use crate::config::Config;
use crate::telemetry::web::{AuditOutcome, WebMetrics};
use crate::timestamp::UnixTime;

/// The file's name in the data directory.
const FILE_NAME: &str = "audit.log";
/// Lines a minute about failures of one kind of action; those of more are counted and told in one line later.
const FAILURES_A_MINUTE: usize = 10;

/// The audit log of one data directory.
#[derive(Debug)]
pub struct Audit {
    state: Mutex<State>,
    failures: Throttle<Action>,
    clock: Clock,
    metrics: Arc<WebMetrics>,
}

#[derive(Debug)]
struct State {
    file: AuditFile,
    /// Failures that have no line, by action.
    suppressed: BTreeMap<Action, u64>,
    /// Why the last line could not be written.
    problem: Option<String>,
}

impl Audit {
    /// The log that the configuration names. The file is made with the first line.
    pub fn new(config: &Config, clock: Clock, metrics: Arc<WebMetrics>) -> Self {
        let path = config.audit_path.clone();
        let path = path.unwrap_or_else(|| config.data_dir.join(FILE_NAME));
        Self {
            state: Mutex::new(State {
                file: AuditFile::new(path, config.audit_max_bytes.0),
                suppressed: BTreeMap::new(),
                problem: None,
            }),
            failures: Throttle::new(FAILURES_A_MINUTE),
            clock,
            metrics,
        }
    }

    /// Writes down what a request did, which was answered with `status`.
    pub(crate) fn record(&self, entry: &Entry, request: (&str, IpAddr), status: u16) {
        let Entry {
            action,
            actor,
            target,
            detail,
        } = entry;
        let line = Line {
            outcome: Outcome::of(status),
            actor,
            target: target.as_deref(),
            detail: detail.as_deref(),
            address: Some(request.1),
            request_id: Some(request.0),
            status: Some(status),
            ..Line::new(*action)
        };
        self.put(line);
    }

    /// Writes down what somebody did who sent no request: `actor` is the server or the command line.
    pub(crate) fn note(&self, action: Action, actor: &str, target: Option<&str>) {
        self.put(Line {
            actor,
            target,
            ..Line::new(action)
        });
    }

    /// Writes down that files of credentials have changed and were read again.
    pub(crate) fn note_reload(&self, result: &Result<(), String>) {
        let outcome = match result {
            Ok(()) => Outcome::Success,
            Err(_) => Outcome::Failure,
        };
        self.put(Line {
            outcome,
            detail: result.as_ref().err().map(String::as_str),
            ..Line::new(Action::CredentialsReloaded)
        });
    }

    /// Why the last line could not be written; health tells it.
    pub(crate) fn problem(&self) -> Option<String> {
        self.lock().problem.clone()
    }

    /// Tells of failures that had no line, as far as there is room for a line again, and has everything on disk.
    pub(crate) fn sync(&self) {
        let pending: Vec<Action> = self.lock().suppressed.keys().copied().collect();
        for action in pending {
            self.put(Line {
                outcome: Outcome::Suppressed,
                ..Line::new(action)
            });
        }
        let mut state = self.lock();
        if let Err(error) = state.file.sync() {
            state.fail(&error);
        }
    }

    fn put(&self, line: Line<'_>) {
        let action = line.action;
        let is_failure = line.outcome != Outcome::Success;
        if is_failure && self.failures.take(action, self.clock.now()).is_err() {
            if line.outcome != Outcome::Suppressed {
                *self.lock().suppressed.entry(action).or_default() += 1;
                self.metrics.audit_events.increment(AuditOutcome::Suppressed);
            }
            return;
        }
        let mut state = self.lock();
        let suppressed = if is_failure {
            state.suppressed.remove(&action).unwrap_or(0)
        } else {
            0
        };
        let time = UnixTime::from_nanoseconds(self.clock.wall());
        let outcome = match state.file.append(&line.json(time, suppressed)) {
            Ok(()) => {
                state.problem = None;
                AuditOutcome::Written
            }
            Err(error) => {
                state.fail(&error);
                AuditOutcome::Failed
            }
        };
        self.metrics.audit_events.increment(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A file that a panic has left half used is opened anew with the next line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Remembers why nothing can be written, and logs it when that is news.
    fn fail(&mut self, error: &std::io::Error) {
        let problem = format!("{}: {error}", self.file.path().display());
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!(problem, "the audit log cannot be written (audit.path)");
        }
        self.problem = Some(problem);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::*;
    use crate::config::ByteSize;

    /// An audit log in a directory of its own, and time that stands still.
    struct Fixture {
        directory: PathBuf,
        audit: Audit,
        time: Arc<omendb_metrics::ManualTime>,
    }

    impl Fixture {
        fn new(name: &str, max_bytes: u64) -> Self {
            let directory = std::env::temp_dir().join(format!("omendb-audit-{name}-{}", std::process::id()));
            drop(std::fs::remove_dir_all(&directory));
            std::fs::create_dir_all(&directory).expect("a writable place");
            let config = Config {
                data_dir: directory.clone(),
                audit_max_bytes: ByteSize(max_bytes),
                ..Config::default()
            };
            let (clock, time) = Clock::manual();
            Self {
                directory,
                audit: Audit::new(&config, clock, Arc::default()),
                time,
            }
        }

        fn record(&self, action: Action, target: &str, status: u16) {
            let entry = Entry {
                target: Some(target.to_owned()),
                ..Entry::new(action, "ada")
            };
            self.audit
                .record(&entry, ("r-1", Ipv4Addr::LOCALHOST.into()), status);
        }

        fn lines(&self, name: &str) -> Vec<Value> {
            let text = std::fs::read_to_string(self.directory.join(name)).unwrap_or_default();
            text.lines()
                .map(|line| serde_json::from_str(line).expect("an object"))
                .collect()
        }

        fn count(&self, outcome: AuditOutcome) -> u64 {
            self.audit.metrics.audit_events.get(outcome)
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.directory));
        }
    }

    #[test]
    fn a_line_says_who_did_what_and_shows_no_secret() {
        let fixture = Fixture::new("line", 1 << 20);
        fixture.record(Action::CollectionCreated, "c", 200);
        fixture.record(Action::Login, "ghp_16C7e42F292c6912E7710c838347Ae178B4a", 401);
        let lines = fixture.lines(FILE_NAME);
        let check = |line: usize, key: &str, expected: &str| assert_eq!(lines[line][key], expected, "{key}");
        check(0, "action", "collection.created");
        check(0, "outcome", "success");
        check(0, "actor", "ada");
        check(0, "target", "c");
        check(0, "address", "127.0.0.1");
        check(0, "request_id", "r-1");
        assert_eq!(lines[0]["status"], 200);
        check(1, "outcome", "failure");
        check(1, "target", "_redacted");
    }

    #[test]
    fn an_actor_is_named_unless_the_name_is_a_key() {
        let fixture = Fixture::new("actor", 1 << 20);
        let actors = [
            ("ada", "ada"),
            ("ada@example.com", "ada@example.com"),
            ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "_redacted"),
            (
                "ghp_16C7e42F292c6912E7710c838347Ae178B4a@example.com",
                "_redacted",
            ),
        ];
        for (actor, _) in actors {
            let entry = Entry::new(Action::CollectionCreated, actor);
            let request = ("r-1", Ipv4Addr::LOCALHOST.into());
            fixture.audit.record(&entry, request, 200);
        }
        let lines = fixture.lines(FILE_NAME);
        let shown: Vec<_> = lines.iter().map(|line| line["actor"].as_str()).collect();
        assert_eq!(shown, actors.map(|(_, shown)| Some(shown)));
    }

    #[test]
    fn failures_are_limited_and_none_is_forgotten() {
        let fixture = Fixture::new("limit", 1 << 20);
        for _ in 0..100 {
            fixture.record(Action::TokenRefused, "t", 401);
        }
        fixture.record(Action::CollectionDeleted, "c", 200);
        assert_eq!(fixture.lines(FILE_NAME).len(), FAILURES_A_MINUTE + 1);
        assert_eq!(fixture.count(AuditOutcome::Suppressed), 90);
        fixture.audit.sync();
        assert_eq!(
            fixture.lines(FILE_NAME).len(),
            FAILURES_A_MINUTE + 1,
            "still too many"
        );
        fixture.time.advance(std::time::Duration::from_secs(60));
        fixture.audit.sync();
        let lines = fixture.lines(FILE_NAME);
        let last = lines.last().expect("a line");
        assert_eq!(
            (&last["outcome"], &last["suppressed"]),
            (&Value::from("suppressed"), &Value::from(90))
        );
        fixture.audit.sync();
        assert_eq!(fixture.lines(FILE_NAME).len(), lines.len(), "told once");
    }

    #[test]
    fn the_file_is_bounded_and_the_newest_lines_are_kept() {
        let fixture = Fixture::new("rotation", 4096);
        for number in 0..500 {
            fixture.record(Action::CollectionCreated, &format!("c{number}"), 200);
        }
        let files = || {
            std::fs::read_dir(&fixture.directory)
                .expect("a directory")
                .flatten()
        };
        assert_eq!(files().count(), 1 + file::KEPT);
        for entry in files() {
            let bytes = entry.metadata().expect("a file").len();
            assert!(bytes <= 4096, "{bytes} in {:?}", entry.file_name());
        }
        let last = |name: &str| fixture.lines(name).last().expect("a line")["target"].clone();
        assert_eq!(last(FILE_NAME), "c499");
        let older = fixture.lines("audit.log.1");
        let next = fixture.lines(FILE_NAME)[0]["target"].clone();
        let number = |target: &Value| target.as_str().and_then(|name| name[1..].parse::<u32>().ok());
        assert_eq!(
            number(&older[older.len() - 1]["target"]).map(|last| last + 1),
            number(&next)
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted_told_and_tried_again() {
        let fixture = Fixture::new("failing", 1 << 20);
        let path = fixture.directory.join(FILE_NAME);
        std::fs::create_dir(&path).unwrap();
        fixture.record(Action::CollectionCreated, "c", 200);
        assert_eq!(fixture.count(AuditOutcome::Failed), 1);
        assert!(
            fixture
                .audit
                .problem()
                .is_some_and(|problem| problem.contains(FILE_NAME))
        );
        std::fs::remove_dir(&path).unwrap();
        fixture.record(Action::CollectionCreated, "c", 200);
        assert_eq!(
            (fixture.count(AuditOutcome::Written), fixture.audit.problem()),
            (1, None)
        );
    }
}
