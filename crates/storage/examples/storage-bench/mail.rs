//! The mail that is stored.

use slimta_core::message::{
    Client, Content, Destination, Envelope, History, MessageId, Priority, ReversePath,
    StoredMessage, Submission,
};
use slimta_core::storage::Session;
use slimta_core::world::World;

use crate::Outcome;

/// One message for a destination, due now.
pub(crate) fn mail(
    session: &dyn Session,
    world: &World,
    destination: &str,
    content: Content,
) -> Outcome<Submission> {
    let id = MessageId::new(world);
    let sender = ReversePath::Mailbox("from@example.com".parse()?);
    let message = StoredMessage {
        id,
        submission: id,
        destination: Destination::new(destination),
        client: Client::default(),
        envelope: Envelope::new(sender, ["to@example.org".parse()?]),
        received: world.now(),
        size: content.len() as u64,
        priority: Priority::Normal,
        attempts: 0,
        due: session.now(),
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    };
    Ok(Submission {
        messages: vec![message],
        content,
    })
}
