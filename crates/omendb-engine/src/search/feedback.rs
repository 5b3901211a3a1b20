//! Relevance feedback: what the examples of a query count, by how relevant they were found.

use crate::Error;
use crate::search::request::Example;

/// A target, and examples with how relevant to it each was found. A point ranks by its comparison with the target, and
/// by how much nearer it is to the more relevant example of each pair than to the less relevant one.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// What was searched for.
    pub target: Example,
    /// What was found, and how relevant it is.
    pub examples: Vec<(Example, f32)>,
    /// How feedback makes a rank.
    pub strategy: FeedbackStrategy,
}

/// The rank is `a` times the comparison with the target, plus for each pair of examples `c` times the `b`-th power of the
/// difference of their relevances, times that of the comparisons with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedbackStrategy {
    /// What the target counts.
    pub a: f32,
    /// How much more pairs count that are farther apart.
    pub b: f32,
    /// What the pairs count.
    pub c: f32,
}

impl Feedback {
    /// What the comparisons with the target and with each example are multiplied by: the sum over the pairs that an
    /// example is in. Two examples of one relevance are no pair.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when one of them leaves the range of 32 bits.
    pub(super) fn weights(&self) -> Result<Vec<f32>, Error> {
        let FeedbackStrategy { a, b, c } = self.strategy;
        let relevances = || self.examples.iter().map(|&(_, relevance)| f64::from(relevance));
        let pair = |difference: f64| {
            if difference == 0.0 {
                return 0.0;
            }
            f64::from(c) * difference.signum() * difference.abs().powf(f64::from(b))
        };
        let weight = |relevance: f64| relevances().map(|other| pair(relevance - other)).sum::<f64>() as f32;
        let weights: Vec<f32> = std::iter::once(a).chain(relevances().map(weight)).collect();
        match weights.iter().find(|weight| !weight.is_finite()) {
            None => Ok(weights),
            Some(weight) => Err(Error::invalid(format!(
                "relevance_feedback: an example would count {weight} times with a = {a}, b = {b}, c = {c}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(relevances: &[f32], (a, b, c): (f32, f32, f32), expected: Result<&[f32], &str>) {
        let example = |&relevance: &f32| (Example::Point(1.into()), relevance);
        let feedback = Feedback {
            target: Example::Point(0.into()),
            examples: relevances.iter().map(example).collect(),
            strategy: FeedbackStrategy { a, b, c },
        };
        match (feedback.weights(), expected) {
            (Ok(weights), Ok(expected)) => assert_eq!(weights, expected, "{feedback:?}"),
            (Err(error), Err(part)) => assert!(error.message().contains(part), "{feedback:?}: {error}"),
            (outcome, expected) => panic!("{feedback:?}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_example_counts_by_the_pairs_it_is_in() {
        check(&[], (0.5, 1.0, 2.0), Ok(&[0.5]));
        check(&[3.0], (0.5, 1.0, 2.0), Ok(&[0.5, 0.0]));
        check(&[1.0, 1.0], (0.5, 0.0, 2.0), Ok(&[0.5, 0.0, 0.0]));
        // 4 is 3 above 1 and 1 above 3, and 3 is 2 above 1: their squares.
        check(&[1.0, 4.0, 3.0], (1.0, 2.0, 1.0), Ok(&[1.0, -13.0, 10.0, 3.0]));
        check(&[0.0, 2.0], (1.0, 1.0, -0.5), Ok(&[1.0, 1.0, -1.0]));
        check(&[0.0, 0.5], (1.0, -200.0, 1.0), Err("count -inf times"));
    }
}
