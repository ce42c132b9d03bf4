//! Adds the Message-ID that a message should have (RFC 5322 section 3.6.4).

use async_trait::async_trait;

use super::{Policy, field, word};
use crate::message::{Message, Response};
use crate::world::World;

/// Adds a `Message-ID` to messages without one (the original's
/// `add_message_id_header`): `<random.timestamp@hostname>`.
#[derive(Clone, Debug)]
pub struct AddMessageId {
    hostname: String,
    world: World,
}

impl AddMessageId {
    /// Ids of the host called `hostname`, with randomness from `world`.
    pub fn new(hostname: &str, world: World) -> Self {
        AddMessageId {
            hostname: word(hostname),
            world,
        }
    }
}

#[async_trait]
impl Policy for AddMessageId {
    async fn apply(&self, mut message: Message) -> Result<Vec<Message>, Response> {
        if message.content.field("Message-ID").is_none() {
            let random = u128::from_be_bytes(self.world.random());
            let seconds = message.timestamp.as_secs();
            let id = format!("<{random:032x}.{seconds}@{}>", self.hostname);
            message.content.append(&field("Message-ID", &id)?);
        }
        Ok(vec![message])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{applied, message};
    use super::*;
    use crate::world::Timestamp;

    fn policy() -> AddMessageId {
        AddMessageId::new("mail.example.net", World::simulated(Timestamp::EPOCH, 1))
    }

    #[tokio::test]
    async fn missing_ids_are_made_and_differ() {
        let policy = policy();
        let first = applied(&policy, message("A: 1\r\n\r\n", &[])).await;
        let second = applied(&policy, message("A: 1\r\n\r\n", &[])).await;
        assert!(first.starts_with("A: 1\r\nMessage-ID: <"), "{first}");
        assert!(
            first.ends_with(".1795508249@mail.example.net>\r\n\r\n"),
            "{first}"
        );
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn an_id_stays() {
        let identified = "Message-Id: <x>\r\n\r\n";
        assert_eq!(
            applied(&policy(), message(identified, &[])).await,
            identified
        );
    }
}
