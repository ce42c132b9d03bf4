//! Why is it not moving? What a queue can say of a message or a destination at
//! this moment, from what is stored and from what it has in hand.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::message::{Destination, Response, StoredMessage, Tenant};
use crate::storage::{Due, Listed, Owner, Session, Suspension};
use crate::world::Timestamp;

use super::judge::earlier;
use super::lane::For;
use super::rate::Rate;
use super::{Phase, Queue};

/// Why a message is not attempted just now. The first reason that binds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Why {
    /// Somebody has it: it is attempted, or about to be.
    Leased {
        /// Who.
        by: Owner,
        /// Until when, unless they renew it.
        until: Timestamp,
    },
    /// An operator holds it back, and said why.
    Held(String),
    /// An operator keeps the mail for its destination back.
    Suspended(Suspension),
    /// It waits for its time.
    Due(Timestamp),
    /// Its sender asked that it is not sent before.
    NotReleased(Timestamp),
    /// This queue attempts nothing: it has no relay, or ends.
    NoRelay,
    /// Its destination could not be reached, and is left alone for so long. It
    /// will be put off with this answer.
    Paused(Duration, Response),
    /// Its destination has used up its rate, and may be sent the next message
    /// after so long a time.
    RateLimited(Duration, Rate),
    /// It is left for so long to another manager, which comes first.
    LeftToOther(Duration),
    /// So many attempts to its destination are under way, as many as there may
    /// be.
    DestinationBusy(usize),
    /// So many messages are in hand for the hosts that its destination shares with
    /// others, as many as there may be.
    SiteBusy(Arc<str>, usize),
    /// Its tenant has its share of what may be attempted, and others want some, too.
    OthersToo(Tenant),
    /// So many messages are in hand, as many as there may be.
    Busy(usize),
    /// Nothing: it is taken next.
    Next,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Leased { by, until } => {
                write!(
                    f,
                    "{by} attempts it, under a lock until {}",
                    until.rfc3339()
                )
            }
            Why::Held(reason) => write!(f, "held by an operator: {reason}"),
            Why::Suspended(suspension) => {
                let Suspension {
                    destinations,
                    reason,
                    until,
                } = suspension;
                write!(f, "mail for {destinations} is suspended by an operator")?;
                match until {
                    Some(until) => write!(f, " until {}: {reason}", until.rfc3339()),
                    None => write!(f, ": {reason}"),
                }
            }
            Why::Due(at) => write!(f, "waits for its next attempt at {}", at.rfc3339()),
            Why::NotReleased(at) => {
                let at = at.rfc3339();
                write!(f, "its sender asked that it is not sent before {at}")
            }
            Why::NoRelay => {
                f.write_str("nothing is attempted here: no server runs, or it has no relay")
            }
            Why::Paused(length, last) => {
                let seconds = length.as_secs();
                write!(
                    f,
                    "its destination is left alone for {seconds} s more: {last}"
                )
            }
            Why::RateLimited(length, rate) => {
                let left = length.as_millis();
                write!(
                    f,
                    "its destination gets {rate}, and the next one in {left} ms"
                )
            }
            Why::LeftToOther(length) => {
                let left = length.as_millis();
                write!(f, "left to another manager for {left} ms more")
            }
            Why::DestinationBusy(attempts) => {
                write!(f, "{attempts} attempts to its destination are under way")
            }
            Why::SiteBusy(site, messages) => write!(
                f,
                "{messages} messages are in hand for all destinations of its hosts, {site}"
            ),
            Why::OthersToo(tenant) => write!(
                f,
                "its tenant {tenant} has its share of the places while others want some, too"
            ),
            Why::Busy(messages) => write!(f, "{messages} messages are in hand"),
            Why::Next => f.write_str("is taken next"),
        }
    }
}

/// What a queue has in hand of one destination, and what it knows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InHand {
    /// The destination.
    pub destination: Destination,
    /// Messages in memory.
    pub messages: usize,
    /// Those that are attempted just now.
    pub attempts: usize,
    /// How many may be at the same time.
    pub attempts_allowed: usize,
    /// How many may begin in a time, over all managers.
    pub rate: Option<Rate>,
    /// How long it takes until the rate allows the next one; none if it does.
    pub rate_wait: Option<Duration>,
    /// Failures to reach it in a row.
    pub failures: u32,
    /// What the last of them said.
    pub last_failure: Option<Response>,
    /// How many messages it takes in an hour, of all managers together, if it
    /// goes on as it did of late; 0 if it took none.
    pub per_hour: u64,
    /// For how long it is left alone, and why.
    pub pause: Option<(Duration, Response)>,
}

impl Queue {
    /// What this queue has in hand, by destination. What only waits in the
    /// storage is not in it.
    pub fn destinations(&self) -> Vec<InHand> {
        let now = self.shared.world().monotonic();
        self.shared.lanes.in_hand(now)
    }

    /// What it has in hand for the next hop of one destination, and knows of it; none
    /// if this queue attempts nothing.
    pub fn destination(&self, destination: &Destination) -> Option<InHand> {
        let now = self.shared.world().monotonic();
        let look = || self.shared.lanes.look(destination, now);
        self.shared.has_relay().then(look)
    }

    /// Leaves a destination, or all, alone no longer: the next message due is
    /// tried at once. If that fails, the others are put off again.
    pub fn end_pauses(&self, destination: Option<&Destination>) {
        let now = self.shared.world().monotonic();
        self.shared.lanes.end_pauses(destination, now);
    }

    /// Why a message, as `session` has just listed it, is not attempted now.
    pub fn why(&self, session: &dyn Session, listed: &Listed) -> Why {
        let message = &listed.message;
        if let Some(lease) = &listed.lease {
            let (by, until) = (lease.owner.clone(), lease.end);
            return Why::Leased { by, until };
        }
        if let Some(reason) = &message.held {
            return Why::Held(reason.clone());
        }
        let now = session.now();
        if let Some(suspension) = self.shared.suspended.look(&message.destination, now) {
            return Why::Suspended(suspension);
        }
        if message.due > now {
            return self.until_due(message, now);
        }
        if !self.shared.has_relay() || self.shared.phase() != Phase::Running {
            return Why::NoRelay;
        }
        let (destination, since) = (message.destination.clone(), message.due);
        self.crowded(&Due { since, destination }, now)
    }

    /// After which time a message that waits is tried no more; none if that is
    /// not known, or this queue attempts nothing.
    pub fn gives_up_at(&self, message: &StoredMessage) -> Option<Timestamp> {
        let rules = self.shared.rules.keep();
        rules.relay_bus.as_ref()?;
        // A retry algorithm is a stranger's code.
        let expiry = catch_unwind(AssertUnwindSafe(|| rules.retry.expiry(message)));
        earlier(expiry.unwrap_or(None), message.returned_at())
    }

    /// A pause that lasts longer than the message waits puts its attempt off.
    fn until_due(&self, message: &StoredMessage, now: Timestamp) -> Why {
        if message.waits_for_release() {
            return Why::NotReleased(message.due);
        }
        let monotonic = self.shared.world().monotonic();
        let lane = self.shared.lanes.look(&message.destination, monotonic);
        match lane.pause {
            Some((length, last)) if length > message.due.since(now) => Why::Paused(length, last),
            _ => Why::Due(message.due),
        }
    }

    fn crowded(&self, due: &Due, now: Timestamp) -> Why {
        let (lanes, monotonic) = (&self.shared.lanes, self.shared.world().monotonic());
        let lane = lanes.look(&due.destination, monotonic);
        if let Some((length, last)) = lane.pause {
            return Why::Paused(length, last);
        }
        if let Some(me) = self.shared.owner() {
            let left = self.shared.peers.wait(&me, due, now);
            if !left.is_zero() {
                return Why::LeftToOther(left);
            }
        }
        if let Some((wait, rate)) = lane.rate_wait.zip(lane.rate) {
            return Why::RateLimited(wait, rate);
        }
        if lanes.room(&due.destination, For::Due, monotonic) > 0 {
            Why::Next
        } else if let Some((site, messages)) = lanes.full_site(&due.destination, monotonic) {
            Why::SiteBusy(site, messages)
        } else if let Some(tenant) = lanes.held_to_share(&due.destination) {
            Why::OthersToo(tenant)
        } else if lane.attempts >= lane.attempts_allowed {
            Why::DestinationBusy(lane.attempts)
        } else {
            Why::Busy(lanes.places())
        }
    }
}
