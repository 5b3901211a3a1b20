//! The promises of the crate documentation, checked on every kernel set this processor can run.

/// Results against exact ones, over every tail length and extreme elements.
mod agreement;
/// NaN, infinities, overflow and underflow.
mod extremes;
/// The i8 kernels against arithmetic in i64.
mod int8;
/// A row's result does not depend on its neighbours or on the form.
mod rows;
/// Vectors to compare.
mod vectors;
