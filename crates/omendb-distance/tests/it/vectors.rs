//! Vectors to compare: a seeded stream, so that a failure names the seed that repeats it.

/// SplitMix64 (Steele, Lea and Flood, *Fast Splittable Pseudorandom Number Generators*, 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in -1 .. 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Either sign, magnitudes spread evenly over `2^-exponent ..= 2^exponent`.
    pub(crate) fn wide(&mut self, exponent: i32) -> f32 {
        let scale = (self.bits() % (2 * exponent as u64 + 1)) as i32 - exponent;
        self.unit() * 2.0_f32.powi(scale)
    }

    pub(crate) fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.unit()).collect()
    }

    pub(crate) fn wide_vector(&mut self, length: usize, exponent: i32) -> Vec<f32> {
        (0..length).map(|_| self.wide(exponent)).collect()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<i8> {
        (0..length).map(|_| self.bits() as i8).collect()
    }
}

/// Every length up to past several registers of the widest set, then the dimensions people use and their neighbours.
pub(crate) fn lengths() -> impl Iterator<Item = usize> {
    (0..=300).chain([383, 384, 385, 511, 768, 1024, 1535, 1536, 3072, 4097])
}
