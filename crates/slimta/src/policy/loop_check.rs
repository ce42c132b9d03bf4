//! Refuses mail that goes in circles (RFC 5321 section 6.3).

use async_trait::async_trait;

use super::Policy;
use crate::message::{EnhancedCode, Message, Response};

/// RFC 5321 section 6.3 asks for a large threshold, of at least 100.
const RECEIVED_MAX: usize = 100;
/// Lower thresholds refuse mail that takes a long way through gateways and
/// lists but does arrive.
const RECEIVED_MAX_LEAST: usize = 30;

/// Refuses a message with `554 5.4.6` that has been through more hosts than
/// any real way has: each of them left a `Received` field.
#[derive(Clone, Copy, Debug)]
pub struct LoopCheck {
    received_max: usize,
}

impl Default for LoopCheck {
    /// Takes up to 100 `Received` fields.
    fn default() -> Self {
        LoopCheck::new(RECEIVED_MAX)
    }
}

impl LoopCheck {
    /// Takes up to `received_max` `Received` fields; at least 30.
    pub fn new(received_max: usize) -> Self {
        LoopCheck {
            received_max: received_max.max(RECEIVED_MAX_LEAST),
        }
    }
}

#[async_trait]
impl Policy for LoopCheck {
    async fn apply(&self, message: Message) -> Result<Vec<Message>, Response> {
        let received = message.content.fields_named("Received").count();
        if received > self.received_max {
            let looped = EnhancedCode::new(5, 4, 6);
            let text = format!("Too many hops: {received} Received fields");
            return Err(Response::new(554, Some(looped), text));
        }
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::message;
    use super::*;

    async fn refused(received: usize, check: LoopCheck) -> Option<String> {
        let header = "Received: from here by there\r\n".repeat(received);
        let message = message(&format!("{header}\r\nReceived: in the body"), &[]);
        check.apply(message).await.err().map(|r| r.to_string())
    }

    #[tokio::test]
    async fn mail_that_goes_in_circles_is_refused() {
        let check = LoopCheck::default();
        assert_eq!(refused(100, check).await, None);
        let reply = "554 5.4.6 Too many hops: 101 Received fields";
        assert_eq!(refused(101, check).await.as_deref(), Some(reply));
    }

    #[tokio::test]
    async fn a_mistaken_limit_refuses_no_real_mail() {
        assert_eq!(refused(30, LoopCheck::new(0)).await, None);
        assert!(refused(31, LoopCheck::new(0)).await.is_some());
    }
}
