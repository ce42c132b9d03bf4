//! Claims what is due: the way back from the store into memory.

use std::sync::Arc;
use std::time::Duration;

use crate::message::Destination;
use crate::storage::{Due, Session, StorageError};
use crate::world::Timestamp;

use super::attempt::Attempt;
use super::lanes::Place;
use super::peers;
use super::shared::Shared;
use super::suspend;

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
    /// For how long due mail was left: to other managers, or because its
    /// destination is suspended.
    pub(super) left_for: Option<Duration>,
}

/// What of the due mail is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it, whether or not there is room.
    All,
    /// As much as there is room for, of what is not left to other managers.
    Own,
}

/// Claims due messages, some of each destination in turn, at most `limit`.
pub(super) async fn claim_due(
    shared: &Arc<Shared>,
    limit: usize,
    share: Share,
) -> Result<Claimed, StorageError> {
    let session = shared.session().await?;
    let mut claimed = Claimed::default();
    let mut after: Option<Due> = None;
    loop {
        let page = session
            .due_destinations(after.as_ref(), DESTINATIONS_PAGE)
            .await?;
        let last_page = page.len() < DESTINATIONS_PAGE;
        let is_work = !page.is_empty() || shared.lanes.are_used();
        if share == Share::Own && is_work {
            peers::refresh(shared, &*session).await;
        }
        if !page.is_empty() {
            suspend::refresh(shared, &*session).await?;
        }
        for due in &page {
            if claimed.keep_back(shared, &*session, due) {
                continue;
            }
            let left = limit.saturating_sub(claimed.attempts.len());
            let room = match share {
                Share::All => usize::MAX,
                Share::Own if claimed.leave(shared, &*session, due) => continue,
                Share::Own => shared
                    .lanes
                    .room(&due.destination, shared.world().monotonic()),
            };
            let count = room.min(CLAIM_MAX).min(left);
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

impl Claimed {
    /// Whether a destination is left to other managers for now.
    fn leave(&mut self, shared: &Shared, session: &dyn Session, due: &Due) -> bool {
        let wait = shared.peers.wait(session.owner(), due, session.now());
        !wait.is_zero() && self.leave_for(wait)
    }

    /// Whether the mail of a destination is kept back by an operator.
    fn keep_back(&mut self, shared: &Shared, session: &dyn Session, due: &Due) -> bool {
        let now = session.now();
        match shared.suspended.look(&due.destination, now) {
            Some(suspension) => {
                let end = suspension.until.unwrap_or(Timestamp::MAX);
                self.leave_for(end.since(now))
            }
            None => false,
        }
    }

    fn leave_for(&mut self, wait: Duration) -> bool {
        let least = self.left_for.map_or(wait, |other| other.min(wait));
        self.left_for = Some(least);
        true
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
