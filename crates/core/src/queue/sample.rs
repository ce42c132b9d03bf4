//! A message for the tests of what judges and schedules.

use crate::message::{Client, Destination, Envelope, History, MessageId, Priority, StoredMessage};
use crate::world::{Timestamp, World};

/// Received at `received`, with so many attempts behind it; without recipients.
pub(super) fn message(received: Timestamp, attempts: u32, seed: u64) -> StoredMessage {
    let id = MessageId::new(&World::simulated(received, seed));
    StoredMessage {
        id,
        submission: id,
        destination: Destination::new("example.org"),
        client: Client::default(),
        envelope: Envelope::default(),
        received,
        size: 0,
        priority: Priority::Normal,
        attempts,
        due: received,
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    }
}
