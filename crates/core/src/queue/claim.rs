//! Claims what is due: the way back from the store into memory.

use std::sync::Arc;
use std::time::Duration;

use crate::message::Destination;
use crate::storage::{Due, Leased, Session, StorageError};
use crate::world::Timestamp;

use super::attempt::Attempt;
use super::lane::For;
use super::peers;
use super::place::Place;
use super::put_off::PutOff;
use super::shared::Shared;
use super::suspend;

/// Destinations looked at in one step.
const DESTINATIONS_PAGE: usize = 100;
/// So many pages without anything to take end a look: whatever is suspended or has
/// used up its rate, the others do not wait for all of it to be looked through.
const FRUITLESS_PAGES: usize = 10;
/// Most messages of one destination claimed in one step, so that a long
/// backlog of one does not keep the others waiting.
const CLAIM_MAX: usize = 50;
/// Of so many claims one takes what is due longest, whatever its priority: so
/// mail of high priority without end keeps no other waiting for ever. By chance,
/// for what is counted may fall into step with the destinations.
const BY_AGE: u64 = 8;
/// Most messages that are put off in one step.
const PUT_OFF_MAX: usize = 200;

/// What one look at the due destinations found.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) attempts: Vec<Attempt>,
    /// Messages of destinations that are left alone.
    pub(super) put_off: Vec<PutOff>,
    /// Whether due mail was left because its lane is full.
    pub(super) blocked: bool,
    /// For how long due mail was left: to other managers, or because its
    /// destination is suspended or has used up its rate; the shortest of these
    /// times.
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

/// Claims due messages, some of each destination in turn, at most `limit`. A look
/// that finds many destinations of which nothing may be taken ends early, says so in
/// `go_on`, and is gone on with by the next one, after those that wait longest.
pub(super) async fn claim_due(
    shared: &Arc<Shared>,
    limit: usize,
    share: Share,
    go_on: &mut Option<Due>,
) -> Result<Claimed, StorageError> {
    let session = shared.session().await?;
    let mut claimed = Claimed::default();
    let (mut after, mut fruitless) = (None::<Due>, 0);
    if share == Share::Own {
        claimed.take_urgent(shared, &*session, limit).await?;
    }
    loop {
        let page = session
            .due_destinations(after.as_ref(), DESTINATIONS_PAGE)
            .await?;
        let last_page = page.len() < DESTINATIONS_PAGE;
        let before = claimed.count();
        claimed
            .take_page(shared, &*session, &page, limit, share)
            .await?;
        fruitless = if claimed.count() > before {
            0
        } else {
            fruitless + 1
        };
        let is_first = after.is_none();
        after = page.into_iter().next_back();
        let is_full = share == Share::Own && shared.lanes.are_full();
        if last_page || is_full || claimed.attempts.len() >= limit {
            *go_on = None;
            return Ok(claimed);
        }
        if share == Share::Own && fruitless >= FRUITLESS_PAGES {
            *go_on = after;
            return Ok(claimed);
        }
        if is_first && let Some(behind) = go_on.take() {
            after = after.max(Some(behind));
        }
    }
}

impl Claimed {
    fn count(&self) -> usize {
        self.attempts.len() + self.put_off.len()
    }

    /// Takes what may be taken of some due destinations.
    async fn take_page(
        &mut self,
        shared: &Arc<Shared>,
        session: &dyn Session,
        page: &[Due],
        limit: usize,
        share: Share,
    ) -> Result<(), StorageError> {
        let is_work = !page.is_empty() || shared.lanes.are_used();
        if share == Share::Own && is_work {
            peers::refresh(shared, session).await;
        }
        if !page.is_empty() {
            suspend::refresh(shared, session).await?;
        }
        for due in page {
            if self.keep_back(shared, session, due) {
                continue;
            }
            let left = limit.saturating_sub(self.attempts.len());
            match share {
                Share::All => self.take_all(shared, &due.destination, left).await?,
                Share::Own if self.leave(shared, session, due) => {}
                Share::Own => self.take_own(shared, &due.destination, left).await?,
            }
        }
        Ok(())
    }

    /// Looks first where mail that goes first found no place when it came in; it
    /// may have half of all. If that fails, the mail waits in its order.
    async fn take_urgent(
        &mut self,
        shared: &Arc<Shared>,
        session: &dyn Session,
        limit: usize,
    ) -> Result<(), StorageError> {
        for to in shared.lanes.take_urgent() {
            if shared.suspended.look(&to, session.now()).is_some() {
                continue;
            }
            let before = self.attempts.len();
            let now = shared.world().monotonic();
            let left = limit.div_ceil(2).saturating_sub(before).min(CLAIM_MAX);
            let room = shared.lanes.room(&to, For::Due, now).min(left);
            self.take_own(shared, &to, left).await?;
            if self.attempts.len() - before >= room {
                // There may be more.
                shared.lanes.note_urgent(&to);
            }
        }
        Ok(())
    }

    /// Claims as many as may be attempted, whether or not there is room.
    async fn take_all(
        &mut self,
        shared: &Arc<Shared>,
        to: &Destination,
        left: usize,
    ) -> Result<(), StorageError> {
        let now = shared.world().monotonic();
        let room = shared.lanes.rate_room(to, now);
        self.take(shared, to, room.min(CLAIM_MAX).min(left)).await
    }

    /// Claims as many as there is room for, or puts off what is left alone.
    async fn take_own(
        &mut self,
        shared: &Arc<Shared>,
        to: &Destination,
        left: usize,
    ) -> Result<(), StorageError> {
        let now = shared.world().monotonic();
        let room = shared.lanes.room(to, For::Due, now);
        let Some(last) = shared.lanes.pause(to, now) else {
            return self.take(shared, to, room.min(CLAIM_MAX).min(left)).await;
        };
        let count = room.min(PUT_OFF_MAX);
        if count == 0 {
            self.blocked = true;
            return Ok(());
        }
        let (leased, asked) = lease(shared, to, count).await?;
        if !leased.is_empty() {
            let put_off = PutOff::new(to.clone(), last, leased, asked);
            self.put_off.push(put_off);
        }
        Ok(())
    }

    /// Claims up to `count` messages of a destination for their attempts.
    async fn take(
        &mut self,
        shared: &Arc<Shared>,
        to: &Destination,
        count: usize,
    ) -> Result<(), StorageError> {
        if count == 0 {
            let now = shared.world().monotonic();
            shared.lanes.note_wanted(to, For::Due, now);
            match shared.lanes.rate_wait(to, now) {
                Some(wait) => self.leave_for(wait),
                None => self.blocked = true,
            }
            return Ok(());
        }
        let (leased, asked) = lease(shared, to, count).await?;
        let attempts = leased.into_iter();
        let attempt = |(leased, place)| Attempt::new(shared, leased, None, place, asked);
        self.attempts.extend(attempts.map(attempt));
        Ok(())
    }

    /// Whether a destination is left to other managers for now.
    fn leave(&mut self, shared: &Shared, session: &dyn Session, due: &Due) -> bool {
        let wait = shared.peers.wait(session.owner(), due, session.now());
        if wait.is_zero() {
            return false;
        }
        self.leave_for(wait);
        true
    }

    /// Whether the mail of a destination is kept back by an operator.
    fn keep_back(&mut self, shared: &Shared, session: &dyn Session, due: &Due) -> bool {
        let now = session.now();
        let Some(suspension) = shared.suspended.look(&due.destination, now) else {
            return false;
        };
        let end = suspension.until.unwrap_or(Timestamp::MAX);
        self.leave_for(end.since(now));
        true
    }

    fn leave_for(&mut self, wait: Duration) {
        let least = self.left_for.map_or(wait, |other| other.min(wait));
        self.left_for = Some(least);
    }
}

/// Leases messages of a destination, each with its place; and says when they were
/// asked for.
async fn lease(
    shared: &Shared,
    destination: &Destination,
    count: usize,
) -> Result<(Vec<(Leased, Place)>, Duration), StorageError> {
    let session = shared.session().await?;
    // Places before leases: nothing is leased that has no room.
    let asked = shared.world().monotonic();
    let places: Vec<Place> = (0..count)
        .map(|_| shared.lanes.enter(destination, asked))
        .collect();
    let lease = shared.settings.lock_duration;
    let leased = if shared.world().random_u64().is_multiple_of(BY_AGE) {
        session.claim_longest_due(destination, count, lease).await?
    } else {
        session.claim(destination, count, lease).await?
    };
    Ok((leased.into_iter().zip(places).collect(), asked))
}
