//! Which request a thread is working for, so that every line it logs can say so.
//!
//! Lines come from everywhere, also from where no request is known, so this is kept beside the call stack: it follows a
//! request through its future, and into its execution slot.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;

use omendb_metrics::Origin;

use crate::traces::context::TraceId;

/// The request, if there is one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// What it is called.
    pub(crate) request: Option<Origin>,
    /// The trace it belongs to.
    pub(crate) trace: Option<TraceId>,
}

thread_local! {
    static CURRENT: Cell<Scope> = const {
        Cell::new(Scope {
            request: None,
            trace: None,
        })
    };
}

/// While it lives, its thread works for a request.
#[derive(Debug)]
pub(crate) struct Entered {
    before: Scope,
}

impl Scope {
    /// That of this thread, now.
    pub(crate) fn current() -> Self {
        CURRENT.get()
    }

    /// Makes it this thread's.
    pub(crate) fn enter(self) -> Entered {
        Entered {
            before: CURRENT.replace(self),
        }
    }

    /// Runs a future in it, whichever threads that happens on.
    pub(crate) async fn around<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let _entered = self.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// `work` in the scope of the thread that asks for it, for threads that know of no request.
    pub(crate) fn carry<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let scope = Self::current();
        move || {
            let _entered = scope.enter();
            work()
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> Option<String> {
        Scope::current().request.map(|origin| origin.id().to_owned())
    }

    fn scope(name: &str) -> Scope {
        Scope {
            request: Origin::request(name),
            trace: None,
        }
    }

    #[tokio::test]
    async fn a_scope_is_that_of_its_own_future_only() {
        let observe = async {
            let before = current();
            tokio::task::yield_now().await;
            (before, current())
        };
        let other = scope("b").around(async {
            tokio::task::yield_now().await;
            current()
        });
        let ((before, after), other) = tokio::join!(scope("a").around(observe), other);
        assert_eq!((before.as_deref(), after.as_deref()), (Some("a"), Some("a")));
        assert_eq!(other.as_deref(), Some("b"));
        assert_eq!(current(), None);
    }

    #[test]
    fn work_elsewhere_is_done_in_the_scope_of_whoever_asked() {
        let work = {
            let _entered = scope("a").enter();
            Scope::carry(current)
        };
        assert_eq!(current(), None);
        let spawned = std::thread::Builder::new().spawn(work).unwrap();
        assert_eq!(spawned.join().unwrap().as_deref(), Some("a"));
    }
}
