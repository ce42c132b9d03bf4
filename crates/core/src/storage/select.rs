//! What operators and listings ask for, and what they get.

use crate::message::{Destination, MessageId, StoredMessage, Way};
use crate::world::Timestamp;

use super::Owner;

/// A destination that has mail to claim.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Due {
    /// Since when.
    pub since: Timestamp,
    /// The destination.
    pub destination: Destination,
}

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Leased, or never attempted yet.
    Active,
    /// Failed for now, and waits for its next attempt.
    Deferred,
    /// Held back by an operator; not attempted until released.
    Held,
}

/// Which messages are meant: those that fit every part that is given. Given
/// none, all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// The message of this id, or all messages of the submission of this id.
    pub id: Option<MessageId>,
    /// Where they stand.
    pub state: Option<State>,
    /// Where they go.
    pub destination: Option<Destination>,
    /// Their reverse-path, without brackets; empty for the null reverse-path.
    pub sender: Option<String>,
    /// One of their waiting recipients.
    pub recipient: Option<String>,
    /// Neither held nor leased, and due at this time or before: the seed's
    /// deferred messages.
    pub due_by: Option<Timestamp>,
}

impl Filter {
    /// The message of this id, or all messages of the submission of this id.
    pub fn id(id: MessageId) -> Self {
        Filter {
            id: Some(id),
            ..Filter::default()
        }
    }

    /// Whether a message is meant; for engines.
    pub fn matches(&self, listed: &Listed) -> bool {
        let message = &listed.message;
        self.id
            .is_none_or(|id| message.id == id || message.submission == id)
            && self.state.is_none_or(|state| listed.state() == state)
            && self
                .destination
                .as_ref()
                .is_none_or(|destination| message.destination == *destination)
            && self
                .sender
                .as_ref()
                .is_none_or(|sender| same_mailbox(message.envelope.sender.as_str(), sender))
            && self.recipient.as_ref().is_none_or(|recipient| {
                let mut recipients = message.envelope.recipients.iter();
                recipients.any(|r| same_mailbox(r.address.as_str(), recipient))
            })
            && self.due_by.is_none_or(|due_by| {
                message.held.is_none() && listed.lease.is_none() && message.due <= due_by
            })
    }
}

/// Operators type addresses in any case.
fn same_mailbox(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// A part of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Begins behind this id.
    pub after: Option<MessageId>,
    /// At most so many messages.
    pub limit: usize,
}

impl Page {
    /// The first page.
    pub fn first(limit: usize) -> Self {
        Page { after: None, limit }
    }
}

/// A message with where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The message.
    pub message: StoredMessage,
    /// The lease on it, if one is in force.
    pub lease: Option<LeaseView>,
}

/// A lease as others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseView {
    /// Who holds it.
    pub owner: Owner,
    /// When it ends, unless renewed.
    pub end: Timestamp,
}

impl Listed {
    /// Where the message stands.
    pub fn state(&self) -> State {
        if self.lease.is_some() {
            State::Active
        } else if self.message.held.is_some() {
            State::Held
        } else if self.message.attempts == 0 {
            State::Active
        } else {
            State::Deferred
        }
    }
}

/// A page of messages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// Those that fit, in the order of their ids. May be fewer than the limit
    /// although more follow: an engine looks at a bounded number at a time.
    pub messages: Vec<Listed>,
    /// Those that could not be read; nothing of them is lost.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page begins; none after the last.
    pub next: Option<MessageId>,
}

/// A record that cannot be read. It is kept as it is, out of the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// Its id.
    pub id: MessageId,
    /// What is wrong with it.
    pub reason: String,
}

/// Counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// All messages but the quarantined.
    pub messages: u64,
    /// Leased, or never attempted yet.
    pub active: u64,
    /// Failed for now.
    pub deferred: u64,
    /// Held by an operator.
    pub held: u64,
    /// Unreadable, kept aside.
    pub quarantined: u64,
    /// Size of the contents in bytes, shared contents once.
    pub bytes: u64,
    /// When the oldest message was received.
    pub oldest: Option<Timestamp>,
}

/// What an operator does to messages.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Holds them back, and says why.
    Hold(String),
    /// Lets held messages go; they are due as before.
    Release,
    /// Makes them due at this time. Held messages stay held.
    SetDue(Timestamp),
    /// Sends them another way, and makes those that change due at this time: the
    /// reasons for which they waited were those of the old way. Held messages
    /// stay held.
    Reroute(Way, Timestamp),
    /// Removes them without a notice.
    Delete,
}

impl Action {
    /// Writes it into a message and says whether that changed anything; for
    /// engines. Deleting is not written into a message.
    pub fn apply(&self, message: &mut StoredMessage) -> bool {
        match self {
            Action::Hold(why) => message.held.replace(why.clone()).as_ref() != Some(why),
            Action::Release => message.held.take().is_some(),
            Action::SetDue(due) => std::mem::replace(&mut message.due, *due) != *due,
            Action::Reroute(way, now) => way.give(message, *now),
            Action::Delete => false,
        }
    }
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acted {
    /// The messages that were changed.
    pub changed: Vec<MessageId>,
    /// How many were left as they are because somebody holds a lease on them.
    pub leased: u64,
    /// Where the next page begins; none after the last.
    pub next: Option<MessageId>,
}
