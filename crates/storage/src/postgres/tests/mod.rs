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

use std::sync::Arc;

use slimta_core::storage::Storage;
use slimta_core::world::World;

use super::Postgres;
use super::clock::ServerClock;
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
