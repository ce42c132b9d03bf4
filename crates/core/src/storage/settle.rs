//! What becomes of a leased message: one commit that ends the lease.

use crate::message::{Recipient, Response, Submission};
use crate::world::Timestamp;

use super::Lease;

/// The end of one attempt: the lease it was made under, what changes, and the
/// notices that are stored in the same commit.
///
/// It owns the lease, and engines take it by reference, so that a settlement
/// whose outcome is unknown can be repeated.
#[derive(PartialEq, Eq, Debug)]
pub struct Settlement {
    /// The lease.
    pub lease: Lease,
    /// What becomes of the message.
    pub change: Change,
    /// Bounces and other notices, due at once.
    pub notices: Vec<Submission>,
}

/// What becomes of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing waits any more: the message is removed, and its contents with
    /// the last message that shares them.
    Remove,
    /// Some recipients wait for another attempt.
    Defer(Deferral),
}

/// How a message waits for its next attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deferral {
    /// The recipients that still wait; all others are settled.
    pub recipients: Vec<Recipient>,
    /// How many attempts have failed, with this one.
    pub attempts: u32,
    /// When to try again.
    pub due: Timestamp,
    /// Why it waits.
    pub response: Response,
}

/// What an engine did under a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Settled {
    /// It is done.
    Done,
    /// The lease was taken by another since, or the message is gone: nothing
    /// has changed.
    LeaseLost,
}
