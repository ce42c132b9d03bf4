//! Giving a message up by an operator's word.

use std::sync::Arc;

use crate::message::{MessageId, Response};
use crate::storage::{Leased, Session, Settled};

use super::judge::Verdict;
use super::{Queue, QueueError, attempt, unlock};

/// What [`Queue::bounce`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bounced {
    /// The message is gone; its sender is told, unless there is none.
    Done,
    /// The message could not be locked: it is being attempted, or gone.
    Locked,
}

impl Queue {
    /// Gives a message up by an operator's word: all of its recipients fail
    /// with `response`, the sender gets the bounce, and the message is gone, in
    /// one commit.
    pub async fn bounce(
        &self,
        session: &Arc<dyn Session>,
        id: MessageId,
        response: Response,
    ) -> Result<Bounced, QueueError> {
        let lease = self.shared.settings.lock_duration;
        let Some(Leased { lease, message }) = session.lock(id, lease).await? else {
            return Ok(Bounced::Locked);
        };
        let guard = unlock::Unlock::new(session.clone(), lease);
        let Some(content) = session.contents(id).await? else {
            return Ok(Bounced::Locked);
        };
        let failed = message.envelope.recipients.iter().cloned();
        let verdict = Verdict {
            failed: failed
                .map(|recipient| (recipient, response.clone()))
                .collect(),
            ..Verdict::default()
        };
        let Some(lease) = guard.keep() else {
            return Ok(Bounced::Locked);
        };
        let settled = attempt::settle(
            &self.shared,
            &**session,
            lease,
            &message,
            &content,
            &verdict,
        );
        match settled.await? {
            Settled::Done => Ok(Bounced::Done),
            Settled::LeaseLost => Ok(Bounced::Locked),
        }
    }
}
