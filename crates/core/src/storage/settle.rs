//! What becomes of a leased message: one commit that ends the lease.

use std::collections::BTreeSet;

use crate::message::{History, Recipient, Response, StoredMessage, Submission};
use crate::world::Timestamp;

use super::{Lease, StorageError};

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
    /// Whether its sender was told that it is late, now or before.
    pub delay_told: bool,
    /// What became of the attempts, with this one.
    pub history: History,
}

impl Deferral {
    /// Writes it into the message; for engines.
    pub fn apply(&self, message: &mut StoredMessage) {
        message.envelope.recipients.clone_from(&self.recipients);
        message.attempts = self.attempts;
        message.due = self.due;
        message.last_response = Some(self.response.clone());
        message.delay_told = self.delay_told;
        message.history.clone_from(&self.history);
    }
}

/// Refuses a submission that breaks the contract; for engines. It has at least
/// one message, no id twice, and all its messages name one submission. That is
/// the id of the first when it comes from a client; of one that is brought from
/// another storage, the first may have been delivered there.
pub fn check_submission(submission: &Submission) -> Result<(), StorageError> {
    let invalid = |why: &str| Err(StorageError::Invalid(why.to_owned()));
    let Some(first) = submission.messages.first() else {
        return invalid("a submission without messages");
    };
    let one = first.submission;
    if submission.messages.iter().any(|m| m.submission != one) {
        return invalid("messages of two submissions");
    }
    let ids: BTreeSet<_> = submission.messages.iter().map(|m| m.id).collect();
    if ids.len() != submission.messages.len() {
        return invalid("two messages of one id");
    }
    Ok(())
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

impl Settled {
    /// [`Settled::Done`], if the lease was the current one.
    pub fn if_current(is_current: bool) -> Self {
        match is_current {
            true => Settled::Done,
            false => Settled::LeaseLost,
        }
    }
}
