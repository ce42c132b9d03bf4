//! Claims what is due: the way back from the store into memory.

use std::sync::Arc;

use crate::message::Destination;
use crate::storage::{Due, StorageError};

use super::attempt::Attempt;
use super::lanes::Place;
use super::shared::Shared;

/// Destinations looked at in one step.
const DESTINATIONS_PAGE: usize = 100;
/// Most messages of one destination claimed in one step, so that a long
/// backlog of one does not keep the others waiting.
const CLAIM_MAX: usize = 50;

/// What one look at the due destinations found.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) attempts: Vec<Attempt>,
    /// Whether due mail was left because its lane is full.
    pub(super) blocked: bool,
}

/// Claims due messages, some of each destination in turn, at most `limit`.
/// `room` says how many of a destination may be taken now.
pub(super) async fn claim_due(
    shared: &Arc<Shared>,
    limit: usize,
    room: impl Fn(&Destination) -> usize,
) -> Result<Claimed, StorageError> {
    let session = shared.session().await?;
    let mut claimed = Claimed::default();
    let mut after: Option<Due> = None;
    loop {
        let page = session
            .due_destinations(after.as_ref(), DESTINATIONS_PAGE)
            .await?;
        let last_page = page.len() < DESTINATIONS_PAGE;
        for due in &page {
            let left = limit.saturating_sub(claimed.attempts.len());
            let count = room(&due.destination).min(CLAIM_MAX).min(left);
            if count == 0 {
                claimed.blocked = true;
                continue;
            }
            let attempts = claim_one(shared, &due.destination, count).await?;
            claimed.attempts.extend(attempts);
        }
        after = page.into_iter().next_back();
        if last_page || claimed.attempts.len() >= limit {
            return Ok(claimed);
        }
    }
}

async fn claim_one(
    shared: &Arc<Shared>,
    destination: &Destination,
    count: usize,
) -> Result<Vec<Attempt>, StorageError> {
    let session = shared.session().await?;
    // Places before leases: nothing is leased that has no room.
    let places: Vec<Place> = (0..count)
        .map(|_| shared.lanes.enter(destination))
        .collect();
    let asked = shared.world().monotonic();
    let lease = shared.settings.lock_duration;
    let leased = session.claim(destination, count, lease).await?;
    let attempts = leased.into_iter().zip(places);
    Ok(attempts
        .map(|(leased, place)| Attempt::new(shared, leased, None, place, asked))
        .collect())
}
