//! A value that is replaced as a whole while others use it.
//!
//! Who reads it waits for nobody and sees all of the old or all of the new one.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// Such a value.
#[derive(Debug)]
pub(super) struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    /// Begins with `value`.
    pub(super) fn new(value: T) -> Self {
        Live(ArcSwap::from_pointee(value))
    }

    /// The value as it is now, for a few lines: not to be kept while waiting.
    pub(super) fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// The same, to be kept.
    pub(super) fn keep(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces it.
    pub(super) fn set(&self, value: Arc<T>) {
        self.0.store(value);
    }
}

impl<T: Clone> Live<T> {
    /// Changes it where nobody uses it yet.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut T)) {
        let mut value = T::clone(&self.get());
        change(&mut value);
        self.set(Arc::new(value));
    }
}

/// A clone has the same value, and is replaced by itself.
impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Live(ArcSwap::new(self.keep()))
    }
}
