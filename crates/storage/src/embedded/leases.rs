//! The leases: in memory only. The store is open in one process at a time, so
//! the leases of a process that died are void when the next one opens it, and
//! their mail is due at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slimta_core::message::{Destination, MessageId};
use slimta_core::storage::{Lease, LeaseView, Owner, State, Ticket};
use slimta_core::world::{Timestamp, World};

use super::tables::Mark;

/// How many leases one opening of the store can grant.
const LEASES_BITS: u32 = 40;

/// Who holds what. Leases that ran out stay until the message is leased again
/// or gone: until then they may still settle.
#[derive(Debug)]
pub(super) struct Leases {
    held: BTreeMap<MessageId, Held>,
    /// What the writer is about to commit a change of; nobody may have it. With
    /// the token of the lease that is being settled, if that is the change.
    pinned: BTreeMap<MessageId, Option<u64>>,
    last_token: u64,
}

#[derive(Debug)]
struct Held {
    owner: Owner,
    token: u64,
    /// On the monotonic clock, which never jumps.
    end: Duration,
    destination: Destination,
    mark: Mark,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Duration,
}

impl Now {
    pub(super) fn of(world: &World) -> Self {
        Now {
            wall: world.now(),
            monotonic: world.monotonic(),
        }
    }
}

/// The leases in force at one moment, for reads that go on without the lock.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) taken: BTreeSet<MessageId>,
    /// Destinations some of whose mail is leased.
    pub(super) busy: BTreeSet<Destination>,
    pub(super) deferred: u64,
    pub(super) held: u64,
    pub(super) next_end: Option<Timestamp>,
}

impl Leases {
    /// `epoch` is greater at every opening, so that no token comes twice.
    pub(super) fn new(epoch: u64) -> Self {
        Leases {
            held: BTreeMap::new(),
            pinned: BTreeMap::new(),
            last_token: epoch << LEASES_BITS,
        }
    }

    pub(super) fn is_free(&self, id: MessageId, now: Now) -> bool {
        let held = self.held.get(&id);
        !self.pinned.contains_key(&id) && held.is_none_or(|held| held.end <= now.monotonic)
    }

    /// Grants a lease on a message that is free, or that the caller has pinned.
    pub(super) fn grant(
        &mut self,
        (id, destination, mark): (MessageId, Destination, Mark),
        owner: &Owner,
        lease: Duration,
        now: Now,
    ) -> Lease {
        self.last_token += 1;
        let held = Held {
            owner: owner.clone(),
            token: self.last_token,
            end: now.monotonic.saturating_add(lease),
            destination,
            mark,
        };
        self.held.insert(id, held);
        Lease::granted(id, self.last_token, now.wall.after(lease))
    }

    /// Whether it is still the last lease, after making it last. One that is
    /// being settled is left to its settlement.
    pub(super) fn renew(&mut self, ticket: Ticket, lease: Duration, now: Now) -> bool {
        match self.held.get_mut(&ticket.id) {
            Some(held) if held.token == ticket.token => {
                held.end = now.monotonic.saturating_add(lease);
                true
            }
            _ => self.pinned.get(&ticket.id) == Some(&Some(ticket.token)),
        }
    }

    /// Gives a lease back; false if it was lost.
    pub(super) fn end(&mut self, ticket: Ticket) -> bool {
        let current = self.held.get(&ticket.id);
        let current = current.is_some_and(|held| held.token == ticket.token);
        if current {
            self.held.remove(&ticket.id);
        }
        current
    }

    /// Ends a lease for good, and keeps the message from everybody until the
    /// change is committed. False if the lease was lost.
    pub(super) fn settle(&mut self, ticket: Ticket) -> bool {
        let current = self.end(ticket);
        if current {
            self.pinned.insert(ticket.id, Some(ticket.token));
        }
        current
    }

    pub(super) fn pin(&mut self, id: MessageId) {
        self.pinned.entry(id).or_default();
    }

    /// The writer has committed.
    pub(super) fn unpin_all(&mut self) {
        self.pinned.clear();
    }

    /// The message is gone.
    pub(super) fn forget(&mut self, id: MessageId) {
        self.held.remove(&id);
    }

    /// The message goes there now. A lease that ran out may be renewed yet.
    pub(super) fn moved(&mut self, id: MessageId, destination: &Destination) {
        if let Some(held) = self.held.get_mut(&id)
            && held.destination != *destination
        {
            held.destination = destination.clone();
        }
    }

    pub(super) fn view(&self, id: MessageId, now: Now) -> Option<LeaseView> {
        let held = self.held.get(&id)?;
        (held.end > now.monotonic).then(|| LeaseView {
            owner: held.owner.clone(),
            end: now.wall.after(held.end - now.monotonic),
        })
    }

    pub(super) fn overlay(&self, now: Now) -> Overlay {
        let mut overlay = Overlay {
            taken: self.pinned.keys().copied().collect(),
            ..Overlay::default()
        };
        let mut first_end = None;
        for (id, held) in &self.held {
            if held.end <= now.monotonic {
                continue;
            }
            overlay.taken.insert(*id);
            if !overlay.busy.contains(&held.destination) {
                overlay.busy.insert(held.destination.clone());
            }
            match held.mark.state() {
                State::Deferred => overlay.deferred += 1,
                State::Held => overlay.held += 1,
                State::Active => {}
            }
            if first_end.is_none_or(|first| held.end < first) {
                first_end = Some(held.end);
            }
        }
        overlay.next_end = first_end.map(|end| now.wall.after(end - now.monotonic));
        overlay
    }
}
