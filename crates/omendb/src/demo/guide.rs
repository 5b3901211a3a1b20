//! What the demo prints when it is ready: where it is, what to paste, how to stop it.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::data::DemoData;
use super::load::COLLECTION;

/// The package whose neighbours the first command asks for: one that most readers know.
const FAMILIAR: &str = "vim";

/// Writes the guide to the server at `address`, loaded with `data`.
///
/// # Errors
/// When `out` cannot be written to.
pub(super) fn write(out: &mut impl Write, address: SocketAddr, data: &DemoData) -> io::Result<()> {
    let familiar = data
        .facts()
        .iter()
        .position(|facts| facts.name == FAMILIAR)
        .unwrap_or(0);
    let name = data.facts()[familiar].name;
    let (points, dimension) = (data.len(), data.dimension());
    write!(
        out,
        "
omendb demo: {points} programs of Debian 12 in the collection \"{COLLECTION}\", {dimension} dimensions
  http://{address}

Try, in another terminal:

  # the programs most like {name}
  curl -s http://{address}/collections/{COLLECTION}/points/query -H 'content-type: application/json' \\
    -d '{{\"query\":{familiar},\"limit\":5,\"with_payload\":[\"name\",\"section\"]}}'

  # how long queries take, straight from /metrics
  curl -sg 'http://{address}/metrics?name[]=omendb_engine_query_latency_p95_seconds&name[]=omendb_engine_queries_total'

  # is it well
  curl -s http://{address}/health

About ten requests a second keep the figures moving. Ctrl-C stops it and removes its data.
"
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_an_address_three_commands_and_the_way_out() {
        let data = DemoData::embedded().expect("the file in the repository");
        let mut out = Vec::new();
        write(&mut out, SocketAddr::from(([127, 0, 0, 1], 4711)), &data).expect("a buffer does not fail");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("curl ").count(), 3, "{text}");
        assert_eq!(text.matches("http://127.0.0.1:4711").count(), 4, "{text}");
        assert!(
            text.contains("most like vim") && text.contains("Ctrl-C"),
            "{text}"
        );
    }
}
