//! The synchronisation types the cells are built on: the standard ones, or loom's when the model checker runs.
//!
//! Only what [`crate::Blocks`] and its cells use is switched; the rest of the crate never runs under loom.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

/// The guard of `mutex`, taken also when a thread panicked while holding it.
///
/// Everything this crate keeps behind a mutex is valid between any two statements, so a poisoned lock says nothing
/// about the data, and refusing to report is the last thing an operator needs from a process that just panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(loom)]
pub(crate) use loom::sync::MutexGuard;
#[cfg(not(loom))]
pub(crate) use std::sync::MutexGuard;
