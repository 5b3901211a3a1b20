//! The snapshot and the catalogue as JSON, for programs that would rather not parse text.

use crate::catalogue::Catalogue;
use crate::distribution::Distribution;
use crate::escape;
use crate::number::{push_json_float, push_signed, push_unsigned};
use crate::sample::{Sample, Value};
use crate::snapshot::Snapshot;

impl Snapshot {
    /// `{"timestamp":..,"families":[{"name","type","unit","help","samples":[{"labels":{},"value"}]}]}`.
    ///
    /// `timestamp` is in seconds since 1970-01-01 UTC. In place of a value, histograms carry `count`, `sum`, `mean`,
    /// `p50`, `p95`, `p99` (since the start; null without observations) and cumulative `buckets`, as in the text.
    /// Values that JSON cannot express are null.
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        json.raw("{\"timestamp\":");
        json.float((self.wall_nanos() / 1_000_000) as f64 / 1e3);
        json.raw(",\"families\":[");
        json.list(self.families(), |json, (_, family, samples)| {
            json.member("{\"name\":", family.name);
            json.member(",\"type\":", family.kind.as_str());
            json.member(",\"unit\":", family.unit);
            json.member(",\"help\":", &family.help);
            json.raw(",\"samples\":[");
            json.list(samples, |json, sample| json.sample(self, sample));
            json.raw("]}");
        });
        json.raw("]}");
        json.finish()
    }
}

impl Catalogue {
    /// `{"families":[{"name","type","unit","help","when_to_look","stability","labels":[],"cardinality"}]}`.
    pub fn to_json(&self) -> String {
        let mut json = Json::default();
        json.raw("{\"families\":[");
        json.list(self.families(), |json, family| {
            json.member("{\"name\":", family.name);
            json.member(",\"type\":", family.kind.as_str());
            json.member(",\"unit\":", family.unit);
            json.member(",\"help\":", &family.help);
            json.member(",\"when_to_look\":", &family.when_to_look);
            json.member(",\"stability\":", family.stability.as_str());
            json.raw(",\"labels\":[");
            json.list(&family.labels, |json, label| json.member("", label));
            json.raw("],\"cardinality\":");
            json.unsigned(family.cardinality as u64);
            json.raw("}");
        });
        json.raw("]}");
        json.finish()
    }
}

/// JSON being written.
#[derive(Default)]
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A key as it stands, and a string.
    fn member(&mut self, key: &str, value: &str) {
        self.raw(key);
        escape::json_string(&mut self.0, value);
    }

    fn float(&mut self, value: f64) {
        push_json_float(&mut self.0, value);
    }

    fn unsigned(&mut self, value: u64) {
        push_unsigned(&mut self.0, value);
    }

    /// Items with commas between them.
    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Self, T)) {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            each(self, item);
        }
    }

    fn sample(&mut self, snapshot: &Snapshot, sample: &Sample) {
        self.raw("{\"labels\":{");
        self.list(snapshot.pairs(sample), |json, (key, escaped)| {
            json.raw("\"");
            json.raw(key);
            json.raw("\":\"");
            // What is escaped for a label value is escaped for JSON, see `escape::label_value`.
            json.raw(escaped);
            json.raw("\"");
        });
        self.raw("},");
        match snapshot.value_of(sample) {
            Value::Distribution(distribution) => self.distribution(distribution),
            Value::Unsigned(value) => {
                self.raw("\"value\":");
                self.unsigned(value);
            }
            Value::Signed(value) => {
                self.raw("\"value\":");
                push_signed(&mut self.0, value);
            }
            Value::Float(value) => {
                self.raw("\"value\":");
                self.float(value);
            }
        }
        self.raw("}");
    }

    fn distribution(&mut self, distribution: &Distribution) {
        self.raw("\"count\":");
        self.unsigned(distribution.count());
        for (key, value) in [
            (",\"sum\":", Some(distribution.sum())),
            (",\"mean\":", distribution.mean()),
            (",\"p50\":", distribution.quantile(0.50)),
            (",\"p95\":", distribution.quantile(0.95)),
            (",\"p99\":", distribution.quantile(0.99)),
        ] {
            self.raw(key);
            self.float(value.unwrap_or(f64::NAN));
        }
        self.raw(",\"buckets\":[");
        self.list(distribution.classic(), |json, (bound, cumulative)| {
            json.raw("{\"le\":\"");
            json.raw(bound);
            json.raw("\",\"count\":");
            json.unsigned(cumulative);
            json.raw("}");
        });
        self.raw("]");
    }

    fn finish(self) -> String {
        // Everything in it was text, so the check cannot fail.
        String::from_utf8(self.0).unwrap_or_default()
    }
}
