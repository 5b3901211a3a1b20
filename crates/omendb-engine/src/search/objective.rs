//! What a point's vector is compared with, and how the comparisons make its rank.

use omendb_distance::{Distance, Kernels, normalize};

use crate::search::no_point;
use crate::search::request::{ContextPair, Example, Query, Recommend, Strategy};
use crate::state::{Chunk, Codes, ColumnLayout, State};
use crate::validation::{check_dimension, check_finite};
use crate::{Count, Error, PointId, SearchStats, Vector, limits};

/// Vectors to compare with, of which all are prepared for the distance.
#[derive(Debug)]
pub(crate) struct Objective {
    pub(crate) distance: Distance,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) formula: Formula,
}

/// How comparisons with the vectors make a rank. A comparison is turned so that greater is better; that by `Euclid` is
/// the square of the distance, negated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    /// The only comparison is the rank.
    Nearest,
    /// The best comparison, squeezed; negated if it is not with one of the first so many vectors.
    Best { positive: usize },
    /// Those with the first so many vectors are added, the others subtracted.
    Sum { positive: usize },
    /// How many pairs have the point on their positive side, less how many on the other, and the first, squeezed.
    Discover,
    /// What is missing to the positive side of each pair, squeezed.
    Context,
    /// Each counts so many times.
    Weighted(Vec<f32>),
}

/// The margin by which a point has to be on the positive side of a pair to lose nothing.
const MARGIN: f32 = f32::EPSILON;

/// `-1` to `1`.
fn squeeze(comparison: f32) -> f32 {
    if comparison.is_finite() {
        comparison / (1.0 + comparison.abs())
    } else {
        comparison.clamp(-1.0, 1.0)
    }
}

/// `0` to `1`.
fn squeeze_to_half(comparison: f32) -> f32 {
    0.5 * (squeeze(comparison) + 1.0)
}

impl Formula {
    /// Those of `vectors` vectors that hits are like; none if what they are unlike weighs as much. Such hits are at the
    /// edges, where links from near to near do not lead (`cargo x bench examples`: recall .81 with 3 against 1).
    pub(super) fn leads(&self, vectors: usize) -> Vec<usize> {
        match self {
            Self::Nearest => vec![0],
            Self::Sum { positive } if 2 * positive <= vectors => Vec::new(),
            Self::Weighted(weights) if weights.iter().sum::<f32>() <= 0.0 => Vec::new(),
            Self::Best { positive } | Self::Sum { positive } => (0..*positive).collect(),
            // The target, and the positive of each pair after it.
            Self::Discover => std::iter::once(0).chain((1..vectors).step_by(2)).collect(),
            Self::Context => (0..vectors).step_by(2).collect(),
            Self::Weighted(weights) => (0..vectors).filter(|&at| weights[at] > 0.0).collect(),
        }
    }

    /// The rank that points may have which compare much like this. Beside a point on the negative side of a pair there
    /// are others on the positive side, so that the sides say nothing about where to look.
    pub(super) fn promise(&self, comparisons: &[f32]) -> f32 {
        match self {
            Self::Nearest | Self::Best { .. } | Self::Sum { .. } | Self::Context | Self::Weighted(_) => {
                self.rank(comparisons)
            }
            Self::Discover => (comparisons.len() / 2) as f32 + squeeze_to_half(comparisons[0]),
        }
    }

    /// The rank that none exceeds.
    pub(super) fn best(&self) -> f32 {
        match self {
            Self::Nearest | Self::Best { .. } | Self::Sum { .. } | Self::Discover | Self::Weighted(_) => {
                f32::INFINITY
            }
            Self::Context => 0.0,
        }
    }

    /// The rank of a point that compares like this.
    pub(super) fn rank(&self, comparisons: &[f32]) -> f32 {
        let best = |comparisons: &[f32]| comparisons.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = |comparisons: &[f32]| comparisons.iter().sum::<f32>();
        match self {
            Self::Nearest => comparisons[0],
            Self::Best { positive } => {
                let (positive, negative) = comparisons.split_at(*positive);
                let (positive, negative) = (best(positive), best(negative));
                if positive > negative {
                    squeeze_to_half(positive)
                } else {
                    -squeeze_to_half(negative)
                }
            }
            Self::Sum { positive } => {
                let (positive, negative) = comparisons.split_at(*positive);
                sum(positive) - sum(negative)
            }
            Self::Discover => {
                let side =
                    |pair: &[f32]| f32::from(i8::from(pair[0] > pair[1]) - i8::from(pair[0] < pair[1]));
                let sides: f32 = comparisons[1..].chunks_exact(2).map(side).sum();
                sides + squeeze_to_half(comparisons[0])
            }
            Self::Context => {
                let missing = |pair: &[f32]| squeeze((pair[0] - pair[1] - MARGIN).min(0.0));
                comparisons.chunks_exact(2).map(missing).sum()
            }
            Self::Weighted(weights) => {
                let weighted = comparisons.iter().zip(weights);
                weighted.map(|(comparison, weight)| comparison * weight).sum()
            }
        }
    }
}

impl Objective {
    /// The rank of a row; `comparisons` is a buffer. Whether they are first ones is the caller's to count.
    pub(crate) fn rank(
        &self,
        kernels: &Kernels,
        row: &[f32],
        (comparisons, stats): (&mut Vec<f32>, &mut SearchStats),
    ) -> f32 {
        let sign = if self.distance.higher_is_better() {
            1.0
        } else {
            -1.0
        };
        comparisons.clear();
        comparisons.extend(
            self.vectors
                .iter()
                .map(|vector| sign * kernels.raw(self.distance, vector, row)),
        );
        let count = self.vectors.len() as u64;
        stats.elements += count * row.len() as u64;
        stats.elements_in_full_vectors += count * kernels.elements_in_full_vectors(row.len()) as u64;
        // The row is read once; the examples stay close.
        stats.bytes_touched += size_of_val(row) as u64;
        self.formula.rank(comparisons)
    }

    /// Counts rows that a walk read, and how many comparisons it made with them.
    pub(crate) fn count_walked(
        &self,
        kernels: &Kernels,
        column: &ColumnLayout,
        (rows, comparisons): (Count, Count),
        stats: &mut SearchStats,
    ) {
        let dimension = column.dimension;
        let (bytes, full) = if column.is_coded {
            let full = kernels.i8_elements_in_full_vectors(dimension);
            (Codes::row_bytes(dimension), full)
        } else {
            let full = kernels.elements_in_full_vectors(dimension);
            (dimension * size_of::<f32>(), full)
        };
        stats.distance_computations += comparisons;
        stats.elements += comparisons * dimension as u64;
        stats.elements_in_full_vectors += comparisons * full as u64;
        stats.bytes_touched += rows * bytes as u64;
    }
}

/// The vectors of a kind, by one name: what examples of them are.
pub(crate) trait Space {
    type Row;

    fn name(&self) -> &str;

    /// A vector that a query brings, checked.
    fn given(&self, vector: &Vector) -> Result<Self::Row, Error>;

    /// The vector of a point, if it has one.
    fn stored(&self, chunk: &Chunk, position: usize) -> Option<Self::Row>;

    /// Twice the mean of the first `positive` rows less that of the others, or their mean if there are no others.
    fn average(&self, rows: &[Self::Row], positive: usize) -> Self::Row;
}

/// Dense vectors.
pub(crate) struct DenseSpace<'a> {
    layout: &'a ColumnLayout,
    column: usize,
}

impl Space for DenseSpace<'_> {
    type Row = Vec<f32>;

    fn name(&self) -> &str {
        &self.layout.name
    }

    fn given(&self, vector: &Vector) -> Result<Vec<f32>, Error> {
        let name = || format!("query vector {:?}", self.layout.name);
        let Vector::Dense(vector) = vector else {
            return Err(Error::invalid(format!(
                "{}: it is sparse, the collection's is dense",
                name()
            )));
        };
        check_dimension(vector, self.layout.dimension, name)?;
        check_finite(vector, name)?;
        Ok(vector.clone())
    }

    fn stored(&self, chunk: &Chunk, position: usize) -> Option<Vec<f32>> {
        Some(chunk.column(self.column).row(position)?.to_vec())
    }

    fn average(&self, rows: &[Vec<f32>], positive: usize) -> Vec<f32> {
        average(rows, positive)
    }
}

/// Reads the examples of a query out of a state.
pub(crate) struct Examples<'a, S> {
    state: &'a State,
    space: S,
    /// The slots of the points among them, which are no hits.
    excluded: Vec<u32>,
}

/// The vectors that a query compares with, how, and the slots that are no hits.
pub(crate) type Compared<R> = (Vec<R>, Formula, Vec<u32>);

impl<'a> Examples<'a, DenseSpace<'a>> {
    pub(crate) fn new(state: &'a State, column: usize) -> Self {
        let layout = &state.layout.columns[column];
        Self::of(state, DenseSpace { layout, column })
    }

    /// What a query that compares vectors is after, and the slots that are no hits.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub(crate) fn objective(self, query: &Query) -> Result<(Objective, Vec<u32>), Error> {
        let distance = self.space.layout.distance;
        let (mut vectors, formula, excluded) = self.read(query)?;
        if distance == Distance::Cosine {
            vectors.iter_mut().for_each(|vector| normalize(vector));
        }
        let objective = Objective {
            distance,
            vectors,
            formula,
        };
        Ok((objective, excluded))
    }
}

impl<'a, S: Space> Examples<'a, S> {
    pub(crate) fn of(state: &'a State, space: S) -> Self {
        Self {
            state,
            space,
            excluded: Vec::new(),
        }
    }

    /// The examples of a query, as they are.
    ///
    /// # Errors
    /// For unknown points, wrong vectors, and examples that are too few or too many; for a query that compares none.
    pub(crate) fn read(mut self, query: &Query) -> Result<Compared<S::Row>, Error> {
        let (vectors, formula) = match query {
            Query::Nearest(vector) => (vec![self.space.given(vector)?], Formula::Nearest),
            Query::NearestTo(id) => (vec![self.point(*id)?], Formula::Nearest),
            Query::Diverse(diverse) => (vec![self.example(&diverse.near)?], Formula::Nearest),
            Query::Recommend(recommend) => self.recommend(recommend)?,
            Query::Discover(target, pairs) => {
                let mut vectors = vec![self.example(target)?];
                self.pairs(pairs, &mut vectors)?;
                (vectors, Formula::Discover)
            }
            Query::Context(pairs) if pairs.is_empty() => {
                return Err(Error::invalid("context: no pair of examples"));
            }
            Query::Context(pairs) => {
                let mut vectors = Vec::new();
                self.pairs(pairs, &mut vectors)?;
                (vectors, Formula::Context)
            }
            Query::Feedback(feedback) => {
                check_count(1 + feedback.examples.len())?;
                let examples = feedback.examples.iter().map(|(example, _)| example);
                let examples = std::iter::once(&feedback.target).chain(examples);
                let vectors = examples.map(|example| self.example(example));
                (
                    vectors.collect::<Result<_, _>>()?,
                    Formula::Weighted(feedback.weights()?),
                )
            }
            Query::Fusion(_) | Query::Formula(_) | Query::Listed | Query::OrderBy(_) | Query::Sample => {
                return Err(Error::invalid("the query compares no vectors"));
            }
        };
        Ok((vectors, formula, self.excluded))
    }

    fn recommend(&mut self, recommend: &Recommend) -> Result<(Vec<S::Row>, Formula), Error> {
        let Recommend {
            positive,
            negative,
            strategy,
        } = recommend;
        check_count(positive.len() + negative.len())?;
        let count = positive.len();
        let is_average = *strategy == Strategy::AverageVector;
        if count == 0 && (is_average || negative.is_empty()) {
            let kind = if is_average {
                "positive"
            } else {
                "positive or negative"
            };
            return Err(Error::invalid(format!("recommend: no {kind} examples")));
        }
        let examples = positive.iter().chain(negative);
        let vectors = examples
            .map(|example| self.example(example))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match strategy {
            Strategy::AverageVector => (vec![self.space.average(&vectors, count)], Formula::Nearest),
            Strategy::BestScore => (vectors, Formula::Best { positive: count }),
            Strategy::SumScores => (vectors, Formula::Sum { positive: count }),
        })
    }

    fn pairs(&mut self, pairs: &[ContextPair], vectors: &mut Vec<S::Row>) -> Result<(), Error> {
        check_count(vectors.len() + 2 * pairs.len())?;
        for ContextPair { positive, negative } in pairs {
            vectors.push(self.example(positive)?);
            vectors.push(self.example(negative)?);
        }
        Ok(())
    }

    fn example(&mut self, example: &Example) -> Result<S::Row, Error> {
        match example {
            Example::Vector(vector) => self.space.given(vector),
            Example::Point(id) => self.point(*id),
        }
    }

    fn point(&mut self, id: PointId) -> Result<S::Row, Error> {
        let slot = self.state.ids.get(id).ok_or_else(|| no_point(id))?;
        let place = self.state.locate(slot);
        let row = place.and_then(|(chunk, position)| self.space.stored(chunk, position));
        let missing = || {
            let name = self.space.name();
            Error::not_found(format!("point {id} has no vector {name:?}"))
        };
        let row = row.ok_or_else(missing)?;
        self.excluded.push(slot);
        Ok(row)
    }
}

fn check_count(examples: usize) -> Result<(), Error> {
    if examples > limits::MAX_EXAMPLES {
        let most = limits::MAX_EXAMPLES;
        return Err(Error::invalid(format!("{examples} examples: more than {most}")));
    }
    Ok(())
}

/// Twice the mean of the first `positive` vectors less that of the others, or their mean if there are no others.
fn average(vectors: &[Vec<f32>], positive: usize) -> Vec<f32> {
    let (positive, negative) = vectors.split_at(positive);
    let mean = |vectors: &[Vec<f32>], at: usize| {
        vectors.iter().map(|vector| vector[at]).sum::<f32>() / vectors.len() as f32
    };
    let element = |at| match negative {
        [] => mean(positive, at),
        _ => 2.0 * mean(positive, at) - mean(negative, at),
    };
    (0..positive[0].len()).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(formula: &Formula, comparisons: &[f32], expected: f32) {
        let rank = formula.rank(comparisons);
        assert!(
            (rank - expected).abs() < 1e-6,
            "{formula:?} of {comparisons:?}: {rank}"
        );
    }

    #[test]
    fn comparisons_make_a_rank() {
        check(&Formula::Nearest, &[0.5], 0.5);
        // 1 / (1 + 1) is a half, and half of one and a half three quarters.
        check(&Formula::Best { positive: 2 }, &[0.5, 1.0, 0.9], 0.75);
        check(&Formula::Best { positive: 1 }, &[0.5, 1.0], -0.75);
        check(&Formula::Best { positive: 0 }, &[-1.0], -0.25);
        check(&Formula::Best { positive: 1 }, &[f32::INFINITY, 0.0], 1.0);
        check(&Formula::Sum { positive: 2 }, &[1.0, 2.0, 0.5], 2.5);
        check(&Formula::Discover, &[1.0, 2.0, 1.0, 0.0, 3.0, 4.0, 4.0], 0.75);
        check(&Formula::Context, &[2.0, 1.0, 0.0, 1.0], -0.5);
        check(&Formula::Weighted(vec![2.0, -0.5]), &[1.0, 3.0], 0.5);
    }

    #[test]
    fn the_average_leads_away_from_the_negative() {
        let vectors = [vec![1.0, 0.0], vec![3.0, 2.0], vec![1.0, 1.0]];
        assert_eq!(average(&vectors[..2], 2), [2.0, 1.0]);
        assert_eq!(average(&vectors, 2), [3.0, 1.0]);
    }
}
