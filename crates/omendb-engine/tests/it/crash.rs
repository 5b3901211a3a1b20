//! Random histories, a power cut after every operation of the disk: what was acknowledged is there, whole, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{
    CollectionConfig, Distance, Engine, EngineOptions, Error, Operation, Payload, Point, PointId,
    PointSelector, PointVectors, SparseVector, Value, Vector, VectorConfig, Vectors, WriteBatch,
};
use omendb_sim::{CrashPoint, Rng, SimFs};

use crate::fixtures::{Contents, by_name, contents, of_names, open_with, options, random_terms, with_words};

const NAMES: [&str; 2] = ["one", "two"];
const DIMENSION: usize = 3;
const STEPS: usize = 40;
/// Disks that a cut at one point may leave, tried for each point.
const IMAGES: usize = 4;

/// Collection `one` has an unnamed vector, `two` a sparse one, `words`, beside it.
fn config(name: &str) -> CollectionConfig {
    let unnamed = CollectionConfig::unnamed(DIMENSION, Distance::Dot);
    if name == "two" {
        with_words(unnamed)
    } else {
        unnamed
    }
}

/// What was acknowledged: the collections and their points.
type Model = BTreeMap<&'static str, Contents>;

/// The model after each step, with the number of the disk operation that was the last before its acknowledgement.
struct History {
    fs: SimFs,
    engine: Arc<Engine>,
    rng: Rng,
    model: Model,
    acknowledged: Vec<(u64, Model)>,
}

fn small_log(fs: &SimFs) -> EngineOptions {
    let mut options = options(fs);
    options.snapshot_log_bytes = 2_000;
    options
}

impl History {
    fn run(seed: u64) -> Self {
        let fs = SimFs::new(seed);
        let engine = open_with(small_log(&fs)).unwrap();
        fs.record_crash_points();
        let acknowledged = vec![(fs.operations(), Model::new())];
        let mut history = Self {
            fs,
            engine,
            rng: Rng::new(seed),
            model: Model::new(),
            acknowledged,
        };
        for _ in 0..STEPS {
            history.step();
            history
                .acknowledged
                .push((history.fs.operations(), history.model.clone()));
        }
        history
    }

    fn step(&mut self) {
        let name = NAMES[self.rng.below(NAMES.len())];
        match self.rng.below(20) {
            0 => {
                assert_eq!(
                    self.engine.delete_collection(name),
                    Ok(self.model.remove(name).is_some())
                );
            }
            1..=3 => self.engine.tick(),
            4 if self.model.contains_key("two") => self.change_names(),
            _ if !self.model.contains_key(name) => {
                self.engine.create_collection(name, config(name)).unwrap();
                self.model.insert(name, Contents::new());
            }
            _ => {
                let operations = (0..1 + self.rng.below(3)).map(|_| self.operation(name)).collect();
                self.engine
                    .collection(name)
                    .unwrap()
                    .write(WriteBatch { operations })
                    .unwrap();
            }
        }
    }

    /// Gives the points of `two` another vector, `extra`, or takes it from them, in the model too.
    fn change_names(&mut self) {
        let dimension = 1 + self.rng.below(400);
        let change = |config: &mut CollectionConfig| {
            if config.remove_vector("extra").is_ok() {
                return Ok(());
            }
            let vector = VectorConfig::new(dimension, Distance::Dot);
            config.add_vector("extra", vector).map(drop)
        };
        self.engine.change_vectors::<Error>("two", change).unwrap();
        for (_, vectors) in self.model.get_mut("two").unwrap().values_mut() {
            let mut left = by_name(vectors.clone());
            left.remove("extra");
            *vectors = of_names(left);
        }
    }

    /// A random change, made in the model.
    fn operation(&mut self, name: &str) -> Operation {
        let count = 1 + self.rng.below(12);
        let ids: Vec<PointId> = (0..count).map(|_| (self.rng.below(40) as u64).into()).collect();
        let contents = self.model.get_mut(name).unwrap();
        let config = self.engine.collection(name).unwrap().config();
        let (rng, extra) = (&mut self.rng, config.vectors.get("extra"));
        let name = (name, extra.map(|vector| vector.dimension));
        match rng.below(6) {
            0 | 1 => {
                ids.iter().for_each(|id| drop(contents.remove(id)));
                return Operation::Delete(ids);
            }
            2 => return change_vectors(rng, name, contents),
            _ => {}
        }
        let point = |id| {
            let vectors = vectors(rng, name);
            let fields = [
                ("n", Value::Int(rng.bits() as i64)),
                ("s", Value::String("x".repeat(rng.below(30)))),
            ];
            Point {
                id,
                vectors,
                payload: Payload::from_fields(&fields).unwrap(),
            }
        };
        let points: Vec<Point> = ids.into_iter().map(point).collect();
        for Point { id, vectors, payload } in points.clone() {
            contents.insert(id, (payload, vectors));
        }
        Operation::Upsert(points)
    }

    /// The states that a cut at `crash` may leave: what was acknowledged, or that and the step under way.
    fn allowed(&self, crash: &CrashPoint) -> &[(u64, Model)] {
        let after = self
            .acknowledged
            .partition_point(|(operations, _)| *operations <= crash.operations);
        &self.acknowledged[after - 1..(after + 1).min(self.acknowledged.len())]
    }
}

/// Vectors that a point of the collection may have.
fn vectors(rng: &mut Rng, (name, extra): (&str, Option<usize>)) -> Vectors {
    let row: Vec<f32> = (0..DIMENSION).map(|_| rng.below(1_000) as f32).collect();
    match rng.below(3) {
        _ if name == "one" => Vectors::Unnamed(row),
        0 => Vectors::Unnamed(row),
        1 => {
            let extra = extra.map(|dimension| {
                let row: Vec<f32> = (0..dimension).map(|_| rng.below(1_000) as f32).collect();
                ("extra".to_owned(), row.into())
            });
            Vectors::Named(extra.into_iter().chain([words(rng)]).collect())
        }
        _ => Vectors::Named(vec![(String::new(), row.into()), words(rng)]),
    }
}

/// Replaces or takes away vectors of some points, in the model too.
fn change_vectors(rng: &mut Rng, name: (&str, Option<usize>), contents: &mut Contents) -> Operation {
    let chosen: Vec<PointId> = contents.keys().copied().filter(|_| rng.one_in(4)).collect();
    if rng.one_in(3) {
        let doomed = if name.0 == "two" && rng.one_in(2) {
            "words"
        } else {
            ""
        };
        for id in &chosen {
            let (_, vectors) = contents.get_mut(id).unwrap();
            let mut left = by_name(vectors.clone());
            left.remove(doomed);
            *vectors = of_names(left);
        }
        return Operation::DeleteVectors(vec![doomed.to_owned()], PointSelector::Ids(chosen));
    }
    let change = |id| PointVectors {
        id,
        vectors: vectors(rng, name),
    };
    let changes: Vec<PointVectors> = chosen.into_iter().map(change).collect();
    for PointVectors { id, vectors } in changes.clone() {
        let (_, known) = contents.get_mut(&id).unwrap();
        let mut all = by_name(known.clone());
        all.extend(by_name(vectors));
        *known = of_names(all);
    }
    Operation::UpdateVectors(changes, None)
}

fn words(rng: &mut Rng) -> (String, Vector) {
    let terms: SparseVector = random_terms(rng, 50, 8);
    ("words".to_owned(), terms.into())
}

fn model_of(engine: &Engine) -> Model {
    let collections = engine.collections();
    let name = |given: &str| NAMES.into_iter().find(|name| *name == given).unwrap();
    collections
        .iter()
        .map(|collection| (name(collection.name()), contents(collection)))
        .collect()
}

fn check(seed: u64) {
    let history = History::run(seed);
    assert_eq!(model_of(&history.engine), history.model, "seed {seed}");
    let mut rng = Rng::new(seed ^ 0xc4a5);
    for crash in history.fs.crash_points() {
        let allowed = history.allowed(&crash);
        for (number, image) in crash.images(IMAGES, &mut rng).into_iter().enumerate() {
            let context = format!(
                "seed {seed}, cut after operation {}, image {number}",
                crash.operations
            );
            let engine = open_with(small_log(&image)).unwrap_or_else(|error| panic!("{context}: {error}"));
            let found = model_of(&engine);
            assert!(allowed.iter().any(|(_, model)| *model == found), "{context}");
            drop(engine);
            // What was served once must be served again, wherever the next cut comes.
            let next = image.crash_point().images(1, &mut rng).remove(0);
            let again = model_of(&open_with(small_log(&next)).unwrap());
            assert_eq!(again, found, "{context}: a second cut");
        }
    }
}

#[test]
fn histories_survive_a_power_cut_anywhere() {
    (1..=6).for_each(check);
}
