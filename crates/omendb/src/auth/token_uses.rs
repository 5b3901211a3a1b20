//! How often each API token was used: an open label, with the bounds and the filter of open labels.

use std::collections::HashMap;
use std::sync::Arc;

use omendb_metrics::{
    Catalogue, Clock, Collect, Counter, DeclarationError, OpenGroup, Series, Snapshot, metrics,
};

/// Tokens with a series of their own; those of more share one.
const MAX_SERIES: usize = 100;

metrics! {
    /// What is counted of one token.
    pub(crate) struct TokenMetrics by "token" {
        /// Requests with an API token that was in force, by its name. The first 100 tokens have a series of their own, for as
        /// long as they are in force; sessions of users are not in here.
        ///
        /// Before a token is revoked or changed: whether somebody still uses it; and when the load has changed, for whose
        /// it is.
        pub(crate) uses: Counter = "omendb_auth_token_uses_total",
    }
}

/// The uses of every token that is in force.
#[derive(Debug)]
pub(crate) struct TokenUses(OpenGroup<TokenMetrics>);

impl TokenUses {
    pub(crate) fn new(clock: Clock) -> Self {
        Self(OpenGroup::new("token", MAX_SERIES, clock))
    }

    /// Declares what [`Collect::collect`] hands over.
    pub(crate) fn describe(catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        // Beside them `_overflow` and `_redacted`.
        catalogue.open_group::<TokenMetrics>(MAX_SERIES + 2)
    }

    /// The series of `names`, those of `known` where it has them: a token counts on when a file is read again.
    pub(super) fn series(
        &self,
        mut known: HashMap<Arc<str>, Arc<Series<TokenMetrics>>>,
        names: impl Iterator<Item = Arc<str>>,
    ) -> HashMap<Arc<str>, Arc<Series<TokenMetrics>>> {
        let mut series = HashMap::new();
        for name in names {
            let open = || known.remove(&name).unwrap_or_else(|| self.0.open(&name));
            series.entry(Arc::clone(&name)).or_insert_with(open);
        }
        series
    }
}

impl Collect for TokenUses {
    fn describe(&self, catalogue: &mut Catalogue) -> Result<(), DeclarationError> {
        Self::describe(catalogue)
    }

    fn collect(&self, out: &mut Snapshot) {
        self.0
            .collect(out, |series, out| out.group::<TokenMetrics>(series));
    }
}
