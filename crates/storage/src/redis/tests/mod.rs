//! The conformance suite on a real Redis, alone and as a Cluster.

mod cluster;
mod faults;
mod listing;
mod sentinels;
#[path = "../../../tests/support/redis.rs"]
mod server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use slimta_core::message::Destination;
use slimta_core::storage::Storage;
use slimta_core::storage::conformance::Bench;
use slimta_core::world::World;

use super::Redis;
use super::clock::ServerClock;
use crate::test_ports as ports;
use server::Server;

/// A queue by its URL, in which time passes as the test says; a connection may
/// take real time all the same.
fn by_hand(url: &str, world: World) -> Arc<dyn Storage> {
    let clock = ServerClock::Manual(world);
    Arc::new(Redis::with_clock(url, World::system(), clock).unwrap())
}

mod conformance {
    use super::*;

    slimta_core::storage_conformance!(async |world| {
        let server = Server::running();
        (by_hand(&server.queue(), world), server)
    });
}

/// A manager whose own clock is wrong sets due times by that of the server.
#[tokio::test]
async fn the_clock_of_a_manager_does_not_matter() {
    let server = Server::running();
    let hour = Duration::from_secs(3600);
    let truth = World::system().now();
    for wrong in [truth.before(24 * hour), truth.after(24 * hour)] {
        let world = World::simulated(wrong, 1);
        let storage = Redis::new(&server.queue(), world).unwrap();
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
