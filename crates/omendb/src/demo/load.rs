//! Filling the demo's collection through the server's own interface: created, then upserted batch by batch.

use std::fmt::Write as _;
use std::io;

use serde_json::json;

use super::data::DemoData;
use crate::client::{Answer, Client};

/// The demo's collection.
pub(super) const COLLECTION: &str = "packages";

/// Points of one upsert: some 700 kB of JSON.
const BATCH: usize = 250;

/// Creates the collection and writes every package into it; `progress` is told after each batch how many are in.
///
/// # Errors
/// When the server cannot be reached or refuses something, with its message.
pub(super) fn load(
    client: &mut Client,
    data: &DemoData,
    mut progress: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<()> {
    let path = format!("/collections/{COLLECTION}");
    let config = json!({"vectors": {"size": data.dimension(), "distance": "Cosine"}});
    accepted(client.send("PUT", &path, &config.to_string())?)?;
    progress(0)?;
    for start in (0..data.len()).step_by(BATCH) {
        let end = data.len().min(start + BATCH);
        upsert(client, data, start..end)?;
        progress(end)?;
    }
    Ok(())
}

/// Writes the packages of `rows`; the point's id is the row.
///
/// # Errors
/// As for [`load`].
pub(super) fn upsert(
    client: &mut Client,
    data: &DemoData,
    rows: impl IntoIterator<Item = usize>,
) -> io::Result<()> {
    let points: Vec<String> = rows.into_iter().map(|row| point_json(data, row)).collect();
    let body = format!("{{\"points\":[{}]}}", points.join(","));
    let path = format!("/collections/{COLLECTION}/points?wait=true");
    accepted(client.send("PUT", &path, &body)?)
}

fn point_json(data: &DemoData, row: usize) -> String {
    let facts = &data.facts()[row];
    let payload = json!({
        "name": facts.name,
        "section": facts.section,
        "installed_size_kb": facts.installed_size_kb,
        "version": facts.version,
    });
    format!(
        "{{\"id\":{row},\"vector\":{},\"payload\":{payload}}}",
        vector_json(&data.vector(row))
    )
}

/// A vector as JSON with four decimals: the data set has two and a half.
pub(super) fn vector_json(vector: &[f32]) -> String {
    let mut json = String::with_capacity(vector.len() * 8);
    for (position, component) in vector.iter().enumerate() {
        let separator = if position == 0 { '[' } else { ',' };
        // Writing to a string cannot fail.
        let _ = write!(json, "{separator}{component:.4}");
    }
    json.push(']');
    json
}

/// Turns a refusal into an error with the server's words.
pub(super) fn accepted(answer: Answer) -> io::Result<()> {
    match answer.status {
        200 => Ok(()),
        status => {
            let body = String::from_utf8_lossy(&answer.body);
            Err(io::Error::other(format!("the server answered {status}: {body}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_becomes_a_point_of_the_dialect() {
        let data = DemoData::embedded().expect("the file in the repository");
        let point: serde_json::Value = serde_json::from_str(&point_json(&data, 3)).expect("JSON");
        assert_eq!(point["id"], 3);
        assert_eq!(point["payload"]["name"], data.facts()[3].name);
        let vector: Vec<f32> = serde_json::from_value(point["vector"].clone()).expect("numbers");
        assert_eq!(vector.len(), data.dimension());
        let worst = vector
            .iter()
            .zip(data.vector(3))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 5.1e-5, "rounded by {worst}");
    }
}
