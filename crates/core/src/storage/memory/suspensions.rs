//! Destinations whose mail is kept back.

use std::collections::BTreeMap;

use crate::storage::{SUSPENSIONS_MAX, StorageError, Suspension};
use crate::world::Timestamp;

/// Suspensions by what they are for.
#[derive(Debug, Default)]
pub(super) struct Suspensions(BTreeMap<String, Suspension>);

impl Suspensions {
    pub(super) fn begin(&mut self, new: &Suspension, now: Timestamp) -> Result<(), StorageError> {
        self.0.retain(|_, suspension| suspension.is_in_force(now));
        let is_new = !self.0.contains_key(&new.destinations);
        if is_new && self.0.len() >= SUSPENSIONS_MAX {
            return Err(StorageError::too_many_suspensions());
        }
        self.0.insert(new.destinations.clone(), new.clone());
        Ok(())
    }

    pub(super) fn end(&mut self, destinations: &str, now: Timestamp) -> bool {
        let ended = self.0.remove(destinations);
        ended.is_some_and(|ended| ended.is_in_force(now))
    }

    pub(super) fn in_force(&self, now: Timestamp) -> Vec<Suspension> {
        let all = self.0.values();
        all.filter(|one| one.is_in_force(now)).cloned().collect()
    }
}
