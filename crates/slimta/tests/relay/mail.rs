//! Deliveries to try.

use std::sync::Arc;

use slimta::message::{
    Address, Client, Content, Destination, Envelope, History, MessageId, Priority, Report,
    ReversePath, StoredMessage,
};
use slimta::relay::{Delivery, LeaseSignal};
use slimta::world::World;

pub(crate) const TEXT: &str = "Subject: A test\r\n\r\nHello.\r\n.dot\r\n";

/// A delivery of [`TEXT`] to these recipients.
pub(crate) fn delivery(recipients: &[&str]) -> Delivery {
    delivery_of(TEXT, recipients, LeaseSignal::unleased())
}

pub(crate) fn delivery_of(text: &str, recipients: &[&str], lease: LeaseSignal) -> Delivery {
    let world = World::system();
    let id = MessageId::new(&world);
    let recipients: Vec<Address> = recipients.iter().map(|r| r.parse().unwrap()).collect();
    let domain = recipients[0].domain().unwrap().to_owned();
    let sender = ReversePath::parse("from@from.example").unwrap();
    let content = Content::new(text.to_owned());
    let message = StoredMessage {
        id,
        submission: id,
        destination: Destination::new(domain),
        client: Client::default(),
        envelope: Envelope::new(sender, recipients),
        received: world.now(),
        size: content.len() as u64,
        priority: Priority::default(),
        attempts: 0,
        due: world.now(),
        held: None,
        last_response: None,
        delay_told: false,
        history: History::default(),
    };
    Delivery {
        message: Arc::new(message),
        content,
        now: world.now(),
        lease,
    }
}

/// The codes of a report.
pub(crate) fn codes(report: &Report) -> Vec<u16> {
    report.responses.iter().map(|r| r.code.get()).collect()
}
