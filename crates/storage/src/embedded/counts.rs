//! What is there, counted.

use slimta_core::message::Destination;
use slimta_core::storage::{Backlog, Stats, StorageError};

use super::engine::{Engine, unavailable};

/// All mail.
pub(super) fn stats(engine: &Engine) -> Result<Stats, StorageError> {
    let (_, overlay, snapshot) = engine.look()?;
    let failed = |error| unavailable(&error);
    let counts = snapshot.counts().map_err(failed)?;
    let deferred = counts.deferred.saturating_sub(overlay.deferred);
    let held = counts.held.saturating_sub(overlay.held);
    Ok(Stats {
        messages: counts.messages,
        active: counts.messages.saturating_sub(deferred + held),
        deferred,
        held,
        quarantined: counts.quarantined,
        bytes: counts.bytes,
        oldest: snapshot.oldest().map_err(failed)?,
    })
}

/// What waits for some destinations, each up to `most`.
pub(super) fn backlogs(
    engine: &Engine,
    destinations: &[Destination],
    most: usize,
) -> Result<Vec<Backlog>, StorageError> {
    let (now, overlay, snapshot) = engine.look()?;
    let count = |one| snapshot.backlog(one, most, now.wall, &overlay);
    let backlogs = destinations.iter().map(count);
    let backlogs = backlogs.collect::<Result<_, _>>();
    backlogs.map_err(|error| unavailable(&error))
}
