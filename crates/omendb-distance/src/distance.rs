//! How a collection compares vectors, and which direction is better.

/// The comparison a collection was created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distance {
    /// Cosine of the angle; vectors are stored at unit length, so it is computed as their dot product.
    Cosine,
    /// Dot product.
    Dot,
    /// Euclidean distance; ranked by its square, which saves a root per candidate.
    Euclid,
    /// Sum of absolute differences.
    Manhattan,
}

impl Distance {
    /// Every variant, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Cosine, Self::Dot, Self::Euclid, Self::Manhattan];

    /// The name used in requests, in answers and on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "Cosine",
            Self::Dot => "Dot",
            Self::Euclid => "Euclid",
            Self::Manhattan => "Manhattan",
        }
    }

    /// The variant called `name`, compared exactly; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|distance| distance.name() == name)
    }

    /// Whether the best hit has the highest score (similarities) or the lowest (distances).
    pub fn higher_is_better(self) -> bool {
        match self {
            Self::Cosine | Self::Dot => true,
            Self::Euclid | Self::Manhattan => false,
        }
    }

    /// The score a user sees for the raw value of [`Kernels::raw`](crate::Kernels::raw): the root for `Euclid`,
    /// unchanged otherwise. Monotonic, so ranking by the raw value ranks by the score.
    pub fn score_from_raw(self, raw: f32) -> f32 {
        match self {
            Self::Euclid => raw.sqrt(),
            Self::Cosine | Self::Dot | Self::Manhattan => raw,
        }
    }

    /// The raw value of a score: the inverse of [`score_from_raw`](Self::score_from_raw) up to rounding. A negative
    /// `Euclid` score stays negative, so that a threshold no distance can meet stays one.
    pub fn raw_from_score(self, score: f32) -> f32 {
        match self {
            Self::Euclid => score * score.abs(),
            Self::Cosine | Self::Dot | Self::Manhattan => score,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_variant() {
        for distance in Distance::ALL {
            assert_eq!(Distance::from_name(distance.name()), Some(distance));
        }
        assert_eq!(Distance::from_name("cosine"), None, "names are compared exactly");
    }

    #[test]
    fn raw_values_and_scores_convert_both_ways() {
        for distance in Distance::ALL {
            assert_eq!(
                distance.score_from_raw(distance.raw_from_score(2.5)),
                2.5,
                "{distance:?}"
            );
        }
        assert_eq!(Distance::Euclid.score_from_raw(9.0), 3.0);
        assert!(Distance::Euclid.raw_from_score(-1.0) < 0.0);
    }
}
