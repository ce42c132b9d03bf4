//! One connection to one server, which all sessions of the process share.
//!
//! Who calls gets an answer in bounded time: a connection is made or refused in
//! a second and a half, and after a failure the next is tried a second later,
//! with a different moment for each process. Calls are sent one behind the
//! other, and the server answers all that it has read with one write to disk.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind,
    Value,
};
use slimta_core::storage::StorageError;
use slimta_core::world::World;
use tokio::sync::Mutex;

use super::address::host;
use super::settings::{self, Kind, Unfit};

/// How long a server may take until it can be used.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(1500);
/// How long a server may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long to wait behind a failure, and up to as much again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A connection that is made when it is needed.
pub(super) struct Link {
    info: ConnectionInfo,
    allow_lossy: bool,
    world: World,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// Which connection it is; grows.
    number: u64,
    /// What the last attempt failed with, and when to try again.
    failed: Option<(StorageError, Duration)>,
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Open {
    connection: MultiplexedConnection,
    number: u64,
    pub(super) is_cluster: bool,
}

impl Link {
    pub(super) fn new(info: ConnectionInfo, allow_lossy: bool, world: World) -> Self {
        Link {
            info,
            allow_lossy,
            world,
            state: Mutex::default(),
        }
    }

    pub(super) fn host(&self) -> String {
        host(&self.info)
    }

    /// The connection; only one caller makes it, and others wait for it.
    pub(super) async fn open(&self) -> Result<Open, StorageError> {
        let locked = self.world.timeout(CONNECT_TIME_MAX, self.state.lock());
        let mut state = locked
            .await
            .ok_or_else(|| self.away("it does not answer"))?;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        if let Some((error, retry)) = &state.failed
            && self.world.monotonic() < *retry
        {
            return Err(error.clone());
        }
        let made = match self.world.timeout(CONNECT_TIME_MAX, self.connect()).await {
            Some(made) => made,
            None => Err(self.away("it does not answer")),
        };
        match made {
            Ok((connection, kind)) => {
                state.number += 1;
                let open = Open {
                    connection,
                    number: state.number,
                    is_cluster: kind.is_cluster,
                };
                state.open = Some(open.clone());
                state.failed = None;
                Ok(open)
            }
            Err(error) => {
                let jitter = self.world.random_u64() % 1000;
                let delay = RETRY_DELAY + RETRY_DELAY * u32::try_from(jitter).unwrap_or(0) / 1000;
                state.failed = Some((error.clone(), self.world.monotonic() + delay));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Kind), StorageError> {
        let client = Client::open(self.info.clone()).map_err(|error| self.failed(&error))?;
        // Time is kept here, by the clock of the world.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await.map_err(|error| self.failed(&error))?;
        match settings::check(&mut connection, self.allow_lossy).await {
            Ok(kind) => Ok((connection, kind)),
            Err(Unfit::Away(error)) => Err(self.failed(&error)),
            Err(Unfit::Refused(reason)) => {
                tracing::error!(host = self.host(), reason, "this Redis is not used");
                Err(self.unusable(reason))
            }
        }
    }

    /// Sends a command. If the server does not answer, the connection is given
    /// up, and what became of the command is unknown.
    pub(super) async fn send(&self, open: &Open, command: &Cmd) -> Result<Value, Failure> {
        let mut connection = open.connection.clone();
        let answer = async {
            let answer = connection.send_packed_command(command).await;
            answer.and_then(Value::extract_error)
        };
        match self.world.timeout(ANSWER_TIME_MAX, answer).await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) if is_refusal(&error) => {
                if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                    // It has become a replica: look at it anew.
                    self.give_up(open).await;
                }
                Err(Failure::Refused(error))
            }
            Some(Err(error)) => {
                self.give_up(open).await;
                Err(Failure::Lost(self.away(&error.to_string())))
            }
            None => {
                self.give_up(open).await;
                Err(Failure::Lost(self.away("it does not answer")))
            }
        }
    }

    async fn give_up(&self, open: &Open) {
        let mut state = self.state.lock().await;
        if state.number == open.number {
            state.open = None;
        }
    }

    /// What every error of a server that is not understood is to the queue: try
    /// again later.
    pub(super) fn away(&self, why: &str) -> StorageError {
        StorageError::Unavailable(format!("Redis at {}: {why}", self.host()))
    }

    fn unusable(&self, reason: String) -> StorageError {
        StorageError::Open {
            place: format!("redis://{}", self.host()),
            reason,
        }
    }

    fn failed(&self, error: &RedisError) -> StorageError {
        match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => {
                self.unusable(error.to_string())
            }
            _ => self.away(&error.to_string()),
        }
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The server refused the command, and did nothing.
    Refused(RedisError),
    /// Nobody knows whether the command was carried out.
    Lost(StorageError),
}

fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.host()).finish()
    }
}
