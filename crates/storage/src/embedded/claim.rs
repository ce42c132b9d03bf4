//! Taking leases. They are granted under the lock of the leases, on what was
//! committed last: the writer ends a lease only after the commit that it waits
//! for, so nobody can get a message as it was before.

use std::time::Duration;

use slimta_core::message::{Destination, MessageId};
use slimta_core::storage::{Leased, Owner, StorageError};

use super::engine::{Engine, unavailable};
use super::leases::Now;
use super::snapshot::Found;
use super::tables::DuePlace;

/// Something that was read and cannot be used.
pub(super) struct Spoiled {
    pub(super) id: MessageId,
    pub(super) reason: String,
    pub(super) place: Option<DuePlace>,
}

type Claimed = (Vec<Leased>, Vec<Spoiled>);

/// By priority, then the longest due; or `by_age`, the longest due of all. Under
/// the lock only the due order is read. The messages are read after it:
/// once they are leased nobody changes them.
pub(super) fn claim(
    engine: &Engine,
    destination: &Destination,
    limit: usize,
    by_age: bool,
    owner: &Owner,
    lease: Duration,
) -> Result<Claimed, StorageError> {
    let failed = |error| unavailable(&error);
    let now = Now::of(&engine.world);
    let (snapshot, granted) = {
        let mut leases = engine.leases();
        let snapshot = engine.snapshot()?;
        let is_free = |id| leases.is_free(id, now);
        let due = snapshot.due(destination, limit, by_age, now.wall, is_free);
        let grant = |(place, mark): (DuePlace, _)| {
            let what = (place.id, place.destination.clone(), mark);
            (leases.grant(what, owner, lease, now), place)
        };
        let granted: Vec<_> = due.map_err(failed)?.into_iter().map(grant).collect();
        (snapshot, granted)
    };
    let (mut leased, mut spoiled) = (Vec::new(), Vec::new());
    for (lease, place) in granted {
        let id = place.id;
        let reason = match snapshot.message(id).map_err(failed)? {
            Found::Message(message, _) => {
                let message = *message;
                leased.push(Leased { lease, message });
                continue;
            }
            Found::Unreadable(reason) => reason,
            Found::Nothing => "its place in the due order has no message".to_owned(),
        };
        engine.leases().end(lease.ticket());
        let place = Some(place);
        spoiled.push(Spoiled { id, reason, place });
    }
    Ok((leased, spoiled))
}

/// Leases one message; none if it is unknown or not free.
pub(super) fn lock(
    engine: &Engine,
    id: MessageId,
    owner: &Owner,
    lease: Duration,
) -> Result<Result<Option<Leased>, Spoiled>, StorageError> {
    let now = Now::of(&engine.world);
    let mut leases = engine.leases();
    if !leases.is_free(id, now) {
        return Ok(Ok(None));
    }
    let found = engine.snapshot()?.message(id);
    Ok(match found.map_err(|error| unavailable(&error))? {
        Found::Nothing => Ok(None),
        Found::Unreadable(reason) => {
            let place = None;
            Err(Spoiled { id, reason, place })
        }
        Found::Message(message, mark) => {
            let what = (id, message.destination.clone(), mark);
            let lease = leases.grant(what, owner, lease, now);
            let message = *message;
            Ok(Some(Leased { lease, message }))
        }
    })
}
