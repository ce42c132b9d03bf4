//! New settings for a queue that runs.

use std::sync::Arc;

use super::Queue;
use super::limits::Limits;

impl Queue {
    /// Takes over what `other` was set to, for this queue, its clones and all of
    /// their work, while they run: the relay bus, what knows sites, the router, the
    /// retry algorithm, the bounce builder, the name of this host, the delay notice
    /// and the limits.
    /// All but the limits change at once; each counts from the next attempt or
    /// decision on, also for mail that waits.
    ///
    /// What a queue begins with stays: edge bus, storage, world, observer, lock
    /// duration, and of the limits `attempts_max`, `contents_memory_max` and
    /// `intakes_max`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use slimta_core::queue::{Queue, RelayBus, Schedule};
    /// # use slimta_core::storage::Storage;
    /// # fn example(queue: &Queue, relay: RelayBus, storage: Arc<dyn Storage>) {
    /// let patient = Schedule::server_default();
    /// let changed = Queue::new(None, Some(relay), storage).with_retry_algorithm(patient);
    /// queue.adopt(&changed);
    /// # }
    /// ```
    pub fn adopt(&self, other: &Queue) {
        let (shared, other) = (&self.shared, &other.shared);
        let begun = shared.lanes.limits.keep();
        let limits = Limits {
            attempts_max: begun.attempts_max,
            contents_memory_max: begun.contents_memory_max,
            intakes_max: begun.intakes_max,
            ..Limits::clone(&other.lanes.limits.get())
        };
        shared.lanes.adopt(Arc::new(limits));
        shared.rules.set(other.rules.keep());
    }
}
