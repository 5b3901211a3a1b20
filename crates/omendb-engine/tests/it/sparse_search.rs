//! Searches by sparse vectors: against the plain formulas, and the same with an index as without.

use std::collections::BTreeMap;
use std::sync::Arc;

use omendb_engine::{
    Collection, CollectionConfig, Condition, ContextPair, Distance, Diverse, Engine, ErrorKind, Example,
    Filter, Fusion, Modifier, Plan, PointId, Prefetch, Query, Recommend, SearchRequest, SearchResponse,
    SparseConfig, SparseVector, Strategy, Vector, Vectors, Worker, WriteBatch, limits,
};
use omendb_sim::{Rng, SimFs};

use crate::fixtures::{Scrape, contents, ids, open, point, random_terms, random_vector};

const VOCABULARY: usize = 300;

/// A collection `main` with an unnamed vector of two dimensions and two sparse ones, `words` and `rare`, of which the
/// latter is weighed by frequency.
fn create(engine: &Engine) -> Arc<Collection> {
    let mut config = CollectionConfig::unnamed(2, Distance::Dot);
    let weighed = SparseConfig {
        modifier: Modifier::Idf,
        ..SparseConfig::default()
    };
    config.sparse_vectors = [
        ("words".to_owned(), SparseConfig::default()),
        ("rare".to_owned(), weighed),
    ]
    .into();
    engine.create_collection("main", config).unwrap()
}

/// Points with some of their vectors; whole numbers for values, so that there are ties.
fn write(collection: &Collection, rng: &mut Rng, numbers: std::ops::Range<u64>) {
    let mut point_of = |id| {
        let mut vectors = Vec::new();
        for name in ["words", "rare"] {
            if !rng.one_in(5) {
                vectors.push((name.to_owned(), whole_terms(rng, 12).into()));
            }
        }
        if rng.one_in(2) {
            vectors.push((String::new(), random_vector(rng, 2).into()));
        }
        omendb_engine::Point {
            vectors: Vectors::Named(vectors),
            ..point(id, &[])
        }
    };
    let points = numbers.map(&mut point_of).collect();
    collection.write(WriteBatch::upsert(points)).unwrap();
}

fn whole_terms(rng: &mut Rng, most: usize) -> SparseVector {
    let mut vector = random_terms(rng, VOCABULARY, most);
    vector
        .values
        .iter_mut()
        .for_each(|value| *value = (*value * 4.0).round());
    vector
}

fn request(using: &str, query: Query) -> SearchRequest {
    SearchRequest {
        using: using.to_owned(),
        query,
        ..SearchRequest::nearest(Vec::new(), 20)
    }
}

/// The terms of every point that has the vector.
fn rows(collection: &Collection, using: &str) -> BTreeMap<PointId, BTreeMap<u32, f64>> {
    let row = |(id, (_, vectors))| {
        let Vectors::Named(vectors) = vectors else {
            return None;
        };
        let (_, vector) = vectors.into_iter().find(|(name, _)| name == using)?;
        match vector {
            Vector::Sparse(vector) => Some((id, terms(&vector))),
            Vector::Dense(_) => None,
        }
    };
    contents(collection).into_iter().filter_map(row).collect()
}

fn terms(vector: &SparseVector) -> BTreeMap<u32, f64> {
    let values = vector.values.iter().map(|&value| f64::from(value));
    vector.indices.iter().copied().zip(values).collect()
}

/// The dot product; `None` without a term in common.
fn dot(a: &BTreeMap<u32, f64>, b: &BTreeMap<u32, f64>) -> Option<f64> {
    let products: Vec<f64> = a.iter().filter_map(|(term, x)| Some(x * b.get(term)?)).collect();
    (!products.is_empty()).then(|| products.iter().sum())
}

/// Compares the hits with the best of `score` over all rows, which are no hits without one.
#[track_caller]
fn check_hits(
    response: &SearchResponse,
    rows: &BTreeMap<PointId, BTreeMap<u32, f64>>,
    score: impl Fn(&BTreeMap<u32, f64>) -> Option<f64>,
) {
    let scored = rows.iter().filter_map(|(id, row)| Some((score(row)?, *id)));
    let mut expected: Vec<_> = scored.collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    assert_eq!(response.hits.len(), expected.len().min(20));
    for (hit, (expected, _)) in response.hits.iter().zip(&expected) {
        let own = score(&rows[&hit.id]).unwrap();
        let tolerance = 1e-5 * expected.abs().max(1.0);
        assert!(
            (f64::from(hit.score) - expected).abs() < tolerance,
            "{hit:?}, not {expected}"
        );
        assert!((own - expected).abs() < tolerance, "{hit:?} scores {own}");
    }
}

fn idf(rows: &BTreeMap<PointId, BTreeMap<u32, f64>>, term: u32) -> f64 {
    let with = rows.values().filter(|row| row.contains_key(&term)).count() as f64;
    ((rows.len() as f64 - with + 0.5) / (with + 0.5) + 1.0).ln()
}

#[test]
fn the_nearest_agree_with_the_plain_formula() {
    let engine = open(&SimFs::new(1));
    let collection = create(&engine);
    let mut rng = Rng::new(21);
    write(&collection, &mut rng, 0..900);
    collection
        .write(WriteBatch::delete(ids((0..900).filter(|id| id % 7 == 3))))
        .unwrap();
    let mut worker = engine.worker();
    for is_indexed in [false, true] {
        let (words, rare) = (rows(&collection, "words"), rows(&collection, "rare"));
        for _ in 0..30 {
            let vector = whole_terms(&mut rng, 10);
            let query = terms(&vector);
            let nearest = |using: &str| request(using, Query::Nearest(vector.clone().into()));
            let response = worker.search(&collection, &nearest("words")).unwrap();
            check_hits(&response, &words, |row| dot(&query, row));
            let plan = if is_indexed {
                Plan::SparseIndex
            } else {
                Plan::Exact
            };
            let reads_postings = is_indexed && !query.is_empty();
            assert_eq!(
                (response.stats.plan, response.stats.postings > 0),
                (plan, reads_postings)
            );
            let weighed = query
                .iter()
                .map(|(&term, x)| (term, x * idf(&rare, term)))
                .collect();
            let response = worker.search(&collection, &nearest("rare")).unwrap();
            check_hits(&response, &rare, |row| dot(&weighed, row));
            let third: Vec<PointId> = rare.keys().copied().step_by(3).collect();
            let among: BTreeMap<_, _> = third.iter().map(|id| (*id, rare[id].clone())).collect();
            let scoped = SearchRequest {
                idf_corpus: Some(Arc::new(Filter::of(Condition::HasId(
                    third.into_iter().collect(),
                )))),
                ..nearest("rare")
            };
            let weighed = query
                .iter()
                .map(|(&term, x)| (term, x * idf(&among, term)))
                .collect();
            let response = worker.search(&collection, &scoped).unwrap();
            check_hits(&response, &rare, |row| dot(&weighed, row));
        }
        engine.tick();
    }
}

/// Every kind of query, by vectors and by points.
fn every_query(rng: &mut Rng) -> Vec<Query> {
    let mut example = |id: u64| {
        if id.is_multiple_of(2) {
            Example::Point(id.into())
        } else {
            Example::Vector(whole_terms(rng, 10).into())
        }
    };
    let pair = |positive, negative| ContextPair { positive, negative };
    let mut queries = Vec::new();
    for strategy in [Strategy::AverageVector, Strategy::BestScore, Strategy::SumScores] {
        queries.push(Query::Recommend(Recommend {
            positive: vec![example(0), example(1)],
            negative: vec![example(2), example(3)],
            strategy,
        }));
    }
    queries.push(Query::Recommend(Recommend {
        positive: Vec::new(),
        negative: (0..20).map(|_| example(1)).collect(),
        strategy: Strategy::BestScore,
    }));
    queries.push(Query::Discover(example(1), vec![pair(example(0), example(3))]));
    queries.push(Query::Context(vec![
        pair(example(5), example(4)),
        pair(example(2), example(7)),
    ]));
    queries.push(Query::NearestTo(4.into()));
    queries.push(Query::Diverse(Diverse {
        near: example(1),
        diversity: 0.4,
        candidates: Some(60),
    }));
    queries
}

/// As a query with its prefetches, its filter, its threshold and its pages.
fn variants(using: &str, query: Query) -> Vec<SearchRequest> {
    let plain = request(using, query.clone());
    let third = Filter::of(Condition::HasId(ids((0..2_000).step_by(3)).into_iter().collect()));
    let prefetch = Prefetch {
        using: "words".to_owned(),
        query: Query::Nearest(whole_terms(&mut Rng::new(3), 12).into()),
        limit: 80,
        exact: false,
        ef: None,
        idf_corpus: None,
        score_threshold: None,
        filter: None,
        prefetch: Vec::new(),
    };
    vec![
        SearchRequest {
            filter: Some(Arc::new(third)),
            ..plain.clone()
        },
        SearchRequest {
            offset: 7,
            score_threshold: Some(0.25),
            ..plain.clone()
        },
        SearchRequest {
            prefetch: vec![prefetch],
            ..plain.clone()
        },
        plain,
    ]
}

#[test]
fn an_index_changes_no_answer_however_far_it_lags() {
    let (engine, other) = (open(&SimFs::new(1)), open(&SimFs::new(2)));
    let (indexed, plain) = (create(&engine), create(&other));
    let (mut worker, mut plain_worker) = (engine.worker(), other.worker());
    let mut rng = Rng::new(31);
    for round in 0..6 {
        for collection in [&indexed, &plain] {
            let mut rng = Rng::new(100 + round);
            // The first points stay, for queries to be near to.
            write(
                collection,
                &mut rng,
                if round == 0 {
                    0..1_500
                } else {
                    10 + round * 300..400 + round * 300
                },
            );
            let doomed = ids((0..100).map(|_| 10 + rng.below(1_900) as u64));
            collection.write(WriteBatch::delete(doomed)).unwrap();
        }
        // Every other time what was written since is not in the index.
        if round % 2 == 0 {
            engine.tick();
        }
        for query in every_query(&mut rng) {
            for request in ["words", "rare"]
                .iter()
                .flat_map(|using| variants(using, query.clone()))
            {
                let answers = [
                    worker.search(&indexed, &request),
                    plain_worker.search(&plain, &request),
                ];
                let [with, without] = answers.map(|answer| answer.map(|response| response.hits));
                assert_eq!(with, without, "round {round}: {request:?}");
            }
        }
    }
    assert!(Scrape::of(&engine).main("omendb_engine_postings_total") > 0.0);
    assert_eq!(Scrape::of(&other).main("omendb_engine_postings_total"), 0.0);
}

#[test]
fn examples_agree_with_their_formulas() {
    let engine = open(&SimFs::new(1));
    let collection = create(&engine);
    let mut rng = Rng::new(41);
    write(&collection, &mut rng, 0..700);
    engine.tick();
    let mut worker = engine.worker();
    let rows = rows(&collection, "words");
    for _ in 0..10 {
        let vectors: Vec<SparseVector> = (0..4).map(|_| whole_terms(&mut rng, 30)).collect();
        let likeness = |row: &BTreeMap<u32, f64>, at: usize| dot(&terms(&vectors[at]), row).unwrap_or(0.0);
        let example = |at: usize| Example::Vector(vectors[at].clone().into());
        let recommend = |strategy| {
            let (positive, negative) = (vec![example(0), example(1)], vec![example(2), example(3)]);
            Query::Recommend(Recommend {
                positive,
                negative,
                strategy,
            })
        };
        let mut search = |query| worker.search(&collection, &request("words", query)).unwrap();
        check_hits(&search(recommend(Strategy::SumScores)), &rows, |row| {
            Some(likeness(row, 0) + likeness(row, 1) - likeness(row, 2) - likeness(row, 3))
        });
        let squeeze = |x: f64| x / (1.0 + x.abs());
        let half = |x: f64| 0.5 * (squeeze(x) + 1.0);
        check_hits(&search(recommend(Strategy::BestScore)), &rows, |row| {
            let good = likeness(row, 0).max(likeness(row, 1));
            let bad = likeness(row, 2).max(likeness(row, 3));
            Some(if good > bad { half(good) } else { -half(bad) })
        });
        let mut average: BTreeMap<u32, f64> = BTreeMap::new();
        for (vector, share) in vectors.iter().zip([1.0, 1.0, -0.5, -0.5]) {
            for (term, value) in terms(vector) {
                *average.entry(term).or_default() += share * value;
            }
        }
        check_hits(&search(recommend(Strategy::AverageVector)), &rows, |row| {
            dot(&average, row)
        });
        let pair = ContextPair {
            positive: example(1),
            negative: example(2),
        };
        let discover = Query::Discover(example(0), vec![pair.clone()]);
        check_hits(&search(discover), &rows, |row| {
            let side = likeness(row, 1).total_cmp(&(likeness(row, 2) + 0.0)) as i8;
            Some(f64::from(side) + half(likeness(row, 0)))
        });
        check_hits(&search(Query::Context(vec![pair])), &rows, |row| {
            Some(squeeze(
                (likeness(row, 1) - likeness(row, 2) - f64::from(f32::EPSILON)).min(0.0),
            ))
        });
    }
}

#[test]
fn dense_and_sparse_hits_are_fused() {
    let engine = open(&SimFs::new(1));
    let collection = create(&engine);
    let mut rng = Rng::new(51);
    write(&collection, &mut rng, 0..500);
    engine.tick();
    let mut worker = engine.worker();
    let (dense, sparse): (Vector, Vector) = (
        random_vector(&mut rng, 2).into(),
        whole_terms(&mut rng, 12).into(),
    );
    let prefetch = |using: &str, vector: &Vector| Prefetch {
        using: using.to_owned(),
        query: Query::Nearest(vector.clone()),
        limit: 30,
        exact: false,
        ef: None,
        idf_corpus: None,
        score_threshold: None,
        filter: None,
        prefetch: Vec::new(),
    };
    let fusion = Fusion::ReciprocalRank {
        k: 2,
        weights: Vec::new(),
    };
    let hybrid = SearchRequest {
        prefetch: vec![prefetch("", &dense), prefetch("words", &sparse)],
        ..request("", Query::Fusion(fusion))
    };
    let found = worker.search(&collection, &hybrid).unwrap().hits;
    let mut expected: BTreeMap<PointId, f32> = BTreeMap::new();
    for (using, vector) in [("", dense), ("words", sparse)] {
        let alone = SearchRequest {
            limit: 30,
            ..request(using, Query::Nearest(vector))
        };
        let hits = worker.search(&collection, &alone).unwrap().hits;
        for (place, hit) in hits.iter().enumerate() {
            *expected.entry(hit.id).or_default() += 1.0 / (place as f32 + 2.0);
        }
    }
    let mut best: Vec<_> = expected.into_iter().collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(20);
    let found: Vec<_> = found.iter().map(|hit| (hit.id, hit.score)).collect();
    assert_eq!(found, best);
}

#[track_caller]
fn check_refused(worker: &mut Worker, collection: &Collection, request: &SearchRequest, expected: &str) {
    let error = worker.search(collection, request).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, expected));
}

#[test]
fn vectors_of_the_other_kind_are_refused() {
    let engine = open(&SimFs::new(1));
    let collection = create(&engine);
    let mut worker = engine.worker();
    let terms = |indices: &[u32]| -> Vector {
        SparseVector {
            indices: indices.to_vec(),
            values: vec![1.0; indices.len()],
        }
        .into()
    };
    let mut check = |using: &str, query: Query, expected: &str| {
        check_refused(&mut worker, &collection, &request(using, query), expected);
    };
    check(
        "words",
        Query::Nearest(vec![1.0].into()),
        "query vector \"words\": it is dense, the collection's is sparse",
    );
    check(
        "",
        Query::Nearest(terms(&[1])),
        "query vector \"\": it is sparse, the collection's is dense",
    );
    check(
        "words",
        Query::Nearest(terms(&[1, 1])),
        "query vector \"words\": indices: 1 is given twice, they must be unique",
    );
    check(
        "other",
        Query::Nearest(terms(&[1])),
        "Wrong input: Not existing vector name error: other",
    );
    let many: Vec<u32> = (0..65_536).collect();
    let many = Query::Recommend(Recommend {
        positive: vec![Example::Vector(terms(&many)); limits::MAX_QUERY_TERMS / 65_536 + 1],
        negative: Vec::new(),
        strategy: Strategy::SumScores,
    });
    check(
        "words",
        many,
        "examples with 1114112 terms together, more than 1048576",
    );
}

#[test]
fn the_index_is_in_the_ledger() {
    let engine = open(&SimFs::new(1));
    let collection = create(&engine);
    write(&collection, &mut Rng::new(61), 0..2_000);
    let scrape = Scrape::of(&engine);
    let component = |component| {
        let labels = [("db_id", "main"), ("component", component)];
        scrape.value("omendb_engine_memory_component_bytes", &labels)
    };
    let before = scrape.main("omendb_engine_index_size_bytes");
    assert_eq!(component("sparse_index"), 0.0);
    engine.tick();
    let index = component("sparse_index");
    let terms: usize = ["words", "rare"]
        .into_iter()
        .flat_map(|using| rows(&collection, using).into_values())
        .map(|row| row.len())
        .sum();
    // The last, open chunks are not read.
    assert!(
        index > terms as f64 * 6.0 * 0.8,
        "{index} bytes for {terms} terms"
    );
    assert_eq!(scrape.main("omendb_engine_index_size_bytes"), before + index);
    collection.write(WriteBatch::delete(ids(0..2_000))).unwrap();
    engine.close();
    assert_eq!(component("sparse_index"), 0.0);
}
