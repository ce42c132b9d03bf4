//! The line to the database, which may be away or answer no more.
//!
//! Every answer is waited for two seconds. When one does not come, or no
//! connection can be made, the circuit opens: all connections are given up, and
//! calls are told at once to try later, while one task looks whether the
//! database is back, with chance in its pauses so that managers do not all knock
//! at the same moment.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::{HookError, Object, Pool, PoolError, TimeoutType, Transaction};
use slimta_core::storage::StorageError;
use slimta_core::world::World;
use tokio::sync::watch;
use tokio_postgres::error::SqlState;

use super::rows::{told, unavailable};
use super::target::Target;
use super::tls;

/// How long the database may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// What is sent may take longer than that: the slowest line that is good enough.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// Least time between two looks whether the database is back, and how much
/// longer it may be by chance.
const LOOK_DELAY: Duration = Duration::from_secs(1);
const LOOK_DELAY_CHANCE: Duration = Duration::from_secs(1);

/// A wrong name or password, a role or database that is not there, or that may
/// not be used.
const REFUSALS: [SqlState; 4] = [
    SqlState::INVALID_PASSWORD,
    SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    SqlState::INVALID_CATALOG_NAME,
    SqlState::INSUFFICIENT_PRIVILEGE,
];

/// Whether there is a database to talk to.
#[derive(Debug)]
pub(super) struct Circuit {
    target: Target,
    world: World,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug)]
enum State {
    /// A pool lives from one outage to the next.
    Closed(Pool),
    /// Why.
    Open(String),
}

impl Circuit {
    pub(super) fn new(target: Target, world: World) -> Result<Arc<Self>, StorageError> {
        let state = watch::Sender::new(State::Closed(target.pool()?));
        Ok(Arc::new(Circuit {
            target,
            world,
            state,
        }))
    }

    /// A connection.
    pub(super) async fn client(self: &Arc<Self>) -> Result<Connection, StorageError> {
        let pool = match &*self.state.borrow() {
            State::Closed(pool) => pool.clone(),
            State::Open(why) => return Err(StorageError::Unavailable(why.clone())),
        };
        match pool.get().await {
            Ok(object) => Ok(Connection {
                object,
                line: Line {
                    circuit: self.clone(),
                    pool,
                },
            }),
            Err(PoolError::PostCreateHook(HookError::Message(reason))) => Err(StorageError::Open {
                place: self.target.place.clone(),
                reason: reason.into_owned(),
            }),
            Err(error) => {
                if let Some(reason) = refusal(&error) {
                    let place = self.target.place.clone();
                    return Err(StorageError::Open { place, reason });
                }
                let why = format!("no connection to {}: {}", self.target.place, bare(&error));
                if is_away(&error) {
                    self.open(&pool, &why);
                }
                Err(StorageError::Unavailable(why))
            }
        }
    }

    /// Waits until there is a database to talk to.
    pub(super) async fn closed(&self) {
        let mut state = self.state.subscribe();
        let closed = state.wait_for(|state| matches!(state, State::Closed(_)));
        // The sender is ours.
        let _ = closed.await;
    }

    /// Waits for the beginning of an outage.
    pub(super) async fn opened(&self) {
        let mut state = self.state.subscribe();
        let opened = state.wait_for(|state| matches!(state, State::Open(_)));
        let _ = opened.await;
    }

    /// A pause before connecting again.
    pub(super) async fn pause(&self) {
        let chance = LOOK_DELAY_CHANCE.as_millis() as u64;
        let chance = Duration::from_millis(self.world.random_u64() % chance);
        self.world.sleep(LOOK_DELAY + chance).await;
    }

    /// Opens the circuit, unless somebody has already given this pool up.
    fn open(self: &Arc<Self>, broken: &Pool, why: &str) {
        let is_news = self.state.send_if_modified(|state| match state {
            State::Closed(pool) if std::ptr::eq(pool.manager(), broken.manager()) => {
                *state = State::Open(why.to_owned());
                true
            }
            _ => false,
        });
        if is_news {
            // Who waits for a connection is told now; connections that are in
            // use are not used again.
            broken.close();
            tracing::warn!(
                reason = why,
                "the database is away, calls are told to try later"
            );
            tokio::spawn(restore(Arc::downgrade(self)));
        }
    }

    /// Looks whether the database is back.
    async fn look(&self) -> Result<Pool, String> {
        let pool = self.target.pool().map_err(|error| error.to_string())?;
        let asking = async {
            let client = pool.get().await.map_err(|error| {
                let refusal = tls::refusal(&error);
                refusal.unwrap_or_else(|| bare(&error))
            })?;
            let asked = client.simple_query("").await;
            asked.map_err(|error| told(&error))
        };
        let asked = self.world.timeout(SILENCE_MAX, asking).await;
        asked.unwrap_or_else(|| Err("it does not answer".to_owned()))?;
        Ok(pool)
    }

    /// What calls are told from now on.
    fn still_open(&self, error: &str) {
        let why = format!("no connection to {}: {error}", self.target.place);
        self.state.send_if_modified(|state| {
            let is_news = !matches!(state, State::Open(known) if *known == why);
            if is_news {
                tracing::warn!(reason = why, "the database is still away");
                *state = State::Open(why);
            }
            is_news
        });
    }
}

/// Looks again and again until the database is back or nobody needs it.
async fn restore(circuit: Weak<Circuit>) {
    while let Some(circuit) = circuit.upgrade() {
        match circuit.look().await {
            Ok(pool) => {
                circuit.state.send_replace(State::Closed(pool));
                tracing::info!("the database is back");
                return;
            }
            Err(error) => circuit.still_open(&error),
        }
        circuit.pause().await;
    }
}

/// Whether it means that there is no database, rather than that this one has no
/// room for us.
fn is_away(error: &PoolError) -> bool {
    if let PoolError::Timeout(TimeoutType::Create) = error {
        return true;
    }
    backend(error).is_some_and(|error| {
        error.code().is_none_or(|code| {
            *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::ADMIN_SHUTDOWN
        })
    })
}

/// What the database, or the way to it, said.
fn backend(error: &PoolError) -> Option<&tokio_postgres::Error> {
    match error {
        PoolError::Backend(error) => Some(error),
        PoolError::PostCreateHook(HookError::Backend(error)) => Some(error),
        _ => None,
    }
}

/// That, without the words of the pool around it.
fn bare(error: &PoolError) -> String {
    match (error, backend(error)) {
        (_, Some(error)) => told(error),
        (PoolError::Timeout(TimeoutType::Create), _) => "it does not answer".to_owned(),
        (PoolError::Timeout(TimeoutType::Wait), _) => "all connections are in use".to_owned(),
        (error, None) => told(error),
    }
}

/// Why we are not let in, which is the same however often we knock.
fn refusal(error: &PoolError) -> Option<String> {
    let refused = backend(error).filter(|error| match error.code() {
        Some(code) => REFUSALS.contains(code),
        // The server wants a password and the URL has none.
        None => error.to_string().starts_with("invalid configuration"),
    });
    tls::refusal(error).or_else(|| refused.map(|error| told(error)))
}

/// Waits for answers, and opens the circuit when one does not come.
#[derive(Clone, Debug)]
pub(super) struct Line {
    circuit: Arc<Circuit>,
    pool: Pool,
}

impl Line {
    /// The answer to something small.
    pub(super) async fn answer<T>(
        &self,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StorageError> {
        self.answer_to(0, asking).await
    }

    /// The answer to something of so many bytes.
    pub(super) async fn answer_to<T>(
        &self,
        bytes: u64,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StorageError> {
        let sending = Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
        self.answer_within(SILENCE_MAX + sending, asking).await
    }

    /// The answer to something that takes its time.
    pub(super) async fn answer_within<T>(
        &self,
        limit: Duration,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StorageError> {
        match self.circuit.world.timeout(limit, asking).await {
            Some(answer) => answer.map_err(unavailable),
            None => {
                let place = &self.circuit.target.place;
                let why = format!("no answer from {place} in {} s", limit.as_secs());
                self.circuit.open(&self.pool, &why);
                Err(StorageError::Unavailable(why))
            }
        }
    }
}

/// What can be asked: a connection, or a transaction on it.
pub(super) trait Asks: Sync {
    type Client: deadpool_postgres::GenericClient;

    fn client(&self) -> &Self::Client;
    fn line(&self) -> &Line;
}

/// A connection of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    object: Object,
    line: Line,
}

impl Connection {
    /// Begins a transaction, which is rolled back unless it is committed.
    pub(super) async fn transaction(&mut self) -> Result<Txn<'_>, StorageError> {
        let Connection { object, line } = self;
        let txn = line.answer(object.transaction()).await?;
        Ok(Txn { txn, line })
    }
}

impl Asks for Connection {
    type Client = Object;

    fn client(&self) -> &Object {
        &self.object
    }

    fn line(&self) -> &Line {
        &self.line
    }
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Txn<'a> {
    txn: Transaction<'a>,
    line: &'a Line,
}

impl Txn<'_> {
    /// Durable when this returns.
    pub(super) async fn commit(self) -> Result<(), StorageError> {
        self.line.answer(self.txn.commit()).await
    }
}

impl<'a> Asks for Txn<'a> {
    type Client = Transaction<'a>;

    fn client(&self) -> &Transaction<'a> {
        &self.txn
    }

    fn line(&self) -> &Line {
        self.line
    }
}
