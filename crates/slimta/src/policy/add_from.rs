//! Adds the From that a message must have (RFC 5322 section 3.6.2).

use async_trait::async_trait;

use super::{Policy, field, word};
use crate::message::{Message, Response, ReversePath};

/// Adds a `From` of the sender of the envelope to messages without one, as the
/// original's edges did; none where that is null.
///
/// It is for mail that begins its way here (RFC 6409 section 8): who only hands
/// mail on may not say who its author is.
#[derive(Clone, Debug)]
pub struct AddFrom {
    hostname: String,
}

impl AddFrom {
    /// The domain of a bare `postmaster` is `hostname`.
    pub fn new(hostname: &str) -> Self {
        AddFrom {
            hostname: word(hostname),
        }
    }
}

#[async_trait]
impl Policy for AddFrom {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        if let ReversePath::Mailbox(sender) = &message.envelope.sender
            && message.content.field("From").is_none()
        {
            let from = match sender.domain() {
                Some(_) => field("From", &format!("<{sender}>"))?,
                None => field("From", &format!("<{sender}@{}>", self.hostname))?,
            };
            message.content.append(&from);
        }
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{applied, message};
    use super::*;

    async fn sent_by(sender: &str, content: &str) -> String {
        let mut message = message(content, &[]);
        message.envelope.sender = ReversePath::parse(sender).unwrap();
        applied(&AddFrom::new("mail.example.net"), message).await
    }

    #[tokio::test]
    async fn a_missing_author_is_the_sender() {
        for (sender, from) in [
            ("ann@example.org", "<ann@example.org>"),
            ("\"a <b\"@example.org", "<\"a <b\"@example.org>"),
            ("Postmaster", "<Postmaster@mail.example.net>"),
            ("gr\u{e5}@example.org", "<gr\u{e5}@example.org>"),
        ] {
            let text = sent_by(sender, "A: 1\r\n\r\nx").await;
            assert_eq!(text, format!("A: 1\r\nFrom: {from}\r\n\r\nx"));
        }
    }

    #[tokio::test]
    async fn nobody_writes_notices_and_an_author_stays() {
        assert_eq!(sent_by("", "A: 1\r\n\r\n").await, "A: 1\r\n\r\n");
        let written = "FROM: bob\r\n\r\n";
        assert_eq!(sent_by("ann@example.org", written).await, written);
    }
}
