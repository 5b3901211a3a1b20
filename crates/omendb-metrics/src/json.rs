//! The snapshot as JSON, for programs that would rather not parse text.

use crate::distribution::Distribution;
use crate::escape::json_string;
use crate::number::{push_json_float, push_signed, push_unsigned};
use crate::reading::Reading;
use crate::snapshot::{Sample, Snapshot};

impl Snapshot {
    /// `{"timestamp":..,"families":[{"name","type","unit","help","samples":[{"labels":{},"value"}]}]}`.
    ///
    /// `timestamp` is in seconds since 1970-01-01 UTC. In place of a value, histograms carry `count`, `sum`, `mean`,
    /// `p50`, `p95`, `p99` (since the start; null without observations) and cumulative `buckets`, as in the text.
    /// Values that JSON cannot express are null.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"timestamp\":");
        push_json_float(&mut json, (self.wall_nanos() / 1_000_000) as f64 / 1e3);
        json.push_str(",\"families\":[");
        let mut separator = "{\"name\":";
        for (_, family, samples) in self.families() {
            json.push_str(separator);
            separator = ",{\"name\":";
            json_string(&mut json, family.name);
            for (key, text) in [
                (",\"type\":", family.kind.as_str()),
                (",\"unit\":", family.unit),
                (",\"help\":", &family.help),
            ] {
                json.push_str(key);
                json_string(&mut json, text);
            }
            json.push_str(",\"samples\":[");
            for (index, sample) in samples.iter().enumerate() {
                json.push_str(if index > 0 {
                    ",{\"labels\":{"
                } else {
                    "{\"labels\":{"
                });
                push_sample(&mut json, self, sample);
                json.push('}');
            }
            json.push_str("]}");
        }
        json.push_str("]}");
        json
    }
}

fn push_sample(json: &mut String, snapshot: &Snapshot, sample: &Sample) {
    for (index, (key, escaped)) in snapshot.pairs(sample).enumerate() {
        json.push_str(if index > 0 { ",\"" } else { "\"" });
        json.push_str(key);
        json.push_str("\":\"");
        // What is escaped for a label value is escaped for JSON, see `escape::label_value`.
        json.push_str(escaped);
        json.push('"');
    }
    json.push_str("},");
    match &sample.reading {
        Reading::Unsigned(value) => {
            json.push_str("\"value\":");
            push_unsigned(json, *value);
        }
        Reading::Signed(value) => {
            json.push_str("\"value\":");
            push_signed(json, *value);
        }
        Reading::Float(value) => {
            json.push_str("\"value\":");
            push_json_float(json, *value);
        }
        Reading::Distribution(distribution) => push_distribution(json, distribution),
    }
}

fn push_distribution(json: &mut String, distribution: &Distribution) {
    json.push_str("\"count\":");
    push_unsigned(json, distribution.count());
    for (key, value) in [
        (",\"sum\":", Some(distribution.sum())),
        (",\"mean\":", distribution.mean()),
        (",\"p50\":", distribution.quantile(0.50)),
        (",\"p95\":", distribution.quantile(0.95)),
        (",\"p99\":", distribution.quantile(0.99)),
    ] {
        json.push_str(key);
        push_json_float(json, value.unwrap_or(f64::NAN));
    }
    json.push_str(",\"buckets\":[");
    for (index, (bound, cumulative)) in distribution.classic().enumerate() {
        json.push_str(if index > 0 { ",{\"le\":\"" } else { "{\"le\":\"" });
        json.push_str(bound);
        json.push_str("\",\"count\":");
        push_unsigned(json, cumulative);
        json.push('}');
    }
    json.push(']');
}
