//! Leases: the right to attempt a message and to settle it.

use std::fmt;
use std::sync::Arc;

use crate::message::{MessageId, StoredMessage};
use crate::world::Timestamp;

/// Who holds a lease: the name of a session, unique among all managers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owner(Arc<str>);

impl Owner {
    /// An owner by name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Owner(name.as_ref().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message, a fencing token, and an end. It cannot be copied: whoever settles
/// gives it away, so a settled attempt cannot settle again.
///
/// Only engines make leases.
#[derive(PartialEq, Eq, Debug)]
pub struct Lease {
    ticket: Ticket,
    end: Timestamp,
}

/// What names a lease when renewing it. It can be copied, but not settled with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket {
    /// The message.
    pub id: MessageId,
    /// Grows with every lease taken on the message; never used again.
    pub token: u64,
}

impl Lease {
    /// For engines: the lease that was just granted.
    pub fn granted(id: MessageId, token: u64, end: Timestamp) -> Self {
        Lease {
            ticket: Ticket { id, token },
            end,
        }
    }

    /// The message.
    pub fn id(&self) -> MessageId {
        self.ticket.id
    }

    /// What names it when renewing.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// When it ends by the storage's clock, unless renewed.
    pub fn end(&self) -> Timestamp {
        self.end
    }
}

/// A message under a lease: the only form in which it can be attempted and
/// settled.
#[derive(PartialEq, Eq, Debug)]
pub struct Leased {
    /// The lease.
    pub lease: Lease,
    /// The message, as it was read under the lease.
    pub message: StoredMessage,
}
