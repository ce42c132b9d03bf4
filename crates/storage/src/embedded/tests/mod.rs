//! The conformance suite, and what only this engine promises: what a crash, a
//! full disk and damaged records leave.

mod books;
mod crash;
mod damage;
mod disk;
mod full;
mod rot;
mod script;
mod steps;
mod stopped;

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::{
    Client, Content, Destination, Envelope, History, MessageId, Priority, ReversePath,
    StoredMessage, Submission,
};
use slimta_core::storage::{Filter, Listed, Listing, Page, Session, Storage};
use slimta_core::world::{Timestamp, World};

use super::{Embedded, Limits};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const LEASE: Duration = Duration::from_secs(120);

const LIMITS: Limits = Limits {
    reserve_bytes: 1 << 16,
    free_bytes_min: 0,
    quick_repair_bytes_min: 1 << 20,
    give_back_file_bytes_min: 1 << 20,
    audit_file_bytes_max: u64::MAX,
};

async fn fresh(world: World) -> (Arc<dyn Storage>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Embedded::open_with(directory.path(), world, LIMITS).unwrap();
    (Arc::new(storage), directory)
}

mod conformance {
    slimta_core::storage_conformance!(super::fresh);
}

fn world() -> World {
    World::simulated(START, 1)
}

/// A submission of a message for each destination.
fn mail(world: &World, destinations: &[&str], body: Vec<u8>) -> Submission {
    let content = Content::from_parts("Subject: hello\r\n\r\n", body);
    let sender = ReversePath::Mailbox("from@example.com".parse().unwrap());
    let submission = MessageId::new(world);
    let messages = destinations.iter().enumerate().map(|(n, destination)| {
        let id = if n == 0 {
            submission
        } else {
            MessageId::new(world)
        };
        StoredMessage {
            id,
            submission,
            destination: Destination::new(destination),
            client: Client::default(),
            envelope: Envelope::new(sender.clone(), ["to@example.org".parse().unwrap()]),
            received: world.now(),
            size: content.len() as u64,
            priority: Priority::Normal,
            attempts: 0,
            due: world.now(),
            held: None,
            last_response: None,
            delay_told: false,
            history: History::default(),
        }
    });
    Submission {
        messages: messages.collect(),
        content,
    }
}

async fn list(session: &dyn Session) -> Listing {
    let page = Page::first(10_000);
    session.list(&Filter::default(), page).await.unwrap()
}

async fn messages(session: &dyn Session) -> Vec<StoredMessage> {
    let listed = list(session).await.messages.into_iter();
    listed.map(|listed: Listed| listed.message).collect()
}
