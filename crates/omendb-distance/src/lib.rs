//! Vector distance kernels, one set per instruction set, chosen once.
//!
//! [`Kernels::detected`] looks at the processor and returns the widest set it can run; callers keep the reference and
//! never ask again. Every set computes the same functions:
//!
//! | elements | pair | one query against many rows |
//! |---|---|---|
//! | f32 | [`dot`](Kernels::dot), [`l2_squared`](Kernels::l2_squared), [`manhattan`](Kernels::manhattan), [`cosine`](Kernels::cosine), [`norm`](Kernels::norm) | [`dot_rows`](Kernels::dot_rows), [`l2_squared_rows`](Kernels::l2_squared_rows), [`manhattan_rows`](Kernels::manhattan_rows) |
//! | i8 | [`dot_i8`](Kernels::dot_i8), [`l2_squared_i8`](Kernels::l2_squared_i8), [`cosine_i8`](Kernels::cosine_i8) | [`dot_i8_rows`](Kernels::dot_i8_rows), [`l2_squared_i8_rows`](Kernels::l2_squared_i8_rows); of rows that lie apart, [`dot_i8_each`](Kernels::dot_i8_each) |
//!
//! There is no `cosine_rows`: a collection stores its cosine vectors at unit length ([`normalize`]), where the cosine
//! is the dot product and a third of the work.
//!
//! # What the results promise
//!
//! * **Same bits in every form.** Within one set, a row's result does not depend on its position among the rows, nor
//!   on whether the pair or the rows form computed it. A point that moves during compaction keeps its score.
//! * **Error bound, f32.** With `u = 2^-24`, `n` elements, and `S` the sum of the absolute values of the exact terms
//!   (`|a*b|`, `(a-b)^2`, `|a-b|`), the result differs from the exact one by at most `1.01 * (n + 3) * u * S`, whatever
//!   the order of the additions (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 4.2),
//!   plus `n * 2^-149` where products underflow. Two sets differ by at most twice that. See [`error_bound`].
//! * **i8 is exact** up to [`MAX_I8_DIMENSION`] elements, and therefore equal in every set.
//! * **NaN in, NaN out.** If an element of either vector is NaN, every f32 function returns NaN, in every set. An
//!   infinite element, or a sum that leaves the range of f32, gives an infinity or NaN, never a finite number.
//!   `norm` and `cosine` do not overflow or vanish before their results do: where squares leave the range of f32 they
//!   are summed again in f64. The cosine with a zero vector is 0.
//!
//! # Safety
//!
//! Unsafe code is confined to two places: the loads in `x86`, which read exactly the array they are given, and the
//! calls through the tables in `kernels`, which rest on the detection of the processor's features.

mod distance;
mod kernels;
mod normalize;
mod prefetch;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use distance::Distance;
pub use kernels::{Kernels, MAX_I8_DIMENSION, error_bound};
pub use normalize::normalize;
pub use prefetch::prefetch;
