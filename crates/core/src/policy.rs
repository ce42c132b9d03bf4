//! What may change, split or refuse a message before the queue.

use async_trait::async_trait;

use crate::message::{Message, Response};

/// A rule that every message passes on its way from an edge to the queue: the
/// last place where a message may change.
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Gives the message back, edited or split into several, or refuses it
    /// with the reply that the client hears.
    async fn apply(&self, message: Message) -> Result<Vec<Message>, Response>;
}

/// Policies one after the other; what one splits, the next sees in parts.
#[derive(Default)]
pub struct Chain(Vec<Box<dyn Policy>>);

impl Chain {
    /// No policies.
    pub fn new() -> Self {
        Chain::default()
    }

    /// Adds a policy behind the others.
    #[must_use]
    pub fn then(mut self, policy: impl Policy) -> Self {
        self.0.push(Box::new(policy));
        self
    }
}

#[async_trait]
impl Policy for Chain {
    async fn apply(&self, message: Message) -> Result<Vec<Message>, Response> {
        let mut messages = vec![message];
        for policy in &self.0 {
            let mut next = Vec::with_capacity(messages.len());
            for message in messages {
                next.extend(policy.apply(message).await?);
            }
            messages = next;
        }
        Ok(messages)
    }
}
