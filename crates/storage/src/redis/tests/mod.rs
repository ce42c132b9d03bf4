//! The conformance suite on a real Redis, alone and as a Cluster.

mod cluster;
mod faults;
mod server;

use std::sync::Arc;

use slimta_core::storage::Storage;
use slimta_core::world::World;

use super::Redis;
use super::clock::ServerClock;
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
