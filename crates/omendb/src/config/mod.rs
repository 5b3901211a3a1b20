//! Configuration: defaults, then the file, then the environment, then flags, checked before anything is started.

mod keys;
mod markdown;
mod setting;

use std::fmt;
use std::path::Path;

use omendb_metrics::{REDACTED, is_secret_key, redacted};

pub use keys::{Config, KEYS, Key};
pub use markdown::markdown;
pub use setting::{ByteSize, HttpUrl, LogFormat, Ratio, Setting};

/// Prefix of every environment variable.
pub const VARIABLE_PREFIX: &str = "OMENDB_";

/// A value that cannot be accepted: which key, which value, where it stands, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    value: String,
    origin: String,
    reason: String,
}

impl ConfigError {
    /// `value` of `key`, found in `origin`, is refused because of `reason`.
    pub fn new(
        key: impl Into<String>,
        value: impl Into<String>,
        origin: &str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            origin: origin.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            origin,
            reason,
        } = self;
        // A file may hold what was meant for another, and a secret may stand where a key belongs.
        let value = if is_secret_key(key) {
            REDACTED.into()
        } else {
            redacted(value)
        };
        let (key, reason) = (redacted(key), redacted(reason));
        write!(formatter, "{key} = \"{value}\" ({origin}): {reason}")
    }
}

impl std::error::Error for ConfigError {}

/// Where values come from, weakest first. The process's own are gathered by the command line; tests make theirs.
#[derive(Debug, Default, Clone)]
pub struct Sources<'a> {
    /// The TOML file, if one is named.
    pub file: Option<&'a Path>,
    /// Environment variables; those without [`VARIABLE_PREFIX`] are ignored.
    pub variables: Vec<(String, String)>,
    /// Key names and values from flags.
    pub flags: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads the sources, each overriding the ones before it.
    ///
    /// # Errors
    /// The first value that is not of its key's kind, unknown keys in the file, and a file that cannot be read. An
    /// unknown variable is no error: container platforms set variables of their own from a service's name.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = sources.file {
            let origin = format!("file {}", path.display());
            let refuse = |reason: String| ConfigError::new("config", path.to_string_lossy(), "file", reason);
            let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
            let table: toml::Table = text.parse().map_err(|error| refuse(format!("{error}")))?;
            config.apply_table("", &table, &origin)?;
        }
        for key in KEYS {
            let variable = key.variable();
            for (_, value) in sources.variables.iter().filter(|(name, _)| *name == variable) {
                config.apply(key.name, value, &format!("environment variable {variable}"))?;
            }
        }
        for (name, value) in &sources.flags {
            let flag = KEYS
                .iter()
                .find(|key| key.name == *name)
                .map(Key::flag)
                .unwrap_or_default();
            config.apply(name, value, &format!("flag --{flag}"))?;
        }
        config.check()?;
        Ok(config)
    }

    fn apply_table(&mut self, prefix: &str, table: &toml::Table, origin: &str) -> Result<(), ConfigError> {
        for (name, value) in table {
            let name = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                toml::Value::Table(table) => self.apply_table(&name, table, origin)?,
                toml::Value::String(text) => self.apply(&name, text, origin)?,
                toml::Value::Integer(number) => self.apply(&name, &number.to_string(), origin)?,
                toml::Value::Float(number) => self.apply(&name, &number.to_string(), origin)?,
                toml::Value::Boolean(value) => self.apply(&name, &value.to_string(), origin)?,
                toml::Value::Datetime(time) => self.apply(&name, &time.to_string(), origin)?,
                toml::Value::Array(_) => {
                    return Err(ConfigError::new(
                        name,
                        "[..]",
                        origin,
                        "expected one value, not a list",
                    ));
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, name: &str, text: &str, origin: &str) -> Result<(), ConfigError> {
        self.set(name, text)
            .map_err(|reason| ConfigError::new(name, text, origin, reason))
    }

    /// The bounds of every count and time: what is below or above them would stop the server or bound nothing.
    fn check(&self) -> Result<(), ConfigError> {
        const MANY: usize = 1 << 20;
        let counts = [
            ("auth.login_concurrency", self.auth_login_concurrency, 1..=64),
            ("auth.login_rate", self.auth_login_rate, 1..=MANY),
            ("http.max_connections", self.http_max_connections, 1..=MANY),
            ("http.connection_queue", self.http_connection_queue, 0..=MANY),
            ("slots.count", self.slots_count, 0..=1024),
            ("slots.queue", self.slots_queue, 0..=MANY),
            ("metrics.max_collections", self.metrics_max_collections, 0..=MANY),
            ("health.recall_samples", self.health_recall_samples, 1..=MANY),
            ("traces.queue", self.traces_queue, 1..=MANY),
        ];
        for (name, value, bounds) in counts {
            if !bounds.contains(&value) {
                let expected = format!("expected {} to {}", bounds.start(), bounds.end());
                return Err(ConfigError::new(name, value.to_string(), "checked", expected));
            }
        }
        if self.http_max_bodies < self.http_max_body {
            return Err(ConfigError::new(
                "http.max_bodies",
                self.http_max_bodies.to_string(),
                "checked",
                format!("expected at least http.max_body, {}", self.http_max_body),
            ));
        }
        const SHORTEST_AUDIT: u64 = 4096;
        if self.audit_max_bytes.0 < SHORTEST_AUDIT {
            let expected = format!("expected at least {SHORTEST_AUDIT} bytes");
            return Err(ConfigError::new(
                "audit.max_bytes",
                self.audit_max_bytes.to_string(),
                "checked",
                expected,
            ));
        }
        let times = [
            ("auth.session_ttl", self.auth_session_ttl),
            ("http.header_timeout", self.http_header_timeout),
            ("http.idle_timeout", self.http_idle_timeout),
            ("http.body_timeout", self.http_body_timeout),
            ("http.write_timeout", self.http_write_timeout),
            ("health.max_fsync", self.health_max_fsync),
            ("health.stall_after", self.health_stall_after),
            ("traces.timeout", self.traces_timeout),
        ];
        for (name, time) in times {
            if time.is_zero() {
                return Err(ConfigError::new(
                    name,
                    "0",
                    "checked",
                    "expected more than nothing",
                ));
            }
        }
        Ok(())
    }
}

/// Variables that look like ours and are not: worth a warning, since a misspelt key would otherwise go unnoticed.
pub fn unknown_variables(variables: &[(String, String)]) -> impl Iterator<Item = &str> {
    const OTHERS: [&str; 2] = ["OMENDB_CONFIG", "OMENDB_URL"];
    let is_known = |name: &str| OTHERS.contains(&name) || KEYS.iter().any(|key| key.variable() == name);
    variables
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(move |name| name.starts_with(VARIABLE_PREFIX) && !is_known(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn every_default_is_of_its_kind() {
        let mut config = Config::default();
        for key in KEYS {
            config
                .set(key.name, key.default)
                .unwrap_or_else(|error| panic!("{}: {error}", key.name));
        }
        assert!(config.check().is_ok());
    }

    #[test]
    fn what_is_written_of_a_value_is_read_as_the_same() {
        let config = Config::default();
        let mut again = Config::default();
        for (name, text) in config.values() {
            again
                .set(name, &text)
                .unwrap_or_else(|error| panic!("{name} = {text}: {error}"));
        }
        assert_eq!(again.values(), config.values());
        assert_eq!(config.values().len(), KEYS.len());
    }

    #[test]
    fn flags_override_variables_override_the_file() {
        let directory = std::env::temp_dir().join(format!("omendb-config-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("omendb.toml");
        std::fs::write(
            &path,
            "listen = \"127.0.0.1:1\"\n[http]\nmax_body = \"1MiB\"\nmax_connections = 3\n",
        )
        .unwrap();
        let config = Config::load(&Sources {
            file: Some(&path),
            variables: variables(&[("OMENDB_LISTEN", "127.0.0.1:2"), ("OMENDB_HTTP_MAX_BODY", "2MiB")]),
            flags: vec![("listen", "127.0.0.1:3".to_owned())],
        });
        std::fs::remove_dir_all(&directory).unwrap();
        let config = config.unwrap();
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.http_max_body, ByteSize(2 << 20));
        assert_eq!(config.http_max_connections, 3);
    }

    #[test]
    fn a_refused_value_is_named_with_its_key_and_origin() {
        let check = |name: &str, value: &str, parts: &[&str]| {
            let sources = Sources {
                variables: variables(&[(name, value)]),
                ..Sources::default()
            };
            let message = Config::load(&sources).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message} lacks {part}");
            }
        };
        check(
            "OMENDB_LISTEN",
            "localhost",
            &["listen", "\"localhost\"", "OMENDB_LISTEN"],
        );
        check(
            "OMENDB_HTTP_MAX_BODY",
            "-1",
            &["http.max_body", "\"-1\"", "expected a size"],
        );
        check(
            "OMENDB_HTTP_MAX_BODIES",
            "1MiB",
            &[
                "http.max_bodies",
                "\"1048576\"",
                "at least http.max_body, 33554432",
            ],
        );
        check(
            "OMENDB_LOG_FORMAT",
            "xml",
            &["log.format", "\"xml\"", "text or json"],
        );
        check(
            "OMENDB_HTTP_MAX_CONNECTIONS",
            "0",
            &["http.max_connections", "1 to"],
        );
    }

    #[test]
    fn only_variables_that_no_key_has_are_reported() {
        let variables = variables(&[
            ("OMENDB_LISTEN", "x"),
            ("OMENDB_LISTN", "x"),
            ("PATH", "/"),
            ("OMENDB_CONFIG", "f"),
        ]);
        assert_eq!(
            unknown_variables(&variables).collect::<Vec<_>>(),
            ["OMENDB_LISTN"]
        );
    }
}
