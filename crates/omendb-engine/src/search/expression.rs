//! Formulas: what a score is made of, evaluated for one point.

use std::ops::ControlFlow;

use crate::filter::{Datetime, Filter, GeoPoint, Subject as Tested, datetime, distance, geo_point, number};
use crate::payload::{Fields, PayloadPath, ValueRef};
use crate::{Error, Payload, limits};

/// A formula that gives the points of prefetches new scores.
#[derive(Clone, Debug, PartialEq)]
pub struct FormulaQuery {
    /// What a score is.
    pub formula: Expression,
    /// Values by name, for points that have none.
    pub defaults: Payload,
}

/// A part of a formula: a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// This.
    Constant(f64),
    /// The score by the prefetch at this place; zero where it did not find the point and there is no default.
    Score(usize),
    /// The number at a payload key.
    Number(PayloadVariable),
    /// 1 for points that pass, 0 for others.
    Condition(Filter),
    /// Metres between a place and the place at a payload key.
    GeoDistance(GeoPoint, PayloadVariable),
    /// Seconds since 1970.
    Datetime(Datetime),
    /// Seconds between 1970 and the date and time at a payload key.
    DatetimeKey(PayloadVariable),
    /// The product. What follows a zero is not looked at.
    Mult(Vec<Self>),
    /// The sum.
    Sum(Vec<Self>),
    /// The negative.
    Neg(Box<Self>),
    /// Without its sign.
    Abs(Box<Self>),
    /// The quotient of the first two; the last where the second is zero and the first is not.
    Div(Box<Self>, Box<Self>, Option<f64>),
    /// The square root.
    Sqrt(Box<Self>),
    /// The first to the power of the second.
    Pow(Box<Self>, Box<Self>),
    /// The power of Euler's number.
    Exp(Box<Self>),
    /// The logarithm to base ten.
    Log10(Box<Self>),
    /// The natural logarithm.
    Ln(Box<Self>),
    /// How near a value is to another.
    Decay(Box<Decay>),
}

/// A payload key, and the name of its default.
#[derive(Clone, Debug, PartialEq)]
pub struct PayloadVariable {
    /// As it was written.
    pub name: String,
    /// The key.
    pub path: PayloadPath,
}

/// 1 where `x` is the target, `midpoint` at the distance `scale` from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decay {
    /// How it falls.
    pub kind: DecayKind,
    /// What is compared.
    pub x: Expression,
    /// What with.
    pub target: Expression,
    /// Above zero.
    pub scale: f64,
    /// Between zero and one.
    pub midpoint: f64,
}

/// How a decay falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecayKind {
    /// By the same difference at each step, down to zero.
    Linear,
    /// By the same factor at each step.
    Exponential,
    /// As a bell does.
    Gaussian,
}

/// What a formula is evaluated for.
pub(crate) struct Scored<'a> {
    pub(crate) point: Tested<'a>,
    pub(crate) payload: Fields<'a>,
    pub(crate) defaults: Fields<'a>,
    /// By prefetch; `None` where it did not find the point.
    pub(crate) scores: &'a [Option<f32>],
}

impl FormulaQuery {
    /// Refuses a formula beyond its limits, or behind no prefetch.
    pub(crate) fn check(&self, lists: usize) -> Result<(), Error> {
        if lists == 0 {
            return Err(Error::invalid("formula: there is no prefetch to score"));
        }
        let count = self.formula.check()?;
        if count > limits::MAX_EXPRESSIONS {
            let most = limits::MAX_EXPRESSIONS;
            return Err(Error::invalid(format!(
                "formula: {count} expressions, more than {most}"
            )));
        }
        Ok(())
    }
}

impl Expression {
    /// Checks the filters in it; returns how many expressions it has, itself included.
    fn check(&self) -> Result<usize, Error> {
        let mut count = 1;
        match self {
            Self::Condition(filter) => filter.check()?,
            Self::Constant(_)
            | Self::Score(_)
            | Self::Number(_)
            | Self::GeoDistance(..)
            | Self::Datetime(_)
            | Self::DatetimeKey(_) => {}
            Self::Mult(inner) | Self::Sum(inner) => {
                for inner in inner {
                    count += inner.check()?;
                }
            }
            Self::Neg(inner)
            | Self::Abs(inner)
            | Self::Sqrt(inner)
            | Self::Exp(inner)
            | Self::Log10(inner)
            | Self::Ln(inner) => count += inner.check()?,
            Self::Div(one, other, _) | Self::Pow(one, other) => count += one.check()? + other.check()?,
            Self::Decay(decay) => count += decay.x.check()? + decay.target.check()?,
        }
        Ok(count)
    }

    /// Its value for one point.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a value that is missing or of another kind, and for what is
    /// no finite number.
    pub(crate) fn evaluate(&self, scored: &Scored<'_>) -> Result<f64, Error> {
        match self {
            Self::Constant(value) => Ok(*value),
            Self::Score(place) => scored.score(*place),
            Self::Number(variable) => {
                let value = scored.value(variable)?;
                number(value).ok_or_else(|| variable.is_no("number"))
            }
            Self::Condition(filter) => Ok(f64::from(u8::from(scored.point.passes(filter)))),
            Self::GeoDistance(origin, variable) => {
                let place = geo_point(scored.value(variable)?).ok_or_else(|| variable.is_no("geo point"))?;
                Ok(distance(*origin, place))
            }
            Self::Datetime(moment) => Ok(seconds(*moment)),
            Self::DatetimeKey(variable) => {
                let moment = datetime(scored.value(variable)?);
                moment.map(seconds).ok_or_else(|| variable.is_no("date and time"))
            }
            Self::Mult(factors) => product(factors, scored),
            Self::Sum(terms) => terms.iter().map(|term| term.evaluate(scored)).sum(),
            Self::Neg(inner) => Ok(-inner.evaluate(scored)?),
            Self::Abs(inner) => Ok(inner.evaluate(scored)?.abs()),
            Self::Div(left, right, by_zero) => quotient((left, right), *by_zero, scored),
            Self::Sqrt(inner) => {
                let value = inner.evaluate(scored)?;
                finite(value.sqrt(), || format!("sqrt({value})"))
            }
            Self::Pow(base, exponent) => {
                let (base, exponent) = (base.evaluate(scored)?, exponent.evaluate(scored)?);
                finite(base.powf(exponent), || format!("{base}^{exponent}"))
            }
            Self::Exp(inner) => {
                let value = inner.evaluate(scored)?;
                finite(value.exp(), || format!("exp({value})"))
            }
            Self::Log10(inner) => {
                let value = inner.evaluate(scored)?;
                finite(value.log10(), || format!("log10({value})"))
            }
            Self::Ln(inner) => {
                let value = inner.evaluate(scored)?;
                finite(value.ln(), || format!("ln({value})"))
            }
            Self::Decay(decay) => decay.evaluate(scored),
        }
    }
}

fn product(factors: &[Expression], scored: &Scored<'_>) -> Result<f64, Error> {
    let mut product = 1.0;
    for factor in factors {
        let factor = factor.evaluate(scored)?;
        if factor == 0.0 {
            return Ok(0.0);
        }
        product *= factor;
    }
    Ok(product)
}

fn quotient(
    (left, right): (&Expression, &Expression),
    by_zero: Option<f64>,
    scored: &Scored<'_>,
) -> Result<f64, Error> {
    let left = left.evaluate(scored)?;
    if left == 0.0 {
        return Ok(0.0);
    }
    let right = right.evaluate(scored)?;
    match by_zero {
        Some(default) if right == 0.0 => Ok(default),
        Some(_) | None => finite(left / right, || format!("{left}/{right}")),
    }
}

impl Decay {
    fn evaluate(&self, scored: &Scored<'_>) -> Result<f64, Error> {
        let Self {
            kind,
            x,
            target,
            scale,
            midpoint,
        } = self;
        let difference = x.evaluate(scored)? - target.evaluate(scored)?;
        Ok(match kind {
            DecayKind::Linear => (1.0 - (1.0 - midpoint) / scale * difference.abs()).max(0.0),
            DecayKind::Exponential => (midpoint.ln() / scale * difference.abs()).exp(),
            DecayKind::Gaussian => (midpoint.ln() / (scale * scale) * difference * difference).exp(),
        })
    }
}

impl PayloadVariable {
    fn is_no(&self, kind: &str) -> Error {
        Error::invalid(format!(
            "formula: {} is no {kind} in the payload and/or in the formula defaults",
            self.name
        ))
    }
}

impl<'a> Scored<'a> {
    fn score(&self, place: usize) -> Result<f64, Error> {
        if let Some(score) = self.scores.get(place).copied().flatten() {
            return Ok(f64::from(score));
        }
        let name = format!("$score[{place}]");
        let short = (place == 0).then(|| self.defaults.get("$score")).flatten();
        match self.defaults.get(&name).or(short) {
            None => Ok(0.0),
            Some(value) => number(value)
                .ok_or_else(|| Error::invalid(format!("formula: the default of {name} is no number"))),
        }
    }

    /// The one value of a variable: that of the payload, else its default. A list of one stands for what is in it.
    fn value(&self, variable: &PayloadVariable) -> Result<ValueRef<'a>, Error> {
        let mut found = Values::default();
        let mut visit = |value: ValueRef<'a>| {
            found.take(value);
            ControlFlow::Continue(())
        };
        // Nothing breaks off.
        let _ = variable.path.visit(self.payload, &mut visit);
        if found.count == 0 {
            self.defaults
                .get(&variable.name)
                .into_iter()
                .for_each(|value| found.take(value));
        }
        let Values { last, count } = found;
        match last {
            Some(value) if count == 1 => Ok(value),
            Some(_) => Err(Error::invalid(format!(
                "formula: {count} values of {} in the payload and/or in the formula defaults, one is expected",
                variable.name
            ))),
            None => Err(Error::invalid(format!(
                "formula: no value of {} in the payload or the defaults",
                variable.name
            ))),
        }
    }
}

/// The values of a variable, those of a list one by one.
#[derive(Default)]
struct Values<'a> {
    last: Option<ValueRef<'a>>,
    count: usize,
}

impl<'a> Values<'a> {
    fn take(&mut self, value: ValueRef<'a>) {
        match value {
            ValueRef::List(list) => list.for_each(|element| self.note(element)),
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::Int(_)
            | ValueRef::Uint(_)
            | ValueRef::Float(_)
            | ValueRef::String(_)
            | ValueRef::Object(_) => self.note(value),
        }
    }

    fn note(&mut self, value: ValueRef<'a>) {
        self.last = Some(value);
        self.count += 1;
    }
}

fn seconds(moment: Datetime) -> f64 {
    moment.micros() as f64 / 1e6
}

fn finite(value: f64, expression: impl Fn() -> String) -> Result<f64, Error> {
    if value.is_finite() {
        return Ok(value);
    }
    let expression = expression();
    Err(Error::invalid(format!(
        "formula: the expression {expression} produced a non-finite number"
    )))
}

/// A value as a score.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one that 32 bits do not hold.
pub(crate) fn as_score(value: f64) -> Result<f32, Error> {
    let score = value as f32;
    finite(f64::from(score), || format!("the score {value} in 32 bits"))?;
    Ok(score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::filter::{Condition, Match, Test};

    fn variable(name: &str) -> PayloadVariable {
        PayloadVariable {
            name: name.to_owned(),
            path: name.parse().expect("a path"),
        }
    }

    fn number_at(name: &str) -> Expression {
        Expression::Number(variable(name))
    }

    fn constant(value: f64) -> Box<Expression> {
        Box::new(Expression::Constant(value))
    }

    fn payload() -> Payload {
        let place = Value::Object(vec![
            ("lon".to_owned(), Value::Int(0)),
            ("lat".to_owned(), Value::Float(0.0)),
        ]);
        Payload::from_fields(&[
            ("n", Value::Int(3)),
            ("one", Value::List(vec![Value::Float(0.5)])),
            ("two", Value::List(vec![Value::Int(1), Value::Int(2)])),
            ("text", Value::String("x".to_owned())),
            ("day", Value::String("1970-01-02".to_owned())),
            ("empty", Value::List(Vec::new())),
            ("place", place),
        ])
        .expect("a payload")
    }

    #[track_caller]
    fn check(expression: &Expression, expected: Result<f64, &str>) {
        let (payload, defaults) = (
            payload(),
            Payload::from_fields(&[
                ("absent", Value::Int(7)),
                ("empty", Value::Int(8)),
                ("$score[1]", Value::Float(0.25)),
                ("$score[3]", Value::Bool(true)),
            ])
            .expect("a payload"),
        );
        let scored = Scored {
            point: Tested::object(payload.fields()),
            payload: payload.fields(),
            defaults: defaults.fields(),
            scores: &[Some(0.5), None],
        };
        match (expression.evaluate(&scored), expected) {
            (Ok(value), Ok(expected)) => {
                let is_near = (value - expected).abs() < 1e-9 * expected.abs().max(1.0);
                assert!(is_near, "{expression:?}: {value}");
            }
            (Err(error), Err(part)) => assert!(error.message().contains(part), "{expression:?}: {error}"),
            (outcome, expected) => panic!("{expression:?}: {outcome:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn variables_have_one_value_of_their_kind() {
        check(&number_at("n"), Ok(3.0));
        check(&number_at("one"), Ok(0.5));
        check(&number_at("absent"), Ok(7.0));
        check(&number_at("empty"), Ok(8.0));
        check(&number_at("two"), Err("2 values of two"));
        check(
            &number_at("text"),
            Err("text is no number in the payload and/or in the formula defaults"),
        );
        check(&number_at("nothing"), Err("no value of nothing"));
        check(&Expression::Score(0), Ok(0.5));
        check(&Expression::Score(1), Ok(0.25));
        check(&Expression::Score(2), Ok(0.0));
        check(&Expression::Score(3), Err("default of $score[3]"));
        check(&Expression::DatetimeKey(variable("day")), Ok(86_400.0));
        check(&Expression::DatetimeKey(variable("n")), Err("no date and time"));
        let moment = Datetime::parse("1970-01-01T00:00:00.5Z").expect("a moment");
        check(&Expression::Datetime(moment), Ok(0.5));
        let east = GeoPoint { lon: 90.0, lat: 0.0 };
        // A quarter of a great circle of the mean radius.
        let quarter = 6_371_008.8 * std::f64::consts::FRAC_PI_2;
        check(&Expression::GeoDistance(east, variable("place")), Ok(quarter));
        check(&Expression::GeoDistance(east, variable("n")), Err("no geo point"));
        let is_three = |value| {
            let test = Test::Match(Match::Integer(value));
            Expression::Condition(Filter::of(Condition::Field("n".parse().expect("a path"), test)))
        };
        check(&is_three(3), Ok(1.0));
        check(&is_three(4), Ok(0.0));
    }

    #[test]
    fn arithmetic_is_that_of_numbers_and_finite() {
        use Expression::{Abs, Div, Exp, Ln, Log10, Mult, Neg, Pow, Sqrt, Sum};
        let list = |values: &[f64]| values.iter().map(|value| Expression::Constant(*value)).collect();
        check(&Sum(list(&[1.0, 2.5])), Ok(3.5));
        check(&Mult(list(&[2.0, -3.0])), Ok(-6.0));
        // What follows a zero is not looked at.
        check(&Mult(vec![*constant(0.0), number_at("nothing")]), Ok(0.0));
        check(&Neg(constant(2.0)), Ok(-2.0));
        check(&Abs(constant(-2.0)), Ok(2.0));
        check(&Div(constant(1.0), constant(4.0), None), Ok(0.25));
        check(&Div(constant(0.0), constant(0.0), None), Ok(0.0));
        check(&Div(constant(1.0), constant(0.0), Some(9.0)), Ok(9.0));
        check(
            &Div(constant(1.0), constant(0.0), None),
            Err("1/0 produced a non-finite number"),
        );
        check(&Sqrt(constant(9.0)), Ok(3.0));
        check(&Sqrt(constant(-9.0)), Err("sqrt(-9)"));
        check(&Pow(constant(-2.0), constant(3.0)), Ok(-8.0));
        check(&Pow(constant(-2.0), constant(0.5)), Err("-2^0.5"));
        check(&Exp(constant(0.0)), Ok(1.0));
        check(&Exp(constant(1e3)), Err("exp(1000)"));
        check(&Log10(constant(1e3)), Ok(3.0));
        check(&Ln(constant(0.0)), Err("ln(0)"));
        assert!(as_score(1e39).is_err());
    }

    #[test]
    fn decays_are_one_at_their_target_and_the_midpoint_at_their_scale() {
        for kind in [DecayKind::Linear, DecayKind::Exponential, DecayKind::Gaussian] {
            let decay = |x: f64| {
                Expression::Decay(Box::new(Decay {
                    kind,
                    x: Expression::Constant(x),
                    target: Expression::Constant(10.0),
                    scale: 4.0,
                    midpoint: 0.25,
                }))
            };
            check(&decay(10.0), Ok(1.0));
            check(&decay(6.0), Ok(0.25));
            check(&decay(14.0), Ok(0.25));
            let far = match kind {
                DecayKind::Linear => 0.0,
                DecayKind::Exponential => 0.25_f64.powi(2),
                DecayKind::Gaussian => 0.25_f64.powi(4),
            };
            check(&decay(18.0), Ok(far));
        }
    }
}
