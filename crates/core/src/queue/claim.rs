//! Claims what is due: the way back from the store into memory.

use std::sync::Arc;
use std::time::Duration;

use crate::message::Destination;
use crate::storage::{Due, Session, StorageError};

use super::attempt::Attempt;
use super::lane::For;
use super::lanes::Place;
use super::peers;
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
    /// For how long due mail was left, to other managers or because its
    /// destination has used up its rate; the shortest of these times.
    pub(super) left_for: Option<Duration>,
}

/// What of the due mail is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it that rates allow, whether or not there is room.
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
        for due in &page {
            let left = limit.saturating_sub(claimed.attempts.len());
            let (lanes, now) = (&shared.lanes, shared.world().monotonic());
            let room = match share {
                Share::All => lanes.rate_room(&due.destination, now),
                Share::Own if claimed.leave(shared, &*session, due) => continue,
                Share::Own => lanes.room(&due.destination, For::Due, now),
            };
            let count = room.min(CLAIM_MAX).min(left);
            if count == 0 {
                match lanes.rate_wait(&due.destination, now) {
                    Some(wait) => claimed.left_for(wait),
                    None => claimed.blocked = true,
                }
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
        if wait.is_zero() {
            return false;
        }
        self.left_for(wait);
        true
    }

    fn left_for(&mut self, wait: Duration) {
        let least = self.left_for.map_or(wait, |other| other.min(wait));
        self.left_for = Some(least);
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
