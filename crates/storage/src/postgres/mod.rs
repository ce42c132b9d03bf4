//! Mail in a PostgreSQL database, which several managers share.
//!
//! Every call is one statement or one short transaction. Leases are judged by
//! the clock of the database, and every change of a leased message names its
//! token. The tables are described in `docs/design/postgres.md`.
//!
//! An application that has its data in the same database queues mail inside its
//! own transactions with [`enqueue()`], or by the SQL function `slimta_enqueue`
//! (`docs/postgres.md`).

mod ask;
mod circuit;
mod clock;
mod contents;
mod durability;
mod enqueue;
mod handed;
mod listen;
mod listing;
mod managers;
mod migrate;
mod reads;
mod rows;
mod session;
mod settle;
mod store;
mod suspensions;
mod target;
#[cfg(test)]
mod tests;
mod tls;

#[cfg(feature = "sqlx")]
pub use enqueue::sqlx;
pub use enqueue::{EnqueueError, enqueue};

use std::sync::Arc;

use async_trait::async_trait;
use slimta_core::storage::{Owner, Session, Storage, StorageError};
use slimta_core::world::World;
use tokio::sync::{OnceCell, watch};

use crate::server_time::ServerTime;
use circuit::{Circuit, Connection};
use clock::ServerClock;
use session::PostgresSession;
use target::Target;

/// Mail in a PostgreSQL database. Tables are created when the first session is
/// opened, in the first schema of the connection's `search_path`.
#[derive(Debug)]
pub struct Postgres(Arc<Shared>);

/// What the sessions of one process share.
#[derive(Debug)]
struct Shared {
    target: Target,
    circuit: Arc<Circuit>,
    clock: ServerClock,
    world: World,
    /// The tables are there, and changes by others are heard.
    ready: OnceCell<()>,
    generation: watch::Sender<u64>,
}

impl Postgres {
    /// A database by its URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    /// Nothing is connected yet.
    ///
    /// A server that could lose mail it has acknowledged is refused, unless the
    /// URL says `?allow_lossy=true`. Whether the connection is encrypted say
    /// `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, as they do to libpq.
    pub fn new(url: &str, world: World) -> Result<Self, StorageError> {
        let clock = ServerClock::Server(ServerTime::new(world.clone()));
        Postgres::with_clock(url, world, clock)
    }

    fn with_clock(url: &str, world: World, clock: ServerClock) -> Result<Self, StorageError> {
        let target = Target::new(url)?;
        Ok(Postgres(Arc::new(Shared {
            circuit: Circuit::new(target.clone(), world.clone())?,
            target,
            clock,
            world,
            ready: OnceCell::new(),
            generation: watch::Sender::new(0),
        })))
    }
}

#[async_trait]
impl Storage for Postgres {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let shared = &self.0;
        let prepare = async || {
            migrate::migrate(shared).await?;
            reads::learn_time(&shared.client().await?, &shared.clock).await?;
            if shared.target.allow_lossy {
                durability::warn(&shared.client().await?, shared.place()).await?;
            }
            listen::begin(shared);
            Ok(())
        };
        shared.ready.get_or_try_init(prepare).await?;
        let owner = Owner::new(format!("postgres-{:016x}", shared.world.random_u64()));
        Ok(Arc::new(PostgresSession::new(shared.clone(), owner)))
    }
}

impl Shared {
    async fn client(&self) -> Result<Connection, StorageError> {
        self.circuit.client().await
    }

    /// The address without its secrets, for messages.
    fn place(&self) -> &str {
        &self.target.place
    }

    /// Tells the sessions of this process that something has changed.
    fn changed(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}
