//! Groups by the open label: one instance per collection, created and removed with it, and never too many.
//!
//! The first `limit` values that come get a series of their own and keep it. Those that come later share the series
//! `_overflow`, and values that look like a credential share `_redacted`; both keep counting when a member leaves.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::clock::Clock;
use crate::redact;
use crate::snapshot::{Snapshot, Writer};

/// Value of the open label for what came after the limit.
pub const OVERFLOW: &str = "_overflow";
/// Value of the open label for what must not be shown.
pub const REDACTED: &str = "_redacted";

/// One value of the open label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenValue {
    key: &'static str,
    text: Arc<str>,
    is_shared: bool,
    started: u64,
}

impl OpenValue {
    /// The label's name.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// The value as the page shows it, before escaping.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When its series began to count, in nanoseconds since 1970-01-01 UTC.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether several things report under it. Values computed for each of them are added up; ratios are left out.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }
}

/// Series that did not get what they asked for, counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Came after the limit and share `_overflow`.
    pub limit: u64,
    /// Looked like a credential and share `_redacted`.
    pub redacted: u64,
    /// Left the page with what they belonged to.
    pub removed: u64,
    /// Groups handed to a snapshot whose catalogue does not know them: a programming error.
    pub undeclared: u64,
}

/// The instances of a group (or of any struct of groups), by the open label.
///
/// ```
/// # use omendb_metrics::{Clock, Counter, OpenGroup};
/// let collections = OpenGroup::<Counter>::new("db_id", 1_000, Clock::system());
/// let main = collections.open("main");
/// main.increment();
/// assert_eq!(main.value().text(), "main");
/// drop(main); // the collection is gone, and so is its series
/// assert_eq!(collections.members(), 0);
/// ```
#[derive(Debug)]
pub struct OpenGroup<T> {
    inner: Arc<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    key: &'static str,
    limit: usize,
    clock: Clock,
    members: Mutex<BTreeMap<Arc<str>, Weak<Series<T>>>>,
    overflow: OnceLock<Arc<Series<T>>>,
    redacted: OnceLock<Arc<Series<T>>>,
    refused_limit: AtomicU64,
    refused_redacted: AtomicU64,
    removed: AtomicU64,
}

/// The metrics of one member; leaves the page when the last handle is dropped or it is closed.
#[derive(Debug)]
pub struct Series<T> {
    value: OpenValue,
    metrics: T,
    home: Weak<Inner<T>>,
}

impl<T> Series<T> {
    /// The label it is exported under.
    pub fn value(&self) -> &OpenValue {
        &self.value
    }

    /// Takes it off the page now; handles that remain count on, unseen. For a removed collection that a query in
    /// flight still holds.
    pub fn close(&self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut members = home.members();
        // Another collection may have taken the name since.
        let is_self = |member: &Weak<Self>| std::ptr::eq(member.as_ptr(), self);
        if members.get(&self.value.text).is_some_and(is_self) {
            members.remove(&self.value.text);
            home.removed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T> Deref for Series<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.metrics
    }
}

impl<T> Drop for Series<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Inner<T> {
    fn members(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Weak<Series<T>>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> OpenGroup<T> {
    /// For the label `key`, with at most `limit` series of their own; `clock` says when each began.
    pub fn new(key: &'static str, limit: usize, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                key,
                limit,
                clock,
                members: Mutex::default(),
                overflow: OnceLock::new(),
                redacted: OnceLock::new(),
                refused_limit: AtomicU64::new(0),
                refused_redacted: AtomicU64::new(0),
                removed: AtomicU64::new(0),
            }),
        }
    }

    /// The series for `name`, new from zero, or a shared one. A member of that name that still exists is closed.
    pub fn open(&self, name: &str) -> Arc<Series<T>> {
        let inner = &*self.inner;
        if redact::looks_secret(name) {
            inner.refused_redacted.fetch_add(1, Ordering::Relaxed);
            return self.shared(&inner.redacted, REDACTED);
        }
        let mut members = inner.members();
        let is_taken = matches!(name, OVERFLOW | REDACTED);
        if is_taken || (members.len() >= inner.limit && !members.contains_key(name)) {
            inner.refused_limit.fetch_add(1, Ordering::Relaxed);
            drop(members);
            return self.shared(&inner.overflow, OVERFLOW);
        }
        let text: Arc<str> = name.into();
        let series = Arc::new(self.series(Arc::clone(&text), false));
        if members.insert(text, Arc::downgrade(&series)).is_some() {
            inner.removed.fetch_add(1, Ordering::Relaxed);
        }
        series
    }

    fn shared(&self, slot: &OnceLock<Arc<Series<T>>>, text: &str) -> Arc<Series<T>> {
        Arc::clone(slot.get_or_init(|| Arc::new(self.series(text.into(), true))))
    }

    fn series(&self, text: Arc<str>, is_shared: bool) -> Series<T> {
        // A shared series is kept by the group itself and never leaves, so it needs no way back.
        let home = if is_shared {
            Weak::new()
        } else {
            Arc::downgrade(&self.inner)
        };
        Series {
            value: OpenValue {
                key: self.inner.key,
                text,
                is_shared,
                started: self.inner.clock.wall(),
            },
            metrics: T::default(),
            home,
        }
    }

    /// Every series on the page, by name, the shared ones last.
    pub fn series_now(&self) -> Vec<Arc<Series<T>>> {
        let mut series: Vec<_> = self.inner.members().values().filter_map(Weak::upgrade).collect();
        series.extend(self.inner.overflow.get().cloned());
        series.extend(self.inner.redacted.get().cloned());
        series
    }

    /// Hands every series to `each` with a writer for its label, and what was dropped to the snapshot.
    pub fn collect(&self, out: &mut Snapshot, mut each: impl FnMut(&Series<T>, &mut Writer<'_>)) {
        for series in self.series_now() {
            each(&series, &mut out.by(series.value()));
        }
        let drops = self.drops();
        out.drops.limit += drops.limit;
        out.drops.redacted += drops.redacted;
        out.drops.removed += drops.removed;
    }

    /// Number of values with a series of their own.
    pub fn members(&self) -> usize {
        self.inner.members().len()
    }

    /// Upper bound of the series there can be, for [`crate::Catalogue::open_group`].
    pub fn cardinality(&self) -> usize {
        self.inner.limit + 2
    }

    /// What was refused and removed so far.
    pub fn drops(&self) -> Drops {
        Drops {
            limit: self.inner.refused_limit.load(Ordering::Relaxed),
            redacted: self.inner.refused_redacted.load(Ordering::Relaxed),
            removed: self.inner.removed.load(Ordering::Relaxed),
            undeclared: 0,
        }
    }
}
