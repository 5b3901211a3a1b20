//! The declaration of metrics: a group is a struct, a metric is a typed field, its doc comment is its HELP.

use crate::descriptor::Descriptor;
use crate::snapshot::GroupWriter;

/// A struct of metrics, declared by [`crate::metrics!`].
pub trait Group: Sized + 'static {
    /// The open label that tells several instances of the group apart (`db_id`), if there are several.
    const OPEN_LABEL: Option<&'static str>;

    /// Its families, in the order of the fields.
    fn descriptors() -> &'static [Descriptor];

    /// Hands every field to `out`, in the order of the fields.
    fn collect(&self, out: &mut GroupWriter<'_, '_>);

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize;
}

/// Declares a group of metrics.
///
/// Each field is a family: its type says what it is and which closed labels it has, the string is its name, the first
/// paragraph of its doc comment its HELP, the second says when to look at it; the unit is the end of the name. `by "db_id"` makes it a group with one instance per value of the
/// open label. `block` in place of `struct` makes it a worker's block: all fields are cells, and it can be used
/// with [`crate::Blocks`]. A name followed by `experimental` may still change.
///
/// ```
/// use omendb_metrics::{Cell, Counter, Gauge, HistogramCells, metrics};
/// metrics! {
///     /// What a worker counts for one collection.
///     pub block QueryCells by "db_id" {
///         /// Queries answered.
///         ///
///         /// First: has the load changed?
///         pub queries: Cell = "example_queries_total",
///         /// Time from admission to hits.
///         pub latency: HistogramCells = "example_query_duration_seconds",
///     }
/// }
/// metrics! {
///     /// What the server counts.
///     pub struct ServerMetrics {
///         /// Connections accepted.
///         pub connections: Counter = "example_connections_total",
///         /// Requests being handled.
///         pub in_flight: Gauge = "example_requests_in_flight" experimental,
///     }
/// }
/// ```
#[macro_export]
macro_rules! metrics {
    (
        $(#[$meta:meta])*
        $vis:vis struct $group:ident $(by $open:literal)? { $($body:tt)* }
    ) => {
        $crate::metrics! { @group [$(#[$meta])*] [$vis] $group [$($open)?] $($body)* }
    };
    (
        $(#[$meta:meta])*
        $vis:vis block $group:ident $(by $open:literal)? { $($body:tt)* }
    ) => {
        $crate::metrics! { @group [$(#[$meta])*] [$vis] $group [$($open)?] $($body)* }
        $crate::metrics! { @fold $group $($body)* }
    };
    (@group [$(#[$meta:meta])*] [$vis:vis] $group:ident [$($open:literal)?]
        $( $(#[doc = $doc:literal])+ $field_vis:vis $field:ident: $type:ty = $name:literal $($stability:ident)? ),+ $(,)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        $vis struct $group {
            $( $(#[doc = $doc])+ #[doc = concat!("\n\nExported as `", $name, "`.")] $field_vis $field: $type, )+
        }

        impl $crate::Group for $group {
            const OPEN_LABEL: Option<&'static str> = $crate::metrics!(@open $($open)?);

            fn descriptors() -> &'static [$crate::Descriptor] {
                const DESCRIPTORS: &[$crate::Descriptor] = &[$(
                    $crate::Descriptor::of::<$type>(
                        $name,
                        concat!($($doc, "\n"),+),
                        $crate::metrics!(@stability $($stability)?),
                    ),
                )+];
                DESCRIPTORS
            }

            fn collect(&self, out: &mut $crate::GroupWriter<'_, '_>) {
                let Self { $($field),+ } = self;
                $( out.metric($field); )+
            }

            fn heap_bytes(&self) -> usize {
                let Self { $($field),+ } = self;
                0 $( + $crate::Metric::heap_bytes($field) )+
            }
        }
    };
    (@fold $group:ident
        $( $(#[doc = $doc:literal])+ $field_vis:vis $field:ident: $type:ty = $name:literal $($stability:ident)? ),+ $(,)?
    ) => {
        impl $crate::Fold for $group {
            fn fold(&self, from: &Self) {
                let Self { $($field),+ } = self;
                $( $crate::Fold::fold($field, &from.$field); )+
            }
        }
    };
    (@open) => { None };
    (@open $open:literal) => { Some($open) };
    (@stability) => { $crate::Stability::Stable };
    (@stability experimental) => { $crate::Stability::Experimental };
}
