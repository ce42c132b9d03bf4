//! A value that tasks wait for.
//!
//! Like tokio's `watch`, but those who wait are woken in the order in which
//! they came. There the order is chance, which no seed reaches, and a simulated
//! run could not be played again.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A small value and all who wait for it to change.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Watched<T> {
    /// Begins with `value`.
    pub(crate) fn new(value: T) -> Self {
        Watched {
            value: Mutex::new(value),
            changed: Notify::new(),
        }
    }

    /// The value as it is now.
    pub(crate) fn get(&self) -> T {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the value and wakes all who wait.
    pub(crate) fn set(&self, value: T) {
        self.update(|old| *old = value);
    }

    /// Changes the value and wakes all who wait.
    pub(crate) fn update(&self, update: impl FnOnce(&mut T)) {
        update(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    /// Completes once the value is as wanted, and gives it.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(T) -> bool) -> T {
        loop {
            // Made before the look: it hears every change from here on.
            let changed = self.changed.notified();
            let value = self.get();
            if wanted(value) {
                return value;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// So few that one yield lets all of them come.
    const NAMES: usize = 20;

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let watched = Arc::new(Watched::new(0));
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for name in 0..NAMES {
            let (watched, woken) = (watched.clone(), woken.clone());
            waiting.spawn(async move {
                watched.wait_for(|value| value > 0).await;
                woken.lock().unwrap().push(name);
            });
        }
        tokio::task::yield_now().await;
        watched.update(|value| *value += 1);
        waiting.join_all().await;
        assert_eq!(*woken.lock().unwrap(), (0..NAMES).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_so_already_is_not_waited_for() {
        let watched = Watched::new(3);
        assert_eq!(watched.wait_for(|value| value == 3).await, 3);
        watched.set(4);
        assert_eq!(watched.wait_for(|value| value == 4).await, 4);
    }
}
