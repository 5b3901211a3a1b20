//! Labels: closed sets known when the program is compiled or started, rendered once per scrape.

use crate::snapshot::{PieceId, Samples};

/// A closed set of label values, usually an enum made by [`crate::labels!`].
///
/// Implement it by hand for a set known only at start, such as the routes of a server: values are then positions in a
/// static table. One set may carry several keys whose values belong together (`method` and `endpoint` of a route).
pub trait Label: Copy + 'static {
    /// The label names.
    const KEYS: &'static [&'static str];
    /// Whether series appear only when something happened to them, instead of starting at zero.
    const SPARSE: bool = false;

    /// Number of values.
    fn count() -> usize;

    /// Position of this value, below [`Label::count`].
    fn index(self) -> usize;

    /// The texts of the value at `index`, one for each of [`Label::KEYS`].
    fn values(index: usize) -> impl IntoIterator<Item = &'static str>;
}

/// The labels of a family: none, one [`Label`], or two as a pair. All combinations exist.
pub trait LabelSet: Copy + 'static {
    /// Whether series appear only when something happened to them.
    const SPARSE: bool;

    /// All label names.
    fn keys() -> Vec<&'static str>;

    /// Number of combinations.
    fn cardinality() -> usize;

    /// Position of this combination, below the cardinality.
    fn index(self) -> usize;

    /// Every value rendered, once for the scrape.
    fn pieces(out: &mut Samples<'_>) -> Pieces;
}

impl LabelSet for () {
    const SPARSE: bool = false;

    fn keys() -> Vec<&'static str> {
        Vec::new()
    }

    fn cardinality() -> usize {
        1
    }

    #[inline]
    fn index(self) -> usize {
        0
    }

    fn pieces(_: &mut Samples<'_>) -> Pieces {
        Pieces {
            first: none(),
            second: none(),
        }
    }
}

impl<L: Label> LabelSet for L {
    const SPARSE: bool = L::SPARSE;

    fn keys() -> Vec<&'static str> {
        L::KEYS.to_vec()
    }

    fn cardinality() -> usize {
        L::count()
    }

    #[inline]
    fn index(self) -> usize {
        Label::index(self)
    }

    fn pieces(out: &mut Samples<'_>) -> Pieces {
        Pieces {
            first: rendered::<L>(out),
            second: none(),
        }
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const SPARSE: bool = A::SPARSE || B::SPARSE;

    fn keys() -> Vec<&'static str> {
        [A::KEYS, B::KEYS].concat()
    }

    fn cardinality() -> usize {
        A::count() * B::count()
    }

    #[inline]
    fn index(self) -> usize {
        self.0.index() * B::count() + self.1.index()
    }

    fn pieces(out: &mut Samples<'_>) -> Pieces {
        Pieces {
            first: rendered::<A>(out),
            second: rendered::<B>(out),
        }
    }
}

/// In place of the pieces of a label that is not there.
fn none() -> Vec<PieceId> {
    vec![PieceId::NONE]
}

fn rendered<L: Label>(out: &mut Samples<'_>) -> Vec<PieceId> {
    (0..L::count())
        .map(|index| out.piece(L::KEYS, L::values(index)))
        .collect()
}

/// The closed part of a series' labels: at most two rendered pieces.
pub(crate) type PiecePair = [PieceId; 2];

/// The labels of a series that has none.
pub(crate) const NO_PIECES: PiecePair = [PieceId::NONE; 2];

/// The rendered values of a [`LabelSet`].
#[derive(Debug)]
pub struct Pieces {
    first: Vec<PieceId>,
    second: Vec<PieceId>,
}

impl Pieces {
    /// The labels of every combination, in the order of [`LabelSet::index`].
    pub(crate) fn iter(&self) -> PairIter<'_> {
        PairIter {
            first: &self.first,
            second: &self.second,
            at: 0,
        }
    }
}

/// Walks through the second labels for each of the first.
pub(crate) struct PairIter<'p> {
    first: &'p [PieceId],
    second: &'p [PieceId],
    at: usize,
}

impl Iterator for PairIter<'_> {
    type Item = PiecePair;

    #[inline]
    fn next(&mut self) -> Option<PiecePair> {
        if self.at == self.second.len() {
            (self.first, self.at) = (self.first.get(1..)?, 0);
        }
        let pair = [*self.first.first()?, *self.second.get(self.at)?];
        self.at += 1;
        Some(pair)
    }
}

/// Declares a closed set of label values: an enum, its label name, and the text of each value.
///
/// ```
/// omendb_metrics::labels! {
///     /// Why a request did not get a slot.
///     pub enum Refusal("reason") {
///         /// The queue was full.
///         Full = "full",
///         /// It waited longer than allowed.
///         TimedOut = "timed_out",
///     }
/// }
/// assert_eq!(Refusal::TimedOut.as_str(), "timed_out");
/// ```
#[macro_export]
macro_rules! labels {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident($key:literal) {
            $( $(#[$value_meta:meta])* $value:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name {
            $( $(#[$value_meta])* #[doc = concat!("`", $key, "=\"", $text, "\"`")] $value ),+
        }

        #[allow(dead_code, reason = "not every set of values is walked by its owner")]
        impl $name {
            /// Every value, in the order of the page.
            $vis const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The text on the page.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text),+ }
            }
        }

        impl $crate::Label for $name {
            const KEYS: &'static [&'static str] = &[$key];

            fn count() -> usize {
                Self::ALL.len()
            }

            #[inline]
            fn index(self) -> usize {
                self as usize
            }

            fn values(index: usize) -> impl IntoIterator<Item = &'static str> {
                Self::ALL.get(index).map(|value| value.as_str())
            }
        }
    };
}
