//! What a query of the dialect asks for: the neighbours of a vector or of a stored point, points like some examples, or
//! one list out of several.

use std::fmt;

use omendb_engine::{
    ContextPair, Diverse, Example, FormulaQuery, Fusion, Payload, PointId, Query, Recommend, Strategy, Uuid,
};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::feedback::FeedbackBody;
use super::formula::ExpressionInput;
use super::one_or_many::OneOrMany;
use super::order_by::OrderByInput;
use super::payload::PayloadBody;
use super::vector::{Component, SparseFields, components, sparse};

/// What is asked for: [`Query`], read from a vector, an id, or an object named by its kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryInput(pub(crate) Query);

/// A vector or an id.
pub(super) struct VectorInput(pub(super) Example);

/// Reciprocal rank fusion reads `k` as this unless told otherwise, as in the dialect.
const DEFAULT_RANKING_CONSTANT: usize = 2;
/// As in the dialect.
const DEFAULT_DIVERSITY: f32 = 0.5;

struct VectorInputVisitor;

impl<'de> Visitor<'de> for VectorInputVisitor {
    type Value = VectorInput;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(
            "a list of numbers, an object of `indices` and `values`, a point id (an unsigned integer or a UUID) or an \
             object with the kind of query",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<VectorInput, A::Error> {
        components(list).map(|vector| VectorInput(Example::Vector(vector.into())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<VectorInput, A::Error> {
        sparse(map).map(|vector| VectorInput(Example::Vector(vector.into())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<VectorInput, E> {
        Ok(VectorInput(Example::Point(PointId::Number(number))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<VectorInput, E> {
        match text.parse::<Uuid>() {
            Ok(uuid) => Ok(VectorInput(Example::Point(PointId::Uuid(uuid)))),
            Err(_) => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for VectorInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorInputVisitor)
    }
}

impl From<VectorInput> for QueryInput {
    fn from(VectorInput(example): VectorInput) -> Self {
        Self(match example {
            Example::Vector(vector) => Query::Nearest(vector),
            Example::Point(id) => Query::NearestTo(id),
        })
    }
}

/// How hits are kept apart.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MmrBody {
    diversity: Option<Component>,
    candidates_limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecommendBody {
    positive: Option<Vec<VectorInput>>,
    negative: Option<Vec<VectorInput>>,
    strategy: Option<StrategyName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StrategyName {
    AverageVector,
    BestScore,
    SumScores,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairBody {
    positive: VectorInput,
    negative: VectorInput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DiscoverBody {
    target: VectorInput,
    context: OneOrMany<PairBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FusionName {
    Rrf,
    Dbsf,
}

/// How points are drawn.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SampleName {
    Random,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RrfBody {
    k: Option<usize>,
    weights: Option<Vec<Component>>,
}

fn examples(inputs: Option<Vec<VectorInput>>) -> Vec<Example> {
    let inputs = inputs.unwrap_or_default().into_iter();
    inputs.map(|VectorInput(example)| example).collect()
}

fn pairs(OneOrMany(pairs): OneOrMany<PairBody>) -> Vec<ContextPair> {
    let pair = |pair: PairBody| ContextPair {
        positive: pair.positive.0,
        negative: pair.negative.0,
    };
    pairs.into_iter().map(pair).collect()
}

impl From<RecommendBody> for Query {
    fn from(body: RecommendBody) -> Self {
        let RecommendBody {
            positive,
            negative,
            strategy,
        } = body;
        Self::Recommend(Recommend {
            positive: examples(positive),
            negative: examples(negative),
            strategy: match strategy {
                None | Some(StrategyName::AverageVector) => Strategy::AverageVector,
                Some(StrategyName::BestScore) => Strategy::BestScore,
                Some(StrategyName::SumScores) => Strategy::SumScores,
            },
        })
    }
}

impl From<FusionName> for Fusion {
    fn from(name: FusionName) -> Self {
        match name {
            FusionName::Rrf => Self::ReciprocalRank {
                k: DEFAULT_RANKING_CONSTANT,
                weights: Vec::new(),
            },
            FusionName::Dbsf => Self::ScoreDistribution,
        }
    }
}

impl From<RrfBody> for Fusion {
    fn from(body: RrfBody) -> Self {
        let RrfBody { k, weights } = body;
        let weights = weights.unwrap_or_default().into_iter();
        Self::ReciprocalRank {
            k: k.unwrap_or(DEFAULT_RANKING_CONSTANT),
            weights: weights.map(|Component(weight)| weight).collect(),
        }
    }
}

/// `nearest`, with or without `mmr`.
fn nearest(input: VectorInput, mmr: Option<MmrBody>) -> Query {
    match mmr {
        None => QueryInput::from(input).0,
        Some(MmrBody {
            diversity,
            candidates_limit,
        }) => Query::Diverse(Diverse {
            near: input.0,
            diversity: diversity.map_or(DEFAULT_DIVERSITY, |Component(diversity)| diversity),
            candidates: candidates_limit,
        }),
    }
}

impl<'de> Deserialize<'de> for QueryInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QueryVisitor;
        impl<'de> Visitor<'de> for QueryVisitor {
            type Value = QueryInput;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                VectorInputVisitor.expecting(formatter)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<QueryInput, A::Error> {
                VectorInputVisitor.visit_seq(list).map(QueryInput::from)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<QueryInput, E> {
                VectorInputVisitor.visit_u64(number).map(QueryInput::from)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<QueryInput, E> {
                VectorInputVisitor.visit_str(text).map(QueryInput::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<QueryInput, A::Error> {
                by_kind(map).map(QueryInput)
            }
        }
        deserializer.deserialize_any(QueryVisitor)
    }
}

/// An object whose only field is the kind of query, but for `mmr`, which stands beside `nearest`, `defaults`, which
/// stand beside `formula`, and a sparse vector.
fn by_kind<'de, A: MapAccess<'de>>(mut map: A) -> Result<Query, A::Error> {
    let (mut query, mut near, mut mmr) = (None, None, None);
    let mut defaults = None;
    let mut sparse = SparseFields::default();
    while let Some(kind) = map.next_key::<String>()? {
        if sparse.read(&kind, &mut map)? {
            continue;
        }
        if (query.is_some() && kind != "defaults") || (near.is_some() && kind != "mmr") {
            return Err(Error::custom(format_args!(
                "`{kind}` beside another kind of query"
            )));
        }
        match kind.as_str() {
            "nearest" => near = Some(map.next_value::<VectorInput>()?),
            "mmr" => mmr = map.next_value::<Option<MmrBody>>()?,
            "recommend" => query = Some(Query::from(map.next_value::<RecommendBody>()?)),
            "discover" => {
                let DiscoverBody { target, context } = map.next_value()?;
                query = Some(Query::Discover(target.0, pairs(context)));
            }
            "context" => query = Some(Query::Context(pairs(map.next_value()?))),
            "relevance_feedback" => {
                query = Some(Query::Feedback(map.next_value::<FeedbackBody>()?.into()));
            }
            "fusion" => query = Some(Query::Fusion(map.next_value::<FusionName>()?.into())),
            "formula" => {
                let ExpressionInput(formula) = map.next_value()?;
                query = Some(Query::Formula(FormulaQuery {
                    formula,
                    defaults: Payload::default(),
                }));
            }
            "defaults" => defaults = map.next_value::<Option<PayloadBody>>()?,
            "order_by" => {
                let OrderByInput(order_by) = map.next_value()?;
                query = Some(Query::OrderBy(order_by));
            }
            "sample" => {
                let SampleName::Random = map.next_value()?;
                query = Some(Query::Sample);
            }
            "rrf" => query = Some(Query::Fusion(map.next_value::<RrfBody>()?.into())),
            _ => return Err(unsupported(&kind)),
        }
    }
    if let Some(vector) = sparse.into_vector()? {
        return match (query, near, mmr, defaults) {
            (None, None, None, None) => Ok(Query::Nearest(vector.into())),
            _ => Err(Error::custom("`indices` beside a kind of query")),
        };
    }
    if let Some(PayloadBody(defaults)) = defaults {
        match &mut query {
            Some(Query::Formula(formula)) => formula.defaults = defaults,
            Some(_) | None => return Err(Error::custom("`defaults` beside another kind than `formula`")),
        }
    }
    match (query, near) {
        (None, Some(near)) => Ok(nearest(near, mmr)),
        (Some(_), None) if mmr.is_some() => Err(Error::custom("`mmr` beside another kind than `nearest`")),
        (Some(query), _) => Ok(query),
        (None, None) => Err(Error::missing_field("nearest")),
    }
}

fn unsupported<E: Error>(kind: &str) -> E {
    E::custom(format_args!(
        "`{kind}` queries are not supported by this server, only `nearest`, `recommend`, `discover`, `context`, \
         `relevance_feedback`, `fusion`, `rrf`, `formula`, `order_by` and `sample`"
    ))
}

#[cfg(test)]
mod tests {
    use omendb_engine::{
        Direction, Expression, Feedback, FeedbackStrategy, OrderBy, SparseVector, Value, Vector,
    };

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<Query, &str>) {
        match (serde_json::from_str::<QueryInput>(json), expected) {
            (Ok(QueryInput(query)), Ok(expected)) => assert_eq!(query, expected, "{json}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{json}: {error}"),
            (outcome, expected) => panic!("{json}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn queries_name_a_vector_or_a_point() {
        let uuid = "936da01f-9abd-4d9d-80c7-02af85c822a8";
        let by_uuid = Query::NearestTo(PointId::Uuid(uuid.parse().expect("a UUID")));
        check("[1,2.5]", Ok(Query::Nearest(vec![1.0, 2.5].into())));
        check("7", Ok(Query::NearestTo(PointId::Number(7))));
        check(&format!("\"{uuid}\""), Ok(by_uuid.clone()));
        check(r#"{"nearest":[1]}"#, Ok(Query::Nearest(vec![1.0].into())));
        check(&format!(r#"{{"nearest":"{uuid}","mmr":null}}"#), Ok(by_uuid));
    }

    #[test]
    fn queries_name_a_sparse_vector() {
        let vector: Vector = SparseVector {
            indices: vec![7, 3],
            values: vec![1.0, 0.5],
        }
        .into();
        let json = r#"{"indices":[7,3],"values":[1,0.5]}"#;
        let nearest = Query::Nearest(vector.clone());
        check(json, Ok(nearest.clone()));
        check(r#"{"values":[1,0.5],"indices":[7,3]}"#, Ok(nearest.clone()));
        check(&format!(r#"{{"nearest":{json}}}"#), Ok(nearest));
        let example = Example::Vector(vector);
        check(
            &format!(r#"{{"context":[{{"positive":{json},"negative":2}}]}}"#),
            Ok(Query::Context(vec![ContextPair {
                positive: example,
                negative: Example::Point(2.into()),
            }])),
        );
    }

    #[test]
    fn queries_go_by_examples() {
        let (vector, point) = (Example::Vector(vec![1.0].into()), Example::Point(2.into()));
        let pair = |positive: &Example, negative: &Example| ContextPair {
            positive: positive.clone(),
            negative: negative.clone(),
        };
        let recommend = |strategy| {
            Query::Recommend(Recommend {
                positive: vec![vector.clone(), point.clone()],
                negative: Vec::new(),
                strategy,
            })
        };
        check(
            r#"{"recommend":{"positive":[[1],2]}}"#,
            Ok(recommend(Strategy::AverageVector)),
        );
        check(
            r#"{"recommend":{"positive":[[1],2],"negative":null,"strategy":"best_score"}}"#,
            Ok(recommend(Strategy::BestScore)),
        );
        check(
            r#"{"discover":{"target":2,"context":{"positive":[1],"negative":2}}}"#,
            Ok(Query::Discover(point.clone(), vec![pair(&vector, &point)])),
        );
        check(
            r#"{"context":[{"positive":2,"negative":[1]}]}"#,
            Ok(Query::Context(vec![pair(&point, &vector)])),
        );
        check(
            r#"{"nearest":2,"mmr":{"diversity":0.25,"candidates_limit":30}}"#,
            Ok(Query::Diverse(Diverse {
                near: point.clone(),
                diversity: 0.25,
                candidates: Some(30),
            })),
        );
    }

    #[test]
    fn queries_bring_feedback() {
        let feedback = |examples: &str, strategy: &str| {
            format!(
                r#"{{"relevance_feedback":{{"target":[1],"feedback":[{examples}],"strategy":{{{strategy}}}}}}}"#
            )
        };
        let naive = r#""naive":{"a":0.5,"b":1,"c":-2}"#;
        check(
            &feedback(r#"{"example":2,"score":0.5},{"example":[3],"score":-1}"#, naive),
            Ok(Query::Feedback(Feedback {
                target: Example::Vector(vec![1.0].into()),
                examples: vec![
                    (Example::Point(2.into()), 0.5),
                    (Example::Vector(vec![3.0].into()), -1.0),
                ],
                strategy: FeedbackStrategy {
                    a: 0.5,
                    b: 1.0,
                    c: -2.0,
                },
            })),
        );
        check(&feedback(r#"{"example":2}"#, naive), Err("missing field `score`"));
        check(
            &feedback("", r#""naive":{"a":1,"b":1}"#),
            Err("missing field `c`"),
        );
        check(&feedback("", r#""wise":{}"#), Err("unknown field `wise`"));
        check(&feedback("", ""), Err("missing field `naive`"));
        check(r#"{"relevance_feedback":{}}"#, Err("missing field `target`"));
    }

    #[test]
    fn queries_fuse_prefetches() {
        let ranks = |k, weights| Query::Fusion(Fusion::ReciprocalRank { k, weights });
        check(r#"{"fusion":"rrf"}"#, Ok(ranks(2, Vec::new())));
        check(
            r#"{"fusion":"dbsf"}"#,
            Ok(Query::Fusion(Fusion::ScoreDistribution)),
        );
        check(r#"{"rrf":{}}"#, Ok(ranks(2, Vec::new())));
        check(
            r#"{"rrf":{"k":60,"weights":[1,0.5]}}"#,
            Ok(ranks(60, vec![1.0, 0.5])),
        );
        check(r#"{"fusion":"sum"}"#, Err("unknown variant `sum`"));
    }

    #[test]
    fn queries_order_and_draw() {
        let order_by = OrderBy {
            key: "n".parse().expect("a path"),
            direction: Direction::Descending,
            start_from: None,
        };
        check(
            r#"{"order_by":{"key":"n","direction":"desc"}}"#,
            Ok(Query::OrderBy(order_by)),
        );
        check(r#"{"sample":"random"}"#, Ok(Query::Sample));
        let formula = |defaults| {
            let formula = Expression::Sum(vec![Expression::Score(0)]);
            Query::Formula(FormulaQuery { formula, defaults })
        };
        check(
            r#"{"formula":{"sum":["$score"]}}"#,
            Ok(formula(Payload::default())),
        );
        let defaults = Payload::from_fields(&[("n", Value::Int(1))]).expect("a payload");
        check(
            r#"{"defaults":{"n":1},"formula":{"sum":["$score"]}}"#,
            Ok(formula(defaults)),
        );
        check(r#"{"formula":1,"nearest":[1]}"#, Err("`nearest` beside another"));
        check(
            r#"{"nearest":[1],"defaults":{}}"#,
            Err("`defaults` beside another"),
        );
        check(
            r#"{"sample":"random","defaults":{}}"#,
            Err("`defaults` beside another kind"),
        );
    }

    #[test]
    fn other_queries_are_refused_by_name() {
        check(r#"{"text":"cat"}"#, Err("`text` queries are not supported"));
        check(r#"{"sample":"first"}"#, Err("unknown variant `first`"));
        check(r#"{"text":"cat","model":"m"}"#, Err("`text`"));
        check(
            r#"{"fusion":"rrf","nearest":[1]}"#,
            Err("`nearest` beside another"),
        );
        check(r#"{"fusion":"rrf","mmr":{}}"#, Err("`mmr` beside another"));
        check(r#"{"nearest":[1],"context":[]}"#, Err("`context` beside another"));
        check(
            r#"{"recommend":{"positive":[1],"by":2}}"#,
            Err("unknown field `by`"),
        );
        check(
            r#"{"indices":[1],"values":[1],"nearest":[1]}"#,
            Err("`indices` beside a kind"),
        );
        check(r#"{"nearest":[1],"indices":[1]}"#, Err("missing field `values`"));
        check(r#"{"indices":[1]}"#, Err("missing field `values`"));
        check(r#"{"nearest":{"indices":[1]}}"#, Err("missing field `values`"));
        check("{}", Err("missing field `nearest`"));
        check("-1", Err("`-1`"));
        check("\"cat\"", Err("\"cat\""));
        check("[[1]]", Err("multi-"));
        check("true", Err("`true`"));
    }
}
