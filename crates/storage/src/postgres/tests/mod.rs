//! The conformance suite, and what only this engine has, on a real PostgreSQL.

mod backlog;
mod durability;
mod enqueue;
mod frozen;
mod outage;
#[path = "../../../tests/support/proxy.rs"]
mod proxy;
#[path = "../../../tests/support/postgres.rs"]
mod server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::Destination;
use slimta_core::storage::Storage;
use slimta_core::storage::conformance::Bench;
use slimta_core::world::World;

use super::Postgres;
use super::clock::ServerClock;
use crate::test_ports as ports;
use server::Server;

/// A store in a schema of its own.
async fn fresh(world: World) -> (Arc<dyn Storage>, Arc<Server>) {
    let server = Server::running();
    let clock = ServerClock::Manual(world.clone());
    let storage = Postgres::with_clock(&server.schema(), world, clock).unwrap();
    (Arc::new(storage), server)
}

mod conformance {
    slimta_core::storage_conformance!(super::fresh);
}

/// A manager whose own clock is wrong sets due times by that of the database.
#[tokio::test]
async fn the_clock_of_a_manager_does_not_matter() {
    let server = Server::running();
    let hour = Duration::from_secs(3600);
    let truth = World::system().now();
    for wrong in [truth.before(24 * hour), truth.after(24 * hour)] {
        let world = World::simulated(wrong, 1);
        let storage = Postgres::new(&server.schema(), world).unwrap();
        let session = storage.connect().await.unwrap();
        let mut mail = Bench::new().mail("a.example");
        let now = session.now();
        assert!(now > truth.before(hour) && now < truth.after(hour), "{now}");
        mail.messages[0].due = now;
        session.store(mail, None).await.unwrap();
        let destination = Destination::new("a.example");
        let claimed = session.claim(&destination, 10, hour).await.unwrap();
        assert_eq!(claimed.len(), 1);
    }
}

/// Managers of one database know each other; the rule of the suite leaves that
/// open, for storages of one process.
#[tokio::test]
async fn managers_know_each_other() {
    let (storage, _server) = fresh(Bench::new().world()).await;
    let (a, b) = (
        storage.connect().await.unwrap(),
        storage.connect().await.unwrap(),
    );
    let minute = Duration::from_secs(60);
    a.manage(minute).await.unwrap();
    let mut all = b.manage(minute).await.unwrap();
    all.sort();
    let mut both = vec![a.owner().clone(), b.owner().clone()];
    both.sort();
    assert_eq!(all, both);
}
