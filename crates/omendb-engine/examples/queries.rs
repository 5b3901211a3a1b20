//! Queries on a directory that holds a collection with its graph, for callgrind to count the instructions of:
//! `queries DIRECTORY COLLECTION VECTORS NUMBER`, where `VECTORS` is a file of query vectors as little-endian floats. `cargo x
//! bench overhead` builds it twice, with and without the feature `unmeasured`. It prints what is in the hits, which has
//! to be the same, what a query took and what memory was added.
#![expect(clippy::print_stdout, reason = "a program for the command line")]
#![expect(
    clippy::disallowed_methods,
    reason = "the engine's own clock stands still in one of the builds"
)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::Instant;

use omendb_engine::{
    Admission, Collection, Engine, EngineOptions, Error, SearchRequest, SearchResponse, Worker,
};
use omendb_metrics::{Clock, Origin};

/// Hits of a query.
const LIMIT: usize = 10;
/// Queries before the first that counts, so that what is allocated once is there.
const WARM_UP: usize = 20;

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, name, vectors, number] = arguments.as_slice() else {
        return Err("queries DIRECTORY COLLECTION VECTORS NUMBER".to_owned());
    };
    let number: usize = number.parse().map_err(|error| format!("{number}: {error}"))?;
    let resident_before = resident_bytes()?;
    let options = EngineOptions {
        has_housekeeping: false,
        ..EngineOptions::new(PathBuf::from(directory), 1)
    };
    let clock = options.clock.clone();
    let engine = Engine::open(options).map_err(|error| error.to_string())?;
    engine.load().map_err(|error| error.to_string())?;
    engine.tick();
    let collection = engine.collection(name).map_err(|error| error.to_string())?;
    let dimension = collection
        .config()
        .vector("")
        .map_err(|error| error.to_string())?
        .dimension;
    let vectors = std::fs::read(vectors).map_err(|error| format!("{vectors}: {error}"))?;
    let (floats, _) = vectors.as_chunks();
    let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let requests: Vec<_> = floats
        .chunks_exact(dimension)
        .map(|vector| SearchRequest::nearest(vector.to_vec(), LIMIT))
        .collect();
    let mut worker = engine.worker();
    let origin = Origin::request("counted");
    let mut hits = DefaultHasher::new();
    let mut microseconds = Vec::with_capacity(number);
    for (index, request) in requests.iter().cycle().take(WARM_UP + number).enumerate() {
        let begun = Instant::now();
        let response = if index < WARM_UP {
            worker.search(&collection, request)
        } else {
            counted_query(&mut worker, (&clock, origin), &collection, request)
        };
        if index >= WARM_UP {
            microseconds.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        for hit in response.map_err(|error| error.to_string())?.hits {
            hit.id.hash(&mut hits);
            hit.score.to_bits().hash(&mut hits);
        }
    }
    microseconds.sort_by(f64::total_cmp);
    println!("hits {:016x}", hits.finish());
    println!("indexed_vectors {}", collection.info().indexed_vectors);
    println!("query_us {}", microseconds.get(number / 2).unwrap_or(&f64::NAN));
    println!("resident_bytes {}", resident_bytes()? - resident_before);
    engine.close();
    Ok(())
}

/// One query as a server has it carried out, with a name by which it can be found again.
#[inline(never)]
fn counted_query(
    worker: &mut Worker,
    (clock, origin): (&Clock, Option<Origin>),
    collection: &Collection,
    request: &SearchRequest,
) -> Result<SearchResponse, Error> {
    let admission = Admission {
        granted: clock.now(),
        origin,
    };
    worker.search_admitted(admission, collection, request)
}

/// Memory of this process that is resident.
fn resident_bytes() -> Result<i64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    let kibibytes = kibibytes.ok_or("/proc/self/status tells no VmRSS")?;
    Ok(kibibytes * 1024)
}
