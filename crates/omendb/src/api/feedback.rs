//! Relevance feedback in JSON: a target, examples with their scores, and a strategy named by its parameters.

use omendb_engine::{Feedback, FeedbackStrategy};
use serde::Deserialize;

use super::query_input::VectorInput;
use super::vector::Component;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    target: VectorInput,
    feedback: Vec<ItemBody>,
    strategy: StrategyBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemBody {
    example: VectorInput,
    score: Component,
}

/// The only strategy of the dialect.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyBody {
    naive: NaiveBody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NaiveBody {
    a: Component,
    b: Component,
    c: Component,
}

impl From<FeedbackBody> for Feedback {
    fn from(body: FeedbackBody) -> Self {
        let FeedbackBody {
            target: VectorInput(target),
            feedback,
            strategy: StrategyBody { naive },
        } = body;
        let NaiveBody {
            a: Component(a),
            b: Component(b),
            c: Component(c),
        } = naive;
        let item = |ItemBody { example, score }: ItemBody| (example.0, score.0);
        Self {
            target,
            examples: feedback.into_iter().map(item).collect(),
            strategy: FeedbackStrategy { a, b, c },
        }
    }
}
