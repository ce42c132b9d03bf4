//! The conformance suite on a real PostgreSQL.

mod server;

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::Destination;
use slimta_core::storage::Storage;
use slimta_core::storage::conformance::Bench;
use slimta_core::world::World;

use super::Postgres;
use super::clock::ServerClock;
use server::Server;

/// A store in a schema of its own.
async fn fresh(world: World) -> (Arc<dyn Storage>, Arc<Server>) {
    let server = Server::running();
    let url = server.schema().await;
    let clock = ServerClock::Manual(world.clone());
    let storage = Postgres::with_clock(&url, world, clock).unwrap();
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
        let storage = Postgres::new(&server.schema().await, world).unwrap();
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
