//! Which messages are logged, and changing that while the server runs.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

use crate::config::Setting;

/// Longest text of a filter, bytes.
const LONGEST: usize = 512;
/// What everything logs that a filter says nothing about.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// A level, or levels of modules: `info`, `info,omendb::http=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    default: LevelFilter,
    /// In the order in which they were said.
    modules: Vec<(String, LevelFilter)>,
}

impl LogFilter {
    /// Everything down to `level`.
    pub fn of(level: tracing::Level) -> Self {
        Self {
            default: LevelFilter::from_level(level),
            modules: Vec::new(),
        }
    }

    pub(super) fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.default)
            .with_targets(self.modules.clone())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.default)?;
        for (module, level) in &self.modules {
            write!(formatter, ",{module}={level}")?;
        }
        Ok(())
    }
}

impl Setting for LogFilter {
    const KIND: &'static str = "level";

    fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected error, warn, info, debug, trace or off, alone or before levels of our modules such as \
                        info,omendb::http=debug";
        if text.len() > LONGEST {
            return Err(format!("expected at most {LONGEST} bytes"));
        }
        let (mut default, mut modules) = (None, Vec::new());
        for part in text.split(',') {
            match part.split_once('=') {
                Some((module, name)) if is_module(module) => {
                    modules.push((module.to_owned(), level(name).ok_or(expected)?));
                }
                None if default.is_none() => default = Some(level(part).ok_or(expected)?),
                Some(_) | None => return Err(expected.to_owned()),
            }
        }
        Ok(Self {
            default: default.unwrap_or(DEFAULT),
            modules,
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// The level of that name. The library would take numbers too, and a misspelt level for the name of a module.
fn level(name: &str) -> Option<LevelFilter> {
    Some(match name {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}

/// Whether `path` could be one of our modules: nothing else of what we are made of logs.
fn is_module(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    path.starts_with("omendb") && path.bytes().all(is_plain)
}

/// The filter in force, and the way to another one.
#[derive(Debug)]
pub struct LogLevel {
    current: Mutex<LogFilter>,
    /// None when the process's log is not ours.
    handle: Option<reload::Handle<Targets, Registry>>,
}

impl LogLevel {
    pub(super) fn new(filter: LogFilter, handle: reload::Handle<Targets, Registry>) -> Self {
        Self {
            current: Mutex::new(filter),
            handle: Some(handle),
        }
    }

    /// Of a process whose log was not started by the server: a benchmark, a test.
    pub fn fixed() -> Self {
        Self {
            current: Mutex::new(LogFilter::of(tracing::Level::INFO)),
            handle: None,
        }
    }

    /// The filter in force.
    pub(super) fn current(&self) -> LogFilter {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts another into force; false when the process's log is not ours to change.
    pub(super) fn change(&self, filter: LogFilter) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let reload = |handle: &reload::Handle<Targets, Registry>| handle.reload(filter.targets()).is_ok();
        let is_changed = self.handle.as_ref().is_some_and(reload);
        if is_changed {
            *current = filter;
        }
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_strictly_and_written_as_it_was_meant() {
        let check = |text: &str, expected: Option<&str>| {
            let read = LogFilter::parse(text).ok().map(|filter| filter.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("info", Some("info"));
        check("off", Some("off"));
        check("warn,omendb::http=debug", Some("warn,omendb::http=debug"));
        check("omendb::auth=trace", Some("info,omendb::auth=trace"));
        check("inof", None);
        check("INFO", None);
        check("3", None);
        check("", None);
        check("info,", None);
        check("info,debug", None);
        check("info,hyper=debug", None);
        check("omendb::http=loud", None);
        check("omendb http=debug", None);
        check(&format!("omendb::{}=debug", "a".repeat(LONGEST)), None);
    }
}
