//! What distances in a graph are measured from, and how: by codes where the column has them, else by rows.
//!
//! Links are chosen by a metric, in which what is near to a near node is near. `Dot` is none; its vectors are lifted
//! onto a sphere by one more element, `sqrt(longest^2 - |x|^2)`, where the nearest is the one with the greatest
//! product (Bachrach et al., "Speeding Up the Xbox Recommender System", RecSys 2014, section 3).

use omendb_distance::{Distance, Kernels, prefetch};

use crate::graph::{Block, Graph, Place, Sight, View};
use crate::search::Screen;
use crate::state::Certificate;

/// Nodes whose codes are compared in one call.
const TOGETHER: usize = 32;

/// A vector from which nodes are seen.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    kernels: &'static Kernels,
    form: Form<'a>,
    measure: Measure,
}

#[derive(Debug)]
enum Form<'a> {
    Coded(&'a [i8], Certificate),
    Plain(&'a [f32]),
}

/// How far is how much. Of what is squared no root is taken, which keeps the order.
#[derive(Clone, Copy, Debug)]
enum Measure {
    /// The dot product, negated.
    Product,
    /// The square of the distance of unit vectors.
    Chord,
    /// The square of the distance.
    Square,
    /// The same, of vectors lifted onto the sphere of this radius.
    Lifted(f32),
    /// The square of the sum of differences.
    Manhattan,
}

impl<'a> Origin<'a> {
    /// A query. `screen` is given where the column is coded.
    pub(crate) fn query(
        kernels: &'static Kernels,
        distance: Distance,
        (query, screen): (&'a [f32], Option<&'a Screen>),
    ) -> Self {
        let form = match screen {
            Some(screen) => Form::Coded(screen.codes(), screen.certificate()),
            None => Form::Plain(query),
        };
        let measure = match distance {
            Distance::Cosine | Distance::Dot => Measure::Product,
            Distance::Euclid => Measure::Square,
            Distance::Manhattan => Measure::Manhattan,
        };
        Self {
            kernels,
            form,
            measure,
        }
    }

    /// A node of a graph.
    pub(crate) fn node(
        kernels: &'static Kernels,
        graph: &Graph,
        (block, position): (&'a Block, usize),
    ) -> Self {
        let measure = match graph.distance {
            Distance::Cosine => Measure::Chord,
            Distance::Dot => Measure::Lifted(graph.longest),
            Distance::Euclid => Measure::Square,
            Distance::Manhattan => Measure::Manhattan,
        };
        let form = match block.rows().codes() {
            Some(codes) => {
                let (codes, certificate) = codes.row(position);
                Form::Coded(codes, certificate)
            }
            None => Form::Plain(block.rows().slot(position)),
        };
        Self {
            kernels,
            form,
            measure,
        }
    }

    /// How far a node is.
    #[inline]
    pub(crate) fn distance(&self, block: &Block, position: usize) -> f32 {
        match (&self.form, block.rows().codes()) {
            (Form::Coded(from, certificate), Some(codes)) => {
                let (
                    to,
                    Certificate {
                        scale,
                        norm,
                        error: _,
                    },
                ) = codes.row(position);
                let product = self.kernels.dot_i8(from, to) as f32 * (certificate.scale * scale);
                self.measure.of(product, certificate.norm, norm)
            }
            (Form::Plain(from), _) => self.plain(from, block.rows().slot(position)),
            // A column is coded in all chunks or in none.
            (Form::Coded(..), None) => f32::INFINITY,
        }
    }

    /// How far each of some nodes is, in order.
    #[inline]
    fn each_distance(&self, places: &[Place<'_>], mut take: impl FnMut(f32)) {
        let Form::Coded(from, certificate) = &self.form else {
            return self.each_alone(places, &mut take);
        };
        let mut rows: [&[i8]; TOGETHER] = [&[]; TOGETHER];
        let mut certificates = [(0.0, 0.0); TOGETHER];
        let mut products = [0; TOGETHER];
        'parts: for places in places.chunks(TOGETHER) {
            for (at, &(block, position)) in places.iter().enumerate() {
                let Some(codes) = block.rows().codes() else {
                    self.each_alone(places, &mut take);
                    continue 'parts;
                };
                let (row, certificate) = codes.row(position);
                rows[at] = row;
                certificates[at] = (certificate.scale, certificate.norm);
            }
            let count = places.len();
            self.kernels
                .dot_i8_each(from, &rows[..count], &mut products[..count]);
            for (product, (scale, norm)) in products[..count].iter().zip(certificates) {
                let product = *product as f32 * (certificate.scale * scale);
                take(self.measure.of(product, certificate.norm, norm));
            }
        }
    }

    fn each_alone(&self, places: &[Place<'_>], take: &mut impl FnMut(f32)) {
        for &(block, position) in places {
            take(self.distance(block, position));
        }
    }

    fn plain(&self, from: &[f32], to: &[f32]) -> f32 {
        match self.measure {
            Measure::Product => -self.kernels.dot(from, to),
            Measure::Chord => 2.0 - 2.0 * self.kernels.dot(from, to),
            Measure::Square => self.kernels.l2_squared(from, to),
            // Squared like the others, for `SLACK` to mean the same.
            Measure::Manhattan => self.kernels.manhattan(from, to).powi(2),
            Measure::Lifted(_) => {
                let norm = |vector: &[f32]| self.kernels.norm(vector);
                self.measure.of(self.kernels.dot(from, to), norm(from), norm(to))
            }
        }
    }

    /// The comparison with a node, turned so that greater is better; that by `Euclid` is of squares.
    #[inline]
    pub(crate) fn comparison(&self, block: &Block, position: usize) -> f32 {
        let distance = self.distance(block, position);
        match self.measure {
            Measure::Manhattan => -distance.sqrt(),
            Measure::Product | Measure::Chord | Measure::Square | Measure::Lifted(_) => -distance,
        }
    }

    /// Asks the processor to fetch what [`distance`](Self::distance) will read.
    #[inline]
    pub(crate) fn expect(&self, block: &Block, position: usize) {
        match (&self.form, block.rows().codes()) {
            (Form::Coded(..), Some(codes)) => {
                prefetch(codes.row(position).0);
                prefetch(&codes.certificates().0[position..=position]);
            }
            (Form::Plain(_) | Form::Coded(..), _) => prefetch(block.rows().slot(position)),
        }
    }
}

impl View for Origin<'_> {
    fn entries(&self, graph: &Graph) -> impl Iterator<Item = u32> {
        graph.entry().into_iter()
    }

    fn sights(&mut self, places: &[Place<'_>], sights: &mut Vec<Sight>) {
        self.each_distance(places, |distance| {
            sights.push(Sight {
                distance,
                promise: distance,
            });
        });
    }

    #[inline]
    fn expect(&self, block: &Block, position: usize) {
        Self::expect(self, block, position);
    }
}

impl Measure {
    #[inline]
    fn of(self, product: f32, from: f32, to: f32) -> f32 {
        let square = || from * from + to * to - 2.0 * product;
        match self {
            Self::Product | Self::Manhattan => -product,
            Self::Chord => 2.0 - 2.0 * product,
            Self::Square => square(),
            Self::Lifted(longest) => {
                let lift = |norm: f32| (longest * longest - norm * norm).max(0.0).sqrt();
                let height = lift(from) - lift(to);
                square() + height * height
            }
        }
    }
}
