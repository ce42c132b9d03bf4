//! A policy for the mail of some clients only.

use async_trait::async_trait;

use super::Policy;
use crate::message::{Client, Message, Response};

/// Applies a policy to the messages of some clients, and leaves those of others
/// as they are: what a relay must not do to mail of other hosts (RFC 5321
/// section 6.4), it may do to that of its own clients.
///
/// ```
/// # use slimta::policy::{AddDate, OfClients};
/// let own = OfClients::new(|client| client.auth.is_some(), AddDate);
/// ```
pub struct OfClients<F, P> {
    is_one: F,
    policy: P,
}

impl<F, P> OfClients<F, P>
where
    F: Fn(&Client) -> bool + Send + Sync + 'static,
    P: Policy,
{
    /// `policy`, for clients of which `is_one` is true.
    pub fn new(is_one: F, policy: P) -> Self {
        OfClients { is_one, policy }
    }
}

#[async_trait]
impl<F, P> Policy for OfClients<F, P>
where
    F: Fn(&Client) -> bool + Send + Sync + 'static,
    P: Policy,
{
    async fn apply(&self, message: Message) -> Result<Vec<Message>, Response> {
        match (self.is_one)(&message.client) {
            true => self.policy.apply(message).await,
            false => Ok(vec![message]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AddDate;
    use super::super::tests::{applied, message};
    use super::*;

    #[tokio::test]
    async fn mail_of_others_stays_as_it_is() {
        let policy = OfClients::new(|client| client.auth.is_some(), AddDate);
        let others = "A: 1\r\n\r\n";
        assert_eq!(applied(&policy, message(others, &[])).await, others);
        let mut own = message(others, &[]);
        own.client.auth = Some("ann".to_owned());
        assert!(applied(&policy, own).await.contains("\r\nDate: "));
    }
}
