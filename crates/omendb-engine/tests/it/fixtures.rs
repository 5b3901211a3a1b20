//! Engines on a simulated disk, points that say where they come from, and chance from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use omendb_engine::{
    Collection, CollectionConfig, Distance, Engine, EngineOptions, Error, Payload, PayloadSelector, Point,
    PointId, SparseConfig, SparseVector, Value, Vector, VectorConfig, VectorSelector, Vectors, WriteBatch,
};
use omendb_metrics::{Clock, Registry, Selection, Snapshot};
use omendb_sim::{Rng, SimFs};

pub(crate) const DATA: &str = "/data";

/// No thread but the commit threads: what happens, the test makes happen.
pub(crate) fn options(fs: &SimFs) -> EngineOptions {
    let mut options = EngineOptions::new(Path::new(DATA), 42);
    options.fs = Arc::new(fs.clone());
    options.clock = Clock::instant();
    options.commit_threads = 1;
    options.recall_cpu_share = 0.0;
    options.has_housekeeping = false;
    options
}

pub(crate) fn open_with(options: EngineOptions) -> Result<Arc<Engine>, Error> {
    let engine = Engine::open(options)?;
    let report = engine.load()?;
    match report.failed.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(engine),
    }
}

pub(crate) fn open(fs: &SimFs) -> Arc<Engine> {
    open_with(options(fs)).unwrap()
}

/// An engine with one collection, `main`.
pub(crate) fn with_main(dimension: usize, distance: Distance) -> (SimFs, Arc<Engine>, Arc<Collection>) {
    let fs = SimFs::new(1);
    let engine = open(&fs);
    let collection = engine
        .create_collection("main", CollectionConfig::unnamed(dimension, distance))
        .unwrap();
    (fs, engine, collection)
}

/// Vectors `image` of 3 elements by angle, `text` of 2 by Manhattan distance.
pub(crate) fn two_vectors() -> CollectionConfig {
    let image = VectorConfig::new(3, Distance::Cosine);
    let text = VectorConfig::new(2, Distance::Manhattan);
    CollectionConfig::new([("image".to_owned(), image), ("text".to_owned(), text)].into())
}

/// `config` and a sparse vector `words`.
pub(crate) fn with_words(config: CollectionConfig) -> CollectionConfig {
    CollectionConfig {
        sparse_vectors: [("words".to_owned(), SparseConfig::default())].into(),
        ..config
    }
}

/// Up to `most` terms out of `vocabulary`, in order; none of them is often.
pub(crate) fn random_terms(rng: &mut Rng, vocabulary: usize, most: usize) -> SparseVector {
    let indices: BTreeSet<u32> = (0..rng.below(most + 1))
        .map(|_| rng.below(vocabulary) as u32)
        .collect();
    let values = random_vector(rng, indices.len());
    SparseVector {
        indices: indices.into_iter().collect(),
        values,
    }
}

pub(crate) fn point(id: u64, vector: &[f32]) -> Point {
    Point {
        id: id.into(),
        vectors: Vectors::Unnamed(vector.to_vec()),
        payload: Payload::default(),
    }
}

/// Vectors by name, the unnamed one by the empty name.
pub(crate) fn by_name(vectors: Vectors) -> BTreeMap<String, Vector> {
    match vectors {
        Vectors::Unnamed(row) => BTreeMap::from([(String::new(), row.into())]),
        Vectors::Named(vectors) => vectors.into_iter().collect(),
    }
}

/// The same as a point is read.
pub(crate) fn of_names(mut vectors: BTreeMap<String, Vector>) -> Vectors {
    match (vectors.len(), vectors.remove("")) {
        (1, Some(Vector::Dense(row))) => Vectors::Unnamed(row),
        (_, unnamed) => {
            let unnamed = unnamed.map(|vector| (String::new(), vector));
            Vectors::Named(unnamed.into_iter().chain(vectors).collect())
        }
    }
}

pub(crate) fn tagged(id: u64, vector: &[f32], tag: i64) -> Point {
    let payload = Payload::from_fields(&[("tag", Value::Int(tag))]).unwrap();
    Point {
        payload,
        ..point(id, vector)
    }
}

pub(crate) fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<PointId> {
    numbers.into_iter().map(PointId::from).collect()
}

pub(crate) fn random_vector(rng: &mut Rng, dimension: usize) -> Vec<f32> {
    (0..dimension)
        .map(|_| (rng.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

pub(crate) fn upsert_random(
    collection: &Collection,
    rng: &mut Rng,
    numbers: std::ops::Range<u64>,
) -> Vec<Point> {
    let dimension = collection.config().vectors.values().next().unwrap().dimension;
    let points: Vec<_> = numbers
        .map(|id| point(id, &random_vector(rng, dimension)))
        .collect();
    collection.write(WriteBatch::upsert(points.clone())).unwrap();
    points
}

/// Every point, with its payload and vectors.
pub(crate) type Contents = BTreeMap<PointId, (Payload, Vectors)>;

pub(crate) fn contents(collection: &Collection) -> Contents {
    let (records, next) = collection
        .scroll(None, 100_000, &PayloadSelector::All, &VectorSelector::All)
        .unwrap();
    assert_eq!(next, None);
    let count = records.len();
    let contents: Contents = records
        .into_iter()
        .map(|record| (record.id, (record.payload.unwrap(), record.vectors.unwrap())))
        .collect();
    assert_eq!(contents.len(), count, "a point appears twice");
    assert_eq!(collection.count().unwrap(), count as u64);
    contents
}

/// What a scrape says.
pub(crate) struct Scrape {
    registry: Registry,
}

impl Scrape {
    pub(crate) fn of(engine: &Arc<Engine>) -> Self {
        let engine = Arc::clone(engine);
        Self {
            registry: Registry::new(Clock::instant(), vec![engine]).unwrap(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.registry.snapshot(Selection::default())
    }

    /// The value of a series; NaN when it is absent.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.snapshot().value(name, labels).unwrap_or(f64::NAN)
    }

    /// The value of a family by collection, for `main`.
    pub(crate) fn main(&self, name: &str) -> f64 {
        self.value(name, &[("db_id", "main")])
    }
}
