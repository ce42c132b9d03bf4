//! Bounces: what the sender of a failed message is told.

use super::{Client, Content, Envelope, Message, MessageId, Recipient, Response, ReversePath};
use crate::world::Timestamp;

/// Builds the notice of a failure: the seed's `set_bounce_builder`.
pub trait BounceBuilder: Send + Sync {
    /// The notice, from the null reverse-path; none when nobody wants one.
    fn build(&self, failure: &Failure<'_>) -> Option<Message>;
}

/// What failed for good, for a [`BounceBuilder`].
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// The failed message.
    pub id: MessageId,
    /// Who handed it in.
    pub client: &'a Client,
    /// Its envelope, with all recipients that still waited.
    pub envelope: &'a Envelope,
    /// Its contents.
    pub content: &'a Content,
    /// When it was received.
    pub received: Timestamp,
    /// The recipients that failed, each with the last response for it.
    pub failed: &'a [(Recipient, Response)],
    /// The next hop that said so, if one did.
    pub remote: Option<&'a str>,
    /// The name of this host.
    pub reporting: &'a str,
    /// When it failed.
    pub now: Timestamp,
}

/// The default builder.
#[derive(Clone, Debug, Default)]
pub struct Bounce;

impl BounceBuilder for Bounce {
    fn build(&self, failure: &Failure<'_>) -> Option<Message> {
        let ReversePath::Mailbox(sender) = &failure.envelope.sender else {
            return None;
        };
        let envelope = Envelope::new(ReversePath::Null, [sender.clone()]);
        Some(Message::new(
            failure.client.clone(),
            envelope,
            failure.content.clone(),
            failure.now,
        ))
    }
}
