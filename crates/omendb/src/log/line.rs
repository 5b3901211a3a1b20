//! One event as one line, for people or as JSON.
//!
//! Every value passes the secret detector here, whoever logs it, and control characters are escaped: a line feed in a
//! name cannot make a line of its own.

use std::fmt::{self, Write as _};

use omendb_metrics::{Clock, REDACTED, is_secret_key, redacted};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::log::scope::Scope;
use crate::timestamp::UnixTime;

/// How events become lines.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) format: LogFormat,
    pub(super) clock: Clock,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line {
            time: timestamp(self.clock.wall()),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            scope: Scope::current(),
            fields,
        };
        let text = match self.format {
            LogFormat::Text => line.text(writer.has_ansi_escapes()),
            LogFormat::Json => line.json(),
        };
        writeln!(writer, "{text}")
    }
}

/// What an event says.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let value = if is_secret_key(field.name()) {
            Value::from(REDACTED)
        } else if let Value::String(text) = value {
            let text = redacted(&text);
            if field.name() == "message" {
                self.message = text.into();
                return;
            }
            Value::from(text)
        } else {
            value
        };
        self.others.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }
}

/// One line.
#[derive(Debug)]
struct Line {
    time: String,
    level: Level,
    target: &'static str,
    scope: Scope,
    fields: Fields,
}

impl Line {
    /// `2026-11-24T03:10:51.000007Z  INFO omendb::server: data loaded seconds=0.5 request_id=..`
    fn text(&self, is_coloured: bool) -> String {
        let Self {
            time,
            level,
            target,
            scope,
            fields: Fields { message, others },
        } = self;
        let mut text = if is_coloured {
            format!("{time} \u{1b}[{}m{level:>5}\u{1b}[0m {target}:", colour(*level))
        } else {
            format!("{time} {level:>5} {target}:")
        };
        if !message.is_empty() {
            text.push(' ');
            push_escaped(&mut text, message);
        }
        for (name, value) in others {
            // Strings as JSON, quoted: where a value ends is then never in doubt.
            push_escaped(&mut text, &format!(" {name}={value}"));
        }
        let Scope { request, trace } = scope;
        if let Some(request) = request {
            text.push_str(&format!(" request_id={}", request.id()));
        }
        if let Some(trace) = trace {
            text.push_str(&format!(" trace_id={trace}"));
        }
        text
    }

    /// One JSON object.
    fn json(self) -> String {
        let Self {
            time,
            level,
            target,
            scope: Scope { request, trace },
            fields: Fields { message, others },
        } = self;
        let mut fields = Map::new();
        if !message.is_empty() {
            fields.insert("message".to_owned(), Value::from(message));
        }
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", Value::from(time));
        put("level", Value::from(level.as_str()));
        put("target", Value::from(target));
        put("fields", Value::Object(fields));
        if let Some(request) = request {
            put("request_id", Value::from(request.id()));
        }
        if let Some(trace) = trace {
            put("trace_id", Value::from(trace.to_string()));
        }
        Value::Object(line).to_string()
    }
}

/// Select graphic rendition: red, yellow, green, blue, magenta.
fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Appends `value` on one line.
fn push_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
}

/// With microseconds: `2026-11-24T03:10:51.000007Z`.
fn timestamp(nanoseconds: u64) -> String {
    let mut text = UnixTime::from_nanoseconds(nanoseconds).to_string();
    text.pop();
    let _ = write!(text, ".{:06}Z", nanoseconds / 1_000 % 1_000_000);
    text
}

#[cfg(test)]
mod tests {
    use omendb_metrics::Origin;

    use super::*;
    use crate::traces::context::TraceId;

    fn line(message: &str, others: &[(&'static str, Value)], scope: Scope) -> Line {
        Line {
            time: timestamp(1_795_489_851_000_007_000),
            level: Level::INFO,
            target: "omendb::server",
            scope,
            fields: Fields {
                message: message.to_owned(),
                others: others.to_vec(),
            },
        }
    }

    #[test]
    fn a_line_says_what_happened_and_for_which_request() {
        let request = Scope {
            request: Origin::request("r-1"),
            trace: Some(TraceId(0xab)),
        };
        let check = |line: Line, text: &str, json: &str| {
            assert_eq!(line.text(false), text);
            assert_eq!(line.json(), json);
        };
        check(
            line("data loaded", &[("seconds", Value::from(0.5))], Scope::default()),
            "2026-11-24T03:10:51.000007Z  INFO omendb::server: data loaded seconds=0.5",
            "{\"fields\":{\"message\":\"data loaded\",\"seconds\":0.5},\"level\":\"INFO\",\"target\":\"omendb::server\",\
             \"timestamp\":\"2026-11-24T03:10:51.000007Z\"}",
        );
        check(
            line("", &[("path", Value::from("/a b"))], request),
            "2026-11-24T03:10:51.000007Z  INFO omendb::server: path=\"/a b\" request_id=r-1 \
             trace_id=000000000000000000000000000000ab",
            "{\"fields\":{\"path\":\"/a b\"},\"level\":\"INFO\",\"request_id\":\"r-1\",\"target\":\"omendb::server\",\
             \"timestamp\":\"2026-11-24T03:10:51.000007Z\",\"trace_id\":\"000000000000000000000000000000ab\"}",
        );
    }

    #[test]
    fn one_event_is_one_line() {
        let text = line(
            "a\nb",
            &[("name", Value::from("c\r\n\u{1b}[31md"))],
            Scope::default(),
        )
        .text(false);
        assert!(text.ends_with("a\\nb name=\"c\\r\\n\\u001b[31md\""), "{text}");
    }
}
