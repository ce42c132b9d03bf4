//! A manager that stands still in the middle of a transaction, with rows locked.

use std::time::Duration;

use slimta_core::message::{
    Client, Content, Destination, Envelope, Message, ReversePath, Submission,
};
use slimta_core::queue::{ByDomain, split};
use slimta_core::storage::{Storage, StorageError};
use slimta_core::world::World;

use super::super::rows::key;
use super::super::{Postgres, ask};
use super::server::Server;

/// The longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_millis(1);

fn mail(world: &World) -> Submission {
    let envelope = Envelope::new(ReversePath::Null, ["a@to.example".parse().unwrap()]);
    let content = Content::new("Subject: hello\r\n\r\n");
    let message = Message::new(Client::default(), envelope, content, world.now());
    let router = ByDomain {
        local_domain: String::new(),
    };
    split(message, &router, world, world.now()).unwrap()
}

#[tokio::test]
async fn its_mail_moves_on_and_who_waits_for_it_takes_the_database_for_no_silent_one() {
    let (server, world) = (Server::running(), World::system());
    let url = server.schema();
    let frozen = Postgres::new(&url, world.clone()).unwrap();
    let session = frozen.connect().await.unwrap();
    let submission = mail(&world);
    let id = submission.messages[0].id;
    session.store(submission, None).await.unwrap();
    let other = Postgres::new(&url, world.clone()).unwrap();
    let other = other.connect().await.unwrap();
    let to = Destination::new("to.example");
    let leased = other.lock(id, LEASE).await.unwrap().unwrap();

    let mut client = frozen.0.client().await.unwrap();
    let txn = client.transaction().await.unwrap();
    let removing = "DELETE FROM slimta_messages WHERE id = $1";
    assert_eq!(ask::run(&txn, removing, &[&key(id)]).await, Ok(1));
    assert_eq!(other.claim(&to, 10, LEASE).await, Ok(Vec::new()));
    let error = other.unlock(&leased.lease).await.unwrap_err();
    assert!(matches!(error, StorageError::Unavailable(_)));
    assert!(error.to_string().contains("lock timeout"), "{error}");
    assert!(other.stats().await.is_ok(), "the circuit is closed");

    let claiming = async {
        while other.claim(&to, 10, LEASE).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let claiming = tokio::time::timeout(PATIENCE, claiming).await;
    claiming.expect("the frozen transaction is rolled back");
    assert!(txn.commit().await.is_err());
}
