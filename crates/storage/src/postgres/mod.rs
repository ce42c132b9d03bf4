//! Mail in a PostgreSQL database, which several managers share.
//!
//! Every call is one statement or one short transaction. Leases are judged by
//! the clock of the database, and every change of a leased message names its
//! token. The tables are described in `docs/design/postgres.md`.

mod ask;
mod clock;
mod listen;
mod listing;
mod migrate;
mod reads;
mod rows;
mod session;
mod settle;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use slimta_core::storage::{Owner, Session, Storage, StorageError};
use slimta_core::world::World;
use tokio::sync::{OnceCell, watch};
use tokio_postgres::{Config, NoTls};

use crate::server_time::ServerTime;
use clock::ServerClock;
use session::PostgresSession;

/// Connections that one process opens at most.
const CONNECTIONS_MAX: usize = 16;
/// How long a call waits for the database before it says that it is not there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Mail in a PostgreSQL database. Tables are created when the first session is
/// opened, in the first schema of the connection's `search_path`.
#[derive(Debug)]
pub struct Postgres(Arc<Shared>);

/// What the sessions of one process share.
#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// The address without the password, for messages.
    place: String,
    clock: ServerClock,
    world: World,
    config: Config,
    /// The tables are there, and changes by others are heard.
    ready: OnceCell<()>,
    generation: watch::Sender<u64>,
}

impl Postgres {
    /// A database by its URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    /// Nothing is connected yet.
    pub fn new(url: &str, world: World) -> Result<Self, StorageError> {
        let clock = ServerClock::Server(ServerTime::new(world.clone()));
        Postgres::with_clock(url, world, clock)
    }

    fn with_clock(url: &str, world: World, clock: ServerClock) -> Result<Self, StorageError> {
        let unusable = |reason: String| StorageError::Open {
            place: "postgres".to_owned(),
            reason,
        };
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| unusable(error.to_string()))?;
        config.application_name("slimta");
        config.connect_timeout(CONNECT_TIME_MAX);
        let place = place(&config);
        let manager = Manager::from_config(
            config.clone(),
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(CONNECT_TIME_MAX))
            .create_timeout(Some(CONNECT_TIME_MAX))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Postgres(Arc::new(Shared {
            pool,
            place,
            clock,
            world,
            config,
            ready: OnceCell::new(),
            generation: watch::Sender::new(0),
        })))
    }
}

/// The address of a database without its secrets.
fn place(config: &Config) -> String {
    let host = config.get_hosts().first().map(|host| match host {
        tokio_postgres::config::Host::Tcp(name) => name.clone(),
        tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
    });
    let database = config.get_dbname().unwrap_or_default();
    format!("postgres://{}/{database}", host.unwrap_or_default())
}

#[async_trait]
impl Storage for Postgres {
    async fn connect(&self) -> Result<Arc<dyn Session>, StorageError> {
        let shared = &self.0;
        let prepare = async || {
            migrate::migrate(shared).await?;
            reads::learn_time(&shared.client().await?, &shared.clock).await?;
            listen::begin(shared, shared.config.clone());
            Ok(())
        };
        shared.ready.get_or_try_init(prepare).await?;
        let owner = Owner::new(format!("postgres-{:016x}", shared.world.random_u64()));
        Ok(Arc::new(PostgresSession::new(shared.clone(), owner)))
    }
}

impl Shared {
    async fn client(&self) -> Result<Object, StorageError> {
        let client = self.pool.get().await;
        client.map_err(|error| {
            StorageError::Unavailable(format!("no connection to {}: {error}", self.place))
        })
    }

    /// Tells the sessions of this process that something has changed.
    fn changed(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}
